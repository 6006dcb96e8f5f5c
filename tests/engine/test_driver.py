"""A call on a folder that leaves nothing to run: no Ray, the record as it was, pages written, the end reported."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from fgtune.engine.driver import Driver
from fgtune.engine.opening import Launch, open_study
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState
from fgtune.tracking import NullTracker, StudyEnd
from fgtune.tuning.cell_queue import Budget, StopFlag


class Tracked(NullTracker):
    """Remembers how the study ended and which files were attached."""

    def finish(self, end, artifacts=()):
        self.end, self.files = end, {path.name for path in artifacts}


@pytest.fixture(scope="module")
def trained(train_study, tmp_path_factory, small_study_text):
    """A study file and the folder of its four finished cells."""
    parent = tmp_path_factory.mktemp("driver")
    (parent / "small.yaml").write_text(small_study_text)
    train_study(parent / "small.yaml", parent / "reports", ("trial.epochs=1",))
    return parent


@pytest.fixture
def call(trained, tmp_path):
    """Execute a call on a copy of the folder, some cells of its ledger changed; what it said, and its tracker."""
    opened = open_study(trained / "small.yaml", ("trial.epochs=1",))
    options = RunOptions(trained / "small.yaml", ("trial.epochs=1",), out=tmp_path)

    def execute(change=lambda result: result, seeds=None):
        source = StudyFolder(trained / "reports" / "small")
        folder = StudyFolder(tmp_path / "small")
        folder.create_or_check(opened.plan, opened.loaded, source.read_provenance())
        for result in source.ledger.read():
            if seeds is None or result.seed in seeds:
                folder.ledger.append(change(result))
                folder.write_relations(result.cell_id, source.read_relations(result.cell_id))
        selected = [cell for cell in opened.plan.cells if seeds is None or cell.seed in seeds]
        settled = folder.settled(opened.plan, False)
        launch = Launch(opened, folder, tuple(selected), settled, (), options)
        out, tracker = io.StringIO(), Tracked()
        budget = Budget(opened.plan.study.execution)
        end = Driver(launch, tracker, Console(file=out, width=300), StopFlag(), budget).execute()
        return SimpleNamespace(end=end, text=out.getvalue(), tracker=tracker, folder=folder)

    return execute


def test_a_finished_study_is_written_up_and_runs_nothing(call):
    done = call()
    assert done.end is done.tracker.end is StudyEnd.COMPLETE
    assert "all 4 cells are finished already; nothing is run" in done.text
    assert {done.folder.report_file.name, done.folder.results_csv.name} <= done.tracker.files
    assert done.folder.report_file.is_file()
    assert f"report: {done.folder.report_file}" in done.text


def test_failed_cells_are_counted_and_the_way_to_run_them_again_is_named(call):
    def fail(result):
        return replace(result, state=CellState.FAIL, metrics={}, cause="out of memory") if result.seed else result

    done = call(fail)
    assert done.end is done.tracker.end is StudyEnd.FAILED_CELLS
    assert "2 of 4 cells failed; run them again with --retry-failed" in done.text


def test_a_call_on_a_part_ends_when_the_part_is_finished(call):
    done = call(seeds={1})
    assert done.end is StudyEnd.PARTIAL
    assert "every cell that --only selects is finished; 2 of 4 cells are finished" in done.text


def test_checkpoints_of_finished_cells_are_removed_and_those_of_failed_ones_kept(call, tmp_path):
    states = {}

    def fail_first(result):
        path = StudyFolder(tmp_path / "small").checkpoint_file(result.cell_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"state")
        states[path.name] = not states
        return replace(result, state=CellState.FAIL, metrics={}) if states[path.name] else result

    done = call(fail_first)
    kept = {path.name for path in done.folder.checkpoints_dir.glob("*.pt")}
    assert kept == {name for name, failed in states.items() if failed}
    assert len(kept) == 1
