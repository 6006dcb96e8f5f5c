"""Weighted sums of arms, seed by seed: contrasts of contrasts, with all that bears on their verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.deciding import judge_together
from fgtune.analysis.verdicts.grounds import lost_cells, shapes_of
from fgtune.analysis.verdicts.judgement import Case, Judgement, LostCells, Rules
from fgtune.analysis.verdicts.look_tests import sequential_p_values, spent_shares, tests_of
from fgtune.analysis.verdicts.robust import summary_of
from fgtune.analysis.verdicts.shape import Shape
from fgtune.analysis.verdicts.statistics import Limits, PairedContrast, contrast_of
from fgtune.catalog.spec import sign_of

_HUGE = 1e150  # stands for an infinite end of the metric's range where a summary needs numbers
_ENDLESS = 1e140  # summaries beyond this had one in them


@dataclass(frozen=True)
class Gains:
    """The primary metric of every arm by seed, with the sign that makes more better.

    Attributes:
        values: Finite values by arm and seed.
        lost: Lost cells by arm.
        rules: What sums are judged by: direction ``maximize`` (or ``none``), range and grain of these values.
        margin: A smaller sum is unimportant; None for none.
        shape: The shape of all arms by seeds.
        looks: Seeds of every look at the results, the last one being this; empty where there is only this.
        shares: Share of alpha spent up to each look, this one included.
    """

    values: Mapping[str, Mapping[int, float]]
    lost: Mapping[str, LostCells]
    rules: Rules
    margin: float | None
    shape: Shape
    looks: tuple[frozenset[int], ...] = ()
    shares: tuple[float, ...] = (1.0,)

    @property
    def last_share(self) -> float:
        """Share of alpha that this look may spend."""
        return self.shares[-1] - (self.shares[-2] if len(self.shares) > 1 else 0.0)

    @property
    def level(self) -> float:
        """Confidence level of the intervals."""
        return 1.0 - self.rules.alpha


@dataclass(frozen=True)
class Combination:
    """A weighted sum of arms over the seeds that all of them have.

    Attributes:
        weights: Weight of every arm in it, none of them 0.
        contrast: Its value seed by seed, with interval and tests.
        lost: The lost cells of its arms together.
        bounds: Smallest and largest value that its summary could have with the lost cells; nan where none were lost.
        ends: Its smallest and largest possible value at each seed that ended; empty where no cells were lost.
    """

    weights: Mapping[str, float]
    contrast: PairedContrast
    lost: LostCells
    bounds: tuple[float, float]
    ends: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


def gains_of(data: StudyData, info: MetricInfo, margin: float | None) -> Gains:
    """The metric of a study with a single data set, so that more is better.

    Args:
        data: The study.
        info: The metric.
        margin: The study's margin in its unit; None for none.
    """
    sign = sign_of(info.direction)
    values = {
        arm.name: {seed: sign * value for seed, value in data.values(arm.name, info.name).items()} for arm in data.arms
    }
    low, high = sorted((sign * info.low, sign * info.high))
    settings = data.study.metrics
    return Gains(
        values=values,
        lost={name: lost_cells(data, name, info.name) for name in values},
        rules=Rules(
            direction="none" if info.direction == "none" else "maximize",
            alpha=settings.alpha,
            kind=settings.summary,
            low=low,
            high=high,
            grain=data.grain(info),
            collapse_rate=settings.collapse_rate,
        ),
        margin=margin,
        shape=shapes_of(data, info, sign=sign)[data.baseline.dataset],
        looks=data.looks,
        shares=spent_shares(data),
    )


def combine(gains: Gains, weights: Mapping[str, float], *, exact: bool = True) -> Combination:
    """The weighted sum of some arms, over the seeds that all of them have; ``exact`` as in ``contrast_of``."""
    weights = {arm: weight for arm, weight in weights.items() if weight != 0.0}
    seeds = _common(gains.values[arm].keys() for arm in weights)
    sums = [math.fsum(weight * gains.values[arm][seed] for arm, weight in weights.items()) for seed in seeds]
    size = max((abs(gains.values[arm][seed]) for arm in weights for seed in seeds), default=0.0)
    lost = _together([gains.lost.get(arm, LostCells()) for arm in weights])
    contrast = contrast_of(
        sums,
        seeds,
        direction=gains.rules.direction,
        level=gains.level,
        scale=size,
        exact=exact,
        limits=_limits(gains.rules, weights),
    )
    if not len(lost):
        return Combination(weights, contrast, lost, (math.nan, math.nan))
    ends = _ends(gains, weights)
    low, high = sorted(_reduced(gains, each) for each in ends)
    return Combination(weights, contrast, lost, (low, high), ends)


def _limits(rules: Rules, weights: Mapping[str, float]) -> Limits:
    """The smallest and the largest weighted sum that the metric's range allows."""
    ends = [sorted((weight * rules.low, weight * rules.high)) for weight in weights.values()]
    return math.fsum(low for low, _ in ends), math.fsum(high for _, high in ends)


def _common(keys: Iterable[Iterable[int]]) -> list[int]:
    sets = [set(each) for each in keys]
    return sorted(set.intersection(*sets)) if sets else []


def _together(lost: Sequence[LostCells]) -> LostCells:
    """The seeds at which any of several arms lost its cell."""
    return LostCells(
        failed=tuple(sorted({seed for each in lost for seed in each.failed})),
        undefined=tuple(sorted({seed for each in lost for seed in each.undefined})),
        stopped=tuple(sorted({seed for each in lost for seed in each.stopped})),
    )


def _reach(gains: Gains, combined: Combination, sign: float) -> float:
    """The lower end of the range, plus how far the sum would move if all arms with weights of this sign fell to it.

    It stands where a single arm would have its mean: both say how much a seed that collapses could take away.
    """
    weights, seeds = combined.weights, combined.contrast.seeds
    falls = [
        abs(weight) * (math.fsum(gains.values[arm][seed] for seed in seeds) / len(seeds) - gains.rules.low)
        for arm, weight in weights.items()
        if weight * sign > 0 and seeds
    ]
    return gains.rules.low + math.fsum(falls) if math.isfinite(gains.rules.low) else math.inf


def _ends(gains: Gains, weights: Mapping[str, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Smallest and largest possible sum at each seed that ended in all arms, whatever was lost."""
    ended = {arm: {seed: (value, value) for seed, value in gains.values[arm].items()} for arm in weights}
    for arm, cells in ended.items():
        cells |= dict.fromkeys(gains.lost.get(arm, LostCells()).seeds, (gains.rules.low, gains.rules.high))
    seeds = _common(cells.keys() for cells in ended.values())
    ends = []
    for worst in (True, False):
        sums = [
            math.fsum(weight * ended[arm][seed][(weight > 0) != worst] for arm, weight in weights.items())
            for seed in seeds
        ]
        ends.append(tuple(sums))
    return ends[0], ends[1]


def _reduced(gains: Gains, sums: Sequence[float]) -> float:
    if not sums:
        return math.nan
    finite = [min(max(each, -_HUGE), _HUGE) for each in sums]
    contrast = contrast_of(finite, direction=gains.rules.direction, level=gains.level, exact=False)
    value = summary_of(gains.rules.kind, contrast, gains.rules.direction, gains.level).value
    return value if abs(value) < _ENDLESS else math.copysign(math.inf, value)


def case_of(gains: Gains, combined: Combination) -> Case:
    """A sum as a case for a verdict; its p-values are not corrected yet."""
    contrast, rules = combined.contrast, gains.rules
    summary = summary_of(rules.kind, contrast, rules.direction, gains.level)
    different, close = paid_p_values(gains, combined)
    return Case(
        contrast=replace(contrast, baseline_mean=_reach(gains, combined, -1.0)),
        summary=summary,
        margin=gains.margin,
        p_adjusted=different,
        p_equivalent=close,
        arm_mean=_reach(gains, combined, 1.0),
        lost=combined.lost,
        lowest=combined.ends[0],
        highest=combined.ends[1],
        shape=replace(gains.shape, worst=gains.shape.worst * max([1.0, *map(abs, combined.weights.values())])),
        who="one of its arms",
    )


def paid_p_values(gains: Gains, combined: Combination) -> tuple[float, float]:
    """P-values that a sum is 0, and that it is not within the margin; both pay for every look at the results."""
    rules = rules_of(gains, [combined])
    tests = [tests_of(contrast, rules, gains.margin) for contrast in at_looks(gains, combined)]
    return sequential_p_values(tests, gains.shares)


def at_looks(gains: Gains, combined: Combination) -> list[PairedContrast]:
    """The sum as it was at every look; the last one is all of it."""
    whole = combined.contrast
    pairs = list(zip(whole.seeds, whole.differences, strict=True))
    size = max((abs(gains.values[arm][seed]) for arm in combined.weights for seed in whole.seeds), default=0.0)
    earlier = []
    for seeds in gains.looks[:-1]:
        then = [(seed, value) for seed, value in pairs if seed in seeds]
        values = [value for _, value in then]
        earlier.append(
            contrast_of(
                values,
                [seed for seed, _ in then],
                direction=gains.rules.direction,
                level=gains.level,
                scale=size,
            )
        )
    return [*earlier, whole]


def judge_sums(gains: Gains, combined: Sequence[Combination]) -> tuple[Judgement, ...]:
    """Judge several sums as one family, Holm-corrected among themselves."""
    return judge_together([case_of(gains, each) for each in combined], rules_of(gains, combined))


def rules_of(gains: Gains, combined: Sequence[Combination]) -> Rules:
    """What sums are judged by as one family; the grain is that of a difference that varies by rounding as they do."""
    squares = [math.fsum(weight**2 for weight in each.weights.values()) for each in combined]
    grain = gains.rules.grain * math.sqrt(max(squares, default=2.0) / 2.0)
    return replace(gains.rules, contrasts=max(1, len(combined)), grain=grain)
