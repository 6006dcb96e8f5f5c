"""Trials that never return, by a part of the user's own: each is ended and told, and the others are not touched."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from fgtune.engine.run import execute
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

PARTS = '''
"""A backbone that, as often as its options say, never returns, or takes its process with it."""

import ctypes
import os
import signal
import time
from typing import Literal

import torch
from torch import nn

from fgtune.config.schema.base import Config


class Stuck(nn.Module):
    class Options(Config):
        way: Literal["native", "crash", "slow"]
        mark: str
        times: int = 1

    def __init__(self, options, input_shape):
        super().__init__()
        self.options, self.calls, self.feature_dim = options, 0, 8
        self.inner = nn.Linear(input_shape[0], 8)

    def forward(self, inputs):
        self.calls += 1
        if self.options.way == "slow":
            time.sleep(0.1)
        elif self.calls > 20 and torch.is_grad_enabled() and self.is_chosen():
            if self.options.way == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            ctypes.PyDLL(None).sleep(10**6)  # a C function that keeps the interpreter's lock
        return torch.relu(self.inner(inputs))

    def is_chosen(self):
        for number in range(self.options.times):
            try:
                os.close(os.open(f"{self.options.mark}{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return False
'''


@pytest.fixture
def run(tmp_path, small_study_text, monkeypatch, ray_started):
    """Run two seeds of one arm, of which one meets the fault."""
    package = f"stuck_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{package}.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    study = yaml.safe_load(small_study_text)
    study["design"] = {"kind": "comparison", "arms": [{"name": "only", "set": {}}]}
    study["design"]["arms"].append({"name": "other", "set": {"objective.lambda_nn": 0.1}})
    study["trial"] |= {"epochs": 8, "batch_size": 64}
    study["seeds"] = 1

    def run_all(way, times=1, retry_failed=False, **execution):
        options = {"way": way, "mark": str(tmp_path / "mark"), "times": times}
        study["trial"]["model"] = {"backbone": {"kind": f"{package}:Stuck", "options": options}}
        study["execution"] = {"checkpoint_every_epochs": 1, "max_concurrent": 1, **execution}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study), encoding="utf-8")
        call = RunOptions(
            path, out=tmp_path / "out", tracking_uri="none", plugins=(package,), retry_failed=retry_failed
        )
        out = io.StringIO()
        code = execute(call, Console(file=out, width=300))
        return code, StudyFolder(tmp_path / "out" / "small"), out.getvalue()

    yield run_all
    sys.modules.pop(package, None)


@pytest.mark.long
def test_a_trial_that_hangs_in_native_code_is_killed_and_started_again_from_its_checkpoint(run):
    code, folder, shown = run("native", silence={"factor": 1, "floor_s": 2, "then": "retry"})
    assert code == 0, shown
    hung, other = folder.ledger.read()
    assert [each.state for each in (hung, other)] == [CellState.COMPLETE] * 2
    assert (hung.attempts, other.attempts) == (2, 1)
    lines = folder.faults_file.read_text().splitlines()
    assert len(lines) == 2
    assert re.search(r"only, seed 0: warning: no epoch for [23]\.\d s since ", lines[0])
    assert re.search(r"crashed \(no epoch for \d\.\d s since .*; its worker was ended\) and is started again", lines[1])
    assert all(line.partition(" ")[2] in shown for line in lines)
    assert not folder.running_file.exists()
    assert list(folder.read_curves()["epoch"]) == [*range(1, 9)] * 2


@pytest.mark.long
def test_a_trial_that_takes_its_process_with_it_fails_alone(run):
    code, folder, shown = run("crash", times=2)
    assert code == 3, shown
    lost, other = folder.ledger.read()
    assert (lost.state, lost.attempts, other.state) == (CellState.FAIL, 2, CellState.COMPLETE)


@pytest.mark.long
def test_a_trial_that_takes_too_long_fails_with_that_reason_and_more_time_continues_it(run):
    code, folder, shown = run("slow", max_trial_s=3)
    assert code == 3, shown
    for each in folder.ledger.read():
        assert each.state is CellState.FAIL
        assert re.match(
            r"ran for [34]\.\d s, longer than execution\.max_trial_s \(3\), and reached epoch [1-7]$", each.cause
        )
    reached = {each.cell_id: each.epochs for each in folder.ledger.read()}
    code, folder, shown = run("slow", retry_failed=True)
    assert code == 0, shown
    for each in folder.ledger.read():
        assert each.epochs == 8
        assert list(folder.read_curves().query("cell_id == @each.cell_id")["epoch"]) == list(range(1, 9))
        assert 0 < reached[each.cell_id] < 8


@pytest.mark.long
def test_a_trial_that_hangs_is_ended_when_its_time_is_up(run):
    code, folder, shown = run("native", max_trial_s=10, max_failures=3)
    assert code == 3, shown
    lost, other = folder.ledger.read()
    assert (lost.state, other.state) == (CellState.FAIL, CellState.COMPLETE)
    assert lost.cause.endswith("its worker was ended")
    assert Path(folder.root / "report.html").read_text(encoding="utf-8").count("longer than execution.max_trial_s")
