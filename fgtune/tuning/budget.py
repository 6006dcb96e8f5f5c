"""What one call may use: wall seconds, core seconds, GPU seconds. Spent means that running cells stop in order."""

from __future__ import annotations

import time
from collections.abc import Callable

from fgtune.config.study import ExecutionConfig


class Budget:
    """Counts what cells use while they run; used from one thread.

    Args:
        execution: Limits, and what a trial holds while it runs.
        clock: Monotonic seconds.
    """

    def __init__(self, execution: ExecutionConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._execution, self._clock = execution, clock
        self._begun = clock()
        self._running: dict[str, float] = {}
        self._cell_seconds = 0.0

    def started(self, cell_id: str) -> None:
        """A cell runs from now on."""
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
            "wall_s": (now - self._begun, "wall seconds"),
            "core_s": (cells * self._execution.cpus, "core-seconds"),
            "gpu_s": (cells * self._execution.gpus, "GPU-seconds"),
        }
        for name, (value, unit) in used.items():
            limit = getattr(limits, name)
            if limit is not None and value >= limit:
                return f"the budget of {limit:g} {unit} is used up"
        return None
