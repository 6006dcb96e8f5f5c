"""Elasticity: percent change of a metric per percent change of a factor, from a straight line on log scales by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.verdicts.combining import Gains
from fgtune.analysis.verdicts.judgement import LostCells
from fgtune.analysis.verdicts.statistics import PairedContrast, contrast_of

_FEWEST_LEVELS = 3
_LEAST_SPAN = 10.0
"""Listed levels that span at least this factor vary on a log scale."""


@dataclass(frozen=True)
class Elasticity:
    """The slope of a metric over the logarithm of a factor.

    Attributes:
        relative: Whether the metric's logarithm is taken too, so that the slope is percent per percent; if not, it is
            the metric's change per tenfold factor.
        slope: By seed, with its interval over seeds; mean over the range, where the curve bends.
        bend: Curvature by seed: what is left of the line at the ends less that in the middle, by a parabola.
        low: Smallest level.
        high: Largest level.
        left_out: Seeds that lack a level's value because a cell was lost.
    """

    relative: bool
    slope: PairedContrast
    bend: PairedContrast
    low: float
    high: float
    left_out: int


def on_log_levels(levels: Sequence[float], *, log_range: bool) -> bool:
    """Whether a factor with these levels varies on a log scale, by its range or its span, in at least three levels."""
    enough = len(set(levels)) >= _FEWEST_LEVELS and min(levels) > 0
    return enough and (log_range or max(levels) / min(levels) >= _LEAST_SPAN)


def elasticity(gains: Gains, arms: Sequence[tuple[str, float]], sign: float, *, ratio_scale: bool) -> Elasticity:
    """The slope by seed, over the seeds at which every level has a value.

    Args:
        gains: The arms' values.
        arms: Name and level of every arm; at least three positive levels.
        sign: What turns gains back into the metric: -1 where smaller is better.
        ratio_scale: Whether ratios of the metric mean something, since it has a true zero.
    """
    seeds = sorted(set.intersection(*(set(gains.values[arm]) for arm, _ in arms)))
    table = sign * np.array([[gains.values[arm][seed] for seed in seeds] for arm, _ in arms])  # (levels, seeds)
    relative = ratio_scale and bool((table > 0).all())
    x = np.log(np.array([level for _, level in arms]))
    y = np.log(table) if relative else table
    unit = 1.0 if relative else math.log(10.0)
    line = x - x.mean()
    curve = line**2 - np.polyval(np.polyfit(line, line**2, 1), line)  # orthogonal to constant and line
    lost = {seed for arm, _ in arms for seed in gains.lost.get(arm, LostCells()).seeds}
    return Elasticity(
        relative=relative,
        slope=contrast_of((unit * line / (line @ line)) @ y, seeds, level=gains.level),
        bend=contrast_of((curve / (curve @ curve)) @ y, seeds, level=gains.level),
        low=min(level for _, level in arms),
        high=max(level for _, level in arms),
        left_out=len(lost),
    )
