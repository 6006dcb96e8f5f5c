"""Workers that outlive a run of Tune, for the next one of a call or of a session: each start takes seconds of imports.

Tune ends its workers with every run. Here a run that ends in order leaves its idle ones to the next, with what Tune
knows of them. Whatever goes wrong on the way costs no more than new workers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.object_cache import _ObjectCache

from fgtune.config.schema.study import ExecutionConfig
from fgtune.tuning.session import session_lost

WITHIN_S = 10.0
"""Seconds in which a worker has to leave a run, or to enter one; signals wait for it, and a new one costs no more."""


class _IdleWorkers(_ObjectCache):  # type: ignore[misc]
    """Tune's store of idle workers; while it keeps them, it takes every one and lets none go."""

    def __init__(self) -> None:
        super().__init__(may_keep_one=True)
        self.keeps: Callable[[], bool] = lambda: False

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Take a worker that has become idle; returns whether it was taken."""
        if not self.keeps():
            return bool(super().cache_object(key, obj))
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        """Let workers go."""
        return iter(()) if self.keeps() else super().flush_cached_objects(force_all)

    @property
    def workers(self) -> set[Any]:
        """Those that it has."""
        return {worker for workers in self._cached_objects.values() for worker in workers}


class WarmWorkers:
    """The workers that one run of Tune leaves to the next in a session of Ray; those that none takes end with it.

    Attributes:
        kept: Those that studies leave to each other; None unless ``kept_workers`` is open.
    """

    kept: ClassVar[WarmWorkers | None] = None

    def __init__(self) -> None:
        self._left: tuple[RayActorManager, _IdleWorkers] | None = None
        self._resources = (0.0, 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._release()

    def _release(self) -> None:
        left, self._left = self._left, None
        if left is not None and session_lost(look=True) is None:
            left[0].cleanup()

    @contextlib.contextmanager
    def serving(
        self, execution: ExecutionConfig, parameters: Mapping[str, Any], keeps: Callable[[], bool]
    ) -> Iterator[None]:
        """While open, a run of Tune begins with the workers that are left, and leaves those that are idle at its end.

        Args:
            execution: What each worker holds.
            parameters: What workers are to know of the run, for ``CellTrainable.enter``.
            keeps: Whether workers that become idle are kept for the next run.
        """
        resources = (execution.cpus, execution.gpus)
        if self._left is not None and not (
            self._resources == resources and _all_do(self._left[0], "enter", **parameters)
        ):
            self._release()
        self._resources = resources
        begin, clean_up = TuneController.__init__, TuneController._cleanup_trials

        def begin_with_them(controller: TuneController, *arguments: Any, **options: Any) -> None:
            begin(controller, *arguments, **options)
            if self._left is None:
                controller._actor_cache = _IdleWorkers()
            else:
                controller._actor_manager, controller._actor_cache = self._left
                self._left = None
            controller._actor_cache.keeps = keeps
            for worker in controller._actor_manager.live_actors:
                worker.set_on_stop(controller._actor_stopped)
                worker.set_on_error(controller._actor_failed)

        def leave_them(controller: TuneController) -> None:
            manager, idle = controller._actor_manager, controller._actor_cache
            if keeps() and not controller._actor_to_trial and idle.num_cached_objects:
                _end_others(manager, idle.workers)
                if set(manager.all_actors) == idle.workers and _all_do(manager, "rest"):
                    self._left = manager, idle
                    return
            idle.keeps = lambda: False
            clean_up(controller)

        TuneController.__init__, TuneController._cleanup_trials = begin_with_them, leave_them
        try:
            yield
        finally:
            TuneController.__init__, TuneController._cleanup_trials = begin, clean_up


@contextlib.contextmanager
def kept_workers() -> Iterator[None]:
    """While open, inside a session of Ray, each study begins with the workers that the one before has left."""
    with WarmWorkers() as workers:
        outer, WarmWorkers.kept = WarmWorkers.kept, workers
        try:
            yield
        finally:
            WarmWorkers.kept = outer


def _end_others(manager: RayActorManager, workers: set[Any]) -> None:
    """End all workers but these: some were asked for and came too late, since another had become idle."""
    for other in set(manager.all_actors) - workers:
        other.set_on_stop(None)
        other.set_on_error(None)
        manager.remove_actor(other, kill=True)
    until = time.monotonic() + WITHIN_S
    while set(manager.all_actors) != workers and time.monotonic() < until:
        manager.next(timeout=1)


def _all_do(manager: RayActorManager, method: str, **parameters: Any) -> bool:
    """Have every worker do something; returns whether all have."""
    actors = [actor for actor, _ in manager._live_actors_to_ray_actors_resources.values()]
    try:
        ray.get([getattr(actor, method).remote(**parameters) for actor in actors], timeout=WITHIN_S)
    except ray.exceptions.RayError:  # it has died, or takes too long
        return False
    return True
