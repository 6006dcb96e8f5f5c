"""Folders that version 0.1.0 wrote, before configs were hashed without their defaults, are still read and checked."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from fgtune.app.cli import main
from fgtune.app.refit import refit
from fgtune.exporting.folder import read_card
from fgtune.results.folder import StudyFolder

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
    assert main(["report", str(folder)]) == 0
    assert main(["verify", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(" values compared, 0 do not agree\n")
    assert "results.jsonl: 4 lines carry no hash of the line before" in out or folder.name != "small"


def test_what_the_repository_left_out_of_it_is_named_as_missing(folder, capsys):
    assert main(["verify", str(folder)]) == 1
    fix = f"is missing; fgtune report {folder} writes it"
    assert capsys.readouterr().err.splitlines() == [f"results.parquet: {fix}", f"report.html: {fix}"]


@pytest.mark.slow_except("small")
def test_its_numbers_verify_without_its_provenance(folder, capsys):
    (folder / "provenance.json").unlink()
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().err.startswith("warning: provenance.json is missing: versions, earlier calls")
    assert main(["verify", str(folder)]) == 1
    assert capsys.readouterr().err == "provenance.json: is missing\n"


@pytest.mark.slow_except("small_search")
def test_its_report_verifies_where_metrics_are_described_in_other_words_now(folder, capsys):
    assert main(["report", str(folder)]) == 0
    report = folder / "report.html"
    text = report.read_text(encoding="utf-8")
    assert text.count('"description":"') > 0
    text = text.replace('"description":"', '"description":"once: ')
    report.write_text(text, encoding="utf-8")
    assert main(["verify", str(folder)]) == 1  # as this version would not have written it
    assert "report.html: is not the page that the folder gives" in capsys.readouterr().err
    report.write_text(re.sub(r'content="fgtune [^"]*"', 'content="fgtune 0.0.9"', text, count=1), encoding="utf-8")
    assert main(["verify", str(folder)]) == 0
    note = "report.html: was written by fgtune 0.0.9, this is fgtune "
    assert note in capsys.readouterr().out
    numbers = re.sub(r'"low":([0-9.]+)', '"low":0.123', report.read_text(encoding="utf-8"), count=1)
    report.write_text(numbers, encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    assert "report.html: its numbers are not those that the ledger gives" in capsys.readouterr().err


def test_a_model_of_it_has_the_id_of_its_cell(folder, tmp_path):
    result = StudyFolder(folder).ledger.read()[0]
    out = refit(folder, result.arm, result.seed, tmp_path / "model", tracking_uri="none")
    assert read_card(out).cell_id == result.cell_id


def test_a_changed_metric_of_it_is_still_found(folder, capsys):
    ledger = folder / "results.jsonl"
    text = ledger.read_text(encoding="utf-8")
    old = text[text.index('"test/clustering_accuracy": ') :].split(",")[0]
    ledger.write_text(text.replace(old, '"test/clustering_accuracy": 0.999', 1), encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    assert "test/clustering_accuracy is 0.999" in capsys.readouterr().err


@pytest.mark.slow_except("small_search")
def test_a_changed_setting_of_it_is_still_found(folder, capsys):
    assert main(["report", str(folder)]) == 0
    ledger = folder / "results.jsonl"
    text = ledger.read_text(encoding="utf-8")
    ledger.write_text(text.replace('"momentum": 0.9', '"momentum": 0.8', 1), encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert "its config does not have the hash " in first
    assert second.endswith("its config and seed do not have this id")


def test_its_hashes_are_checked_by_the_rule_that_made_them(folder, capsys):
    record = folder / "provenance.json"
    record.write_text(json.dumps(json.loads(record.read_text(encoding="utf-8")) | {"hash": 2}), encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    cells = {"small": 4, "small_search": 8}[folder.name]
    problems = capsys.readouterr().err.splitlines()
    assert sum("its config" in problem for problem in problems) == 2 * cells


@pytest.mark.parametrize("verb", ["run", "plan", "extend"])
def test_it_is_not_run_on_with_other_ids(verb, tmp_path, capsys):
    root = Path(shutil.copytree(FOLDERS / "small", tmp_path / "reports" / "small"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    study = [str(Path(shutil.copy(root / "study.yaml", tmp_path / "small.yaml"))), "--out", str(root.parent)]
    arguments = {"run": [*study, "--tracking-uri", "none"], "plan": study, "extend": [str(root), "--seeds", "9"]}
    assert main([verb, *arguments[verb]]) == 2
    assert capsys.readouterr().err == (
        f"error: {root}: was written by an earlier version of fgtune, whose cells have other ids; nothing was changed. "
        "Fix: choose another folder with --out, or go on with that version; report, status and verify read it\n"
    )
    assert {path: path.read_bytes() for path in before} == before


def test_its_status_says_which_version_can_run_it_on(tmp_path, capsys):
    folder = Path(shutil.copytree(FOLDERS / "small", tmp_path / "small"))
    ledger = folder / "results.jsonl"
    ledger.write_text("".join(ledger.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    assert main(["status", str(folder)]) == 0
    line = "an earlier version of fgtune wrote this folder; with that version, continue with: python -m fgtune.run"
    assert line in capsys.readouterr().out


def test_hashes_of_the_second_scheme_are_known_in_which_every_epoch_was_evaluated_by_default(make_config):
    from fgtune.app.verification.findings import identity
    from fgtune.config.schema.base import stable_hash

    forward = {"neighbors.targets": "forward"}  # the default then
    config = make_config(forward)
    stored = {**config.to_plain(), "evaluation": {**config.evaluation.to_plain(), "every_epochs": 1}}
    assert stable_hash(identity(stored, 2)) == stable_hash(make_config().identity())
    assert "evaluation" in identity(stored, 3)
    stored["evaluation"] |= {"splits": ["test"]}
    changed = make_config({"evaluation.splits": ["test"]})
    assert stable_hash(identity(stored, 2)) == stable_hash(changed.identity())


def test_hashes_of_the_third_scheme_are_known_in_which_neighbours_were_passed_forward_by_default(make_config):
    from fgtune.app.verification.findings import identity

    default, set_then = make_config().to_plain(), make_config({"neighbors.targets": "forward"}).to_plain()
    assert "neighbors" not in identity(set_then, 3)
    assert identity(default, 3)["neighbors"] == {"targets": "memory"}
    assert "neighbors" not in identity(default, 4)
    assert identity(set_then, 4)["neighbors"] == {"targets": "forward"}
    fewer = make_config({"neighbors.targets": "forward", "neighbors.sampled": 2}).to_plain()
    assert identity(fewer, 3)["neighbors"] == {"sampled": 2}
