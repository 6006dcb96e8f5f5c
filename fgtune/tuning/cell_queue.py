"""Cells to run, handed out one by one within the limits of a call. Knows nothing of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fgtune.config.arms.records import Cell
from fgtune.results.records import CellResult
from fgtune.tuning.call_limits import Budget


class CellQueue:
    """Hands out cells in their order; used from the driver's thread alone.

    Args:
        cells: Cells that are known beforehand.
        at_once: Largest number of cells under way; None for any number.
        budget: Says how many cells may still be started, and counts each one; None for any number.

    Attributes:
        is_spent: Whether the budget of cells ended the queue before its time.
    """

    def __init__(self, cells: Iterable[Cell], at_once: int | None = None, budget: Budget | None = None) -> None:
        self._waiting = deque(cells)
        self._at_once, self._budget = at_once, budget
        self._running: set[str] = set()
        self.is_spent = False

    @property
    def is_done(self) -> bool:
        """Whether no cell is left to hand out, now or later, whatever the budget."""
        return not self._waiting

    @property
    def is_over(self) -> bool:
        """Whether no cell will ever come again; ``is_spent`` says whether that is due to the budget alone."""
        return self.is_spent or self.is_done

    def take(self) -> Cell | None:
        """The next cell to start; None where there is none now."""
        if self._at_once is not None and len(self._running) >= self._at_once:
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
        """A cell that was handed out is in the ledger, which makes room for another one."""
        self._running.discard(result.cell_id)
