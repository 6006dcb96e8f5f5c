"""Stored predictions and coarse labels are checked against the counts, the ledger's digests and the data; exported."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.changes import curves, read_lines, write_lines

from fgtune.app import verify as verb
from fgtune.app.api import open_results
from fgtune.app.cli import main
from fgtune.app.verify import verify
from fgtune.errors import ConfigError
from fgtune.results.evidence import CURVE, LABELS, PREDICTIONS, arrays_digest
from fgtune.results.folder import StudyFolder


@pytest.fixture
def folder(real_folder, tmp_path, monkeypatch) -> StudyFolder:
    monkeypatch.setattr(verb, "CHECKS", tuple(each for each in verb.CHECKS if each[0] != "report"))
    return StudyFolder(shutil.copytree(real_folder, tmp_path / "real"))


def first(folder: StudyFolder) -> str:
    return sorted(folder.predictions_dir.iterdir())[0].stem


def labels_key(folder: StudyFolder) -> str:
    return next(folder.labels_dir.iterdir()).stem


def relabelled(folder: StudyFolder, cell: str, split: int, digest: bool = True) -> None:
    """Another class for the first sample of a split, with the digest in the ledger changed likewise."""
    record = folder.read_predictions(cell)
    fine = record.fine.copy()
    row = np.flatnonzero(record.splits == split)[0]
    fine[row] = (fine[row] + 1) % 6
    changed = replace(record, fine=fine)
    folder.write_predictions(cell, changed)
    if digest:
        lines = read_lines(folder.root)
        for line in lines:
            if line["cell_id"] == cell and line["state"] == "COMPLETE":
                line["evidence"][PREDICTIONS] = arrays_digest(changed)
        write_lines(folder.root, lines)


def test_every_complete_cell_has_predictions_of_every_sample_and_all_agrees(folder):
    complete = [each for each in folder.ledger.read() if each.state == "COMPLETE"]
    assert {path.stem for path in folder.predictions_dir.iterdir()} == {each.cell_id for each in complete}
    assert all(PREDICTIONS in each.evidence and LABELS in each.evidence for each in complete)
    outcome = verify(folder.root, reruns=1)
    assert outcome.problems == []
    assert outcome.counts["predictions"] > 5 * len(complete)
    assert outcome.reruns[0].differences == ()


def test_a_prediction_that_is_not_that_of_the_cell_is_found(folder):
    relabelled(folder, first(folder), 1, digest=False)
    (problem,) = verify(folder.root).problems
    assert "does not have the digest in the ledger" in problem


def test_a_test_sample_in_another_class_contradicts_the_counts(folder):
    relabelled(folder, first(folder), 4)
    (problem,) = verify(folder.root).problems
    assert problem.endswith("does not give the counts in relations/")


def test_a_training_sample_in_another_class_is_found_by_running_the_cell_again(folder):
    relabelled(folder, first(folder), 1)
    outcome = verify(folder.root, reruns=7)
    assert outcome.problems == []
    differences = [each.differences for each in outcome.reruns if each.differences]
    assert differences == [("predictions/fine in 1 of 240 elements",)]


def test_predictions_that_are_gone_or_belong_to_no_cell_are_named(folder):
    path = folder.predictions_dir / f"{first(folder)}.npz"
    path.rename(folder.predictions_dir / "0123456789ab.npz")
    problems = verify(folder.root).problems
    assert [problem.split(":")[0] for problem in problems] == [
        "predictions/0123456789ab.npz",
        f"predictions/{path.name}",
    ]


@pytest.mark.parametrize("where", ["predictions_dir", "labels_dir"])
def test_a_file_of_junk_is_a_problem_and_no_traceback(folder, where):
    path = next(getattr(folder, where).iterdir())
    path.write_bytes(b"PK\x03\x04" + b"\0" * 60)
    assert any(path.name in problem and "cannot be" in problem for problem in verify(folder.root).problems)


def test_coarse_labels_other_than_those_of_the_data_are_found_though_all_digests_agree(folder):
    key = labels_key(folder)
    record = folder.read_labels(key)
    training = np.flatnonzero(folder.read_predictions(first(folder)).splits == 1)
    seeds = [folder.read_predictions(path.stem).splits for path in folder.predictions_dir.iterdir()]
    row = next(row for row in training if all(splits[row] != 4 for splits in seeds))  # in no counts
    coarse = record.coarse.copy()
    coarse[row] = 1 - coarse[row]
    changed = replace(record, coarse=coarse)
    folder.write_labels(key, changed)
    lines = read_lines(folder.root)
    for line in lines:
        if LABELS in line["evidence"]:
            line["evidence"][LABELS] = arrays_digest(changed)
    write_lines(folder.root, lines)
    assert verify(folder.root, data=False).problems == []
    (problem,) = verify(folder.root).problems
    assert problem == f"coarse_labels/{key}.npz: are not the coarse labels of the data"


def test_a_folder_of_a_version_without_predictions_and_judges_agrees(folder):
    judged = [f"{split}/fixed_{index}" for split in ("val", "test") for index in ("silhouette", "calinski_harabasz")]
    curves(lambda table: table.drop(columns=judged))(folder.root)
    for path in (folder.predictions_dir, folder.labels_dir):
        shutil.rmtree(path)
    lines = read_lines(folder.root)
    for line in lines:
        for key in (PREDICTIONS, LABELS, CURVE):
            line["evidence"].pop(key, None)
        line["metrics"] = {name: value for name, value in line["metrics"].items() if name not in judged}
    write_lines(folder.root, lines)
    for path in (folder.results_csv, folder.results_parquet):
        path.unlink()
    outcome = verify(folder.root, reruns=1)
    assert [problem.split(";")[0] for problem in outcome.problems] == [
        "results.csv: is missing",
        "results.parquet: is missing",
    ]
    assert outcome.reruns[0].differences == ()


def test_predictions_are_exported_sample_by_sample(folder, capsys, tmp_path):
    assert main(["export", str(folder.root), "--format", "predictions"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert main(["export", str(folder.root), "--format", "predictions", "--out", str(tmp_path / "x.parquet")]) == 0
    assert pd.read_parquet(tmp_path / "x.parquet")["fine_class"].tolist() == table["fine_class"].tolist()
    cell = first(folder)
    own, record = table[table["cell_id"] == cell], folder.read_predictions(cell)
    assert own["row"].tolist() == list(range(240))
    assert own["fine_class"].tolist() == record.fine.tolist()
    assert own["coarse_label"].tolist() == folder.read_labels(labels_key(folder)).coarse[:, 0].tolist()
    assert own["split"].map({"train": 1, "val": 2, "test": 4}).tolist() == record.splits.tolist()


def test_results_give_the_predictions_of_a_cell_or_say_that_there_are_none(folder):
    results = open_results(folder.root)
    assert np.array_equal(results.predictions(first(folder)).fine, folder.read_predictions(first(folder)).fine)
    with pytest.raises(ConfigError, match="no predictions are stored for this cell"):
        results.predictions("0123456789ab")
