"""What a search knows of points: those it suggests, those of earlier calls and studies, and how each one ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.expression import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.results.records import CellState

MAX_DRAWS = 4000
"""Random points looked at for a new one when the sampler finds none; a space of no more points is enumerated."""


@dataclass(frozen=True)
class Suggestion:
    """A point to run.

    Attributes:
        number: Counts the points of a search; the arm is named after it.
        point: Values of the active parameters.
        arm: As the plan would have it.
        cells: What to run: one cell a seed, configs resolved.
    """

    number: int
    point: Mapping[str, Any]
    arm: Arm
    cells: tuple[Cell, ...]

    @property
    def config(self) -> TrialConfig:
        """The resolved trial config."""
        return self.cells[0].config


@dataclass(frozen=True)
class KnownTrial:
    """A point of which something is known from before: from the ledger, the baseline, or an earlier study.

    Attributes:
        arm: ``trial-0007``, ``baseline``, or a name that says which study it is of.
        number: Of the suggestion; None for a point that is none of this search's suggestions.
        point: Values of the active parameters.
        state: How it ended; None for a suggestion that did not end yet, which is then handed out again.
        values: One an objective, where it is COMPLETE.
        intermediate: The objective by epoch, of a search with one.
        cell_ids: Its cells.
        fork: Of a trial that went on from another one's training; its value is none of a whole trial at its point.
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
    """How a point ended, as ``KnownTrial`` has it."""

    state: CellState
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)


class KnownPoints:
    """Every point that ended or is under way. Two points with the same resolved config are the same trial.

    Args:
        space: What is searched.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._results: dict[str, PointResult | None] = {}
        self._enumerated: dict[str, Point] | None = None

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, config: TrialConfig) -> bool:
        return self._key(config) in self._results

    def get(self, config: TrialConfig) -> PointResult | None:
        """How the point with this trial ended; None while it runs, and for a new one."""
        return self._results.get(self._key(config))

    def __setitem__(self, config: TrialConfig, result: PointResult | None) -> None:
        """``result`` is None for a point that is under way."""
        self._results[self._key(config)] = result

    def _key(self, config: TrialConfig) -> str:
        return Cell("", 0, self._space.resolve(config), {}).config_hash

    @property
    def is_exhausted(self) -> bool:
        """Whether a space that can be enumerated has no point left."""
        size = self._space.max_size
        if size is None or size > MAX_DRAWS:
            return False
        if self._enumerated is None:
            self._enumerated = dict(self._feasible(self._space.points()))
        return self._enumerated.keys() <= self._results.keys()

    def new_points(self, rng: np.random.Generator) -> Iterator[Point]:
        """Feasible points in random order that are not known when it comes to them."""
        if self._enumerated is not None:
            listed = list(self._enumerated.items())
            candidates = iter([listed[int(rank)] for rank in rng.permutation(len(listed))])
        else:
            candidates = self._feasible(self._drawn(rng))
        for key, point in candidates:
            if key not in self._results:
                yield point

    def _drawn(self, rng: np.random.Generator) -> Iterator[Point]:
        """Random points, feasible or not; fewer where conditions cannot be evaluated."""
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
