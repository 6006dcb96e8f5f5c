"""New points of a search: how a sampler is asked until one comes that is feasible and unknown.

Every ask has a seed of its own, which follows from the suggestion's number and the attempt and from nothing else of the
call. So a search that was cut off can ask once more for what it was given before, and its sampler then knows what it
knew.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import optuna

from fgtune.config.arms.search import SearchPlan
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.space import InfeasibleError, Point
from fgtune.errors import ConfigError
from fgtune.results.records import CellState
from fgtune.streams import numpy_stream
from fgtune.tuning.search.optuna_study import OptunaStudy
from fgtune.tuning.search.suggestions import MAX_DRAWS, KnownPoints, PointResult

MAX_TRIES = {"gp": 20}
DEFAULT_TRIES = 100
"""Asks for one new feasible point; fewer for a sampler that takes half a second per ask."""
MAX_REPEATS = 8
"""Known points in a row after which a sampler that learns counts as converged."""
NEVER_LEARN = frozenset({"random", "qmc", "brute_force"})
"""Samplers whose points do not depend on how others ended."""


@dataclass(frozen=True)
class Proposal:
    """A feasible point that is not known yet.

    Attributes:
        trial: Optuna's trial of it.
        point: Values of the active parameters.
        config: The trial's config.
    """

    trial: optuna.Trial
    point: Point
    config: BaseTrialConfig


class Proposals:
    """Asks Optuna for new points, and tells it at once what became of all others.

    Args:
        plan: Sampler, seed, start points and space.
        study: Optuna's study.
        points: What is known.

    Attributes:
        reused: Number of proposals answered from known results.
        rejected: Number of infeasible proposals.
    """

    def __init__(self, plan: SearchPlan, study: OptunaStudy, points: KnownPoints) -> None:
        self._design, self._space, self._study, self._points = plan.design, plan.space, study, points
        self.reused = self.rejected = 0
        parameters = plan.space.parameters
        self._start: list[Point] = [
            {path: parameters[path].canonical(value) for path, value in fixed.items()} for fixed in plan.design.start
        ]

    def new(self, number: int) -> Proposal | None:
        """The point of suggestion ``number``; None if every point of the space is known or running.

        Raises:
            ConfigError: No new feasible point was found in an infinite space.
        """
        attempts = itertools.count()
        for _ in self._tries():
            proposal = self._try(number, next(attempts), self._start.pop(0) if self._start else None)
            if proposal is not None:
                return proposal
        return self._unseen(number, attempts)

    def again(self, number: int, config: BaseTrialConfig) -> Proposal | None:
        """Ask as the call that proposed suggestion ``number`` did; None if the answer is another one now.

        On the way Optuna's study gets what it had then: rejected points, known ones, and what samplers keep.
        """
        start = list(self._start)
        try:
            proposal = self.new(number)
        except ConfigError:
            proposal = None
        if proposal is not None and self._points.is_same(proposal.config, config):
            return proposal
        if proposal is not None:
            self._study.tell(proposal.trial, PointResult(CellState.FAIL))
        self._start = start
        return None

    def fixed(self, number: int, point: Point) -> Proposal | None:
        """The proposal of a point that is known; None if its conditions cannot be evaluated."""
        asked = self._study.ask(number, 0, point)
        return None if asked is None else Proposal(*asked, self._space.config(asked[1]))

    def pass_over(self, suggestions: int) -> None:
        """Drop the start points of suggestions that an earlier call made and this one did not ask for again."""
        del self._start[:suggestions]

    def _tries(self) -> Iterator[None]:
        """Once for every ask that one new point may take."""
        sampler, reused = self._design.sampler.kind, self.reused
        # One that does not learn may propose all known points once more, where they were not asked for again.
        repeats = len(self._points) if sampler in NEVER_LEARN else MAX_REPEATS
        for _ in range(MAX_TRIES.get(sampler, DEFAULT_TRIES) + repeats):
            if self.reused - reused > repeats:
                return
            yield

    def _try(self, number: int, attempt: int, fixed: Point | None = None) -> Proposal | None:
        """Ask the sampler once; None for an infeasible or known point, which Optuna learns immediately."""
        asked = self._study.ask(number, attempt, fixed)
        if asked is None:
            self.rejected += 1
            return None
        trial, point = asked
        try:
            config = self._space.config(point)
        except InfeasibleError as error:
            self.rejected += 1
            self._study.reject(trial, error)
            return None
        if config not in self._points:
            return Proposal(trial, point, config)
        self.reused += 1
        # While the same point is still running, this proposal can only be reported as a failure.
        self._study.tell(trial, self._points.get(config) or PointResult(CellState.FAIL))
        return None

    def _unseen(self, number: int, attempts: Iterator[int]) -> Proposal | None:
        """A new feasible point drawn at random, for samplers that propose only known or infeasible ones."""
        rng = numpy_stream(self._design.design_seed, "unseen", number)
        for point in self._points.new_points(rng):
            proposal = self._try(number, next(attempts), point)
            if proposal is not None:
                return proposal
        if self._space.max_size is not None:
            return None
        rule = f"leaves no new point: the sampler and {MAX_DRAWS} random points gave none that its constraints allow"
        raise ConfigError(rule, path="design.space", fix="loosen the constraints, or widen the domains")
