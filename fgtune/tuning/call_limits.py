"""What ends a call on a study early: an exhausted budget, or Ctrl-C.

When the seconds are used up, running cells stop gracefully; when the cells are, no further one starts. A call that runs
several studies (the searches inside arms, then the comparison) has one budget for all of them.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fgtune.config.schema.study import ExecutionConfig


class Budget:
    """What one call may use: cells, wall seconds, core-seconds, GPU-seconds; used from one thread.

    Args:
        execution: Limits, and what a trial holds while it runs.
        clock: Monotonic seconds.
    """

    def __init__(self, execution: ExecutionConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._execution, self._clock = execution, clock
        self._started: float | None = None
        self.cells = execution.budget.cells
        """Cells that may still be started; None for any number."""
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
    """Set by the first Ctrl-C or SIGTERM, or by a budget; the run then stops gracefully and trials keep their state.

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

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """While open, the first SIGINT or SIGTERM sets the flag; the next one goes to the previous handler."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in previous.items():
                signal.signal(number, handler)

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.set()
            restore()

        for number in previous:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()
