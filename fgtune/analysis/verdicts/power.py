"""How many pairs would decide a contrast, and what a number of pairs can find: power of the paired tests.

The standard deviation of a few differences is itself uncertain, so advice is a range: the pairs that would do if it is
as measured, and those that would do on average over what it may be (Julious and Owen 2006). At 80 % power the first
number finds the difference in only 61 to 76 of 100 studies after 3 to 10 pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from fgtune.analysis.verdicts.statistics import smallest_exact_p, t_quantile
from fgtune.arrays import FloatArray

MOST_SEEDS = 1000
"""Advice beyond this many seeds is only "more than"."""
POWER = 0.8
"""Power that the advice on seeds aims at."""
FEWEST_PILOT = 5
"""Pairs below which the standard deviation is too uncertain for any advice."""

_ROOTS, _RAW_WEIGHTS = np.polynomial.legendre.leggauss(400)
_NODES, _WEIGHTS = (_ROOTS + 1) / 2, _RAW_WEIGHTS / 2  # Gauss-Legendre on (0, 1)
_FEW_ROOTS, _FEW_RAW = np.polynomial.legendre.leggauss(40)
_FEW_NODES, _FEW_WEIGHTS = (_FEW_ROOTS + 1) / 2, _FEW_RAW / 2


@dataclass(frozen=True)
class SeedAdvice:
    """How many pairs a decision would take, with 80 % power.

    Attributes:
        low: Pairs, if the standard deviation is as measured; None beyond ``MOST_SEEDS``.
        high: Pairs, averaged over what the standard deviation may be; None beyond ``MOST_SEEDS``.
    """

    low: int | None
    high: int | None


def paired_power(effect_size: float | FloatArray, n: int, alpha: float) -> FloatArray:
    """Power of the two-sided paired t-test with n pairs: the tails of the noncentral t beyond the critical value.

    Computed as the normal tail averaged over the quantiles of the sample standard deviation, because SciPy's noncentral
    t returns nan for large effects.

    Args:
        effect_size: (...,) d_z, true mean difference in standard deviations of the differences, >= 0.
        n: Number of pairs, >= 2.
        alpha: Level of the test in (0, 1).
    """
    scale = _critical(1 - alpha / 2, n)
    shift = np.asarray(effect_size)[..., None] * math.sqrt(n)
    return np.asarray((special.ndtr(shift - scale) + special.ndtr(-scale - shift)) @ _WEIGHTS)


def equivalence_power(margin: float | FloatArray, n: int, alpha: float) -> FloatArray:
    """Power of two one-sided t-tests for a true difference of 0.

    Args:
        margin: (...,) equivalence margin in standard deviations of the differences, > 0.
        n: Number of pairs, >= 2.
        alpha: Level of each one-sided test.
    """
    scale = _critical(1 - alpha, n)
    room = np.maximum(np.asarray(margin)[..., None] * math.sqrt(n) - scale, 0.0)
    return np.asarray((2 * special.ndtr(room) - 1) @ _WEIGHTS)


@lru_cache(maxsize=1024)  # a search for a number of pairs or an effect asks for the same ones again and again
def _critical(quantile: float, n: int) -> FloatArray:
    """(nodes,) critical mean, in standard errors, at each quantile of the sample standard deviation."""
    spread = np.sqrt(stats.chi2.ppf(_NODES, n - 1) / (n - 1))
    return np.asarray(t_quantile(quantile, n - 1) * spread)


PowerOf = Callable[[FloatArray, int, float], FloatArray]
"""Power by effect size (or margin) in standard deviations, number of pairs, and level."""


def seeds_needed(
    sd: float,
    difference: float,
    alpha: float,
    power: float = POWER,
    *,
    power_of: PowerOf = paired_power,
    pilot: int = 0,
) -> int | None:
    """The smallest number of pairs with which a test has this power.

    Args:
        sd: Standard deviation of the paired differences, >= 0; 0 needs 2 pairs.
        difference: The true difference, or the margin of an equivalence test, > 0.
        alpha: Level of the test, already divided by the number of contrasts that are corrected together.
        power: Wanted probability of a decision.
        power_of: ``paired_power`` or ``equivalence_power``.
        pilot: Number of pairs that ``sd`` was measured on, to average over what it may be; 0 to take it as known.

    Returns:
        The number, or None if it exceeds ``MOST_SEEDS`` or ``sd`` is unknown (nan).
    """
    if math.isnan(sd):
        return None
    if sd == 0.0:
        return 2
    effect, known = difference / sd, _known_effects(alpha, power, power_of, pilot)
    effects, weights = np.array([effect]), np.ones(1)
    if pilot:  # sd^2 (pilot - 1) / sigma^2 is chi-square distributed
        effects = effects * _possible(pilot)
        weights = _FEW_WEIGHTS

    def enough(n: int) -> bool:
        too_small, suffices = known.get(n, (0.0, math.inf))
        if too_small < effect < suffices:
            found = float(weights @ power_of(effects, n, alpha)) >= power
            known[n] = (too_small, effect) if found else (effect, suffices)
            return found
        return effect >= suffices

    if not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # power grows with n: bisect
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=256)
def _known_effects(alpha: float, power: float, power_of: PowerOf, pilot: int) -> dict[int, tuple[float, float]]:
    """By number of pairs, the largest effect that is known to be too small and the smallest that is known to suffice.

    Power grows with the effect, so of thousands of contrasts few have to be worked out.
    """
    del alpha, power, power_of, pilot  # each combination has a dictionary of its own, which fills as questions come
    return {}


@lru_cache(maxsize=64)
def _possible(pilot: int) -> FloatArray:
    """(nodes,) what an effect that was measured on so many pairs may be, relative to what it is measured as."""
    return np.asarray(np.sqrt(stats.chi2.ppf(_FEW_NODES, pilot - 1) / (pilot - 1)))


def seed_advice(
    sd: float, pilot: int, difference: float, alpha: float, *, power_of: PowerOf = paired_power
) -> SeedAdvice:
    """The range of pairs that would decide; arguments as for ``seeds_needed``."""
    return SeedAdvice(
        seeds_needed(sd, difference, alpha, power_of=power_of),
        seeds_needed(sd, difference, alpha, power_of=power_of, pilot=pilot),
    )


def detectable_difference(
    sd: float, n: int, alpha: float, power: float = POWER, *, power_of: PowerOf = paired_power
) -> float:
    """The smallest true difference (or margin) that n pairs decide with this power; nan if n < 2 or ``sd`` is nan."""
    if n < 2 or math.isnan(sd):
        return math.nan
    if sd == 0.0:
        return 0.0
    return sd * _detectable_effect(n, alpha, power, power_of)


@lru_cache(maxsize=256)  # contrasts of a study mostly have as many pairs as each other
def _detectable_effect(n: int, alpha: float, power: float, power_of: PowerOf) -> float:
    """``detectable_difference`` in standard deviations."""

    def lacks(effect: float) -> float:
        return float(power_of(np.array(effect), n, alpha)) - power

    high = 1.0
    while lacks(high) < 0:
        high *= 2.0
    return float(optimize.brentq(lacks, 0.0, high, xtol=1e-9))


def sd_limit(sd: float, n: int, level: float = POWER) -> float:
    """One-sided upper confidence limit of the standard deviation of normal values; nan if n < 2.

    Args:
        sd: Measured on n values.
        n: Their number.
        level: Confidence that the true standard deviation is smaller.
    """
    return sd * math.sqrt((n - 1) / float(stats.chi2.ppf(1 - level, n - 1))) if n >= 2 else math.nan


def seeds_for_exact_test(alpha: float, contrasts: int) -> int:
    """The smallest number of pairs with which the sign-flip test can reach ``alpha`` in Holm's first step."""
    n = 1
    while smallest_exact_p(n) > alpha / max(1, contrasts):
        n += 1
    return n
