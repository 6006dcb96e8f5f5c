"""The worth of choosing a point by one metric while another one counts: gain, regret, and agreement of the two.

The best of many points looks better than it is, because the seeds that chose it also judge it (the winner's curse).
So a plain difference has no interval here; the interval is that of the difference in which each part of the seeds
judges a point that the other parts chose (``held_out.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.held_out import (
    UNDEFINED,
    HeldOut,
    chance_of_lead,
    choices,
    choices_by,
    folds_of,
    held_out,
    judged,
    judged_mean,
    means_without,
    table_of,
)
from fgtune.analysis.search.rank_correlation import RankCorrelation, correlation_with_folds, spearman
from fgtune.analysis.trials import Trial, best_trial, trials_of
from fgtune.analysis.verdicts.grounds import arm_contrast
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.arrays import FloatArray
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.catalog.spec import sign_of

_FEWEST_ARMS = 4
"""Smallest number of arms on one data set among which a choice says anything about the metric that chose."""


@dataclass(frozen=True)
class Choice:
    """What choosing by one metric costs in the primary one.

    Attributes:
        criterion: The metric that chooses.
        n: Number of points to choose among.
        arm: The point that it chooses.
        best_arm: The point with the best primary metric among those with both; empty if undefined.
        regret: Primary metric of the best point minus that of the chosen one, seed by seed; so positive for accuracy,
            negative for a distance. None if undefined, or if the criterion is the primary metric. The best point is
            partly lucky, so its interval would cover too little: ``cost`` has one.
        random_regret: The same for a random point, averaged over the points; nan if undefined. It is in the data, not
            on the page, which shows ``random_cost``.
        cost: What choosing by the primary metric itself would have had more, both choices made and judged on different
            seeds; None where ``regret`` is.
        random_cost: The same for a random point; None if there is no best point.
        agreement: Agreement of criterion and primary metric over the points; None as for ``regret``.
        held_out_agreement: The same of the criterion on some seeds with the primary metric on others, which noise that
            moves both metrics of a cell does not reach; ``agreement`` itself with a single seed.
    """

    criterion: str
    n: int
    arm: str
    best_arm: str
    regret: PairedContrast | None
    random_regret: float
    cost: HeldOut | None
    random_cost: HeldOut | None
    agreement: RankCorrelation | None
    held_out_agreement: RankCorrelation | None


@dataclass(frozen=True)
class LabelFreeChoice(Choice):
    """Which arm of a study a label-free metric would choose.

    Every arm counts, including the baseline, but those that read fine labels: a user without these would have to choose
    among all others.

    Attributes:
        dataset: The data set in a comparison over several, else empty.
        value: Mean primary metric of the chosen arm.
    """

    dataset: str
    value: float


@dataclass(frozen=True)
class Gain:
    """A point against the baseline on one metric.

    Attributes:
        metric: Its name.
        contrast: Paired differences over the seeds that both have; its interval ignores that these chose the point.
        held_out: The difference where each part of the seeds judges the point that the others chose.
    """

    metric: str
    contrast: PairedContrast
    held_out: HeldOut


@dataclass(frozen=True)
class Selection(Choice):
    """Which point of a space a metric chooses; the baseline cannot be chosen.

    Attributes:
        searched: Whether the search optimised the criterion; otherwise the choice is exploratory.
        own: Gain over the baseline on the criterion.
        primary: Gain over the baseline on the primary metric.
        chance: How often the best of as many points would lead by as much on the criterion, if no point differed from
            the baseline; nan with one seed, without a baseline, or without spread.
    """

    searched: bool
    own: Gain
    primary: Gain
    chance: float


def select(
    data: StudyData, trials: Sequence[Trial], criterion: MetricInfo, primary: MetricInfo, *, searched: bool
) -> Selection | None:
    """Choose by ``criterion`` among the points (never the baseline); None if no point has it.

    Args:
        data: The study.
        trials: Its points.
        criterion: What chooses, with its direction.
        primary: What counts.
        searched: Whether the search optimised the criterion.
    """
    points = [trial for trial in trials if not trial.is_baseline and math.isfinite(trial.value(criterion.name))]
    chosen = best_trial(points, criterion)
    if chosen is None:
        return None
    return Selection(
        searched=searched,
        n=len(points),
        own=_gain(data, chosen, points, criterion, criterion),
        primary=_gain(data, chosen, points, criterion, primary),
        chance=_chance(data, points, criterion),
        **_cost(data, chosen, points, criterion, primary),
    )


def label_free_choices(data: StudyData) -> tuple[LabelFreeChoice, ...]:
    """The choices by data set, then by shown label-free metric.

    Empty if there are too few arms or none can be better, if the primary metric is label-free itself, or if the arms
    are points of a space, which have selections instead.
    """
    if data.study.trial.discovery is None:
        return ()
    primary = data.info(data.study.metrics.primary)
    criteria = [data.info(name) for name in data.shown_metrics[1:]]
    criteria = [info for info in criteria if not info.oracle and info.direction != "none"]
    criteria += [data.info(name) for name in ARM_METRICS]
    design = data.study.design
    if design.samples_points or design.varies_streams or not primary.oracle or primary.direction == "none":
        return ()
    arms_on = Counter(arm.dataset for arm in data.choosable)
    if max(arms_on.values(), default=0) < _FEWEST_ARMS:
        return ()
    trials = {trial.arm: trial for trial in trials_of(data, ARM_METRICS)}
    by_dataset: dict[str, list[Trial]] = {}
    for arm in data.choosable:
        by_dataset.setdefault(arm.dataset, []).append(trials[arm.name])
    found = []
    for dataset, arms in by_dataset.items():
        for info in criteria:
            both = [trial for trial in arms if math.isfinite(trial.value(info.name) + trial.value(primary.name))]
            chosen = best_trial(both, info)
            if chosen is not None and len(both) >= _FEWEST_ARMS:
                cost = _cost(data, chosen, both, info, primary)
                value = chosen.value(primary.name)
                found.append(LabelFreeChoice(dataset=dataset, n=len(both), value=value, **cost))
    return tuple(found)


def _cost(
    data: StudyData, chosen: Trial, points: Sequence[Trial], criterion: MetricInfo, primary: MetricInfo
) -> dict[str, Any]:
    """The fields of a ``Choice`` about what was chosen and what that costs."""
    fields: dict[str, Any] = {"criterion": criterion.name, "arm": chosen.arm}
    both = [trial for trial in points if math.isfinite(trial.value(primary.name))]
    best = best_trial(both, primary) if primary.direction != "none" else None
    if best is None:
        absent = {"regret": None, "cost": None, "random_cost": None, "agreement": None, "held_out_agreement": None}
        return fields | absent | {"best_arm": "", "random_regret": math.nan}
    mean = math.fsum(trial.value(primary.name) for trial in both) / len(both)
    differs = criterion.name != primary.name
    cost, random_cost, held_out_agreement = _on_other_seeds(data, both, criterion, primary)
    agreement = _agreement(both, criterion, primary, data.level) if differs else None
    return fields | {
        "best_arm": best.arm,
        "regret": arm_contrast(data, best.arm, chosen.arm, primary) if differs else None,
        "random_regret": best.value(primary.name) - mean,
        "cost": cost if differs else None,
        "random_cost": random_cost,
        "agreement": agreement,
        "held_out_agreement": held_out_agreement or agreement if differs else None,
    }


def _on_other_seeds(
    data: StudyData, points: Sequence[Trial], criterion: MetricInfo, primary: MetricInfo
) -> tuple[HeldOut, HeldOut, RankCorrelation | None]:
    """What choosing by the primary metric has more than by the criterion and than at random, and how the two agree.

    Each is judged on seeds that did not choose; the agreement is None with a single seed.
    """
    arms = [trial.arm for trial in points]
    seeds = _shared_seeds(data, arms, [criterion, primary])
    if len(seeds) < 2:
        return UNDEFINED, UNDEFINED, None
    values = table_of({arm: data.values(arm, primary.name) for arm in arms}, seeds)
    one, two = _scores_without(data, arms, seeds, criterion), sign_of(primary.direction) * values
    best, chosen, average = judged(values, choices(two)), judged(values, choices_by(one)), judged_mean(values)
    cost, random_cost = (held_out(best, other, len(seeds), data.level, primary.reach) for other in (chosen, average))
    agreement = correlation_with_folds(one, two, data.level) if np.isfinite(one).all() else None
    return cost, random_cost, agreement


def _scores(data: StudyData, arms: Sequence[str], seeds: Sequence[int], info: MetricInfo) -> FloatArray:
    """Values of a metric as (arms, seeds), signed so that larger is better."""
    return sign_of(info.direction) * table_of({arm: data.values(arm, info.name) for arm in arms}, seeds)


def _scores_without(data: StudyData, arms: Sequence[str], seeds: Sequence[int], info: MetricInfo) -> FloatArray:
    """A metric as (arms, folds), without the seeds of each fold, signed so that larger is better.

    A metric of an arm is measured again on the seeds that are left; nan where these are too few.
    """
    if info.name not in ARM_METRICS:
        return means_without(_scores(data, arms, seeds, info))
    found = [data.agreements.of(arm) for arm in arms]
    left_out = [[seeds[place] for place in fold] for fold in folds_of(len(seeds))]
    rows = [[math.nan if each is None else each.without(fold) for fold in left_out] for each in found]
    return sign_of(info.direction) * np.array(rows)


def _seeds_of(data: StudyData, arm: str, info: MetricInfo) -> set[int]:
    """The seeds at which an arm has a metric."""
    if info.name not in ARM_METRICS:
        return {*data.values(arm, info.name)}
    agreement = data.agreements.of(arm)
    return set() if agreement is None else {*agreement.seeds}


def _shared_seeds(data: StudyData, arms: Sequence[str], infos: Sequence[MetricInfo]) -> list[int]:
    """The seeds at which every arm has every metric."""
    found = [_seeds_of(data, arm, info) for arm in arms for info in infos]
    return sorted(set.intersection(*found)) if found else []


def _agreement(trials: Sequence[Trial], one: MetricInfo, two: MetricInfo, level: float) -> RankCorrelation:
    """Rank correlation of two metrics, each signed so that larger is better; all points have both."""
    first = [sign_of(one.direction) * trial.value(one.name) for trial in trials]
    second = [sign_of(two.direction) * trial.value(two.name) for trial in trials]
    return spearman(first, second, level)


def _gain(data: StudyData, chosen: Trial, points: Sequence[Trial], criterion: MetricInfo, info: MetricInfo) -> Gain:
    arms = [trial.arm for trial in points]
    contrast = arm_contrast(data, chosen.arm, data.baseline.name, info)
    return Gain(info.name, contrast, held_out_gain(data, arms, data.baseline.name, criterion, info))


def held_out_gain(
    data: StudyData, arms: Sequence[str], reference: str, criterion: MetricInfo, info: MetricInfo
) -> HeldOut:
    """What the arm that ``criterion`` chooses has more of a metric than a fixed arm, on seeds that did not choose.

    Args:
        data: The study.
        arms: The arms to choose from.
        reference: The arm that the choice is set against; it may be among them.
        criterion: What chooses, with its direction.
        info: What judges.
    """
    base = data.values(reference, info.name)
    seeds = [seed for seed in _shared_seeds(data, arms, [criterion]) if seed in base]
    if len(seeds) < 2 or info.name in ARM_METRICS:  # a seed alone cannot judge agreement
        return UNDEFINED
    chosen = choices_by(_scores_without(data, arms, seeds, criterion))
    values = table_of({arm: data.values(arm, info.name) for arm in arms}, seeds)
    against = table_of({reference: base}, seeds)
    return held_out(judged(values, chosen), judged_mean(against), len(seeds), data.level, info.reach)


def _chance(data: StudyData, points: Sequence[Trial], criterion: MetricInfo) -> float:
    arms = [*(trial.arm for trial in points), data.baseline.name]
    seeds = _shared_seeds(data, arms, [criterion])
    if len(seeds) < 2 or criterion.name in ARM_METRICS:  # pseudo-values are not independent
        return math.nan
    scores = _scores(data, arms, seeds, criterion)
    return chance_of_lead(scores[:-1], scores[-1])
