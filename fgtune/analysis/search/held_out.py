"""What a choice is worth on seeds that had no part in it: each part of the seeds judges what the other parts choose.

The seeds that choose the best of many points flatter it, so an interval over the same seeds covers too little (60 to
90 % with 200 points). Here the seeds are dealt into at most five folds; a fold judges what the other folds choose.
Folds share most of the seeds that they choose on, so their differences are dependent; the variance of their mean is
therefore taken as (1 / folds + 1 / (folds - 1)) times theirs (Nadeau and Bengio 2003, with a test fold in folds - 1).
More folds than five would make the dependence larger than that: with 20 the intervals of a regret covered 86 %.
``benchmarks/selection.py`` has the simulations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from fgtune.analysis.formatting import interval, percent
from fgtune.analysis.verdicts.statistics import UNLIMITED, Limits, cut, t_quantile
from fgtune.arrays import FloatArray, IntArray
from fgtune.text import count

MOST_FOLDS = 5
FEWEST_SEEDS = 3
"""With fewer seeds there is no interval: two folds give one that is wider than any question."""

_RELATIVE_ZERO = 1e-12  # a spread below this share of the values is rounding
_ROOTS, _RAW_WEIGHTS = np.polynomial.legendre.leggauss(200)
_NODES, _WEIGHTS = (_ROOTS + 1) / 2, _RAW_WEIGHTS / 2  # Gauss-Legendre on (0, 1)


@dataclass(frozen=True)
class HeldOut:
    """A mean difference that is judged on seeds that did not choose.

    Attributes:
        n: Number of seeds that judge; 0 if undefined.
        folds: Number of parts that they are dealt into.
        mean: Mean over the folds; nan if n < 2.
        se: Standard error, with the correction for folds that share seeds; nan without an interval.
        low: Lower end of the Student-t interval with folds - 1 degrees of freedom; nan with fewer than three seeds, or
            if no fold differs from another.
        high: Upper end.
        limits: The smallest and the largest difference that the metric's range allows, where intervals end.
    """

    n: int
    folds: int
    mean: float
    se: float
    low: float
    high: float
    limits: Limits = UNLIMITED

    @property
    def has_interval(self) -> bool:
        """Whether there are enough seeds, with a spread."""
        return not math.isnan(self.se)

    def times(self, sign: float) -> HeldOut:
        """The same difference the other way round, if ``sign`` is -1."""
        if sign > 0:
            return self
        limits = (-self.limits[1], -self.limits[0])
        return HeldOut(self.n, self.folds, -self.mean, self.se, -self.high, -self.low, limits)

    def at(self, level: float) -> tuple[float, float]:
        """The interval at another confidence level, (nan, nan) if there is none."""
        if not self.has_interval:
            return math.nan, math.nan
        half = t_quantile(0.5 + level / 2, self.folds - 1) * self.se
        return cut((self.mean - half, self.mean + half), self.mean, self.limits)


UNDEFINED = HeldOut(0, 0, math.nan, math.nan, math.nan, math.nan)
"""Where nothing can be judged: a single seed, or values that are wanting."""


def folds_of(seeds: int) -> tuple[IntArray, ...]:
    """The positions of the seeds in each fold: one each for up to five seeds, then dealt one after the other."""
    positions = np.arange(seeds, dtype=np.int64)
    return tuple(positions[positions % min(seeds, MOST_FOLDS) == fold] for fold in range(min(seeds, MOST_FOLDS)))


def table_of(values: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> FloatArray:
    """Values as an array (points, seeds), nan where one is wanting."""
    rows = [[by_seed.get(seed, math.nan) for seed in seeds] for by_seed in values.values()]
    return np.array(rows, dtype=np.float64).reshape(len(values), len(seeds))


def means_without(scores: FloatArray) -> FloatArray:
    """(points, folds) means of scores (points, seeds) over the seeds of all other folds; at least two seeds."""
    return np.column_stack([np.delete(scores, fold, axis=1).mean(axis=1) for fold in folds_of(scores.shape[1])])


def choices(scores: FloatArray) -> IntArray:
    """The point that all other folds choose, for each fold: (folds,), the first of equals.

    Args:
        scores: (points, seeds), finite, larger is better; at least two seeds.
    """
    return choices_by(means_without(scores))


def choices_by(scores: FloatArray) -> IntArray:
    """The point that is best by the scores without each fold: (folds,), the first of equals; -1 if any is undefined.

    Args:
        scores: (points, folds), larger is better, each without the seeds of its fold.
    """
    chosen: IntArray = np.where(np.isfinite(scores).all(axis=0), scores.argmax(axis=0), -1).astype(np.int64)
    return chosen


def judged(values: FloatArray, chosen: IntArray) -> FloatArray:
    """The mean of each fold's choice on the seeds of that fold: (folds,).

    Args:
        values: (points, seeds) of what judges; nan where it is wanting.
        chosen: (folds,) points, as ``choices`` gives them; nothing is judged where one is -1.
    """
    folds = folds_of(values.shape[1])
    means = [values[point, fold].mean() if point >= 0 else math.nan for point, fold in zip(chosen, folds, strict=True)]
    return np.array(means)


def judged_mean(values: FloatArray) -> FloatArray:
    """The mean over all points on the seeds of each fold: (folds,); what a random choice gets."""
    return np.array([values[:, fold].mean() for fold in folds_of(values.shape[1])])


def held_out(one: FloatArray, two: FloatArray, seeds: int, level: float, limits: Limits = UNLIMITED) -> HeldOut:
    """The mean of ``one - two`` over the folds, with its interval.

    Args:
        one: (folds,) values of what was chosen.
        two: (folds,) values of what it is set against.
        seeds: Number of seeds in the folds together, >= 2.
        level: Confidence level.
        limits: The smallest and the largest difference that the metric's range allows; intervals end there.
    """
    gains = one - two
    if not np.isfinite(gains).all():
        return UNDEFINED
    folds, mean, spread = gains.size, float(gains.mean()), float(gains.std(ddof=1))
    size = max(float(np.abs(one).max()), float(np.abs(two).max()))
    if seeds < FEWEST_SEEDS or spread <= _RELATIVE_ZERO * size:
        return HeldOut(seeds, folds, mean, math.nan, math.nan, math.nan, limits)
    found = HeldOut(seeds, folds, mean, spread * math.sqrt(1 / folds + 1 / (folds - 1)), math.nan, math.nan, limits)
    low, high = found.at(level)
    return replace(found, low=low, high=high)


def chance_of_lead(scores: FloatArray, baseline: FloatArray) -> float:
    """How often the best of as many points would lead by as much, if no point differed from the baseline.

    The points' means about the baseline's have the distribution of Dunnett (1955), one-sided; the spread is that of all
    values around point and seed, with points * (seeds - 1) degrees of freedom. nan with one seed or without spread.

    Args:
        scores: (points, seeds), finite, larger is better.
        baseline: (seeds,), finite.
    """
    points, seeds = scores.shape
    if points < 1 or seeds < 2:
        return math.nan
    values = np.vstack([scores, baseline])
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    degrees = points * (seeds - 1)
    spread = math.sqrt(float((rest**2).sum()) / degrees)
    if spread <= _RELATIVE_ZERO * float(np.abs(values).max()):
        return math.nan
    lead = float(scores.mean(axis=1).max() - baseline.mean())
    return many_to_one_p(lead / (spread * math.sqrt(2 / seeds)), points, degrees)


def many_to_one_p(statistic: float, points: int, degrees: float) -> float:
    """P(the largest of ``points`` t statistics against one common control >= ``statistic``): Dunnett's, one-sided."""
    shift = statistic * math.sqrt(2) * np.sqrt(stats.chi2.ppf(_NODES, degrees) / degrees)  # (nodes of the spread,)
    control = special.ndtri(_NODES)  # (nodes of the control's mean,)
    below = np.exp(points * special.log_ndtr(shift[:, None] + control))
    return min(1.0, max(0.0, 1.0 - float(_WEIGHTS @ below @ _WEIGHTS)))


def held_out_words(found: HeldOut, level: float, *, sign: bool = False) -> str:
    """What a held-out difference rests on: its interval and number of seeds, or why there is no interval.

    Args:
        found: The difference, defined.
        level: Confidence level of the interval.
        sign: Whether the interval shows a plus sign.
    """
    seeds = count(found.n, "seed")
    if found.n < FEWEST_SEEDS:
        return f"no interval from {seeds}"
    if not found.has_interval:
        return f"the same on all of {seeds}"
    return f"{percent(level)} interval {interval(*found.at(level), sign=sign)}, n = {seeds}"
