"""What becomes of each cell stands in the study folder first, whatever happens to tracking afterwards."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from fgtune.config.arms.expand import expand
from fgtune.config.reading.load import load_study
from fgtune.config.schema.data import DigitsConfig
from fgtune.data.load import load_dataset
from fgtune.engine.patience import Patience
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.engine.recorder import Recorder, record_labels
from fgtune.results.folder import StudyFolder
from fgtune.results.ledger import Ledger
from fgtune.results.records import CellState, EpochMetrics, RelationsRecord, SolverUse, TrialOutcome
from fgtune.results.samples import read_samples

PRIMARY = "test/clustering_accuracy"


def epoch(number: int, value: float = 0.5) -> EpochMetrics:
    return EpochMetrics(number, 5 * number, {"train/loss": 1.0 / number, PRIMARY: value}, 0.25)


def outcome(*history: EpochMetrics) -> TrialOutcome:
    counts = np.ones((1, 10, 2), dtype=np.int64)
    relations = RelationsRecord(np.zeros((1, 10), dtype=np.int64), counts)
    return TrialOutcome(history, relations, SolverUse("flow", 3, 0.1, {"optimal": 3}, 0.0), 1.5)


class Written:
    """A folder, its recorder, and the order in which others learned of results."""

    def __init__(self, synthetic, root, patience=lambda _: None):
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
        self.recorder = Recorder(
            self.folder, cells, self.track, display, lambda _: self.events.append("queue"), patience(display.say)
        )

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


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFor:
    """A method that a full disk refuses some times, the ledger's after a part of its line, and that then works."""

    def __init__(self, method, times: int, torn=None) -> None:
        self._method, self.left, self._torn = method, times, torn

    def __call__(self, *arguments):
        if self.left:
            self.left -= 1
            if self._torn is not None:
                with self._torn.open("ab") as file:
                    file.write(b'{"cell_id": "ab')
            full_disk()
        return self._method(*arguments)


@pytest.mark.parametrize("part", ["write_relations", "write_curve", "ledger"])
def test_a_result_that_a_full_disk_refuses_is_written_once_there_is_room(synthetic, tmp_path, monkeypatch, part):
    waits: list[float] = []
    written = Written(synthetic, tmp_path, lambda say: Patience(say, sleep=waits.append))
    if part == "ledger":
        full = FullFor(Ledger.append, 3, torn=written.folder.ledger_file)
        monkeypatch.setattr(Ledger, "append", lambda ledger, result: full(ledger, result))
    else:
        monkeypatch.setattr(written.folder, part, FullFor(getattr(written.folder, part), 3))
    written.recorder.on_complete(written.id, outcome(epoch(1), epoch(2)), 1)
    assert [each.cell_id for each in written.folder.ledger.read()] == [written.id]
    assert written.folder.ledger.chain.broken == ()
    assert written.curve() == [1, 2]
    assert written.folder.read_relations(written.id) is not None
    assert sum(waits) == 3.0
    said = written.shown.getvalue()
    assert said.count("is full: what") == 1
    assert said.count("there is room again") == 1
    assert written.events == ["queue", ("tracked", [1, 2], 1)]


@pytest.mark.parametrize(("longest", "stops"), [(5.0, False), (600.0, True)])
def test_nobody_waits_for_ever_nor_against_the_users_will(synthetic, tmp_path, monkeypatch, longest, stops):
    waits: list[float] = []
    made = lambda say: Patience(say, lambda: stops, longest, waits.append)  # noqa: E731
    written = Written(synthetic, tmp_path, made)
    monkeypatch.setattr(Ledger, "append", full_disk)
    with pytest.raises(OSError, match="No space left"):
        written.recorder.on_complete(written.id, outcome(epoch(1)), 1)
    assert sum(waits) == (0.0 if stops else longest)
    assert written.checkpoint.is_file(), "what can be gone on from stays"
    assert written.events == []


def test_a_disk_that_is_broken_or_read_only_is_not_waited_for(synthetic, tmp_path, monkeypatch):
    written = Written(synthetic, tmp_path, lambda say: Patience(say, sleep=lambda _: pytest.fail("it waits")))

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Ledger, "append", read_only)
    with pytest.raises(OSError, match="Read-only"):
        written.recorder.on_complete(written.id, outcome(epoch(1)), 1)


def test_samples_are_in_the_folder_unless_the_study_says_that_they_are_not_for_everyone(synthetic, tmp_path):
    written = Written(synthetic, tmp_path)
    datasets = {key: load_dataset(DigitsConfig()) for key in written.plan.shapes}
    record_labels(written.folder, written.plan, datasets)
    assert read_samples(written.folder)
    execution = written.plan.study.execution.model_copy(update={"show_samples": False})
    private = replace(written.plan, study=written.plan.study.model_copy(update={"execution": execution}))
    record_labels(written.folder, private, datasets)
    assert not read_samples(written.folder)
