"""The worth of choosing a point by one metric while another one counts: gain, regret, and agreement of the two.

The best of many points looks better than it is, because the seeds that chose it also judge it (the winner's curse).
Besides the plain difference there is therefore one in which each seed judges a point that the other seeds chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from fgtune.analysis.formatting import MetricInfo, metric_info
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.statistics import PairedContrast, paired_contrast
from fgtune.analysis.trials import Trial, best_trial, sign_of, trials_of

_FEWEST_RANKED = 5
_FEWEST_ARMS = 4
"""Smallest number of arms on one data set among which a choice says anything about the metric that chose."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation over points, signed so that 1 means that both metrics agree on what is better.

    Attributes:
        n: Number of points with both.
        rho: In [-1, 1]; nan with fewer than three points or without variation.
        low: Lower end of the interval (Bonett and Wright 2000); nan with fewer than five points, or rho of 1 or -1.
        high: Upper end.
    """

    n: int
    rho: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """What choosing by one metric costs in the primary one.

    Attributes:
        criterion: The metric that chooses.
        n: Number of points to choose among.
        arm: The point that it chooses.
        best_arm: The point with the best primary metric among those with both; empty if undefined.
        regret: Primary metric of the best point minus that of the chosen one, seed by seed; so positive for accuracy,
            negative for a distance. None if undefined, or if the criterion is the primary metric.
        random_regret: The same for a random point, averaged over the points; nan if undefined.
        agreement: Agreement of criterion and primary metric over the points; None as for ``regret``.
    """

    criterion: str
    n: int
    arm: str
    best_arm: str
    regret: PairedContrast | None
    random_regret: float
    agreement: RankCorrelation | None


@dataclass(frozen=True)
class LabelFreeChoice(Choice):
    """Which arm of a study a label-free metric would choose.

    Every arm counts, including the baseline: a user without fine labels would have to choose among all of them.

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
        contrast: Paired differences over the seeds that both have.
        held_out: Mean difference if each seed judges the point that the other seeds chose; nan with one seed.
    """

    metric: str
    contrast: PairedContrast
    held_out: float


@dataclass(frozen=True)
class Selection(Choice):
    """Which point of a space a metric chooses; the baseline cannot be chosen.

    Attributes:
        searched: Whether the search optimised the criterion; otherwise the choice is exploratory.
        own: Gain over the baseline on the criterion.
        primary: Gain over the baseline on the primary metric.
    """

    searched: bool
    own: Gain
    primary: Gain


def spearman(one: Sequence[float], two: Sequence[float], level: float = 0.95) -> RankCorrelation:
    """Spearman's rank correlation with its interval.

    Args:
        one: (n,) finite numbers.
        two: (n,) finite numbers.
        level: Confidence level.
    """
    n = len(one)
    if n < 3 or len(set(one)) < 2 or len(set(two)) < 2:
        return RankCorrelation(n, math.nan, math.nan, math.nan)
    rho = float(stats.spearmanr(one, two).statistic)
    if n < _FEWEST_RANKED or abs(rho) > 1 - 1e-12:
        return RankCorrelation(n, min(max(rho, -1.0), 1.0), math.nan, math.nan)
    half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(rho)
    return RankCorrelation(n, rho, math.tanh(centre - half), math.tanh(centre + half))


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
    table = {trial.arm: data.values(trial.arm, criterion.name) for trial in points}
    return Selection(
        searched=searched,
        n=len(points),
        own=_gain(data, chosen, criterion, table, criterion),
        primary=_gain(data, chosen, primary, table, criterion),
        **_cost(data, chosen, points, criterion, primary),
    )


def label_free_choices(data: StudyData) -> tuple[LabelFreeChoice, ...]:
    """The choices by data set, then by shown label-free metric.

    Empty if there are too few arms, if the primary metric is label-free itself, or if the arms are points of a space,
    which have selections instead.
    """
    primary = metric_info(data.study.metrics.primary)
    criteria = [metric_info(name) for name in data.shown_metrics[1:]]
    criteria = [info for info in criteria if not info.oracle and info.direction != "none"]
    if data.study.design.samples_points or not primary.oracle or primary.direction == "none":
        return ()
    trials = {trial.arm: trial for trial in trials_of(data)}
    by_dataset: dict[str, list[Trial]] = {}
    for arm in data.arms:
        by_dataset.setdefault(arm.dataset, []).append(trials[arm.name])
    choices = []
    for dataset, arms in by_dataset.items():
        for info in criteria:
            both = [trial for trial in arms if math.isfinite(trial.value(info.name) + trial.value(primary.name))]
            chosen = best_trial(both, info)
            if chosen is not None and len(both) >= _FEWEST_ARMS:
                cost = _cost(data, chosen, both, info, primary)
                value = chosen.value(primary.name)
                choices.append(LabelFreeChoice(dataset=dataset, n=len(both), value=value, **cost))
    return tuple(choices)


def _cost(
    data: StudyData, chosen: Trial, points: Sequence[Trial], criterion: MetricInfo, primary: MetricInfo
) -> dict[str, Any]:
    """The fields of a ``Choice`` about what was chosen and what that costs."""
    fields: dict[str, Any] = {"criterion": criterion.name, "arm": chosen.arm}
    both = [trial for trial in points if math.isfinite(trial.value(primary.name))]
    best = best_trial(both, primary) if primary.direction != "none" else None
    if best is None:
        return fields | {"best_arm": "", "regret": None, "random_regret": math.nan, "agreement": None}
    mean = math.fsum(trial.value(primary.name) for trial in both) / len(both)
    differs = criterion.name != primary.name
    return fields | {
        "best_arm": best.arm,
        "regret": arm_contrast(data, best.arm, chosen.arm, primary) if differs else None,
        "random_regret": best.value(primary.name) - mean,
        "agreement": agreement_of(both, criterion, primary, data.level) if differs else None,
    }


def arm_contrast(data: StudyData, arm: str, other: str, info: MetricInfo) -> PairedContrast:
    """One arm minus another on a metric, over the seeds that both have."""
    one, two = data.values(arm, info.name), data.values(other, info.name)
    return paired_contrast(one, two, direction=info.direction, level=data.level)


def agreement_of(trials: Sequence[Trial], one: MetricInfo, two: MetricInfo, level: float) -> RankCorrelation:
    """Rank correlation of two metrics, each signed so that larger is better; all points have both."""
    first = [sign_of(one.direction) * trial.value(one.name) for trial in trials]
    second = [sign_of(two.direction) * trial.value(two.name) for trial in trials]
    return spearman(first, second, level)


def _gain(
    data: StudyData,
    chosen: Trial,
    info: MetricInfo,
    table: Mapping[str, Mapping[int, float]],
    criterion: MetricInfo,
) -> Gain:
    contrast = arm_contrast(data, chosen.arm, data.baseline.name, info)
    judged = {arm: data.values(arm, info.name) for arm in (*table, data.baseline.name)}
    return Gain(info.name, contrast, _held_out(table, criterion, judged, data.baseline.name))


def _held_out(
    table: Mapping[str, Mapping[int, float]],
    criterion: MetricInfo,
    judged: Mapping[str, Mapping[int, float]],
    baseline: str,
) -> float:
    """Mean over the seeds of the point that the other seeds choose, minus the baseline, at the seed left out."""
    seeds = sorted(judged[baseline])
    if len(seeds) < 2:
        return math.nan
    gains = []
    for seed in seeds:
        others = [other for other in seeds if other != seed]
        sums = {
            arm: math.fsum(values[other] for other in others)
            for arm, values in table.items()
            if values.keys() >= set(others)
        }
        arm = max(sums, key=lambda arm: sign_of(criterion.direction) * sums[arm], default=None)
        if arm is None or seed not in judged[arm]:
            return math.nan
        gains.append(judged[arm][seed] - judged[baseline][seed])
    return math.fsum(gains) / len(gains)
