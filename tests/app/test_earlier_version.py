"""Folders that version 0.1.0 wrote, before configs were hashed without their defaults, are still read and checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fgtune.app.cli import main

FOLDERS = Path(__file__).parents[1] / "support" / "earlier_version"
ANSWERS = {
    "small": "Against it, K_F/K_F* 1.5 (+0.042) is undecided.",
    "small_search": "Trial-0002 (lambda_reg 2.378), the best of 3 finished trials, reaches silhouette (val) 0.120",
}
"""What that version's own report said."""


@pytest.fixture(params=sorted(ANSWERS))
def folder(request, tmp_path) -> Path:
    return Path(shutil.copytree(FOLDERS / request.param, tmp_path / request.param))


def test_its_report_is_rebuilt_with_the_same_answer(folder):
    assert main(["report", str(folder)]) == 0
    assert ANSWERS[folder.name] in (folder / "report.html").read_text(encoding="utf-8")


def test_its_table_is_the_same(folder):
    before = (folder / "results.csv").read_bytes()
    assert main(["report", str(folder)]) == 0
    assert (folder / "results.csv").read_bytes() == before


def test_its_status_says_that_every_cell_ended(folder, capsys):
    assert main(["status", str(folder)]) == 0
    cells = {"small": 4, "small_search": 8}[folder.name]
    assert f"{cells} of {cells} cells ended" in capsys.readouterr().out


def test_its_numbers_verify(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(" values compared, 0 do not agree\n")


def test_a_changed_metric_of_it_is_still_found(folder, capsys):
    ledger = folder / "results.jsonl"
    text = ledger.read_text(encoding="utf-8")
    old = text[text.index('"test/clustering_accuracy": ') :].split(",")[0]
    ledger.write_text(text.replace(old, '"test/clustering_accuracy": 0.999', 1), encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    assert "test/clustering_accuracy is 0.999" in capsys.readouterr().err
