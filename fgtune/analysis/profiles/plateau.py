"""Which levels of a factor stay within the margin of the best one, whichever that is.

A level is within the margin of the best if it is not worse than any other level by more than the margin: one one-sided
paired test against each of the others, of which the largest p counts (an intersection-union test, Berger 1982). No
correction for having picked the best is needed, since none is picked. This is the question of Hsu's multiple
comparisons with the best (1984), whose critical values assume equal variances of independent samples; seeds are blocks.
The levels, of all factors together, are corrected by Holm's method, with Shaffer's (1986) bound: of the levels of a
factor the best is always within the margin, so at most all but one of them can be called so wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from fgtune.analysis.profiles.rivals import deciding_rivals
from fgtune.analysis.verdicts.combining import Combination, Gains, at_looks, combine, rules_of
from fgtune.analysis.verdicts.judgement import Doubt
from fgtune.analysis.verdicts.look_tests import LookTests, sequential_p_values
from fgtune.analysis.verdicts.robust import margin_ps
from fgtune.analysis.verdicts.statistics import contrast_of, holm, t_quantile


@dataclass(frozen=True)
class LevelBound:
    """One level of a factor against the best of the others.

    Attributes:
        arm: Its name in the plan.
        tick: The level as text.
        seeds: Fewest seeds that it shares with another level.
        shortfall: It could be worse than the best by at most this much (simultaneous bound over all levels, >= 0); nan
            with fewer than two seeds.
        p_adjusted: Holm-adjusted p that it is not within the margin; nan where that cannot be tested.
        within: Whether it is shown to stay within the margin of the best.
        doubt: Why the answer of the tests does not stand: ``stopped``, ``lost``, ``shape``, ``unseen``; else empty.
    """

    arm: str
    tick: str
    seeds: int
    shortfall: float
    p_adjusted: float
    within: bool
    doubt: Doubt


def level_bounds(gains: Gains, factors: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[LevelBound, ...]]:
    """Every level of every factor against the best of the same factor.

    Args:
        gains: The arms' values; without a margin no level is shown to be within it.
        factors: Arm and text of every level, factor by factor.
    """
    margin = gains.margin
    most_true = max(1, sum(len(levels) - 1 for levels in factors))
    level = gains.rules.alpha * gains.last_share / most_true
    rivals = [
        [combine(gains, {arm: 1.0, other: -1.0}, exact=False) for other in others]
        for levels in factors
        for arm, others in deciding_rivals(gains, [arm for arm, _ in levels], level).items()
    ]
    p_values = [math.nan if margin is None else _largest_p(gains, each, margin) for each in rivals]
    adjusted = holm(p_values, most_true)
    flat = [pair for levels in factors for pair in levels]
    bounds = []
    for (arm, tick), against, p in zip(flat, rivals, adjusted, strict=True):
        shown = margin is not None and p <= gains.rules.alpha
        doubts = [_doubt(gains, each, margin or 0.0, most_true) for each in against] if shown else []
        doubt: Doubt = next((each for each in doubts if each), "")
        bounds.append(
            LevelBound(
                arm=arm,
                tick=tick,
                seeds=min(each.contrast.n for each in against),
                shortfall=_shortfall(gains, against, level),
                p_adjusted=p,
                within=shown and not doubt,
                doubt=doubt,
            )
        )
    ends = np.cumsum([len(levels) for levels in factors])
    return [tuple(bounds[end - len(levels) : end]) for end, levels in zip(ends, factors, strict=True)]


def runs_within(bounds: Sequence[LevelBound]) -> list[tuple[LevelBound, ...]]:
    """The levels that are shown to be within the margin, in runs without a gap, in the order of the levels."""
    return [tuple(run) for within, run in groupby(bounds, key=lambda each: each.within) if within]


def _largest_p(gains: Gains, rivals: Sequence[Combination], margin: float) -> float:
    """The p of being worse by the margin than some other level."""
    return float(np.max([_not_worse_p(gains, each, margin) for each in rivals]))


def _not_worse_p(gains: Gains, combined: Combination, margin: float) -> float:
    """The p of being worse by the margin than one other level; pays for every look at the results."""
    rules, tests = rules_of(gains, [combined]), []
    for contrast in at_looks(gains, combined):
        not_worse = margin_ps(rules.kind, contrast, margin, rules.least_sd)[0]
        tests.append(LookTests(contrast.n, 1.0, math.nan, not_worse))
    return sequential_p_values(tests, gains.shares)[1]


def _shortfall(gains: Gains, rivals: Sequence[Combination], level: float) -> float:
    """Upper bound of how far the mean lies below the best of the others, at a one-sided level."""
    lowest = []
    for each in rivals:
        estimate = each.contrast.estimate
        if estimate.n < 2:
            return math.nan
        sd = max(estimate.sd, rules_of(gains, [each]).least_sd)
        at_worst = math.inf if math.isnan(each.bounds[0]) else each.bounds[0]  # had the lost cells been at their worst
        mean = min(estimate.mean, at_worst)
        lowest.append(mean - t_quantile(1 - level, estimate.n - 1) * sd / math.sqrt(estimate.n))
    return max(0.0, -min(lowest))


def _doubt(gains: Gains, combined: Combination, margin: float, family: int) -> Doubt:
    """Why "not worse by the margin" does not stand, as for verdicts."""
    if len(combined.lost.stopped):
        return "stopped"
    if not math.isnan(combined.bounds[0]) and combined.bounds[0] <= -margin:
        return "lost"
    if gains.rules.kind != "mean":
        return ""
    alpha, n = gains.rules.alpha, combined.contrast.n
    if not gains.shape.normal:
        differences = combined.contrast.differences
        more = contrast_of([*differences, float(np.median(differences)) - gains.shape.worst], exact=False)
        if not margin_ps("mean", more, margin)[0] <= alpha / family:
            return "shape"
    return "" if gains.shape.sees(n, alpha, gains.rules.collapse_rate) else "unseen"
