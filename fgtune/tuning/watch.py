"""Watches running trials: which one is silent, and which one has had its time; independent of Ray.

A trial that hangs never reports again, so only the driver can tell. It compares the time since a trial's last epoch
with what epochs take otherwise, and the time of the whole trial with its limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from fgtune.config.schema.study import ExecutionConfig
from fgtune.results.live import RunningTrial, silence_text
from fgtune.results.records import EpochMetrics
from fgtune.text import duration

FORCE_AFTER_S = 5.0
"""A worker ends a trial itself after the epoch in which its time runs out; one that has not by then is killed."""
_ENOUGH = 3
"""Epochs from which on their median is used."""
_KEPT = 200
"""Latest epochs that a median is taken over."""


@dataclass(frozen=True)
class Alarm:
    """What is due for a running trial.

    Attributes:
        cell_id: Its cell.
        action: ``warn`` says it; ``retry`` ends the worker, and the trial starts again; ``fail`` ends it for good.
        text: What is wrong, for the console, the log and the ledger.
    """

    cell_id: str
    action: Literal["warn", "retry", "fail"]
    text: str


@dataclass
class _Trial:
    """A running trial; ``started`` and ``heard`` by the monotonic clock, of this attempt."""

    arm: str
    prepares: bool
    started: float
    heard: float
    epoch: int = 0
    taken_over: float = 0.0
    """Seconds of the epochs that it continues from."""
    is_warned: bool = False
    is_ended: bool = False
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


def time_limit_text(seconds: float, limit: float, epoch: int) -> str:
    """Why a trial was ended whose time is up."""
    return f"ran for {duration(seconds)}, longer than execution.max_trial_s ({limit:g}), and reached epoch {epoch}"


class TrialWatch:
    """Knows when each running trial was last heard of; used from the driver's thread only.

    Args:
        execution: The limits.
        clock: Monotonic seconds.
        wall: Seconds since 1970, for the folder.
    """

    def __init__(
        self,
        execution: ExecutionConfig,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._limit, self._rule = execution.max_trial_s, execution.silence
        self._clock, self._wall = clock, wall
        self._trials: dict[str, _Trial] = {}
        self._by_arm: dict[str, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=_KEPT)

    def started(self, cell_id: str, arm: str, prepares: bool = False) -> None:
        """A worker begins with a cell, or begins again after a crash; it may report nothing for long first."""
        now = self._clock()
        self._trials[cell_id] = _Trial(arm, prepares, now, now)

    def heard(self, cell_id: str, restored: Sequence[EpochMetrics], epochs: Sequence[EpochMetrics]) -> None:
        """A trial reports epochs that it continues from, and epochs that it has trained."""
        trial = self._trials.get(cell_id)
        if trial is None:
            return
        trial.taken_over += sum(each.seconds for each in restored)
        for each in epochs:
            for seen in (trial.seconds, self._by_arm.setdefault(trial.arm, deque(maxlen=_KEPT)), self._all):
                seen.append(each.seconds)
        if restored or epochs:
            trial.epoch = (*restored, *epochs)[-1].epoch
            trial.heard, trial.is_warned = self._clock(), False

    def ended(self, cell_id: str) -> None:
        """A trial is over, or its worker is gone."""
        self._trials.pop(cell_id, None)

    def excuse(self, seconds: float) -> None:
        """Count for no trial the seconds in which the driver was held up, by a full disk or a sleeping machine."""
        for trial in self._trials.values():
            trial.started += seconds
            trial.heard += seconds

    def due(self) -> list[Alarm]:
        """What is to be done now; each alarm comes once."""
        found = [self._alarm(cell_id, trial) for cell_id, trial in self._trials.items() if not trial.is_ended]
        return [alarm for alarm in found if alarm is not None]

    def _alarm(self, cell_id: str, trial: _Trial) -> Alarm | None:
        now = self._clock()
        total, silent = trial.taken_over + now - trial.started, now - trial.heard
        if self._limit is not None and total >= self._limit + FORCE_AFTER_S:
            trial.is_ended = True
            return Alarm(cell_id, "fail", f"{time_limit_text(total, self._limit, trial.epoch)}; its worker was ended")
        allowed = self._allowed(trial)
        text = silence_text(silent, trial.epoch, self._median(trial))
        then = "warn" if trial.prepares and trial.epoch == 0 else self._rule.then
        if then != "warn" and silent >= 2 * allowed:
            trial.is_ended = True
            return Alarm(cell_id, then, f"{text}; its worker was ended")
        if silent >= allowed and not trial.is_warned:
            trial.is_warned = True
            return Alarm(cell_id, "warn", text)
        return None

    def _median(self, trial: _Trial) -> float | None:
        """What an epoch takes: of this trial, else of its arm, else of any in this call; None before there is any."""
        for seen in (trial.seconds, self._by_arm.get(trial.arm, ()), self._all):
            if len(seen) >= _ENOUGH:
                return median(seen)
        return median(self._all) if self._all else None

    def _allowed(self, trial: _Trial) -> float:
        usual = self._median(trial)
        return max(self._rule.floor_s, 0.0 if usual is None else self._rule.factor * usual)

    def running(self) -> list[RunningTrial]:
        """The running trials, for the folder."""
        now, wall = self._clock(), self._wall()
        return [
            RunningTrial(
                cell_id,
                trial.epoch,
                wall - (now - trial.started),
                wall - (now - trial.heard),
                self._median(trial),
                self._allowed(trial),
            )
            for cell_id, trial in self._trials.items()
        ]
