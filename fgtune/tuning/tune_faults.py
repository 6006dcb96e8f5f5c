"""What ends trials: the cause of it in words, and faults that Tune by itself does not bear."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution.tune_controller import TuneController

from fgtune.files import is_disk_fault
from fgtune.text import first_line, last_line
from fgtune.tuning.session import session_lost


@contextlib.contextmanager
def bearing_faults(before_failure: Callable[[Any, BaseException], None]) -> Iterator[None]:
    """While open, Tune bears what it does not bear by itself.

    A worker that Ray's memory monitor has killed counts as one that has died; Tune would end the whole run. Tune says
    no goodbye to the actors of a lost session, for which it would wait a minute.

    Args:
        before_failure: Called with a trial and what has ended its attempt, before Tune decides whether to retry.
    """
    cleanup, failed, process = (
        TuneController.cleanup,
        RayActorManager._actor_task_failed,
        TuneController._process_trial_failure,
    )

    def unless_lost(controller: TuneController) -> None:
        if session_lost() is None:
            cleanup(controller)

    def borne(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:  # Ray passes keywords
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = _as_death(exception)
        failed(manager, tracked_actor_task, exception)

    def with_fault(controller: TuneController, trial: Any, exception: Exception) -> None:
        death = exception.__cause__ if isinstance(exception, RayActorError) else None
        before_failure(trial, death or exception)
        process(controller, trial, exception)

    TuneController.cleanup, RayActorManager._actor_task_failed = unless_lost, borne
    TuneController._process_trial_failure = with_fault
    try:
        yield
    finally:
        TuneController.cleanup, RayActorManager._actor_task_failed = cleanup, failed
        TuneController._process_trial_failure = process


def _as_death(error: RayError) -> RayActorError:
    """An error of which Tune knows that the worker is gone."""
    death = RayActorError(None, f"{type(error).__name__}: {first_line(error)}")
    death.__cause__ = error
    return death


def cause_of(trial: Any) -> tuple[str, str]:
    """One line that names the error, and everything that Ray knows about it.

    Tune's accessors read its storage, where the files arrive late; the driver has them immediately.
    """
    error = _error_of(trial)
    if error is None:
        with contextlib.suppress(OSError, TypeError):
            error = Path(trial.error_file).read_text(encoding="utf-8")
    if error is None:
        return "the worker ended without a message", ""
    if isinstance(error, RayActorError):  # Ray explains at length what may have been
        return "its worker is gone: killed, dead of a fault in native code, or lost with its node", str(error)
    inner = own_error(error)
    name = "" if isinstance(inner, str) else f"{type(inner).__name__}: "
    return f"{name}{last_line(str(inner)) or 'no message'}", str(error)


def own_error(error: Any) -> Any:
    """What the worker itself raised: a ``RayTaskError`` carries it as its cause."""
    return getattr(error, "cause", None) or error


def _error_of(trial: Any) -> object:
    """What ended a trial's last attempt, None if that is not known."""
    with contextlib.suppress(OSError, TypeError, pickle.UnpicklingError, AttributeError, ImportError):
        return cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return None


def raise_disk_fault(trial: Any) -> None:
    """End the run where a trial ended because its disk is full: it did not fail, and goes on once there is room."""
    error = _error_of(trial)
    inner = own_error(error)
    if isinstance(inner, OSError) and is_disk_fault(inner, or_access=False):
        raise inner
