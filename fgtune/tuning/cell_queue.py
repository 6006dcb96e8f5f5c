"""Cells to run, handed out one by one within the limits of a call; independent of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fgtune.config.arms.records import Cell
from fgtune.results.records import CellResult
from fgtune.tuning.call_limits import Budget


class CellQueue:
    """Hands out cells in order; used from the driver's thread only.

    Args:
        cells: Cells known in advance.
        max_running: Largest number of cells running at once; None for no limit.
        budget: How many cells may still be started; each one is deducted. None for no limit.

    Attributes:
        is_spent: Whether the budget of cells ended the queue early.
    """

    def __init__(self, cells: Iterable[Cell], max_running: int | None = None, budget: Budget | None = None) -> None:
        self._waiting = deque(cells)
        self._max_running, self._budget = max_running, budget
        self._running: set[str] = set()
        self.is_spent = False

    @property
    def is_done(self) -> bool:
        """Whether no cell is left to hand out, now or later, regardless of the budget."""
        return not self._waiting

    @property
    def is_over(self) -> bool:
        """Whether no further cell will come; ``is_spent`` says whether only the budget is the reason."""
        return self.is_spent or self.is_done

    def take(self) -> Cell | None:
        """The next cell to start; None if there is none now."""
        if self._max_running is not None and len(self._running) >= self._max_running:
            return None
        limit = None if self._budget is None else self._budget.cells
        if limit == 0:
            self.is_spent = not self.is_done
            return None
        cell = self._next()
        if cell is not None:
            self._running.add(cell.cell_id)
            if self._budget is not None and limit is not None:
                self._budget.cells = limit - 1
        return cell

    def _next(self) -> Cell | None:
        return self._waiting.popleft() if self._waiting else None

    def on_result(self, result: CellResult) -> None:
        """A cell that was handed out is in the ledger, so another one may start."""
        self._running.discard(result.cell_id)
