"""The driver's recorder: the result of each cell goes to the study folder first, then to tracking and display.

The ledger line is written after a cell's files, so a cell in the ledger has its curve and its relations; a driver
killed before that runs the cell again from its checkpoint and gets the same result.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.schema.base import data_key
from fgtune.data.base import Dataset
from fgtune.data.samples import sample_card
from fgtune.engine.patience import Patience
from fgtune.engine.progress import ProgressDisplay
from fgtune.results.evidence import (
    ATTENTION,
    CURVE,
    FAILURE,
    LABELS,
    PORTRAIT,
    PREDICTIONS,
    RELATIONS,
    arrays_digest,
    history_digest,
    text_digest,
)
from fgtune.results.folder import StudyFolder
from fgtune.results.live import RunningTrial, log_fault, write_running
from fgtune.results.records import CellResult, CellState, EpochMetrics, LabelsRecord, TrialOutcome
from fgtune.results.samples import remove_samples, write_samples
from fgtune.visible import masked, visible

_T = TypeVar("_T")
_MOST_DETAILS = 1_000_000
"""Characters of a traceback that are kept."""


class Recorder:
    """A ``CellObserver`` that records results.

    Args:
        folder: The locked study folder.
        cells: Planned cells by id.
        track: Logs a finished cell and its curve to the tracking store.
        display: Shows progress.
        on_result: Called with every result once it is in the ledger.
        patience: Waits for room where the disk is full; None waits for nothing.
        forget: Removes the checkpoint of a finished cell; the one in the study folder when left out.
        keeps_portrait: Whether the portrait that a cell with these metrics made is kept.
    """

    def __init__(
        self,
        folder: StudyFolder,
        cells: Mapping[str, Cell],
        track: Callable[[CellResult, Sequence[EpochMetrics]], None],
        display: ProgressDisplay,
        on_result: Callable[[CellResult], None] = lambda _: None,
        patience: Patience | None = None,
        forget: Callable[[str], None] | None = None,
        keeps_portrait: Callable[[Cell, Mapping[str, float]], bool] = lambda *_: True,
    ) -> None:
        self._patience = patience or Patience(display.say, longest_s=0.0)
        self._folder, self._cells, self._track, self._display = folder, cells, track, display
        self._on_result, self._keeps_portrait = on_result, keeps_portrait
        self._forget = forget or (lambda cell_id: folder.checkpoint_file(cell_id).unlink(missing_ok=True))
        self._host = platform.node()
        self._seen: dict[str, list[EpochMetrics]] = {}
        self._label_digests: dict[str, dict[str, str]] = {}

    def on_start(self, cell_id: str) -> None:
        """Do nothing: nothing is recorded before there is a result."""

    def on_epochs(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Keep the curve of a running cell, in case it fails."""
        self._seen.setdefault(cell_id, []).extend(epochs)
        self._display.epochs(cell_id, epochs)

    def on_restored(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Keep the earlier part of the curve too."""
        self._seen.setdefault(cell_id, []).extend(epochs)

    def on_retry(self, cell_id: str, cause: str) -> None:
        """Report the crash."""
        self._warn(cell_id, f"crashed ({cause}) and is started again from its checkpoint")

    def on_warning(self, cell_id: str, text: str) -> None:
        """Report a trial that may hang, or cannot keep its checkpoint."""
        self._warn(cell_id, f"warning: {text}")

    def _warn(self, cell_id: str, text: str) -> None:
        """On the console and in the folder."""
        cell = self._cells[cell_id]
        line = f"{cell.arm}, seed {cell.seed}: {text}"
        self._display.say(line)
        log_fault(self._folder.faults_file, line)

    def on_tick(self, running: Sequence[RunningTrial]) -> None:
        """Keep what runs now in the folder."""
        write_running(self._folder.running_file, running)

    def on_complete(self, cell_id: str, outcome: TrialOutcome, attempts: int) -> None:
        """Record a finished cell."""
        evidence = self._kept(cell_id, lambda: self._write_arrays(cell_id, outcome))
        self._record(
            cell_id,
            outcome.history,
            evidence,
            state=CellState.COMPLETE,
            metrics=outcome.metrics,
            seconds=outcome.seconds,
            solver=outcome.solver,
            attempts=attempts,
        )
        self._forget(cell_id)

    def _kept(self, cell_id: str, write: Callable[[], _T]) -> _T:
        """What ``write`` returns, once the disk has room for it: nobody else has what a finished cell found."""
        cell = self._cells[cell_id]
        return self._patience(write, f"what {cell.arm}, seed {cell.seed} found", self._folder.root)

    def _write_arrays(self, cell_id: str, outcome: TrialOutcome) -> dict[str, str]:
        """Write what a cell leaves besides its line of the ledger; returns the digests."""
        evidence: dict[str, str] = {}
        if outcome.relations is not None:
            self._folder.write_relations(cell_id, outcome.relations)
            evidence[RELATIONS] = arrays_digest(outcome.relations)
        if outcome.predictions is not None:
            self._folder.write_predictions(cell_id, outcome.predictions)
            evidence |= {PREDICTIONS: arrays_digest(outcome.predictions), **self._labels(cell_id)}
        if outcome.attention is not None:
            self._folder.write_attention(cell_id, outcome.attention)
            evidence[ATTENTION] = arrays_digest(outcome.attention)
        if outcome.portrait is not None and self._keeps_portrait(self._cells[cell_id], outcome.metrics):
            self._folder.write_portrait(cell_id, outcome.portrait)
            evidence[PORTRAIT] = arrays_digest(outcome.portrait)
        return evidence

    def _labels(self, cell_id: str) -> dict[str, str]:
        """The digest of the coarse labels that the folder has of the cell's data, if it has any."""
        key = data_key(self._cells[cell_id].config.own().data)
        if key not in self._label_digests:
            labels = self._folder.read_labels(key)
            self._label_digests[key] = {} if labels is None else {LABELS: arrays_digest(labels)}
        return self._label_digests[key]

    def on_prune(self, cell_id: str, cause: str, attempts: int) -> None:
        """Record a cell that was stopped early, with what it had reached."""
        history = without_repeats(self._seen.get(cell_id, []))
        self._record(
            cell_id,
            history,
            {},
            state=CellState.PRUNED,
            metrics=history[-1].metrics if history else {},
            seconds=sum(entry.seconds for entry in history),
            attempts=attempts,
            cause=visible(masked(cause)),
        )
        self._forget(cell_id)

    def on_fail(self, cell_id: str, cause: str, details: str, attempts: int) -> None:
        """Record a failed cell with its cause; its checkpoint stays, for ``--retry-failed``."""
        history = without_repeats(self._seen.get(cell_id, []))
        details = masked(details)
        if len(details) > _MOST_DETAILS:
            half = _MOST_DETAILS // 2
            details = f"{details[:half]}\n... ({len(details):,} characters) ...\n{details[-half:]}"
        if details:
            self._kept(cell_id, lambda: self._folder.write_failure(cell_id, details))
        self._record(
            cell_id,
            history,
            {FAILURE: text_digest(details)} if details else {},
            state=CellState.FAIL,
            metrics={},
            seconds=sum(entry.seconds for entry in history),
            attempts=attempts,
            cause=visible(masked(cause)),
        )

    def _record(
        self, cell_id: str, history: Sequence[EpochMetrics], evidence: Mapping[str, str], **outcome: object
    ) -> None:
        cell = self._cells[cell_id]
        if history:
            self._kept(cell_id, lambda: self._folder.write_curve(cell_id, cell.arm, cell.seed, history))
            evidence = {CURVE: history_digest(history), **evidence}
        found = CellResult(
            cell_id=cell_id,
            arm=cell.arm,
            seed=cell.seed,
            config_hash=cell.config_hash,
            epochs=history[-1].epoch if history else 0,
            levels=dict(cell.levels),
            config=cell.config.to_plain(),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host=self._host,
            fork=cell.fork,
            evidence=evidence,
            **outcome,  # type: ignore[arg-type]
        )
        result = self._kept(cell_id, lambda: self._folder.ledger.append(found))
        self._seen.pop(cell_id, None)
        self._display.finished(result)
        self._on_result(result)
        self._track(result, history)


def record_labels(folder: StudyFolder, plan: Plan, datasets: Mapping[str, Dataset]) -> None:
    """Store the coarse labels of a plan's data sets, which predictions are read with, and samples to look at if wished.

    Args:
        folder: The locked study folder.
        plan: The plan.
        datasets: By ``dataset_key``.
    """
    for key in sorted(plan.shapes.keys() & datasets.keys()):
        folder.write_labels(key, LabelsRecord.of(datasets[key].coarse, datasets[key].num_coarse))
        if plan.study.execution.show_samples:
            write_samples(folder, key, sample_card(datasets[key]))
        else:
            remove_samples(folder, key)


def without_repeats(epochs: Sequence[EpochMetrics]) -> list[EpochMetrics]:
    """The last entry of each epoch: a restarted trial repeats the epochs since its checkpoint."""
    return [entry for _, entry in sorted({entry.epoch: entry for entry in epochs}.items())]
