"""What the driver hears while cells run; the recorder and the progress display implement it, without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fgtune.results.records import EpochMetrics, TrialOutcome


class CellObserver(Protocol):
    """Called in the driver's own thread, in the order of events; an exception ends the run."""

    def on_start(self, cell_id: str) -> None:
        """A cell was handed to a worker, for the first time in this run."""

    def on_epochs(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Epochs that a running cell has finished since the last call."""

    def on_restored(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Epochs that a cell had finished before it was cut off; it goes on from there."""

    def on_retry(self, cell_id: str, cause: str) -> None:
        """A cell crashed and will be started again from its checkpoint."""

    def on_complete(self, cell_id: str, outcome: TrialOutcome, attempts: int) -> None:
        """A cell is finished."""

    def on_prune(self, cell_id: str, cause: str, attempts: int) -> None:
        """A cell was stopped early; what it reached was told by ``on_epochs``."""

    def on_fail(self, cell_id: str, cause: str, details: str, attempts: int) -> None:
        """A cell failed for good. ``cause`` is one line; ``details`` may hold a traceback."""
