"""A comparison over several data sets as records: each arm against the baseline over all of them, and the arms' ranks.

The contrasts over data sets are planned like those on each data set, and form a family of their own: Holm over the
arms, for difference and for equivalence, at the study's alpha. Verdicts on single data sets keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.cells import failure_bounds
from fgtune.analysis.datasets.judging import DatasetEffect, PooledRules, judge_pooled, shaped
from fgtune.analysis.datasets.pooling import (
    FEWEST_DATASETS,
    Aggregate,
    Pooled,
    equivalence_p,
    improvement,
    interquartile_interval,
    pool,
)
from fgtune.analysis.datasets.ranks import RankTest, rank_test
from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.grounds import arm_contrast, shapes_of
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.look_tests import LookTests, sequential_p_values, spent_shares
from fgtune.analysis.verdicts.statistics import UNLIMITED, PairedContrast, holm
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import sign_of
from fgtune.streams import numpy_stream

_FEWEST_RANKED = 3
"""Fewest arms that are ranked: of two, the ranks say less than their differences."""


@dataclass(frozen=True)
class PooledContrast:
    """An arm against the baseline over all data sets.

    Attributes:
        arm: Its own name, without a data set.
        effects: By data set, in the order of the study; those without a pair are left out of everything else.
        pooled: The mean effect over data sets.
        p_adjusted: Its p, which pays for every look at the results, Holm-adjusted over the arms.
        p_equivalent: The p that it lies within the margin, Holm-adjusted over the arms; nan without a margin.
        margin: The mean of the data sets' equivalence margins; None without one.
        verdict: The answer.
        reason: Why, in a clause.
        score: The arm's interquartile mean over all data sets and seeds.
        gain: That of the arm minus that of the baseline, over the pairs.
        improved: The probability of improvement.
    """

    arm: str
    effects: tuple[DatasetEffect, ...]
    pooled: Pooled
    p_adjusted: float
    p_equivalent: float
    margin: float | None
    verdict: Verdict
    reason: str
    score: Aggregate
    gain: Aggregate
    improved: Aggregate

    @property
    def measured(self) -> tuple[DatasetEffect, ...]:
        """The effects with at least one pair."""
        return tuple(effect for effect in self.effects if effect.contrast.n > 0)


@dataclass(frozen=True)
class DatasetsSummary:
    """What a comparison says over all its data sets.

    Attributes:
        names: The data sets.
        baseline: Own name of the baseline.
        contrasts: Each other arm against it.
        score: The baseline's interquartile mean over all data sets and seeds.
        ranks: The arms' ranks; None with fewer than three arms, or three data sets on which all have a value.
    """

    names: tuple[str, ...]
    baseline: str
    contrasts: tuple[PooledContrast, ...]
    score: Aggregate
    ranks: RankTest | None

    @property
    def answers(self) -> bool:
        """Whether there are enough data sets for an answer over them together."""
        return len(self.names) >= FEWEST_DATASETS


def summarise_datasets(data: StudyData) -> DatasetsSummary | None:
    """Answer a comparison over its data sets together; None if it has a single one."""
    crossed = [(name, arm, dataset) for name, arm, dataset in data.study.design.crossed() if dataset]
    names = tuple(dict.fromkeys(dataset for _, _, dataset in crossed))
    if len(names) < 2:
        return None
    info = data.info(data.study.metrics.primary)
    baselines = {arm.dataset: arm.name for arm in data.arms if arm.is_baseline}
    baseline = next(arm for name, arm, _ in crossed if name in baselines.values())
    others = list(dict.fromkeys(arm for _, arm, _ in crossed if arm != baseline))
    by_arm = {own: {dataset: name for name, arm, dataset in crossed if arm == own} for own in (baseline, *others)}
    bounds = {each.arm: (each.difference_low, each.difference_high) for each in failure_bounds(data, info)}
    effects = {arm: _effects(data, info, by_arm[arm], baselines, bounds) for arm in others}
    return DatasetsSummary(
        names=names,
        baseline=baseline,
        contrasts=_contrasts(data, info, by_arm, effects, baselines),
        score=_score(data, info, [*by_arm[baseline].values()], baseline),
        ranks=_ranks(data, info, by_arm, names),
    )


def _effects(
    data: StudyData,
    info: MetricInfo,
    names: dict[str, str],
    baselines: dict[str, str],
    bounds: dict[str, tuple[float, float]],
) -> tuple[DatasetEffect, ...]:
    found = []
    for (dataset, name), contrast in zip(names.items(), _paired(data, info, names, baselines), strict=True):
        lost = len({*data.lost(name, info.name), *data.lost(baselines[dataset], info.name)})
        mean = contrast.estimate.mean
        found.append(DatasetEffect(dataset, name, contrast, lost, *bounds.get(name, (mean, mean))))
    return tuple(found)


def _paired(
    data: StudyData, info: MetricInfo, names: dict[str, str], baselines: dict[str, str]
) -> list[PairedContrast]:
    """An arm against the baseline on each data set."""
    return [arm_contrast(data, name, baselines[dataset], info) for dataset, name in names.items()]


def _contrasts(
    data: StudyData,
    info: MetricInfo,
    by_arm: dict[str, dict[str, str]],
    effects: dict[str, tuple[DatasetEffect, ...]],
    baselines: dict[str, str],
) -> tuple[PooledContrast, ...]:
    contrasts = {arm: [effect.contrast for effect in own] for arm, own in effects.items()}
    pooled = {arm: _pool(own, data.level) for arm, own in contrasts.items()}
    margins = {arm: _margin(data, own) for arm, own in contrasts.items()}
    earlier = [data.at_look(look) for look in range(len(data.looks) - 1)]
    paid = []
    for arm, now in contrasts.items():
        looks = [*(_paired(then, info, by_arm[arm], baselines) for then in earlier), now]
        paid.append(sequential_p_values([_tests(data, each) for each in looks], spent_shares(data)))
    adjusted, equivalent = (holm(p_values) for p_values in zip(*paid, strict=True)) if paid else ((), ())
    rules = PooledRules(
        info=info,
        alpha=data.study.metrics.alpha,
        contrasts=len(effects),
        cells=sum(effect.contrast.n for own in effects.values() for effect in own),
        collapse_rate=data.study.metrics.collapse_rate,
    )
    rules = shaped(rules, shapes_of(data, info))
    found = []
    for (arm, own), p, p_equivalent in zip(effects.items(), adjusted, equivalent, strict=True):
        verdict, reason = judge_pooled(own, pooled[arm], (p, p_equivalent), margins[arm], rules)
        pairs = [contrast for contrast in contrasts[arm] if contrast.n > 0]
        found.append(
            PooledContrast(
                arm=arm,
                effects=own,
                pooled=pooled[arm],
                p_adjusted=p,
                p_equivalent=p_equivalent,
                margin=margins[arm],
                verdict=verdict,
                reason=reason,
                score=_score(data, info, [*by_arm[arm].values()], arm),
                gain=_gain(data, info, own, arm),
                improved=_improved(pairs, info, data.level),
            )
        )
    return tuple(found)


def _tests(data: StudyData, contrasts: Sequence[PairedContrast]) -> LookTests:
    """The tests of a difference and of equivalence over data sets, from the pairs that a look had on each."""
    pooled, margin = _pool(contrasts, data.level), _margin(data, contrasts)
    close = math.nan if margin is None else equivalence_p(pooled, margin)
    return LookTests(max(each.n for each in contrasts), pooled.estimate.mean, pooled.p, close)


def _pool(contrasts: Sequence[PairedContrast], level: float) -> Pooled:
    estimates = [each.estimate for each in contrasts if each.n > 0]
    variances = [estimate.sd**2 / estimate.n for estimate in estimates]  # nan from a single pair
    limits = next((each.limits for each in contrasts), UNLIMITED)
    return pool([estimate.mean for estimate in estimates], variances, level, limits)


def _margin(data: StudyData, contrasts: Sequence[PairedContrast]) -> float | None:
    """The mean of the margins on the data sets with a pair: a relative one depends on the baseline there."""
    margins = [data.study.metrics.margin(each.baseline_mean) for each in contrasts if each.n > 0]
    known = [margin for margin in margins if margin is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(margins) else None


def _values(data: StudyData, info: MetricInfo, names: Sequence[str]) -> list[FloatArray]:
    """The values on each data set that has any."""
    found = [np.array(list(data.values(name, info.name).values())) for name in names]
    return [values for values in found if values.size]


def _score(data: StudyData, info: MetricInfo, names: Sequence[str], arm: str) -> Aggregate:
    rng = numpy_stream(0, "interquartile", arm)
    return interquartile_interval(_values(data, info, names), None, rng, data.level)


def _gain(data: StudyData, info: MetricInfo, effects: Sequence[DatasetEffect], arm: str) -> Aggregate:
    ours, theirs = [], []
    for effect in effects:
        if effect.contrast.n:
            own = data.values(effect.arm, info.name)
            ours.append(np.array([own[seed] for seed in effect.contrast.seeds]))
            theirs.append(ours[-1] - np.array(effect.contrast.differences))
    return interquartile_interval(ours, theirs, numpy_stream(0, "interquartile", "gain", arm), data.level)


def _improved(pairs: Sequence[PairedContrast], info: MetricInfo, level: float) -> Aggregate:
    if info.direction == "none":
        return Aggregate(math.nan, math.nan, math.nan)
    return improvement([sign_of(info.direction) * np.array(each.differences) for each in pairs], level)


def _ranks(
    data: StudyData, info: MetricInfo, by_arm: dict[str, dict[str, str]], names: Sequence[str]
) -> RankTest | None:
    """The arms' ranks by their means over seeds, on the data sets on which every arm has a value."""
    table = {name: [data.values(own[name], info.name) for own in by_arm.values()] for name in names}
    whole = [name for name in names if all(table[name])]
    if len(by_arm) < _FEWEST_RANKED or len(whole) < FEWEST_DATASETS or info.direction == "none":
        return None
    means = np.array([[math.fsum(values.values()) / len(values) for values in table[name]] for name in whole])
    return rank_test(sign_of(info.direction) * means, list(by_arm), whole, data.study.metrics.alpha)
