"""Folders of versions that gave the same cells other numbers: no call mixes the two kinds."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from fgtune.errors import StudyFolderError
from fgtune.results.extension import RESULTS, RESULTS_SCHEME
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellResult, CellState

CLUSTERED = "trial.objective={preset: base}"
TEXTS = "trial.data={kind: text, path: letters}"
UNTRAINED = "trial.objective={preset: untrained}"
GLOBAL = "trial.clustering={scope: global}"
OPTIONS = RunOptions("small.yaml", ("seeds=4",))


@pytest.fixture
def begun(tmp_path, make, provenance):
    """A folder in which some cells have ended, as an earlier version left it."""

    def begin(
        *overrides: str, ended: int = 1, state: CellState = CellState.COMPLETE, scheme: int | None = None
    ) -> StudyFolder:
        folder = StudyFolder(tmp_path / "reports" / "small")
        loaded, plan = make(*overrides)
        folder.create_or_check(plan, loaded, {**provenance, "study_hash": plan.study_hash, "study": "small"})
        record = folder.read_provenance()
        assert record.pop(RESULTS) == RESULTS_SCHEME
        if scheme is not None:
            record[RESULTS] = scheme
        folder.provenance_file.write_text(json.dumps(record))
        for cell in plan.cells[:ended]:
            plain = cell.config.to_plain()
            folder.ledger.append(
                CellResult(cell.cell_id, cell.arm, cell.seed, cell.config_hash, state, {}, 1.0, 1, {}, plain)
            )
        return folder

    return begin


def test_a_clustering_study_of_an_earlier_version_is_not_run_on(begun, make):
    folder, (_, plan) = begun(CLUSTERED), make(CLUSTERED)
    before = folder.provenance_file.read_bytes()
    rule = "was run by an earlier version of fgtune, which put a sample into the nearest of all clusters"
    with pytest.raises(StudyFolderError, match=re.escape(rule)) as caught:
        folder.check(plan)
    assert "report, status and verify read it" in str(caught.value)
    assert folder.provenance_file.read_bytes() == before


def test_nor_are_seeds_added_to_it(begun, make):
    ended = len(make(CLUSTERED)[1].cells)
    folder = begun(CLUSTERED, ended=ended)
    plan = folder.read_plan()
    assert folder.check(make(CLUSTERED)[1]) is True  # nothing is left to run
    with pytest.raises(StudyFolderError, match="an earlier version"):
        folder.extend(make(CLUSTERED, "seeds=4")[1], OPTIONS)
    assert folder.read_plan() == plan


@pytest.mark.parametrize("overrides", [(), (CLUSTERED,), (CLUSTERED, GLOBAL)])
def test_a_study_of_trained_cells_is_not_run_on_after_training_rounds_otherwise(begun, make, overrides):
    folder = begun(*overrides, scheme=2)
    before = folder.provenance_file.read_bytes()
    with pytest.raises(StudyFolderError, match="an earlier version of fgtune, whose training rounds otherwise"):
        folder.check(make(*overrides)[1])
    assert folder.provenance_file.read_bytes() == before


@pytest.mark.parametrize(("overrides", "scheme"), [((), 3), ((UNTRAINED,), 3), ((UNTRAINED, GLOBAL), 2)])
def test_a_study_of_texts_is_not_run_on_after_their_numbers_round_otherwise(begun, make, overrides, scheme):
    folder = begun(TEXTS, *overrides, scheme=scheme)
    before = folder.provenance_file.read_bytes()
    with pytest.raises(StudyFolderError, match="an earlier version of fgtune, whose numbers of texts round otherwise"):
        folder.check(make(TEXTS, *overrides)[1])
    assert folder.provenance_file.read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "ended", "scheme"),
    [
        ((CLUSTERED,), 0, None),
        ((), 0, 2),
        ((), 1, 3),
        ((TEXTS,), 0, 3),
        ((UNTRAINED,), 1, 2),
        ((UNTRAINED, GLOBAL), 1, None),
    ],
)
def test_what_gives_the_same_numbers_goes_on(begun, make, provenance, overrides, ended, scheme):
    folder, (loaded, plan) = begun(*overrides, ended=ended, scheme=scheme), make(*overrides)
    folder.create_or_check(plan, loaded, {**provenance, "study_hash": plan.study_hash})
    assert folder.read_provenance()[RESULTS] == RESULTS_SCHEME
    folder.extend(make(*overrides, "seeds=4")[1], OPTIONS)
    assert folder.read_provenance()[RESULTS] == RESULTS_SCHEME


def test_a_call_that_runs_nothing_does_not_make_numbers_of_the_earlier_version_this_ones(begun, make, provenance):
    loaded, plan = make(CLUSTERED)
    folder = begun(CLUSTERED, ended=len(plan.cells))
    folder.create_or_check(plan, loaded, {**provenance, "study_hash": plan.study_hash})
    assert folder.read_provenance()[RESULTS] == 1
    with pytest.raises(StudyFolderError, match="an earlier version"):
        folder.extend(make(CLUSTERED, "seeds=4")[1], OPTIONS)


def test_failed_cells_are_not_run_again_beside_numbers_of_the_earlier_version(begun, make, provenance):
    loaded, plan = make(CLUSTERED)
    folder = begun(CLUSTERED, ended=len(plan.cells))
    last = folder.ledger.read()[-1]
    folder.ledger.append(replace(last, state=CellState.FAIL))
    assert folder.check(plan) is True
    with pytest.raises(StudyFolderError, match="an earlier version"):
        folder.check(plan, retry_failed=True)
    with pytest.raises(StudyFolderError, match="an earlier version"):
        folder.create_or_check(plan, loaded, {**provenance, "study_hash": plan.study_hash}, retry_failed=True)


def test_where_every_cell_failed_there_are_no_numbers_to_mix_with(begun, make, provenance):
    loaded, plan = make(CLUSTERED)
    folder = begun(CLUSTERED, state=CellState.FAIL)
    folder.create_or_check(plan, loaded, {**provenance, "study_hash": plan.study_hash}, retry_failed=True)
    assert folder.read_provenance()[RESULTS] == RESULTS_SCHEME
