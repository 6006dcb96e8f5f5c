"""Intervals, paired contrasts and their corrections for a handful of seeds; knows neither files nor figures.

Intervals are Student-t: with five seeds a 95 % percentile bootstrap covers only about 84 %, and a studentised one is
much wider, while both miss the same tails that t misses. Contrasts are paired, because arms with the same seed share
split, initial weights and data order. The sign-flip test is Fisher's exact randomisation test for paired data; Holm
(1979) controls the family-wise error of several contrasts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.catalog.spec import Direction
from fgtune.streams import numpy_stream

_RESOLUTION = 1e-7  # a standard deviation below this share of the values is the rounding of 32-bit numbers
_EXACT_PAIRS = 40  # 2 * 2^20 half sums; with more pairs the sign-flip test is sampled
_SAMPLED_FLIPS = 100_000
Limits = tuple[float, float]
UNLIMITED: Limits = (-math.inf, math.inf)


@lru_cache(maxsize=4096)
def t_quantile(share: float, freedom: float) -> float:
    """The quantile of Student's t: what ``scipy.stats.t.ppf`` gives, which takes a hundred times as long."""
    from scipy.special import stdtrit  # here, as the status of a folder needs none of it

    return float(stdtrit(freedom, share))


def t_tail(value: float, freedom: float) -> float:
    """The probability that Student's t is above ``value``: what ``scipy.stats.t.sf`` gives, forty times as fast."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -value))


@dataclass(frozen=True)
class Estimate:
    """A mean and its confidence interval.

    Attributes:
        n: Number of values.
        mean: Their mean; nan if n = 0.
        sd: Sample standard deviation (n - 1 in the denominator); nan if n < 2.
        low: Lower end of the interval; nan if n < 2.
        high: Upper end of the interval.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float

    def at(self, level: float) -> tuple[float, float]:
        """The interval at another confidence level; (nan, nan) if n < 2."""
        if self.n < 2:
            return math.nan, math.nan
        half = t_quantile(0.5 + level / 2, self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def within(self, limits: Limits) -> Estimate:
        """The estimate of a mean of values that lie within limits: its interval without what no mean can be."""
        low, high = cut((self.low, self.high), self.mean, limits)
        return replace(self, low=low, high=high)


def cut(ends: tuple[float, float], mean: float, limits: Limits) -> tuple[float, float]:
    """An interval without what lies beyond ``limits``, where the quantity cannot be: it covers as often as before.

    Args:
        ends: Its ends; nan where there is none, and stays so.
        mean: What it is around, and what it always holds, were it itself beyond the limits.
        limits: The smallest and the largest possible value; infinite for none.
    """
    (low, high), (least, most) = ends, limits
    return (low, high) if math.isnan(low) else (max(low, min(least, mean)), min(high, max(most, mean)))


@dataclass(frozen=True)
class PairedContrast:
    """An arm against the baseline, over the seeds that both have.

    Attributes:
        seeds: The seeds that form a pair.
        differences: Arm minus baseline, one per pair, in the order of ``seeds``.
        estimate: Mean difference with its t interval, as far as the metric's range lets a difference go.
        baseline_mean: Mean of the baseline over the same seeds; nan without pairs.
        p_t: Two-sided paired t-test; nan if n < 2 or the differences do not vary.
        p_exact: Two-sided sign-flip test; nan if n < 1.
        p_floor: Smallest value that ``p_exact`` can take with n pairs, 2 / 2^n (1 for n = 0).
        effect_size: d_z, the mean difference in standard deviations of the differences; nan if ``p_t`` is.
        improved: Share of pairs in which the arm is better (ties count half); nan without pairs or a direction.
        limits: The smallest and the largest mean difference that the metric's range allows.
    """

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    estimate: Estimate
    baseline_mean: float
    p_t: float
    p_exact: float
    p_floor: float
    effect_size: float
    improved: float
    limits: Limits = UNLIMITED

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.differences)

    @property
    def p_value(self) -> float:
        """The p-value for the verdict: that of the t-test, or the exact one if all differences are equal."""
        if self.n < 2:
            return math.nan
        return self.p_exact if math.isnan(self.p_t) else self.p_t


def _finite(values: Sequence[float] | FloatArray) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"values must be a flat sequence of finite numbers, got shape {array.shape}")
    return array


def _spread(array: FloatArray, scale: float) -> float:
    """Sample standard deviation; exactly 0 if values of size ``scale`` differ only by rounding."""
    sd = float(array.std(ddof=1))
    return 0.0 if sd <= _RESOLUTION * scale else sd


def mean_interval(values: Sequence[float] | FloatArray, level: float = 0.95, scale: float | None = None) -> Estimate:
    """The mean with its Student-t interval.

    Args:
        values: (n,) finite numbers; n = 0 gives nan throughout, n = 1 a mean without an interval.
        level: Confidence level in (0, 1).
        scale: Size of the numbers that ``values`` were computed from, if it is not their own: whether differences vary
            is judged on it, since differences of large numbers carry the rounding of these.

    Raises:
        ValueError: Non-finite values, which the caller has to count separately.
    """
    array = _finite(values)
    n = array.size
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan)
    mean = float(array.mean())
    if n == 1:
        return Estimate(1, mean, math.nan, math.nan, math.nan)
    sd = _spread(array, float(np.abs(array).max()) if scale is None else scale)
    low, high = Estimate(n, mean, sd, math.nan, math.nan).at(level)
    return Estimate(n, mean, sd, low, high)


def _signed_sums(values: FloatArray) -> FloatArray:
    """Sums under all 2^n choices of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


@lru_cache(maxsize=2)
def _flips(n: int) -> FloatArray:
    """(choices, n) signs from a fixed stream, drawn once for all contrasts of so many pairs."""
    signs = numpy_stream(0, "sign_flip", n).integers(0, 2, size=(_SAMPLED_FLIPS, n), dtype=np.int8) * 2 - 1
    return signs.astype(np.float64)


def sign_flip_p(differences: Sequence[float] | FloatArray) -> float:
    """Two-sided sign-flip test of paired differences: the share of sign choices with a mean at least as far from 0.

    Exact up to 40 pairs: the 2^n signed sums are counted from two sorted halves of 2^(n/2). With more pairs, 100,000
    sign choices from a fixed stream and the observed one are counted.

    Args:
        differences: (n,) finite numbers; n = 0 gives nan.
    """
    array = _finite(differences)
    n = array.size
    if n == 0:
        return math.nan
    reach = abs(float(array.sum())) - 1e-9 * float(np.abs(array).sum())  # equal sums must count despite rounding
    if reach <= 0:
        return 1.0
    if n > _EXACT_PAIRS:
        return float((1 + np.count_nonzero(np.abs(_flips(n) @ array) >= reach)) / (1 + _SAMPLED_FLIPS))
    left, right = (np.sort(_signed_sums(half)) for half in (array[: n // 2], array[n // 2 :]))  # in order, for caches
    above = right.size - np.searchsorted(right, reach - left, side="left")
    return float(2 * above.sum() / 2.0**n)  # the signed sums are symmetric about 0


def smallest_exact_p(n: int) -> float:
    """The smallest two-sided p that a sign-flip test of n pairs can give: 2 / 2^n, at most 1."""
    return min(1.0, 2.0 / 2.0**n)


def paired_contrast(
    arm: Mapping[int, float],
    baseline: Mapping[int, float],
    *,
    direction: Direction = "maximize",
    level: float = 0.95,
    limits: Limits = UNLIMITED,
) -> PairedContrast:
    """Compare an arm with the baseline over the seeds that both have.

    Args:
        arm: Value of the metric by seed, finite.
        baseline: The same for the baseline.
        direction: Which way the metric is better; ``none`` leaves ``improved`` undefined.
        level: Confidence level of the interval.
        limits: As in ``contrast_of``.
    """
    seeds = tuple(sorted(arm.keys() & baseline.keys()))
    size = max((abs(side[seed]) for seed in seeds for side in (arm, baseline)), default=0.0)
    base = float(np.mean([baseline[seed] for seed in seeds])) if seeds else math.nan
    differences = [arm[seed] - baseline[seed] for seed in seeds]
    return contrast_of(differences, seeds, base, direction=direction, level=level, scale=size, limits=limits)


def contrast_of(
    differences: Sequence[float],
    seeds: Sequence[int] | None = None,
    baseline_mean: float = math.nan,
    *,
    direction: Direction = "none",
    level: float = 0.95,
    scale: float | None = None,
    exact: bool = True,
    limits: Limits = UNLIMITED,
) -> PairedContrast:
    """The contrast that has these differences.

    Args:
        differences: (n,) finite numbers, arm minus baseline.
        seeds: The seed of each pair; 0 to n - 1 if not given.
        baseline_mean: Mean of the baseline over the pairs.
        direction: Which way the metric is better; ``none`` leaves ``improved`` undefined.
        level: Confidence level of the interval.
        scale: Size of the values that the differences were computed from; see ``mean_interval``.
        exact: Whether ``p_exact`` is wanted, which takes most of the time from 30 pairs on; else it is nan.
        limits: The smallest and the largest mean difference that the metric's range allows; the interval ends there.
            The tests do not know of them.
    """
    array = _finite(differences)
    estimate = mean_interval(array, level, scale)
    n, sd = estimate.n, estimate.sd
    varies = n >= 2 and sd > 0.0
    effect = estimate.mean / sd if varies else math.nan
    p_t = 2 * t_tail(abs(effect) * math.sqrt(n), n - 1) if varies else math.nan
    improved = math.nan
    if n and direction != "none":
        gains = array if direction == "maximize" else -array
        improved = float(np.mean((gains > 0) + 0.5 * (gains == 0)))
    return PairedContrast(
        seeds=tuple(range(n)) if seeds is None else tuple(seeds),
        differences=tuple(float(value) for value in array),
        estimate=estimate.within(limits),
        baseline_mean=baseline_mean,
        p_t=p_t,
        p_exact=sign_flip_p(array) if exact else math.nan,
        p_floor=smallest_exact_p(n),
        effect_size=effect,
        improved=improved,
        limits=limits,
    )


def holm(p_values: Sequence[float], most_true: int | Sequence[int] | None = None) -> tuple[float, ...]:
    """Holm's step-down adjustment: reject if the adjusted p is at most alpha.

    A nan (a contrast that could not be tested) stays nan but counts in the family like a p of 1: a planned contrast
    does not leave the family because its cells failed. The values are those of statsmodels' multipletests, which runs
    the garbage collector at every call: tenths of a second in a report.

    Args:
        p_values: One of each hypothesis.
        most_true: The most hypotheses, >= 1, that can be true together (Shaffer 1986), at every step or step by step;
            None if all can.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    filled = np.where(np.isnan(raw), 1.0, raw)
    order = np.argsort(filled, kind="stable")
    left = np.minimum(np.arange(raw.size, 0, -1), raw.size if most_true is None else most_true)
    adjusted = np.empty_like(filled)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(filled[order] * left))
    return tuple(math.nan if math.isnan(p) else float(value) for p, value in zip(raw, adjusted, strict=True))
