"""Tests and intervals of variances of a few values: standard deviations, ratios, shares of a total.

Intervals of shares are modified large-sample ones (Graybill and Wang 1980, differences as in Ting, Burdick, Graybill,
Jeyaratnam and Lu 1990, without their cross terms), inverted as Fieller's: a share belongs to the interval if 0 is in
that of numerator minus share times total. Degrees of freedom follow from the kurtosis of all arms together (Shoemaker
2003), since intervals of variances that take values to be normal are too narrow where these have heavier tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from fgtune.arrays import FloatArray

_ROUNDING = 1e-20


@dataclass(frozen=True)
class Term:
    """A variance with a weight, in a sum of variances.

    Attributes:
        weight: What it counts; may be negative.
        variance: Its estimate, >= 0.
        df: Its degrees of freedom, > 0.
    """

    weight: float
    variance: float
    df: float


def degrees_of_freedom(groups: Sequence[FloatArray]) -> list[float]:
    """Degrees of freedom of the sample variance of each group, n - 1 for normal values and fewer with heavier tails.

    Args:
        groups: Values of each group, two at least; groups that do not vary say nothing about the tails.
    """
    fourth, total = 0.0, 0
    for values in groups:
        n, deviations = len(values), values - values.mean()
        second = float(np.mean(deviations**2))
        if second > 0:
            # Mean z^4 of n normal values is 3 (n - 1) / (n + 1).
            fourth += n * float(np.mean(deviations**4)) / second**2 * (n + 1) / (n - 1)
            total += n
    kurtosis = fourth / total if total else 3.0
    found = []
    for values in groups:
        n = len(values)
        spread = kurtosis - (n - 3) / (n - 1)  # 2 n / (n - 1) for normal values
        found.append(min(n - 1.0, 2 * n / spread) if spread > 0 else n - 1.0)
    return found


@lru_cache(maxsize=256)  # a study asks for those of each arm again and again
def _reach(df: float, level: float) -> tuple[float, float]:
    """How far below and above its estimate a variance may lie, as shares of the estimate."""
    tail = (1 - level) / 2
    return 1 - df / float(stats.chi2.isf(tail, df)), df / float(stats.chi2.ppf(tail, df)) - 1


def sd_interval(variance: float, df: float, level: float) -> tuple[float, float]:
    """The chi-square interval of a standard deviation."""
    below, above = _reach(df, level)
    return math.sqrt(variance * (1 - below)), math.sqrt(variance * (1 + above))


def ratio_interval(top: Term, total: Term, level: float) -> tuple[float, float]:
    """The F interval of a ratio of two independent variances (their weights do not count)."""
    ratio, tail = top.variance / total.variance, (1 - level) / 2
    return ratio / float(stats.f.isf(tail, top.df, total.df)), ratio / float(stats.f.ppf(tail, top.df, total.df))


def share_interval(terms: Sequence[Term], total: Term, level: float) -> tuple[float, float]:
    """The modified large-sample interval of a weighted sum of variances divided by another variance.

    Args:
        terms: The sum.
        total: What it is divided by; its variance is above 0, its weight does not count.
        level: Confidence level in (0, 1).
    """
    value = sum(term.weight * term.variance for term in terms)
    below = above = 0.0
    for term in terms:
        down, up = (reach * abs(term.weight) * term.variance for reach in _reach(term.df, level))
        down, up = (down, up) if term.weight > 0 else (up, down)
        below, above = below + down**2, above + up**2
    down, up = _reach(total.df, level)
    low, high = _lower(value, below, down, up), -_lower(-value, above, down, up)
    return low / total.variance, high / total.variance


def _lower(value: float, below: float, down: float, up: float) -> float:
    """The x with value - x = sqrt(below + (x reach)^2), the reach being ``up`` for x > 0 and ``down`` for x < 0."""
    excess = value**2 - below
    reach = up if value > math.sqrt(below) else down
    root = math.sqrt(max(value**2 - (1 - reach**2) * excess, 0.0))
    if value > 0:  # both forms are the same root; each loses no digits in its case
        return excess / (value + root)
    return (value - root) / (1 - reach**2)


def brown_forsythe(one: FloatArray, other: FloatArray) -> float:
    """Two-sided p-value that two groups spread alike (Brown and Forsythe 1974): t-test of distances from the medians.

    It keeps its level for skewed and heavy-tailed values, where the F test of two variances does not. nan where no
    distance differs from those of its group, as for two values each, so that nothing shows how much they vary.
    """
    first, second = (np.abs(values - np.median(values)) for values in (one, other))
    df = len(first) + len(second) - 2
    within = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum())
    between = float(first.mean() - second.mean())
    if within <= _ROUNDING * (float((first**2).sum()) + float((second**2).sum())):
        return math.nan
    t = between / math.sqrt(within / df * (1 / len(first) + 1 / len(second)))
    return 2 * float(stats.t.sf(abs(t), df))
