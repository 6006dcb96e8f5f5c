"""The mean of an arm over its seeds, as tables, sentences and figures show it."""

from __future__ import annotations

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.statistics import Estimate, mean_interval


def arm_estimate(data: StudyData, arm: str, metric: str) -> Estimate:
    """Mean and interval of a metric over an arm's COMPLETE cells with a finite value, within the metric's range."""
    info = data.info(metric)
    return mean_interval(list(data.values(arm, metric).values()), data.level).within(info.limits)
