"""One call of a user's function as an iterator of epochs: it runs in a thread that waits in every ``report``."""

from __future__ import annotations

import copy
import inspect
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.errors import TrialError
from fgtune.results.records import EpochMetrics, TrialOutcome
from fgtune.text import count
from fgtune.training.functions.call import FOLDER, UserFunction
from fgtune.training.functions.folder import WorkFolder
from fgtune.training.functions.numbers import checked

_LEAVE_S = 10.0
"""Seconds that a function has to leave when its cell is stopped."""


class TrialStoppedError(BaseException):
    """Raised by ``report`` in a function whose cell is stopped; no ``except Exception`` holds it up."""


class _Returned:
    """The function has returned."""

    def __init__(self, value: object) -> None:
        self.value = value


class Report:
    """What the function calls once an epoch; created by ``FunctionTrainer``.

    Attributes:
        epochs: How often it may be called.
    """

    def __init__(self, trainer: FunctionTrainer) -> None:
        self._trainer = trainer
        self.epochs = trainer.config.epochs

    @property
    def epoch(self) -> int:
        """Epochs reported so far, those that a checkpoint holds included: 0 where the function starts afresh."""
        return self._trainer.epoch

    def __call__(self, metrics: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Report the metrics of an epoch, and wait until the study goes on with the cell.

        Args:
            metrics: Values by name, for names that are no Python names such as ``val/accuracy``.
            named: Values by name.
        """
        caller = sys._getframe(1)  # the line of the user's file that a message names
        place = f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}"
        self._trainer.receive({**(metrics or {}), **named}, place)


class FunctionTrainer(Iterator[EpochMetrics]):
    """Runs a user's function for one cell; each step of the iterator is one report.

    Args:
        config: The trial.
        function: The function.
        seed: The cell's seed.
        folder: Where its checkpoints lie; None for a function that asks for none.
        history: The epochs that the checkpoint in the folder goes on from.
        forked_at: How many of them another cell trained, from whose state this one starts.
    """

    def __init__(
        self,
        config: FunctionTrialConfig,
        function: UserFunction,
        seed: int,
        folder: WorkFolder | None = None,
        history: tuple[EpochMetrics, ...] = (),
        forked_at: int = 0,
    ) -> None:
        self.config, self._forked_at = config, forked_at
        self._function, self._seed, self._folder = function, seed, folder
        self._history = list(history)
        self.resumable = len(history)
        """Epochs that the function can go on from: those before its folder last changed."""
        self.is_over = False
        """Whether the function has returned."""
        self._events: SimpleQueue[EpochMetrics | _Returned | BaseException] = SimpleQueue()
        self._may_go_on = threading.Semaphore(0)
        self._closing = False
        self._thread: threading.Thread | None = None
        self._since = time.perf_counter()

    @property
    def epoch(self) -> int:
        """Epochs reported so far."""
        return len(self._history)

    @property
    def history(self) -> tuple[EpochMetrics, ...]:
        """The reported epochs."""
        return tuple(self._history)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EpochMetrics:
        """Let the function go on to its next report.

        Raises:
            TrialError: It reported what it may not, or returned without a report.
            Exception: What the function raised.
        """
        if self.is_over:
            raise StopIteration
        self._since = time.perf_counter()
        if self._thread is None:
            self._thread = threading.Thread(target=self._body, name=self._function.call, daemon=True)
            self._thread.start()
        self._may_go_on.release()
        event = self._events.get()
        if isinstance(event, EpochMetrics):
            return event
        self.is_over = True
        if isinstance(event, Exception):
            raise event
        if isinstance(event, BaseException):  # would end the worker instead of the cell
            raise TrialError(f"{self._function.call} ended with {type(event).__name__}: {event}") from event
        self._check_end(event.value)
        raise StopIteration

    def receive(self, reported: Mapping[Any, Any], place: str) -> None:
        """Take a report from the function's thread, which waits here until the next step."""
        if self._closing:
            raise TrialStoppedError
        try:
            entry = self._entry(reported, place)
        except TrialError as error:  # the cell fails even where the function would catch it
            self._closing = True
            self._events.put(error)
            raise TrialStoppedError from error
        self._history.append(entry)
        if self._folder is not None and self._folder.has_changed():
            self.resumable = entry.epoch
        self._events.put(entry)
        self._may_go_on.acquire()
        if self._closing:
            raise TrialStoppedError

    def _entry(self, reported: Mapping[Any, Any], place: str) -> EpochMetrics:
        epoch = self.epoch + 1
        if epoch > self.config.epochs:
            rule = f"reports epoch {epoch}, trial.epochs is {self.config.epochs}"
            fix = "loop over range(report.epoch, report.epochs), or raise trial.epochs"
            raise TrialError(f"{place}: {rule}. Fix: {fix}")
        metrics = checked(self.config, reported, place)
        return EpochMetrics(epoch, epoch, metrics, time.perf_counter() - self._since)

    def _body(self) -> None:
        """Of the thread: the function from its start to its end."""
        self._may_go_on.acquire()
        folder = None if self._folder is None else self._folder.path
        try:
            value = self._function(copy.deepcopy(dict(self.config.config)), self._seed, Report(self), folder)
        except TrialStoppedError:
            return
        except BaseException as error:  # SystemExit too: it must not end the worker
            self._events.put(error)
        else:
            self._events.put(_Returned(value))

    def _check_end(self, value: object) -> None:
        """Raise unless the function has done all that it was called for."""
        call = self._function.call
        if inspect.isgenerator(value) or inspect.isawaitable(value):
            raise TrialError(f"{call} returned a {type(value).__name__}, so nothing ran. Fix: call report(...) in it")
        if not self._history:
            returned = "" if value is None else f"; it returned a {type(value).__name__}, which counts for nothing"
            raise TrialError(f"{call} never called report{returned}. Fix: call report(NAME=VALUE) once an epoch")
        last = self._history[-1].metrics
        missing = [name for name in self.config.metrics if name not in last]
        if missing:
            raise TrialError(f"the last report of {call} lacks {', '.join(missing)}. Fix: report them with it")

    def save_state(self, path: Path) -> None:
        """Write a checkpoint of exactly the epochs reported so far, from which other cells go on.

        Raises:
            TrialError: The function has not written its state before it reported the last of them.
        """
        if self.resumable != self.epoch:
            rule = (
                f"has written nothing to {FOLDER} before it reported epoch {self.epoch}, from which pbt copies trials"
            )
            fix = f"write the state there before every report(...); it now has {count(self.resumable, 'epoch')}"
            raise TrialError(f"{self._function.call} {rule}. Fix: {fix}")
        self.save(path)

    def save(self, path: Path) -> None:
        """Write the function's folder, and the epochs that it goes on from, to a file; between two steps only."""
        if self._folder is not None and self.resumable:
            self._folder.save(path, self.history[: self.resumable])

    def outcome(self) -> TrialOutcome:
        """The result of the cell once the iterator is exhausted."""
        own = self.history[self._forked_at :]
        return TrialOutcome(own, None, None, sum(entry.seconds for entry in own))

    def close(self) -> None:
        """Let the function leave, by an error in its ``report``, and remove its folder."""
        self._closing = True
        if self._thread is not None:
            self._may_go_on.release()
            self._thread.join(_LEAVE_S)
        if self._folder is not None:
            self._folder.remove()
