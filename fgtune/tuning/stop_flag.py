"""Stopping a run in order: the first Ctrl-C asks, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray import tune

from fgtune.tuning.budget import Budget


class StopFlag:
    """Set by the first Ctrl-C or SIGTERM, or by a budget; the run then stops in order, keeping what every trial has.

    Attributes:
        spent: Which limit was reached, where a budget set the flag.
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
        """While open, the first SIGINT or SIGTERM sets the flag; the next one does what it did before."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in former.items():
                signal.signal(number, handler)

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.set()
            restore()

        for number in former:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()


class FlagStopper(tune.Stopper):  # type: ignore[misc]
    """Stops every trial once the flag is set, and sets it once the budget is used up."""

    def __init__(self, flag: StopFlag, budget: Budget) -> None:
        self._flag, self._budget = flag, budget

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 (Tune's signature)
        """No single trial is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether to stop everything."""
        if not self._flag.is_set and (spent := self._budget.spent()) is not None:
            self._flag.spent = spent
            self._flag.set()
        return self._flag.is_set

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its run config to disk; a flag lives in the driver alone

    def __deepcopy__(self, memo: dict[int, Any]) -> FlagStopper:
        return self
