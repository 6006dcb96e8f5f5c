"""Keeps Tune from holding on to trials that are over: the ledger has them, and a study may have thousands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ray.tune.execution.tune_controller import TuneController

KEPT = 32
"""Trials that are over and still known: the last words of a worker may arrive after the end of its trial."""
_BY_STATE = ("_stopped_trials", "_failed_trials", "_trials_to_cache")
"""Sets of Tune's that only grow; the last one holds what a snapshot would write, and none is written before the end."""


@contextlib.contextmanager
def forgetting_trials() -> Iterator[None]:
    """While open, Tune forgets trials some time after their end."""
    step, forget = TuneController.step, Forgetting()

    def step_and_forget(controller: TuneController) -> None:
        step(controller)
        forget(controller)

    TuneController.step = step_and_forget
    try:
        yield
    finally:
        TuneController.step = step


class Forgetting:
    """Drops trials that are over, but for the latest, once there are twice as many of them as are kept."""

    def __init__(self) -> None:
        self._over: dict[Any, None] = {}  # in the order in which they ended

    def __call__(self, controller: Any) -> None:
        """Look after each step of a controller."""
        trials = controller.get_trials()  # its own list
        self._over.update((trial, None) for trial in trials if trial.is_finished() and trial not in self._over)
        if len(self._over) < 2 * KEPT:
            return
        gone = set(islice(self._over, len(self._over) - KEPT))
        for trial in gone:
            del self._over[trial]
        trials[:] = [trial for trial in trials if trial not in gone]
        for name in _BY_STATE:
            known = getattr(controller, name, None)
            if isinstance(known, set):
                known -= gone
        _forget_tasks(getattr(controller, "_actor_manager", None))


def _forget_tasks(manager: Any) -> None:
    """Drop what was to be done by workers that were never started, since another one could be used again."""
    waiting, pending = (
        getattr(manager, name, None) for name in ("_pending_actors_to_enqueued_actor_tasks", "_pending_actors_to_attrs")
    )
    if waiting is None or pending is None:
        return
    for actor in [actor for actor in waiting if actor not in pending]:
        del waiting[actor]
