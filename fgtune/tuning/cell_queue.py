"""Cells to run, handed out one by one, and what ends a call early: a spent budget, or a signal; independent of Ray.

When the seconds are used up, running cells stop gracefully; when the cells are, no further one starts. A call that runs
several studies (the searches inside arms, then the comparison) has one budget for all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable

from fgtune.config.arms.records import Cell
from fgtune.config.schema.study import ExecutionConfig
from fgtune.results.records import CellResult


class Budget:
    """What one call may use: cells, wall seconds, core-seconds, GPU-seconds; used from one thread.

    Args:
        execution: Limits, and what a trial holds while it runs.
        clock: Monotonic seconds.

    Attributes:
        at_once: Largest number of cells that may be under way, since more had not enough memory; None for no limit.
    """

    def __init__(self, execution: ExecutionConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._execution, self._clock = execution, clock
        self._started: float | None = None
        self.cells = execution.budget.cells
        """Cells that may still be started; None for any number."""
        self.at_once: int | None = None
        self._running: dict[str, float] = {}
        self._cell_seconds = 0.0

    def start(self) -> None:
        """Start the wall clock; only the first call counts."""
        self._started = self._clock() if self._started is None else self._started

    def cell_started(self, cell_id: str) -> None:
        """Start counting the seconds of a cell."""
        self.start()
        self._running.setdefault(cell_id, self._clock())

    def cell_ended(self, cell_id: str) -> None:
        """Stop counting the seconds of a cell."""
        started = self._running.pop(cell_id, None)
        if started is not None:
            self._cell_seconds += self._clock() - started

    def spent(self) -> str | None:
        """Which limit is reached, in words; None while none is."""
        limits, now = self._execution.budget, self._clock()
        cells = self._cell_seconds + sum(now - started for started in self._running.values())
        used = {
            "wall_s": (0.0 if self._started is None else now - self._started, "wall seconds"),
            "core_s": (cells * self._execution.cpus, "core-seconds"),
            "gpu_s": (cells * self._execution.gpus, "GPU-seconds"),
        }
        for name, (value, unit) in used.items():
            limit = getattr(limits, name)
            if limit is not None and value >= limit:
                return f"the budget of {limit:g} {unit} is used up"
        return None


class StopFlag:
    """Set by the first signal that asks to stop, or by a budget; the run then stops in order, with checkpoints.

    Attributes:
        spent: Which limit was reached, if a budget set the flag.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.spent: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask the run to stop."""
        self._event.set()


class CellQueue:
    """Hands out cells in order; used from the driver's thread only.

    Args:
        cells: Cells known in advance.
        max_running: Largest number of cells running at once; None for no limit.
        budget: How many cells may still be started; each one is deducted. None for no limit.

    Attributes:
        is_spent: Whether the budget of cells ended the queue early.
        may_return: Whether cells that run may have to wait for others, and so come back.
    """

    def __init__(self, cells: Iterable[Cell], max_running: int | None = None, budget: Budget | None = None) -> None:
        self._waiting = deque(cells)
        self._max_running, self._budget = max_running, budget
        self._running: dict[str, Cell] = {}
        self._held: dict[str, Cell] = {}  # wait for others; ``_running`` has those that keep their place
        self._back: deque[Cell] = deque()  # waited, and are to be handed out again before any other
        self.is_spent = self.may_return = False

    @property
    def is_done(self) -> bool:
        """Whether no cell is left to hand out, now or later, regardless of the budget."""
        left = self._waiting or self._back or self._held or (self.may_return and self._running)
        return not left

    @property
    def is_over(self) -> bool:
        """Whether no further cell will come; ``is_spent`` says whether only the budget is the reason."""
        returning = self._back or (self.may_return and self._running.keys() - self._held)
        return self.is_done or (self.is_spent and not returning)

    @property
    def may_refill(self) -> bool:
        """Whether a cell is under way, which may be given back."""
        return bool(self._running)

    def take(self) -> Cell | None:
        """The next cell to start; None if there is none now."""
        limits = (self._max_running, None if self._budget is None else self._budget.at_once)
        if any(most is not None and len(self._running) >= most for most in limits):
            return None
        if self._back:
            return self._hand_out(self._back.popleft())
        limit = None if self._budget is None else self._budget.cells
        if limit == 0:
            self.is_spent = not self.is_done
            return None
        cell = self._next()
        if cell is None:
            return None
        if self._budget is not None and limit is not None:
            self._budget.cells = limit - 1
        return self._hand_out(cell)

    def _hand_out(self, cell: Cell) -> Cell:
        self._running[cell.cell_id] = cell
        return cell

    def hold(self, cell_id: str, others: Collection[str]) -> None:
        """A cell has stopped running until others have come as far.

        Args:
            cell_id: The cell.
            others: The cells that it waits for. If all of them run, they come soon, and its place is kept for it.
        """
        self._held[cell_id] = self._running[cell_id]
        if not others or not self._running.keys() - self._held >= {*others}:
            del self._running[cell_id]

    def release(self, cell_id: str) -> None:
        """Hand a cell that was held out again, as soon as there is room for it."""
        self._back.append(self._held.pop(cell_id))
        self._running.pop(cell_id, None)

    def _next(self) -> Cell | None:
        return self._waiting.popleft() if self._waiting else None

    def on_result(self, result: CellResult) -> None:
        """A cell that was handed out is in the ledger, so another one may start."""
        self._running.pop(result.cell_id, None)
        self._held.pop(result.cell_id, None)

    def give_back(self, cell_id: str) -> None:
        """A cell that was handed out is to be started once more: it comes next, and uses no more of the budget."""
        self._waiting.appendleft(self._running.pop(cell_id))
        self.is_spent = False
        if self._budget is not None and self._budget.cells is not None:
            self._budget.cells += 1
