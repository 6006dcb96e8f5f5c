"""The arms from which readers of a page choose: each with its group, its verdict and its colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fgtune.analysis.formatting import factor_name
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.summary import StudySummary
from fgtune.reporting.theme import ArmStyle

_FEWEST = 2
"""With fewer arms besides the baselines there is nothing to choose."""
_SEVERAL = "several settings"


def arm_list(
    data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle], best: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Every arm as JSON data, in the order of the plan; empty where there is nothing to choose.

    Args:
        data: The study.
        summary: Its summary.
        styles: Style of every arm.
        best: The points of a space from the best on; empty where arms are compared one by one.

    Returns:
        ``name`` in the plan and ``label`` for readers; where they apply, ``color`` (points of a search have none of
        their own), ``hint`` (the settings of a point of a space, which goes by its name), ``group`` (if groups have two
        arms on average), ``verdict``, ``rank`` among the best (from 1), ``baseline``.
    """
    if sum(not arm.is_baseline for arm in data.arms) < _FEWEST:
        return []
    verdicts = {item.arm: item.judgement.verdict.value for item in summary.contrasts if item.judgement is not None}
    ranks = {name: rank for rank, name in enumerate(best, start=1)}
    in_space = data.study.design.samples_points
    groups = {} if in_space else _groups(data)
    found = []
    for arm in data.arms:
        record = {"name": arm.name, "label": data.shown_name(arm)}
        more = {
            "color": styles[arm.name].color if summary.search is None else "",
            "hint": arm.label if in_space else "",
            "group": groups.get(arm.name, ""),
            "verdict": verdicts.get(arm.name, ""),
            "rank": ranks.get(arm.name, 0),
            "baseline": arm.is_baseline,
        }
        found.append(record | {key: value for key, value in more.items() if value})
    return found


def _groups(data: StudyData) -> dict[str, str]:
    """The data set of every arm, or the factor in which it differs from its baseline; none if that says little."""
    others = [arm for arm in data.arms if not arm.is_baseline]
    groups = {arm.name: arm.dataset or _varied(data, arm) for arm in others}
    sizes = Counter(groups.values())
    return groups if 1 < len(sizes) <= len(others) / 2 else {}


def _varied(data: StudyData, arm: PlannedArm) -> str:
    baseline = data.baseline.levels
    varied = [path for path in data.factors if arm.levels.get(path) != baseline.get(path)]
    return factor_name(varied[0], data.factors) if len(varied) == 1 else _SEVERAL
