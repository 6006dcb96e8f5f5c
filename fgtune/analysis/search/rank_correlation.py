"""Spearman's rank correlation with an interval that holds from five points on, also with ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from fgtune.analysis.search.held_out import folds_of, means_without
from fgtune.arrays import FloatArray

_FEWEST_RANKED = 5


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation over points, signed so that 1 means that both metrics agree on what is better.

    Attributes:
        n: Number of points with both.
        rho: In [-1, 1]; nan with fewer than three points or without variation.
        low: Lower end of the interval (Bonett and Wright 2000); nan with fewer than five points. It is about the values
            as measured: the noise of few seeds draws a correlation towards 0.
        high: Upper end.
    """

    n: int
    rho: float
    low: float
    high: float

    def at(self, level: float) -> tuple[float, float]:
        """The interval at another confidence level, (nan, nan) if there is none."""
        return rank_interval(self.rho, self.n, level)


def spearman(one: Sequence[float], two: Sequence[float], level: float = 0.95) -> RankCorrelation:
    """Spearman's rank correlation with its interval.

    Args:
        one: (n,) finite numbers.
        two: (n,) finite numbers.
        level: Confidence level.
    """
    n = len(one)
    if n < 3 or len(set(one)) < 2 or len(set(two)) < 2:
        return RankCorrelation(n, math.nan, math.nan, math.nan)
    rho = min(max(float(stats.spearmanr(one, two).statistic), -1.0), 1.0)
    return RankCorrelation(n, rho, *rank_interval(rho, n, level))


def held_out_correlation(one: FloatArray, two: FloatArray, level: float = 0.95) -> RankCorrelation:
    """The rank correlation of one metric with another on other seeds, averaged over the folds of the seeds.

    Noise that moves both metrics of a cell together, or against each other, makes a correlation between points that do
    not differ. It makes none between different seeds. The interval is that of a single correlation: a mean of several
    varies less, so it is conservative.

    Args:
        one: (points, seeds), finite, at least two seeds.
        two: The same for the other metric.
        level: Confidence level.
    """
    return correlation_with_folds(means_without(one), two, level)


def correlation_with_folds(one: FloatArray, two: FloatArray, level: float = 0.95) -> RankCorrelation:
    """The same of a metric that is given without the seeds of each fold.

    Args:
        one: (points, folds), finite.
        two: (points, seeds) of the other metric, finite, at least two seeds.
        level: Confidence level.
    """
    found = [
        spearman(one[:, rank].tolist(), two[:, fold].mean(axis=1).tolist()).rho
        for rank, fold in enumerate(folds_of(two.shape[1]))
    ]
    rho = math.fsum(found) / len(found)  # nan where a metric does not vary
    return RankCorrelation(one.shape[0], rho, *rank_interval(rho, one.shape[0], level))


def rank_interval(rho: float, n: int, level: float) -> tuple[float, float]:
    """The interval of a rank correlation by Fisher's z with the variance of Bonett and Wright (2000).

    A correlation of 1 or -1 has no z; half a swap of neighbours is taken off. (nan, nan) with fewer than five points.

    Args:
        rho: The correlation; nan gives no interval.
        n: Number of points.
        level: Confidence level.
    """
    if n < _FEWEST_RANKED or math.isnan(rho):
        return math.nan, math.nan
    most = 1 - 6 / (n * (n**2 - 1))
    inner = min(max(rho, -most), most)
    half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt((1 + inner**2 / 2) / (n - 3))
    centre = math.atanh(inner)
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return min(low, rho), max(high, rho)
