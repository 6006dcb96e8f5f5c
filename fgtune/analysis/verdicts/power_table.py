"""What further seeds would find: the smallest differences and margins by number of pairs, at what looks have left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.grounds import pairs_of
from fgtune.analysis.verdicts.look_tests import shares_of
from fgtune.analysis.verdicts.looks import nominal_levels, t_information
from fgtune.analysis.verdicts.power import (
    FEWEST_PILOT,
    MOST_SEEDS,
    SeedAdvice,
    detectable_difference,
    equivalence_power,
    sd_limit,
    seed_advice,
)
from fgtune.analysis.verdicts.robust import SummaryKind
from fgtune.analysis.verdicts.statistics import smallest_exact_p

SIZES = (3, 5, 8, 10, 15, 20, 30, 50)
"""Numbers of pairs that are shown."""
POOLED = "all contrasts"
"""Name of the row that stands for all contrasts together."""


@dataclass(frozen=True)
class Reach:
    """What one number of pairs finds with 80 % power.

    Attributes:
        pairs: The number.
        level: Two-sided level at which it tests a contrast in Holm's first step, after the looks so far.
        difference: The smallest true difference that it finds, if the standard deviation is as measured.
        difference_limit: The same at the upper limit of the standard deviation; nan where ``difference`` is.
        margin: The smallest margin within which it shows an arm without any difference to be equivalent.
        margin_limit: The same at the upper limit of the standard deviation.
        exact_p: The smallest p that an exact sign-flip test of so many pairs can reach.
        exact: Whether that is at most ``level``.
    """

    pairs: int
    level: float
    difference: float
    difference_limit: float
    margin: float
    margin_limit: float
    exact_p: float
    exact: bool


@dataclass(frozen=True)
class ContrastPower:
    """The power of a planned contrast, or of all of them pooled.

    Attributes:
        arm: Its arm in the plan; ``POOLED`` for all.
        label: The same for readers.
        pairs: Number of pairs that the standard deviation was measured on.
        sd: Standard deviation of the paired differences.
        sd_limit: Its upper limit, which the true one exceeds in 20 % of studies.
        reach: By number of pairs.
        margin: The study's equivalence margin for it; None without one, and for all where they do not have the same.
        finds: Pairs that would find a difference of the margin; None without a margin, or from fewer than five pairs.
        shows: Pairs that would show equivalence within the margin, if there is no difference; None as above.
    """

    arm: str
    label: str
    pairs: int
    sd: float
    sd_limit: float
    reach: tuple[Reach, ...]
    margin: float | None
    finds: SeedAdvice | None
    shows: SeedAdvice | None


@dataclass(frozen=True)
class PowerTable:
    """What further seeds of a study would find.

    Attributes:
        study: Its name.
        metric: Its primary metric.
        alpha: Level of all planned contrasts together.
        contrasts: Number of planned contrasts.
        looks: Number of seeds at each look so far.
        most: The most seeds that adaptive seeds allow; None where seeds are fixed.
        judged_by: The summary that decides; the numbers here are those of the mean.
        rows: The contrasts that have at least two pairs whose differences vary.
        pooled: All of these with the mean of their variances; None for a single one.
        left_out: Labels of the others.
    """

    study: str
    metric: str
    alpha: float
    contrasts: int
    looks: tuple[int, ...]
    most: int | None
    judged_by: SummaryKind
    rows: tuple[ContrastPower, ...]
    pooled: ContrastPower | None
    left_out: tuple[str, ...]


def power_table(data: StudyData) -> PowerTable:
    """The power of every planned contrast on the primary metric.

    Args:
        data: A study that compares arms; finished or not.
    """
    info, metrics = data.info(data.study.metrics.primary), data.study.metrics
    pairs = pairs_of(data, info, data.arms)
    family, rows, left_out = max(1, len(pairs)), list[ContrastPower](), list[str]()
    unit = [_reach(size, level_at(data, size, family)) for size in SIZES]
    adaptive = data.study.adaptive_seeds
    most = MOST_SEEDS if adaptive is None else adaptive.max
    level = level_at(data, most, family)  # of a look with the most seeds: where seeds are fixed, no look has less
    for arm, contrast in pairs:
        if contrast.n >= 2 and contrast.estimate.sd > 0:
            margin = metrics.margin(contrast.baseline_mean)
            rows.append(_row(arm.name, arm.label, contrast.n, contrast.estimate.sd, margin, unit, level))
        else:
            left_out.append(arm.label)
    return PowerTable(
        study=data.study.study,
        metric=info.title,
        alpha=metrics.alpha,
        contrasts=len(pairs),
        looks=tuple(len(look) for look in data.looks),
        most=None if adaptive is None else adaptive.max,
        judged_by=metrics.summary,
        rows=tuple(rows),
        pooled=_pooled(rows, unit, level) if len(rows) > 1 else None,
        left_out=tuple(left_out),
    )


def _pooled(rows: Sequence[ContrastPower], unit: Sequence[Reach], level: float) -> ContrastPower:
    """All contrasts as one: they share the baseline's seeds, so their number of pairs is that of the smallest.

    It has a margin only if it is that of every contrast.
    """
    sd = math.sqrt(math.fsum(row.sd**2 for row in rows) / len(rows))
    margins = {row.margin for row in rows}
    margin = rows[0].margin if len(margins) == 1 else None
    return _row(POOLED, POOLED, min(row.pairs for row in rows), sd, margin, unit, level)


def _row(
    arm: str, label: str, n: int, sd: float, margin: float | None, unit: Sequence[Reach], level: float
) -> ContrastPower:
    """The power of one contrast.

    Args:
        arm: Its arm in the plan.
        label: The same for readers.
        n: Number of pairs that ``sd`` was measured on.
        sd: Standard deviation of the paired differences.
        margin: The study's margin for it; None for none.
        unit: What numbers of pairs find at a standard deviation of 1.
        level: Level of the look that the advice on pairs is for.
    """
    limit = sd_limit(sd, n)
    finds = shows = None
    if margin is not None and n >= FEWEST_PILOT and level > 0:
        finds = seed_advice(sd, n, margin, level)
        shows = seed_advice(sd, n, margin, level, power_of=equivalence_power)
    return ContrastPower(
        arm=arm,
        label=label,
        pairs=n,
        sd=sd,
        sd_limit=limit,
        reach=tuple(
            replace(
                each,
                difference=sd * each.difference,
                difference_limit=limit * each.difference,
                margin=sd * each.margin,
                margin_limit=limit * each.margin,
            )
            for each in unit
        ),
        margin=margin,
        finds=finds,
        shows=shows,
    )


def _reach(pairs: int, level: float) -> Reach:
    """What a number of pairs finds at a standard deviation of 1."""
    if level > 0:
        difference = detectable_difference(1.0, pairs, level)
        margin = detectable_difference(1.0, pairs, level, power_of=equivalence_power)
    else:
        difference = margin = math.nan
    exact_p = smallest_exact_p(pairs)
    return Reach(pairs, level, difference, difference, margin, margin, exact_p, exact_p <= level)


def level_at(data: StudyData, seeds: int, contrasts: int) -> float:
    """The two-sided level at which a look with so many seeds tests a contrast in Holm's first step.

    With more seeds than the last look had it is the look that follows those so far, with at most as many as that the
    only look of another study like this one.

    Args:
        data: The study.
        seeds: Number of seeds, >= 1.
        contrasts: Number of contrasts that are corrected together, >= 1.

    Returns:
        0 where such a look has nothing to spend: alpha is spent, or adaptive seeds end before.
    """
    adaptive = data.study.adaptive_seeds
    if adaptive is not None and seeds > adaptive.max:
        return 0.0
    before = [len(look) for look in data.looks]
    sizes = [*before, seeds] if seeds > before[-1] else [seeds]
    level = data.study.metrics.alpha / max(1, contrasts)
    return nominal_levels([t_information(size) for size in sizes], shares_of(data.study, sizes), level)[-1]
