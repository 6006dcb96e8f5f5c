"""``verify`` computes again what a study folder lets be computed again, and names what does not agree."""

from __future__ import annotations

import json
import re

import pytest

from fgtune.app.verify import verify
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder


@pytest.fixture(scope="module")
def trained(train_study, tmp_path_factory, small_study_text) -> StudyFolder:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "small.yaml").write_text(small_study_text)
    return StudyFolder(train_study(folder / "small.yaml", folder / "reports", ("seeds=1", "trial.epochs=1")))


@pytest.fixture
def rewrite(trained):
    """Change the first line of the ledger, and put it back after the test."""
    before = trained.ledger_file.read_bytes()

    def change(edit) -> str:
        first, *rest = before.decode().splitlines()
        line = json.loads(first)
        edit(line)
        trained.ledger_file.write_text("\n".join([json.dumps(line), *rest]) + "\n")
        return line["cell_id"]

    yield change
    trained.ledger_file.write_bytes(before)


def test_an_untouched_folder_agrees_in_every_value(trained):
    compared, problems = verify(trained.root)
    assert problems == []
    assert compared > 2 * len(trained.ledger.read())  # hash and id of every cell, and metrics besides


def test_a_metric_that_its_counts_do_not_give_is_named_with_both_values(trained, rewrite):
    def edit(line):
        edit.true = line["metrics"]["test/ari"]
        line["metrics"]["test/ari"] = 0.123

    cell = rewrite(edit)
    (problem,) = verify(trained.root)[1]
    assert cell in problem
    assert f"test/ari is 0.123, its counts give {edit.true}" in problem


def test_a_changed_config_has_neither_the_hash_nor_the_id(trained, rewrite):
    cell = rewrite(lambda line: line["config"]["optimizer"].update(lr=0.5))
    problems = verify(trained.root)[1]
    assert [("hash" in each, "this id" in each) for each in problems] == [(True, False), (False, True)]
    assert all(cell in each for each in problems)


def test_missing_relations_are_named(trained):
    path = next(iter(trained.relations_dir.glob("*.npz")))
    before = path.read_bytes()
    path.unlink()
    (problem,) = verify(trained.root)[1]
    path.write_bytes(before)
    assert path.stem in problem
    assert "its relations are missing" in problem


def test_a_folder_that_lost_its_provenance_is_still_checked(trained, rewrite):
    whole = verify(trained.root)
    before = trained.provenance_file.read_bytes()
    trained.provenance_file.unlink()
    try:
        assert verify(trained.root) == whole
        cell = rewrite(lambda line: line["config"]["optimizer"].update(lr=0.5))
        problems = verify(trained.root)[1]
    finally:
        trained.provenance_file.write_bytes(before)
    assert [("hash" in each, "this id" in each) for each in problems] == [(True, False), (False, True)]
    assert all(cell in each for each in problems)


def test_a_report_with_other_numbers_is_named(synthetic, tmp_path):
    from fgtune.reporting.html import write_up

    folder = synthetic.SyntheticStudy().write(tmp_path)
    path, summary = write_up(folder)
    mean = summary.arms[0].estimates["test/clustering_accuracy"].mean
    page = path.read_text(encoding="utf-8")
    assert json.dumps(mean) in page
    path.write_text(page.replace(json.dumps(mean), "0.5"), encoding="utf-8")
    assert f"{path}: its numbers are not those that the ledger gives" in verify(folder.root)[1]


def test_no_study_folder_is_refused(tmp_path):
    with pytest.raises(StudyFolderError):
        verify(tmp_path)


def test_a_file_that_a_folder_lacks_is_named(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    folder.plan_file.unlink()
    missing = re.escape(f"{folder.plan_file}: this file of a study folder is missing")
    with pytest.raises(StudyFolderError, match=missing):
        verify(folder.root)
