"""Published results for arms of a study beside ours, and where the two protocols differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import level_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.statistics import Estimate, mean_interval, t_quantile
from fgtune.config.schema.paths import has_path, value_at
from fgtune.config.schema.published import PublishedResult, PublishedTable, find_arm

_LIMIT = "data.limit"
_SHOWN = 60
"""Longest value that the sentence on protocols shows in full."""


@dataclass(frozen=True)
class PublishedRow:
    """A published number beside ours.

    Attributes:
        arm: Name in the plan; empty where the study does not run the method.
        label: Its name for readers; empty as well.
        row: What the source calls it; may be empty.
        metric: The metric's name.
        title: The metric's name for readers.
        value: Published mean.
        sd: Published standard deviation over runs; nan if unknown.
        n: Published number of runs; None if unknown.
        ours: Mean and interval over our COMPLETE cells.
        difference: Ours minus the published mean; nan without cells.
        low: Lower end of the interval of the difference of the two means (Welch 1947), treating the runs of both as
            independent draws; nan if either side has fewer than two runs or no known standard deviation.
        high: Its upper end.
    """

    arm: str
    label: str
    row: str
    metric: str
    title: str
    value: float
    sd: float
    n: int | None
    ours: Estimate
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class PublishedComparison:
    """The numbers of one source.

    Attributes:
        source: The source.
        protocol: A sentence on how far the two protocols agree.
        differs: Whether any setting is known to differ.
        note: A remark from the study file.
        rows: In the order of the study file.
    """

    source: str
    protocol: str
    differs: bool
    note: str
    rows: tuple[PublishedRow, ...]

    @property
    def gives_deviations(self) -> bool:
        """Whether the source gives a standard deviation for at least one number."""
        return any(not math.isnan(row.sd) for row in self.rows)


def published_comparisons(data: StudyData) -> tuple[PublishedComparison, ...]:
    """One comparison per published table of the study, without rows whose arm is not in the plan.

    Rows of methods that the study does not run stand after those of its arms.
    """
    comparisons = []
    for table in data.study.published:
        pairs = [(result, arm) for result in table.results if (arm := _arm_of(data, result)) is not None]
        alone = [(result, "") for result in table.results if result.stands_alone]
        rows = tuple(_row(data, table, result, arm) for result, arm in (*pairs, *alone))
        if rows:
            differences = list(_differences(data, table, {arm for _, arm in pairs} or {data.baseline.name}))
            sentence = _protocol_sentence(table, differences)
            comparisons.append(PublishedComparison(table.source, sentence, bool(differences), table.note, rows))
    return tuple(comparisons)


def _arm_of(data: StudyData, result: PublishedResult) -> str | None:
    levels = {arm.name: arm.levels for arm in data.arms}
    baselines = {arm.name: data.baseline_of(arm).levels for arm in data.arms}
    return find_arm(result, levels, baselines)


def _row(data: StudyData, table: PublishedTable, result: PublishedResult, arm: str) -> PublishedRow:
    ours = arm_estimate(data, arm, result.metric) if arm else mean_interval((), data.level)
    sd, n = math.nan if result.sd is None else result.sd, result.n or table.n
    low, high = difference_interval(ours, result.value, sd, n, data.level)
    label = next((planned.label for planned in data.arms if planned.name == arm), "")
    title = data.info(result.metric).title
    difference = ours.mean - result.value
    return PublishedRow(arm, label, result.row, result.metric, title, result.value, sd, n, ours, difference, low, high)


def difference_interval(ours: Estimate, mean: float, sd: float, n: int | None, level: float) -> tuple[float, float]:
    """The interval of our mean minus a published one, for unequal variances (Welch 1947).

    Args:
        ours: Our mean, standard deviation and n.
        mean: The published mean.
        sd: Its standard deviation over runs; nan if unknown.
        n: Its number of runs; None if unknown.
        level: Confidence level.

    Returns:
        Lower and upper end; nan if one side has fewer than two values or no standard deviation.
    """
    if n is None or n < 2 or ours.n < 2 or math.isnan(sd):
        return math.nan, math.nan
    first, second = ours.sd**2 / ours.n, sd**2 / n
    difference, variance = ours.mean - mean, first + second
    if variance == 0:
        return difference, difference
    freedom = variance**2 / (first**2 / (ours.n - 1) + second**2 / (n - 1))
    half = t_quantile(0.5 + level / 2, freedom) * math.sqrt(variance)
    return difference - half, difference + half


def _differences(data: StudyData, table: PublishedTable, arms: set[str]) -> Iterator[str]:
    """``path is A here, B there`` for every setting of the published protocol in which any of the arms differs."""
    configs = [_config_of(data, arm) for arm in sorted(arms)]
    published = {_LIMIT: None, **table.protocol} if table.protocol else {}
    for path, there in published.items():
        here = [value_at(config, path) if has_path(config, path) else "absent" for config in configs]
        if any(value != there for value in here):
            distinct = list({json.dumps(value, sort_keys=True): value for value in here}.values())
            yield f"{path} is {' or '.join(map(_shown, distinct))} here, {_shown(there)} there"


def _config_of(data: StudyData, arm: str) -> Mapping[str, Any]:
    """The config of an arm's first finished cell; the study's trial before any has ended."""
    ended = data.ended(arm)
    return ended[0].config if ended else data.study.trial.to_plain()


def _shown(value: Any) -> str:
    text = level_text(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _protocol_sentence(table: PublishedTable, differences: list[str]) -> str:
    if not table.protocol:
        return "The study file does not state the protocol behind these numbers, so they may not be comparable."
    if differences:
        return (
            "The protocols differ, so a difference between the numbers is no verdict on the method: "
            f"{'; '.join(differences)}."
        )
    return (
        f"The settings that the study file compares agree ({', '.join(table.protocol)}); "
        "what the source leaves unsaid may still differ."
    )
