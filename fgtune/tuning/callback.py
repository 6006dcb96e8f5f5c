"""From Tune's callbacks in the driver to ``CellObserver``; a cell counts as finished only when its outcome arrived."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune

from fgtune.tuning.budget import Budget
from fgtune.tuning.early_stopping.referee import Umpire
from fgtune.tuning.job import cell_id_of
from fgtune.tuning.observer import CellObserver


class ObserverCallback(tune.Callback):  # type: ignore[misc]
    """Tells ``observer`` what happens to each cell.

    Args:
        observer: Hears of every event.
        budget: Counts the time of running cells.
        umpire: Knows which cells were stopped early; None where none is.
    """

    def __init__(self, observer: CellObserver, budget: Budget, umpire: Umpire | None = None) -> None:
        self._observer, self._budget, self._umpire = observer, budget, umpire
        self._started: set[str] = set()
        self._finished: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its run config to disk; an observer lives in the driver alone

    def __deepcopy__(self, memo: dict[int, Any]) -> ObserverCallback:
        return self

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial runs, or runs again."""
        cell_id = cell_id_of(trial)
        self._budget.started(cell_id)
        if cell_id not in self._started:
            self._started.add(cell_id)
            self._observer.on_start(cell_id)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A step is done; the last one carries the outcome or a failure that a retry would only repeat."""
        cell_id = cell_id_of(trial)
        if result.get("restored"):
            self._observer.on_restored(cell_id, result["restored"])
        if result.get("epochs"):
            self._observer.on_epochs(cell_id, result["epochs"])
        attempts = 1 + trial.num_failures
        stopped = None if self._umpire is None else self._umpire.reason(cell_id)
        if "outcome" in result or "failure" in result or stopped is not None:
            self._finished.add(cell_id)
            self._budget.ended(cell_id)
        if "outcome" in result:
            self._observer.on_complete(cell_id, pickle.loads(result["outcome"]), attempts)  # noqa: S301 (our own worker)
        elif "failure" in result:
            self._observer.on_fail(cell_id, result["failure"], "", attempts)
        elif stopped is not None:
            self._observer.on_prune(cell_id, stopped, attempts)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial crashed and will be tried again."""
        self._observer.on_retry(cell_id_of(trial), _cause(trial)[0])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial crashed once more than it may."""
        cell_id = cell_id_of(trial)
        self._budget.ended(cell_id)
        if cell_id not in self._finished:
            cause, details = _cause(trial)
            self._observer.on_fail(cell_id, cause, details, trial.num_failures)


def _cause(trial: Any) -> tuple[str, str]:
    """One line that names the error, and everything Ray knows of it.

    Tune's own accessors look in its storage, where the files arrive only later; the driver has them at once.
    """
    error: object = None
    with contextlib.suppress(OSError, TypeError, pickle.UnpicklingError, AttributeError, ImportError):
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    if error is None:
        with contextlib.suppress(OSError, TypeError):
            error = Path(trial.error_file).read_text(encoding="utf-8")
    if error is None:
        return "the worker ended without a message", ""
    inner = getattr(error, "cause", None) or error  # a RayTaskError carries the worker's own exception
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    name = "" if isinstance(inner, str) else f"{type(inner).__name__}: "
    return f"{name}{lines[-1] if lines else 'no message'}", str(error)
