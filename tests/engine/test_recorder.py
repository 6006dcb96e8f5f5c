"""What becomes of each cell stands in the study folder first, whatever happens to tracking afterwards."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from fgtune.config.arms.expand import expand
from fgtune.config.reading.load import load_study
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.engine.recorder import Recorder
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState, EpochMetrics, RelationsRecord, SolverUse, TrialOutcome

PRIMARY = "test/clustering_accuracy"


def epoch(number: int, value: float = 0.5) -> EpochMetrics:
    return EpochMetrics(number, 5 * number, {"train/loss": 1.0 / number, PRIMARY: value}, 0.25)


def outcome(*history: EpochMetrics) -> TrialOutcome:
    counts = np.ones((1, 10, 2), dtype=np.int64)
    relations = RelationsRecord(np.zeros((1, 10), dtype=np.int64), counts)
    return TrialOutcome(history, relations, SolverUse("flow", 3, 0.1, {"optimal": 3}, 0.0), 1.5)


class Written:
    """A folder, its recorder, and the order in which others learned of results."""

    def __init__(self, synthetic, root):
        (root / "study.yaml").write_text(synthetic.KF_STUDY)
        loaded = load_study(root / "study.yaml")
        self.plan = expand(loaded, synthetic.digits_shape)
        self.folder = StudyFolder(root / "study")
        self.folder.create_or_check(self.plan, loaded, {"study_hash": self.plan.study_hash})
        self.cell = self.plan.cells[0]
        self.id = self.cell.cell_id
        self.checkpoint = self.folder.checkpoint_file(self.id)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        self.checkpoint.write_bytes(b"state")
        self.shown, self.events = io.StringIO(), []
        cells = {cell.cell_id: cell for cell in self.plan.cells}
        display = ProgressDisplay(Tally(cells, PRIMARY, maximize=True), Console(file=self.shown, width=200))
        self.recorder = Recorder(self.folder, cells, self.track, display, lambda _: self.events.append("queue"))

    def track(self, result, history):
        self.events.append(("tracked", [entry.epoch for entry in history], len(self.folder.ledger.read())))

    def curve(self) -> list[int]:
        curves = self.folder.read_curves()
        return list(curves[curves["cell_id"] == self.id]["epoch"])


@pytest.fixture
def written(synthetic, tmp_path):
    return Written(synthetic, tmp_path)


def test_a_complete_cell_has_everything_stored_before_tracking_receives_it(written):
    written.recorder.on_complete(written.id, outcome(epoch(1), epoch(2, 0.75)), attempts=2)
    (result,) = written.folder.ledger.read()
    assert (result.state, result.metrics[PRIMARY], result.epochs, result.attempts) == (CellState.COMPLETE, 0.75, 2, 2)
    assert (result.arm, result.seed, result.config_hash) == (
        written.cell.arm,
        written.cell.seed,
        written.cell.config_hash,
    )
    assert written.curve() == [1, 2]
    assert written.folder.read_relations(written.id).coarse_counts.sum() == 20
    assert written.events == ["queue", ("tracked", [1, 2], 1)]
    assert not written.checkpoint.exists()


def test_a_pruned_cell_keeps_what_it_reached_once_an_epoch_though_a_restart_repeated_some(written):
    written.recorder.on_restored(written.id, [epoch(1), epoch(2, 0.1)])
    written.recorder.on_epochs(written.id, [epoch(2, 0.2), epoch(3, 0.3)])
    written.recorder.on_prune(written.id, "stopped after epoch 3", attempts=1)
    (result,) = written.folder.ledger.read()
    assert (result.state, result.epochs, result.metrics[PRIMARY]) == (CellState.PRUNED, 3, 0.3)
    assert result.seconds == 0.75
    assert written.curve() == [1, 2, 3]
    assert not written.checkpoint.exists()


def test_a_failed_cell_keeps_its_cause_its_curve_and_its_checkpoint(written):
    written.recorder.on_epochs(written.id, [epoch(1)])
    written.recorder.on_fail(written.id, "TrialError: non-finite loss", "Traceback ...", attempts=3)
    (result,) = written.folder.ledger.read()
    assert (result.state, result.cause, result.attempts) == (CellState.FAIL, "TrialError: non-finite loss", 3)
    assert result.metrics == {}
    assert written.curve() == [1]
    assert written.checkpoint.exists()
    assert "non-finite loss" in written.shown.getvalue()


def test_a_cell_that_fails_before_its_first_epoch_has_no_curve(written):
    written.recorder.on_fail(written.id, "out of memory", "", attempts=1)
    (result,) = written.folder.ledger.read()
    assert (result.epochs, result.seconds) == (0, 0.0)
    assert written.events == ["queue", ("tracked", [], 1)]


def test_a_retry_is_shown_and_not_recorded(written):
    written.recorder.on_retry(written.id, "worker died")
    assert "crashed (worker died) and is started again from its checkpoint" in written.shown.getvalue()
    assert written.folder.ledger.read() == []
