"""Trials that end for want of memory: how that is known, and what comes next: another try with fewer beside it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from fgtune.text import first_line
from fgtune.tuning.cell_queue import Budget, CellQueue
from fgtune.tuning.tune_faults import own_error

KILLS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Where Linux counts the processes that it has killed for memory: those of this container, and of the machine."""
ALLOCATION_ERRORS = ("MemoryError", "OutOfMemoryError")
"""Names of what Python, NumPy and torch raise where they get no memory, of the machine or of a GPU."""


@dataclass(frozen=True)
class MemoryFault:
    """An attempt that has ended for want of memory.

    Attributes:
        text: How, and what comes next.
        gives_back: Whether the cell is to be started anew with fewer beside it; it then has not failed.
    """

    text: str
    gives_back: bool


class MemoryRetries:
    """Gives cells back to their queue that lacked memory while others ran, and lets fewer run from then on.

    A cell that lacks memory although nothing of this call ran beside it is left to ``execution.max_failures``. Used
    from the driver's thread only.

    Args:
        cells: The queue that they came from.
        budget: Keeps how many may run at once, also for what the call runs later.
    """

    def __init__(self, cells: CellQueue, budget: Budget) -> None:
        self._cells, self._budget = cells, budget
        self._running: set[str] = set()
        self._shared: set[str] = set()  # those that ran beside others
        self._due: set[str] = set()
        self._given_back: dict[str, int] = {}
        self._kills = kills_for_memory()

    def started(self, cell_id: str) -> None:
        """A worker begins with a cell."""
        self._shared.discard(cell_id)
        self._running.add(cell_id)
        if len(self._running) > 1:
            self._shared |= self._running

    def ended(self, cell_id: str) -> None:
        """No worker has the cell any more."""
        self._running.discard(cell_id)

    def given_back(self, cell_id: str) -> int:
        """How often a cell was given back."""
        return self._given_back.get(cell_id, 0)

    def fault(self, cell_id: str, error: BaseException) -> MemoryFault | None:
        """What is to be done about an attempt that has ended with an error; None if it did not lack memory."""
        before, self._kills = self._kills, kills_for_memory()
        cause = _cause(error, is_killed=self._kills > before)
        if cause is None:
            return None
        running = self._running | {cell_id}
        if cell_id not in self._shared and len(running) == 1:
            self._limit(1)
            fix = "less data, a smaller trial.batch_size or model, or a machine with more memory"
            return MemoryFault(f"out of memory with no other trial beside it: {cause}. Fix: {fix}", gives_back=False)
        self._due.add(cell_id)
        at_once = self._limit(len(running) - 1)
        most = "one trial runs" if at_once == 1 else f"{at_once} trials run"
        then = f"it goes on from its checkpoint, and from now on at most {most} at a time"
        return MemoryFault(f"out of memory: {cause}; {then}", gives_back=True)

    def _limit(self, most: int) -> int:
        known = self._budget.at_once
        self._budget.at_once = max(1, most if known is None else min(most, known))
        return self._budget.at_once

    def give_back(self, cell_id: str) -> bool:
        """Give a cell back whose fault said so; returns whether it did."""
        if cell_id not in self._due:
            return False
        self._due.remove(cell_id)
        self._given_back[cell_id] = self.given_back(cell_id) + 1
        self._cells.give_back(cell_id)
        return True


def _cause(error: BaseException, is_killed: bool) -> str | None:
    """How memory ended an attempt, in words; None if something else did."""
    if isinstance(error, OutOfMemoryError):
        used = re.search(r"was (\S+) used / (\S+) limit", str(error))
        return "Ray ended its worker" + (f" when {used.group(1)} of {used.group(2)} were in use" if used else "")
    if isinstance(error, RayTaskError):
        inner = own_error(error)
        if any(each.__name__ in ALLOCATION_ERRORS for each in type(inner).__mro__):
            return f"{type(inner).__name__}: {first_line(inner)}"
        return None
    return "the system killed its worker" if is_killed and isinstance(error, RayError) else None


def kills_for_memory() -> int:
    """How many processes Linux has killed for memory so far; 0 where it does not say."""
    found = 0
    for path in KILLS:
        with contextlib.suppress(OSError):
            found += sum(int(number) for number in re.findall(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE))
    return found
