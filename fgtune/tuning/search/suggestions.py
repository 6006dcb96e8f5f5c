"""The points of a search: those it suggests, those known from earlier calls and studies, and how each ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.expression import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.results.records import CellState

MAX_DRAWS = 4000
"""Random points tried when the sampler finds no new one; a space with at most this many points is enumerated."""


@dataclass(frozen=True)
class Suggestion:
    """A point to run.

    Attributes:
        number: Number of the point in the search; the arm is named after it.
        point: Values of the active parameters.
        arm: The point as an arm of the plan.
        cells: One cell per seed, with resolved configs.
    """

    number: int
    point: Mapping[str, Any]
    arm: Arm
    cells: tuple[Cell, ...]

    @property
    def config(self) -> BaseTrialConfig:
        """The resolved trial config."""
        return self.cells[0].config


@dataclass(frozen=True)
class KnownTrial:
    """A point known in advance: from the ledger, the baseline, or an earlier study.

    Attributes:
        arm: ``trial-0007``, ``baseline``, or a name that includes the earlier study.
        number: The suggestion's number; None for a point that is not a suggestion of this search.
        point: Values of the active parameters.
        state: How it ended; None for an unfinished suggestion, which is handed out again.
        values: One per objective, if it is COMPLETE.
        intermediate: The objective by epoch, in a search with one objective.
        cell_ids: Its cells.
        fork: Where a fork started from; its value is not that of a full trial at its point.
    """

    arm: str
    number: int | None
    point: Mapping[str, Any]
    state: CellState | None
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    cell_ids: tuple[str, ...] = ()
    fork: Fork | None = None


@dataclass(frozen=True)
class PointResult:
    """How a point ended; the fields are those of ``KnownTrial``."""

    state: CellState
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)


class KnownPoints:
    """Every point that has ended or is running. Two points with the same resolved config are the same trial.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._results: dict[str, PointResult | None] = {}
        self._enumerated: dict[str, Point] | None = None

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, config: BaseTrialConfig) -> bool:
        return self._key(config) in self._results

    def get(self, config: BaseTrialConfig) -> PointResult | None:
        """How the point with this trial ended; None while it runs and for a new one."""
        return self._results.get(self._key(config))

    def __setitem__(self, config: BaseTrialConfig, result: PointResult | None) -> None:
        """``result`` is None for a running point."""
        self._results[self._key(config)] = result

    def is_same(self, one: BaseTrialConfig, other: BaseTrialConfig) -> bool:
        """Whether two points are the same trial."""
        return self._key(one) == self._key(other)

    def _key(self, config: BaseTrialConfig) -> str:
        return Cell("", 0, self._space.resolve(config), {}).config_hash

    @property
    def is_exhausted(self) -> bool:
        """Whether an enumerable space has no point left."""
        enumerated = self._feasible_points()
        return enumerated is not None and enumerated.keys() <= self._results.keys()

    def _feasible_points(self) -> Mapping[str, Point] | None:
        """All feasible points of an enumerable space; None for another one."""
        size = self._space.max_size
        if size is None or size > MAX_DRAWS:
            return None
        if self._enumerated is None:
            self._enumerated = dict(self._feasible(self._space.points()))
        return self._enumerated

    def new_points(self, rng: np.random.Generator) -> Iterator[Point]:
        """Feasible points in random order, skipping those known by the time they come up."""
        if (enumerated := self._feasible_points()) is not None:
            listed = list(enumerated.items())
            candidates = iter([listed[int(rank)] for rank in rng.permutation(len(listed))])
        else:
            candidates = self._feasible(self._drawn(rng))
        for key, point in candidates:
            if key not in self._results:
                yield point

    def _drawn(self, rng: np.random.Generator) -> Iterator[Point]:
        """Random points, feasible or not; fewer if conditions cannot be evaluated."""
        for _ in range(MAX_DRAWS):
            try:
                yield self._space.draw(rng)
            except EvaluationError:
                continue

    def _feasible(self, points: Iterator[Point]) -> Iterator[tuple[str, Point]]:
        for point in points:
            try:
                yield self._key(self._space.config(point)), point
            except InfeasibleError:
                continue
