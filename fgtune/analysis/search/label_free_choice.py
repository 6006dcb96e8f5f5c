"""Choosing an arm without fine labels: which arm each label-free metric would choose, and what that costs.

Every arm counts, the baseline too: they are the settings among which a user without fine labels would have to choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.selection import RankCorrelation, agreement_of, arm_contrast, best_trial
from fgtune.analysis.statistics import PairedContrast
from fgtune.analysis.text.formatting import MetricInfo, metric_info
from fgtune.analysis.trials import Trial, is_spread, trials_of

_FEWEST = 4
"""Arms on one data set from which on a choice among them says anything about what chose."""


@dataclass(frozen=True)
class Choice:
    """What choosing by one metric yields on one data set.

    Attributes:
        dataset: Its name in a comparison over several data sets, else empty.
        criterion: The metric that chooses.
        n: Number of arms to choose among.
        arm: The one that it chooses.
        value: Mean of the primary metric there.
        best_arm: The arm with the best primary metric.
        regret: Primary metric of the best arm minus that of the chosen one, seed by seed, in the metric's direction.
        random_regret: The same for an arm drawn at random: mean over the arms.
        agreement: Of criterion and primary metric over the arms.
    """

    dataset: str
    criterion: str
    n: int
    arm: str
    value: float
    best_arm: str
    regret: PairedContrast
    random_regret: float
    agreement: RankCorrelation


def choices_of(data: StudyData) -> tuple[Choice, ...]:
    """By data set, then by label-free metric that the study shows.

    Empty where there are too few arms, the primary metric reads no fine labels itself, or the arms are points of a
    search or of a space, which are told apart.
    """
    primary = metric_info(data.study.metrics.primary)
    criteria = [metric_info(name) for name in data.shown_metrics[1:]]
    criteria = [info for info in criteria if not info.oracle and info.direction != "none"]
    if is_spread(data) or not primary.oracle or primary.direction == "none":
        return ()
    trials = {trial.arm: trial for trial in trials_of(data)}
    groups: dict[str, list[Trial]] = {}
    for arm in data.arms:
        groups.setdefault(arm.dataset, []).append(trials[arm.name])
    found = [
        _choice(data, dataset, group, info, primary)
        for dataset, group in groups.items()
        if len(group) >= _FEWEST
        for info in criteria
    ]
    return tuple(each for each in found if each is not None)


def _choice(
    data: StudyData, dataset: str, trials: Sequence[Trial], criterion: MetricInfo, primary: MetricInfo
) -> Choice | None:
    both = [t for t in trials if math.isfinite(t.value(criterion.name)) and math.isfinite(t.value(primary.name))]
    chosen, best = best_trial(both, criterion), best_trial(both, primary)
    if chosen is None or best is None or len(both) < _FEWEST:
        return None
    mean = math.fsum(trial.value(primary.name) for trial in both) / len(both)
    return Choice(
        dataset=dataset,
        criterion=criterion.name,
        n=len(both),
        arm=chosen.arm,
        value=chosen.value(primary.name),
        best_arm=best.arm,
        regret=arm_contrast(data, best.arm, chosen.arm, primary),
        random_regret=best.value(primary.name) - mean,
        agreement=agreement_of(both, criterion, primary, data.level),
    )
