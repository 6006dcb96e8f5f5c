"""What a contrast is judged by: its mean difference, or a summary that no single seed can carry, each with its tests.

The mean answers what a setting is worth over all seeds, collapsed ones included, and needs differences that are roughly
normal. The median and the probability of improvement answer what it is worth on a typical seed: their intervals and
tests (sign test; Clopper and Pearson 1934) hold whatever the distribution. The trimmed mean (Tukey and McLaughlin
1963; Yuen 1974) lies between the two; its t-test is believed only as far as the sign test goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import stats

from fgtune.analysis.verdicts.statistics import PairedContrast, cut, mean_interval, t_quantile, t_tail
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import Direction

SummaryKind = Literal["mean", "median", "trimmed_mean", "improvement"]
KINDS: tuple[SummaryKind, ...] = ("mean", "median", "trimmed_mean", "improvement")
_TRIM = 0.2
"""Share of the differences that the trimmed mean leaves out at either end."""


@dataclass(frozen=True)
class Summary:
    """One summary of paired differences.

    Attributes:
        kind: Which one.
        value: In the metric's unit; for ``improvement`` the share of pairs in which the arm is better, ties half.
        low: Lower end of its interval; nan if there are too few pairs for one.
        high: Upper end.
        p: Two-sided test that there is no difference; nan if it cannot be made.
    """

    kind: SummaryKind
    value: float
    low: float
    high: float
    p: float

    @property
    def centre(self) -> float:
        """The value without a difference: 0, or one half for ``improvement``."""
        return 0.5 if self.kind == "improvement" else 0.0

    def is_better(self, sign: float) -> bool:
        """Whether it speaks for the arm; ``sign`` is -1 for a metric to minimise (a share never is), else 1."""
        return (1.0 if self.kind == "improvement" else sign) * (self.value - self.centre) > 0


def summaries(contrast: PairedContrast, direction: Direction, level: float) -> tuple[Summary, ...]:
    """Every summary of a contrast, the mean first; without pairs all values are nan.

    Args:
        contrast: The paired differences.
        direction: Which way the metric is better; ``none`` has no improvement.
        level: Confidence level.
    """
    return tuple(summary_of(kind, contrast, direction, level) for kind in KINDS)


def summary_of(kind: SummaryKind, contrast: PairedContrast, direction: Direction, level: float) -> Summary:
    """One summary of a contrast; arguments as for ``summaries``."""
    differences = np.array(contrast.differences)
    if kind == "mean" or not contrast.n:
        estimate = contrast.estimate
        return Summary(kind, estimate.mean, estimate.low, estimate.high, contrast.p_value)
    if kind == "median":
        low, high = median_interval(differences, level)
        return Summary(kind, float(np.median(differences)), low, high, sign_p(differences))
    if kind == "trimmed_mean":
        mean, error, freedom = _trimmed(differences)
        half = t_quantile(0.5 + level / 2, freedom) * error if freedom > 0 else math.nan
        p = 2 * t_tail(abs(mean) / error, freedom) if freedom > 0 and error > 0 else math.nan
        p = max(p, sign_p(differences))  # alone, it is misled where what is left lies in one of two groups
        return Summary(kind, mean, *cut((mean - half, mean + half), mean, contrast.limits), p)
    if direction == "none":
        return Summary(kind, math.nan, math.nan, math.nan, math.nan)
    gains = differences if direction == "maximize" else -differences
    better, ties = int((gains > 0).sum()), int((gains == 0).sum())
    low, high = share_interval(better, better + ties, contrast.n, level)
    return Summary(kind, (better + ties / 2) / contrast.n, low, high, sign_p(gains))


def equivalence_p(kind: SummaryKind, contrast: PairedContrast, margin: float, least_sd: float = 0.0) -> float:
    """Two one-sided tests (Schuirmann 1987) that a summary lies within the margin: the larger of both p-values.

    Args:
        kind: The summary; ``improvement`` is no difference in the metric's unit, and has none.
        contrast: The paired differences.
        margin: A smaller difference is unimportant, > 0.
        least_sd: Standard deviation that the differences have at least, from the metric's grain.

    Returns:
        nan with fewer than three pairs, or without any variation.
    """
    return max(margin_ps(kind, contrast, margin, least_sd))


def margin_ps(kind: SummaryKind, contrast: PairedContrast, margin: float, least_sd: float = 0.0) -> tuple[float, float]:
    """One-sided tests that a summary lies above minus the margin, and that it lies below the margin.

    Arguments as for ``equivalence_p``; both are nan where that is.
    """
    differences, n = np.array(contrast.differences), contrast.n
    if n < 3 or kind == "improvement" or contrast.estimate.sd == 0.0:
        return math.nan, math.nan
    if kind == "median":
        return sign_margin_ps(differences, margin)
    value, error, freedom = contrast.estimate.mean, max(contrast.estimate.sd, least_sd) / math.sqrt(n), n - 1
    if kind == "trimmed_mean":
        value, error, freedom = _trimmed(differences)
        error = max(error, least_sd / math.sqrt(n))
        if error == 0.0:
            return math.nan, math.nan
    ends = t_tail((value + margin) / error, freedom), t_tail((margin - value) / error, freedom)
    if kind == "trimmed_mean":
        signs = sign_margin_ps(differences, margin)
        return max(ends[0], signs[0]), max(ends[1], signs[1])
    return ends


def sign_margin_ps(differences: FloatArray | Sequence[float], margin: float) -> tuple[float, float]:
    """One-sided sign tests that the median lies above minus the margin, and below it; values may be infinite."""
    array = np.asarray(differences, dtype=np.float64)
    above, below = int((array > -margin).sum()), int((array < margin).sum())
    return _at_least(above, array.size), _at_least(below, array.size)


def median_interval(values: FloatArray, level: float) -> tuple[float, float]:
    """The interval of the median from two order statistics, which covers at least ``level`` for any distribution.

    Returns:
        nan where even smallest and largest value do not cover it: with fewer than six values at 95 %.
    """
    ordered, n = np.sort(values), len(values)
    rank = _outside(n, level)
    return (float(ordered[rank]), float(ordered[n - 1 - rank])) if rank >= 0 else (math.nan, math.nan)


@lru_cache(maxsize=1024)
def _outside(n: int, level: float) -> int:
    """The most of n values that may lie outside the interval of their median at either end; -1 where there is none."""
    rank = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    return rank - 1 if stats.binom.cdf(rank, n, 0.5) > (1 - level) / 2 else rank


def sign_p(values: FloatArray | Sequence[float]) -> float:
    """Two-sided sign test that the median is 0; a value of exactly 0 speaks for neither side. nan without values."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return math.nan
    larger = max(int((array > 0).sum()), int((array < 0).sum()))
    return min(1.0, 2 * _at_least(larger, array.size))


@lru_cache(maxsize=4096)
def _at_least(heads: int, tosses: int) -> float:
    """The probability of at least so many heads: a study asks for the same few numbers again and again."""
    return float(stats.binom.sf(heads - 1, tosses, 0.5))


def _trimmed(values: FloatArray) -> tuple[float, float, int]:
    """Trimmed mean, its standard error from the winsorised variance, and degrees of freedom (0 for one value)."""
    ordered, n = np.sort(values), len(values)
    cut = int(_TRIM * n)
    kept = n - 2 * cut
    if kept < 2:
        return float(ordered.mean()), math.nan, 0
    inner = ordered[cut : n - cut]
    winsorised = np.clip(ordered, inner[0], inner[-1])
    sd = mean_interval(winsorised).sd
    return float(inner.mean()), sd * math.sqrt((n - 1) / (kept * (kept - 1))), kept - 1


@lru_cache(maxsize=4096)
def share_interval(fewest: int, most: int, n: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of n, from ``fewest`` to ``most`` successes."""
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, fewest, n - fewest + 1)) if fewest else 0.0
    high = float(stats.beta.ppf(1 - tail, most + 1, n - most)) if most < n else 1.0
    return low, high
