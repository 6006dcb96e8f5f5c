"""What fgtune plugs into Ray Tune: a searcher that hands out cells, a scheduler and a stopper, and a callback.

Ray's OptunaSearch reports early stops as complete and leaves trials with a non-finite value running forever; here the
ledger is written first and Optuna learns from it. Tune saves searchers, schedulers and callbacks to its own files,
which fgtune does not use: these live in the driver only and save nothing.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from ray import tune
from ray.exceptions import RayTaskError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from fgtune.config.arms.records import Cell
from fgtune.config.schema.classes import ESTIMATE
from fgtune.results.records import EpochMetrics
from fgtune.signals import take_back_handlers
from fgtune.tuning.cell_queue import Budget, CellQueue, StopFlag
from fgtune.tuning.early_stopping.decisions import EarlyStopping
from fgtune.tuning.early_stopping.seeds import Standing
from fgtune.tuning.memory import MemoryRetries
from fgtune.tuning.observer import CellObserver
from fgtune.tuning.session import session_lost
from fgtune.tuning.trainable import JOB, cell_id_of, job_of
from fgtune.tuning.tune_faults import cause_of, raise_disk_fault
from fgtune.tuning.watch import Alarm, TrialWatch

TICK_S = 5.0
"""Seconds between two looks of the observer at what runs."""

HELD_UP_S = 10.0
"""Seconds between two steps of Tune, usually a tenth, from which on the driver was held up."""


class _DriverOnly:
    """Mixin that keeps Tune from copying an object and from writing its state to disk."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class CellSearcher(_DriverOnly, Searcher):  # type: ignore[misc]
    """Hands Tune the cells of a queue.

    Args:
        cells: The queue.
        stopping: Registers each cell that starts; None if nothing is stopped early.
        portrait_of: Of which cells it is kept what their classes look like, as ``job_of`` takes it.
    """

    def __init__(
        self,
        cells: CellQueue,
        stopping: EarlyStopping | None = None,
        portrait_of: Callable[[Cell], bool | None] = lambda _: None,
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._cells, self._stopping, self._portrait_of = cells, stopping, portrait_of

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next cell as a Tune config; None if there is none yet."""
        cell = self._cells.take()
        if cell is not None:
            return {JOB: self._job(cell)}
        return str(Searcher.FINISHED) if self._cells.is_over and not self._cells.may_refill else None

    def _job(self, cell: Cell) -> dict[str, Any]:
        job = job_of(cell, self._portrait_of(cell))
        if self._stopping is None:
            return job | {"waits_at": [], "keeps_states": False, "may_return": False, "is_judged": False}
        return job | {
            "waits_at": self._stopping.register(cell),
            "keeps_states": self._stopping.makes_forks,
            "may_return": self._stopping.judges_whole_trials,
            "is_judged": True,
        }

    def set_search_properties(self, *_args: Any, **_spec: Any) -> bool:
        """Ignore Tune's search settings."""
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the queue learns from the ledger how a trial ended."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class EarlyStoppingScheduler(_DriverOnly, FIFOScheduler):  # type: ignore[misc]
    """Runs cells in order and stops those that early stopping selects, for good or until others have come as far."""

    def __init__(self, stopping: EarlyStopping) -> None:
        super().__init__()
        self._stopping = stopping

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """STOP or CONTINUE."""
        standing = self._stopping.judge(cell_id_of(trial), _epochs_in(result))
        return str(TrialScheduler.CONTINUE if standing is Standing.GO_ON else TrialScheduler.STOP)


def _epochs_in(result: dict[str, Any]) -> list[EpochMetrics]:
    """The epochs that a result reports, restored ones first."""
    return [*(result.get("restored") or ()), *(result.get("epochs") or ())]


class FlagStopper(_DriverOnly, tune.Stopper):  # type: ignore[misc]
    """Stops every trial once the flag is set, and sets it once the budget is used up."""

    def __init__(self, flag: StopFlag, budget: Budget) -> None:
        self._flag, self._budget = flag, budget

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop a single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether to stop everything."""
        take_back_handlers()  # Tune installs one of its own for SIGUSR1 when it begins
        if (lost := session_lost()) is not None:
            raise lost
        if not self._flag.is_set and (spent := self._budget.spent()) is not None:
            self._flag.spent = spent
            self._flag.set()
        return self._flag.is_set


class ObserverCallback(_DriverOnly, tune.Callback):  # type: ignore[misc]
    """Reports to ``observer`` what happens to each cell, which counts as finished only once its outcome arrives.

    Args:
        observer: Receives every event.
        budget: Counts the time of running cells.
        stopping: Knows which cells were stopped early; None if none is.
        watch: Reports trials that are silent, or whose time is up; None watches nothing.
        retries: Gives cells back that ended for want of memory; None leaves them to Tune.
    """

    def __init__(
        self,
        observer: CellObserver,
        budget: Budget,
        stopping: EarlyStopping | None = None,
        watch: TrialWatch | None = None,
        retries: MemoryRetries | None = None,
    ) -> None:
        self._observer, self._budget, self._stopping, self._watch = observer, budget, stopping, watch
        self._retries = retries
        self._started: set[str] = set()
        self._finished: set[str] = set()
        self._unsaved: set[str] = set()
        self._running: dict[str, Any] = {}
        self._ended_by_us: dict[str, str] = {}
        self._failures: dict[str, int] = {}  # of the Tune trials that a cell had before it waited
        self._next_look = self._next_tick = 0.0
        self._last_step = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look after running trials, once a second at most: Tune comes here at every event, and ten times a second."""
        now = time.monotonic()
        held, self._last_step = now - self._last_step, now
        if self._watch is None:
            return
        if held > HELD_UP_S:
            self._watch.excuse(held)
        if now < self._next_look:
            return
        self._next_look = now + 1.0
        alarms = self._watch.due()
        for alarm in alarms:
            if alarm.action == "warn":
                self._observer.on_warning(alarm.cell_id, alarm.text)
            else:
                self._end(alarm)
        if alarms or now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._observer.on_tick(self._watch.running())

    def _end(self, alarm: Alarm) -> None:
        """Kill a worker, which may be in code that never returns: Tune then sees a crash, and retries or gives up."""
        import ray

        trial = self._running[alarm.cell_id]
        self._ended_by_us[alarm.cell_id] = alarm.text
        if alarm.action == "fail":
            trial.max_failures = 0
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial starts or restarts."""
        cell_id = cell_id_of(trial)
        self._budget.cell_started(cell_id)
        self._running[cell_id] = trial
        if self._retries is not None:
            self._retries.started(cell_id)
        if self._watch is not None:
            job = trial.config[JOB]
            self._watch.started(cell_id, job["arm"], prepares=_prepares(job["config"]))
        if cell_id not in self._started:
            self._started.add(cell_id)
            self._observer.on_start(cell_id)
        if self._failures.get(cell_id) and trial.num_failures == 0:  # a new trial to Tune, with the retries it has left
            trial.max_failures = max(0, trial.max_failures - self._failures[cell_id])

    def _over(self, cell_id: str) -> None:
        """The worker has nothing to do with the cell any more."""
        self._running.pop(cell_id, None)
        if self._watch is not None:
            self._watch.ended(cell_id)
        if self._retries is not None:
            self._retries.ended(cell_id)

    def _attempts(self, cell_id: str, trial: Any) -> int:
        """How often a cell was started before the attempt that is over, or runs."""
        return int(trial.num_failures) + self._earlier_attempts(cell_id)

    def _earlier_attempts(self, cell_id: str) -> int:
        """How often a cell was started before it last waited or was given back."""
        return self._failures.get(cell_id, 0) + (0 if self._retries is None else self._retries.given_back(cell_id))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A step is done; the last one carries the outcome, or a failure that a retry would only repeat."""
        cell_id = cell_id_of(trial)
        if self._watch is not None:
            self._watch.heard(cell_id, result.get("restored") or (), result.get("epochs") or ())
        if result.get("unsaved") and cell_id not in self._unsaved:
            self._unsaved.add(cell_id)
            self._observer.on_warning(cell_id, result["unsaved"])
        if result.get("restored"):
            self._observer.on_restored(cell_id, result["restored"])
        if result.get("epochs"):
            self._observer.on_epochs(cell_id, result["epochs"])
        attempts = 1 + self._attempts(cell_id, trial)
        stopped = None if self._stopping is None else self._stopping.reason(cell_id)
        if "outcome" in result or "failure" in result or stopped is not None:
            self._finished.add(cell_id)
            self._budget.cell_ended(cell_id)
            self._over(cell_id)
        if "outcome" in result:
            if self._stopping is not None:
                # Tune asks its scheduler for no decision on a last result. Before the ledger, since a restart does not
                # run a cell again that is in it.
                self._stopping.observe_end(cell_id, _epochs_in(result))
            self._observer.on_complete(cell_id, pickle.loads(result["outcome"]), attempts)  # noqa: S301 (our own worker)
        elif "failure" in result:
            self._fail(cell_id, result["failure"], "", attempts)
        elif stopped is not None:
            self._observer.on_prune(cell_id, stopped, attempts)
        elif self._stopping is not None and self._stopping.is_waiting(cell_id):
            self._failures[cell_id] = self._failures.get(cell_id, 0) + trial.num_failures
            self._budget.cell_ended(cell_id)
            self._over(cell_id)
        self._record_stopped()
        for key in ("outcome", "epochs", "restored"):  # Tune keeps the last result of every trial to the end
            result.pop(key, None)

    def _record_stopped(self) -> None:
        """Record the cells that waited for a decision, and were stopped by it."""
        if self._stopping is None:
            return
        for cell_id in self._stopping.take_stopped():
            self._finished.add(cell_id)
            self._observer.on_prune(cell_id, self._stopping.reason(cell_id) or "", 1 + self._earlier_attempts(cell_id))

    def _fail(self, cell_id: str, cause: str, details: str, attempts: int) -> None:
        """Record a failure, and have nobody wait for the cell."""
        self._observer.on_fail(cell_id, cause, details, attempts)
        if self._stopping is not None:
            self._stopping.observe_failure(cell_id)

    def before_failure(self, trial: Any, error: BaseException) -> None:
        """An attempt has ended with an error, and Tune is about to retry it or to give it up.

        Raises:
            SessionLostError: It ended with the session, which is no failure of the trial.
        """
        if not isinstance(error, RayTaskError) and (lost := session_lost(look=True)) is not None:
            raise lost
        if self._retries is None:
            return
        cell_id = cell_id_of(trial)
        fault = self._retries.fault(cell_id, error)
        if fault is None:
            return
        if fault.gives_back:
            trial.max_failures = 0  # it comes back from the queue, when fewer run beside it
        self._ended_by_us[cell_id] = fault.text

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial crashed and will be retried."""
        cell_id = cell_id_of(trial)
        self._over(cell_id)
        self._observer.on_retry(cell_id, self._ended_by_us.pop(cell_id, "") or cause_of(trial)[0])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial crashed once too often, or was ended for good."""
        cell_id = cell_id_of(trial)
        self._budget.cell_ended(cell_id)
        self._over(cell_id)
        if cell_id in self._finished:
            return
        raise_disk_fault(trial)
        cause, details = cause_of(trial)
        ours = self._ended_by_us.pop(cell_id, "")
        if self._retries is not None and self._retries.give_back(cell_id):
            self._observer.on_warning(cell_id, ours)
        else:
            self._fail(cell_id, ours or cause, "" if ours else details, self._attempts(cell_id, trial))
            self._record_stopped()


def _prepares(config: Mapping[str, Any]) -> bool:
    """Whether a trial does before its first epoch what may take longer than many epochs, and reports nothing of it."""
    estimates = config.get("classes", {}).get("num_fine") == ESTIMATE
    return estimates or bool(config.get("model", {}).get("pretrain")) or bool(config.get("cleaning"))
