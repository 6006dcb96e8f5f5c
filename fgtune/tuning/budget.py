"""What one call may use: cells, wall seconds, core seconds, GPU seconds.

Spent seconds mean that running cells stop in order, spent cells that no other one is started. A call that runs several
studies (the searches inside arms, then the comparison) has one budget for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fgtune.config.schema.study import ExecutionConfig


class Budget:
    """Counts what cells use while they run; used from one thread.

    Args:
        execution: Limits, and what a trial holds while it runs.
        clock: Monotonic seconds.
    """

    def __init__(self, execution: ExecutionConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._execution, self._clock = execution, clock
        self._begun: float | None = None
        self.cells = execution.budget.cells
        """Cells that may still be started; None for any number."""
        self._running: dict[str, float] = {}
        self._cell_seconds = 0.0

    def begin(self) -> None:
        """Cells may run from now on; only the first call counts."""
        self._begun = self._clock() if self._begun is None else self._begun

    def started(self, cell_id: str) -> None:
        """A cell runs from now on."""
        self.begin()
        self._running.setdefault(cell_id, self._clock())

    def ended(self, cell_id: str) -> None:
        """A cell runs no longer."""
        begun = self._running.pop(cell_id, None)
        if begun is not None:
            self._cell_seconds += self._clock() - begun

    def spent(self) -> str | None:
        """Which limit is reached, in words; None while there is something left."""
        limits, now = self._execution.budget, self._clock()
        cells = self._cell_seconds + sum(now - begun for begun in self._running.values())
        used = {
            "wall_s": (0.0 if self._begun is None else now - self._begun, "wall seconds"),
            "core_s": (cells * self._execution.cpus, "core-seconds"),
            "gpu_s": (cells * self._execution.gpus, "GPU-seconds"),
        }
        for name, (value, unit) in used.items():
            limit = getattr(limits, name)
            if limit is not None and value >= limit:
                return f"the budget of {limit:g} {unit} is used up"
        return None
