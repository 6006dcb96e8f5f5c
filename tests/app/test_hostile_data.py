"""Data files that claim, hide or cost more than they hold: refused, with nothing written and no code of theirs run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import hostile, hostile_data

from fgtune.app.cli import main

CASES = [(kind, name) for kind, corpus in hostile_data.CORPORA.items() for name in corpus]
HEAVY = {
    "bomb.npz",
    "very_wide.csv",
    "cell.csv",
    "quoted_cell.csv",
    "name.csv",
    "one_line.csv",
    "commas.csv",
}
HEAVY |= {"wide.parquet", "runs.parquet", "bomb", "header.npz", "lying.npz"}
"""Files that take seconds to make or to read: these are left to the slow suite."""


def options(kind: str, path: Path) -> list[str]:
    """How a study is told to read a data file."""
    chosen = ["--set", f"trial.data={json.dumps(hostile_data.config_of(kind, path))}"]
    return [*chosen, "--set", "trial.model.backbone={kind: small_cnn}"] if kind == "images" else chosen


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(*case, marks=[pytest.mark.slow] * (case[1] in HEAVY), id=case[1]) for case in CASES]
)
def test_a_data_file_that_means_harm_is_refused(tmp_path, monkeypatch, capsys, kind, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(hostile.STUDY, encoding="utf-8")
    hostile_data.CORPORA[kind][name](tmp_path / name)
    assert main(["validate", "s.yaml", *options(kind, tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert len(said.err) < 20_000
    assert {path.name for path in tmp_path.iterdir()} == {"s.yaml", name}  # nothing written, no RUN
