"""Who is told what happens to cells while they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fgtune.results.live import RunningTrial
from fgtune.results.records import EpochMetrics, TrialOutcome


class CellObserver(Protocol):
    """Receives what happens to cells while they run; called in the driver's thread, in the order of events.

    An exception ends the run.
    """

    def on_start(self, cell_id: str) -> None:
        """A cell was handed to a worker for the first time in this run."""

    def on_epochs(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Epochs that a running cell has finished since the last call."""

    def on_restored(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Epochs that a cell had finished before it was interrupted; it continues from there."""

    def on_retry(self, cell_id: str, cause: str) -> None:
        """A cell crashed and will restart from its checkpoint."""

    def on_warning(self, cell_id: str, text: str) -> None:
        """Something is wrong with a running cell: it has been silent for long, or cannot keep its checkpoint."""

    def on_tick(self, running: Sequence[RunningTrial]) -> None:
        """What runs now; called every few seconds."""

    def on_complete(self, cell_id: str, outcome: TrialOutcome, attempts: int) -> None:
        """A cell is finished."""

    def on_prune(self, cell_id: str, cause: str, attempts: int) -> None:
        """A cell was stopped early; its epochs were reported to ``on_epochs``."""

    def on_fail(self, cell_id: str, cause: str, details: str, attempts: int) -> None:
        """A cell failed for good. ``cause`` is one line; ``details`` may hold a traceback."""
