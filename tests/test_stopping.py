"""SIGTERM to each verb that takes long: it stops in order within seconds, says how to go on, and leaves no process."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from support import search_runs

from fgtune.app.cli import main
from fgtune.app.verify import verify
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState

pytestmark = [pytest.mark.long, pytest.mark.integration]
MARK = "FGTUNE_TEST_STOPPED"
"""Inherited by every process that a verb starts: Ray's are no children of it."""
NONE = ("--tracking-uri", "none")


def long_study(text: str, path: Path, **changes: object) -> Path:
    """The small study with enough epochs to be caught at work."""
    study = yaml.safe_load(text)
    study["trial"] |= {"epochs": 150, **changes}
    study["seeds"], study["execution"]["max_concurrent"] = 1, 1
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return path


def left_of(mark: str) -> list[psutil.Process]:
    """Processes with this mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def stopped(tmp_path):
    """Start a verb, wait until it has come so far, and stop it; returns what it printed."""

    def stop(*arguments: str, when: Callable[[str], bool]) -> str:
        shown = tmp_path / "shown"
        with shown.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "fgtune", *arguments],
                stdout=file, stderr=file, cwd=tmp_path, env={**os.environ, MARK: str(tmp_path)},
            )  # fmt: skip
        deadline = time.monotonic() + 180
        while not when(shown.read_text()):
            assert process.poll() is None, shown.read_text()
            assert time.monotonic() < deadline, shown.read_text()
            time.sleep(0.05)
        since = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
        assert time.monotonic() - since < 20
        text = shown.read_text()
        assert process.returncode == 130, text
        assert "SIGTERM: stopping in order" in text
        assert "Traceback" not in text
        assert "crashed" not in text
        deadline = time.monotonic() + 20
        while (left := left_of(str(tmp_path))) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left == []
        return text

    return stop


def has_checkpoint(root: Path) -> Callable[[str], bool]:
    return lambda _: bool(list(root.rglob("checkpoints/*.pt")))


def line_of(text: str) -> list[str]:
    """The arguments of the line that goes on, without the interpreter."""
    return shlex.split(re.search(r"^continue with: python -m fgtune\.run (.*)$", text, re.MULTILINE)[1])


def test_a_search_stops_and_the_line_that_it_prints_ends_it(stopped, tmp_path, ray_started, monkeypatch):
    trial = search_runs.STUDY["trial"] | {"epochs": 150}
    options = search_runs.made(tmp_path, trial=trial, execution=search_runs.ONE_WORKER)
    text = stopped("run", str(options.study), "--out", "reports", *NONE, when=has_checkpoint(options.out))
    monkeypatch.chdir(tmp_path)
    assert main(["run", *line_of(text)]) == 0
    ended = search_runs.folder_of(options).ledger.read()
    assert [each.state for each in ended] == [CellState.COMPLETE] * 5, "the baseline and four trials"


def test_an_extension_stops_and_the_line_that_it_prints_ends_it(
    stopped, small_study_text, train_study, tmp_path, ray_started, monkeypatch
):
    study = long_study(small_study_text, tmp_path / "small.yaml")
    root = train_study(study, tmp_path / "reports")
    text = stopped("extend", str(root), "--seeds", "2", *NONE, when=has_checkpoint(root))
    monkeypatch.chdir(tmp_path)
    assert main(["run", *line_of(text)]) == 0
    folder = StudyFolder(root)
    assert [each.state for each in folder.ledger.read()] == [CellState.COMPLETE] * 4
    assert verify(folder.root).problems == []


def test_a_discovery_stops_while_its_methods_are_trained(stopped, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(4000, 20)), columns=[f"x{number}" for number in range(20)])
    table["group"] = rng.choice(["left", "right"], 4000)
    table.to_csv(tmp_path / "data.csv", index=False)
    out = tmp_path / "out"
    text = stopped(
        "discover", "data.csv", "--out", "out", "--num-fine", "4", "--minutes", "5",
        when=lambda _: (out / "methods" / "running.json").is_file(),
    )  # fmt: skip
    assert "to go on: fgtune discover data.csv --out out --num-fine 4 --minutes 5" in text
    assert (out / "methods" / "report.html").is_file()


def test_pretraining_stops_and_leaves_no_half_file(stopped, small_study_text, tmp_path):
    study = long_study(small_study_text, tmp_path / "small.yaml", model={
        "backbone": {"kind": "mlp", "hidden": [16]}, "pretrain": {"kind": "scarf", "epochs": 100_000, "dim": 8},
    })  # fmt: skip
    text = stopped("pretrain", str(study), when=lambda shown: "epoch " in shown and ", loss" in shown)
    assert "no file is half-written" in text
    assert not list(tmp_path.glob("encoder*"))


def test_a_study_stops_while_its_data_are_prepared(stopped, small_study_text, tmp_path):
    data = {"kind": "hierarchy", "num_samples": 40_000, "num_coarse": 2, "fine_per_coarse": 3, "dim": 64}
    study = long_study(small_study_text, tmp_path / "small.yaml", data=data)
    root = tmp_path / "reports" / "small"
    text = stopped("run", str(study), "--out", "reports", *NONE, when=lambda _: (root / "plan.csv").is_file())
    assert "0 of 2 cells are finished and saved in" in text
    assert line_of(text)[0] == str(study)
    assert (root / "report.html").is_file()
