"""Points of a search space by what tells them apart: two with the same resolved config are the same trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fgtune.config.arms.records import Cell
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.operations import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace


def key_of(resolved: TrialConfig) -> str:
    """The key of a trial: its config hash, as its cells have it."""
    return Cell("", 0, resolved, {}).config_hash


def keyed(space: SearchSpace, points: Iterable[Point]) -> Iterator[tuple[str, Point]]:
    """The feasible ones of some points, with their keys."""
    for point in points:
        try:
            yield key_of(space.resolve(space.config(point))), point
        except InfeasibleError:
            continue


def drawn(space: SearchSpace, rng: np.random.Generator, count: int) -> Iterator[Point]:
    """Random points, feasible or not; fewer than ``count`` where conditions cannot be evaluated."""
    for _ in range(count):
        try:
            yield space.draw(rng)
        except EvaluationError:
            continue
