"""How many seeds would do: power of the paired t-test by the noncentral t, and what an exact test can reach at all."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from fgtune.analysis.statistics import smallest_exact_p

MOST_SEEDS = 1000
"""Advice beyond this many seeds is given as "more than"; nobody runs it."""

POWER = 0.8
"""Power that the seed advice aims at."""

_ROOTS, _RAW_WEIGHTS = np.polynomial.legendre.leggauss(400)
_NODES, _WEIGHTS = (_ROOTS + 1) / 2, _RAW_WEIGHTS / 2  # Gauss-Legendre on (0, 1)


def paired_power(effect_size: float, n: int, alpha: float) -> float:
    """Power of the two-sided paired t-test with n pairs: the tails of the noncentral t beyond its critical value.

    Computed as the normal tail averaged over the quantiles of the sample sd, because SciPy's noncentral t returns nan
    for large effects.

    Args:
        effect_size: d_z, true mean difference in standard deviations of the differences, >= 0.
        n: Number of pairs, >= 2.
        alpha: Level of the test in (0, 1).
    """
    critical = float(stats.t.ppf(1 - alpha / 2, n - 1))
    shift = effect_size * math.sqrt(n)
    scale = critical * np.sqrt(
        stats.chi2.ppf(_NODES, n - 1) / (n - 1)
    )  # (nodes,) critical mean at each quantile of the sd
    return float(_WEIGHTS @ (stats.norm.sf(scale - shift) + stats.norm.cdf(-scale - shift)))


def seeds_needed(sd: float, difference: float, alpha: float, power: float = POWER) -> int | None:
    """The fewest pairs with which the paired t-test finds a true ``difference`` with the given power.

    Args:
        sd: Standard deviation of the paired differences, >= 0; 0 needs 2 pairs.
        difference: Size of the difference to find, > 0.
        alpha: Level of the test, already divided by the number of contrasts where several are corrected together.
        power: Wanted probability of finding it.

    Returns:
        The number, or None when it exceeds ``MOST_SEEDS`` or when ``sd`` is unknown (nan).
    """
    if math.isnan(sd):
        return None
    if sd == 0.0:
        return 2
    effect_size = difference / sd
    if paired_power(effect_size, MOST_SEEDS, alpha) < power:
        return None
    low, high = 1, MOST_SEEDS  # power grows with n: bisect
    while high - low > 1:
        middle = (low + high) // 2
        if paired_power(effect_size, middle, alpha) >= power:
            high = middle
        else:
            low = middle
    return high


def detectable_difference(sd: float, n: int, alpha: float, power: float = POWER) -> float:
    """The smallest true difference that n pairs find with the given power; nan when n < 2 or ``sd`` is unknown."""
    if n < 2 or math.isnan(sd):
        return math.nan
    if sd == 0.0:
        return 0.0
    high = 1.0
    while paired_power(high, n, alpha) < power:
        high *= 2.0
    return sd * float(optimize.brentq(lambda effect: paired_power(effect, n, alpha) - power, 0.0, high, xtol=1e-9))


def seeds_for_exact_test(alpha: float, contrasts: int) -> int:
    """The fewest pairs with which the sign-flip test can reach ``alpha`` after Holm's first step over the contrasts."""
    n = 1
    while smallest_exact_p(n) > alpha / max(1, contrasts):
        n += 1
    return n
