"""The answer to a planned contrast: helps, hurts, equivalent or undecided, and how many seeds would decide it.

``equivalent`` follows the two one-sided tests (Schuirmann 1987): the interval at level 1 - 2 alpha lies within the
margin. It takes precedence, since a difference that is certainly unimportant is no reason to change a setting, even if
a test distinguishes it from zero. ``helps`` and ``hurts`` need a Holm-adjusted p of at most alpha. Advice on seeds is
based on the power of the paired t-test (noncentral t), and on what an exact test can reach at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import optimize, stats

from fgtune.analysis.statistics import PairedContrast, mean_interval, smallest_exact_p
from fgtune.catalog.spec import Direction

MOST_SEEDS = 1000
"""Advice beyond this many seeds is only "more than"."""

POWER = 0.8
"""Power that the advice on seeds aims at."""

_ROOTS, _RAW_WEIGHTS = np.polynomial.legendre.leggauss(400)
_NODES, _WEIGHTS = (_ROOTS + 1) / 2, _RAW_WEIGHTS / 2  # Gauss-Legendre on (0, 1)


class Verdict(StrEnum):
    """What a planned contrast says about an arm."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """A verdict and its grounds.

    Attributes:
        verdict: The answer.
        reason: Why, in a clause that is understood without the table.
        p_adjusted: Holm-adjusted p; nan if nothing could be tested.
        tost_low: Lower end of the (1 - 2 alpha) interval that decides equivalence; nan if n < 2.
        tost_high: Its upper end.
        seeds_needed: Pairs that would detect a difference of the margin with 80 % power at alpha / contrasts; None if
            decided, unknown (n < 2) or beyond ``MOST_SEEDS``.
        detectable: Smallest difference that these pairs detect with 80 % power; nan if n < 2.
        stopped: Pairs lost to early stopping. The others are a biased selection, so nothing is decided.
    """

    verdict: Verdict
    reason: str
    p_adjusted: float
    tost_low: float
    tost_high: float
    seeds_needed: int | None
    detectable: float
    stopped: int = 0


def judge(
    contrast: PairedContrast,
    p_adjusted: float,
    *,
    direction: Direction,
    alpha: float,
    margin: float,
    contrasts: int,
    stopped: int = 0,
) -> Judgement:
    """Decide one planned contrast.

    Args:
        contrast: The paired differences.
        p_adjusted: Its Holm-adjusted p-value.
        direction: Which way the metric is better. With ``none`` the answer is equivalent or undecided.
        alpha: Family-wise level.
        margin: A smaller difference is unimportant, > 0.
        contrasts: Number of contrasts that are corrected together, >= 1.
        stopped: Pairs lost to early stopping; with any, the answer is undecided.
    """
    sd = contrast.estimate.sd
    tost = mean_interval(contrast.differences, 1 - 2 * alpha)
    detectable = detectable_difference(sd, contrast.n, alpha / contrasts)
    verdict, reason = _decide(contrast, p_adjusted, (tost.low, tost.high), direction, alpha, margin)
    needed = None
    if stopped:
        pairs = "pair was" if stopped == 1 else "pairs were"
        verdict = Verdict.UNDECIDED
        reason = f"{stopped} {pairs} stopped early, so those left are the ones that went well"
    elif verdict is Verdict.UNDECIDED:
        needed = _more_seeds(contrast, alpha, margin, contrasts)
    return Judgement(verdict, reason, p_adjusted, tost.low, tost.high, needed, detectable, stopped)


def _decide(
    contrast: PairedContrast,
    p_adjusted: float,
    tost: tuple[float, float],
    direction: Direction,
    alpha: float,
    margin: float,
) -> tuple[Verdict, str]:
    if contrast.n == 0:
        return Verdict.UNDECIDED, "no seed has a value in both arms"
    if contrast.n == 1:
        return Verdict.UNDECIDED, "one pair gives no interval"
    if -margin < tost[0] and tost[1] < margin:
        return Verdict.EQUIVALENT, f"the difference lies within ±{margin:g}"
    if direction == "none":
        return Verdict.UNDECIDED, "the metric has no better direction"
    if p_adjusted <= alpha:
        gains = contrast.estimate.mean > 0 if direction == "maximize" else contrast.estimate.mean < 0
        return (Verdict.HELPS, "reliably better") if gains else (Verdict.HURTS, "reliably worse")
    if contrast.estimate.sd == 0.0:
        return (
            Verdict.UNDECIDED,
            f"all {contrast.n} differences are equal, and an exact test of {contrast.n} pairs cannot go below "
            f"p = {contrast.p_floor:.3g}",
        )
    return Verdict.UNDECIDED, "these pairs cannot tell a difference that matters from none"


def _more_seeds(contrast: PairedContrast, alpha: float, margin: float, contrasts: int) -> int | None:
    """Pairs that would decide; if all differences are equal, the pairs that the exact test needs."""
    if contrast.n < 2 or math.isnan(contrast.estimate.sd):
        return None
    if contrast.estimate.sd == 0.0:
        return seeds_for_exact_test(alpha, contrasts)
    return seeds_needed(contrast.estimate.sd, margin, alpha / contrasts)


def paired_power(effect_size: float, n: int, alpha: float) -> float:
    """Power of the two-sided paired t-test with n pairs: the tails of the noncentral t beyond the critical value.

    Computed as the normal tail averaged over the quantiles of the sample standard deviation, because SciPy's noncentral
    t returns nan for large effects.

    Args:
        effect_size: d_z, true mean difference in standard deviations of the differences, >= 0.
        n: Number of pairs, >= 2.
        alpha: Level of the test in (0, 1).
    """
    critical = float(stats.t.ppf(1 - alpha / 2, n - 1))
    shift = effect_size * math.sqrt(n)
    # (nodes,) critical mean at each quantile of the standard deviation
    scale = critical * np.sqrt(stats.chi2.ppf(_NODES, n - 1) / (n - 1))
    return float(_WEIGHTS @ (stats.norm.sf(scale - shift) + stats.norm.cdf(-scale - shift)))


def seeds_needed(sd: float, difference: float, alpha: float, power: float = POWER) -> int | None:
    """The smallest number of pairs with which the paired t-test detects a true ``difference`` with this power.

    Args:
        sd: Standard deviation of the paired differences, >= 0; 0 needs 2 pairs.
        difference: Size of the difference, > 0.
        alpha: Level of the test, already divided by the number of contrasts that are corrected together.
        power: Wanted probability of detection.

    Returns:
        The number, or None if it exceeds ``MOST_SEEDS`` or ``sd`` is unknown (nan).
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
    """The smallest true difference that n pairs detect with this power; nan if n < 2 or ``sd`` is unknown."""
    if n < 2 or math.isnan(sd):
        return math.nan
    if sd == 0.0:
        return 0.0
    high = 1.0
    while paired_power(high, n, alpha) < power:
        high *= 2.0
    return sd * float(optimize.brentq(lambda effect: paired_power(effect, n, alpha) - power, 0.0, high, xtol=1e-9))


def seeds_for_exact_test(alpha: float, contrasts: int) -> int:
    """The smallest number of pairs with which the sign-flip test can reach ``alpha`` in Holm's first step."""
    n = 1
    while smallest_exact_p(n) > alpha / max(1, contrasts):
        n += 1
    return n
