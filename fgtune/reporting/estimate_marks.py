"""Means with intervals and single seeds as marks of a figure; of very many arms as two traces instead of two an arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.formatting import MetricInfo, around, number
from fgtune.analysis.trials import NO_ENDS, Trial
from fgtune.analysis.verdicts.statistics import Estimate
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    FAINT,
    MOST_NAMED,
    ArmStyle,
    marks,
    of_arm,
    of_arms,
    of_runs,
    seeds_words,
    short,
    shown,
)


@dataclass(frozen=True)
class ArmMark:
    """What a figure shows of an arm.

    Attributes:
        arm: Its name in the plan.
        label: Its name for readers.
        place: Its row, or its position on the axis of a setting.
        beside: Where its single seeds stand, next to it.
        estimate: Mean and interval.
        seeds: (seed, value) of every cell.
    """

    arm: str
    label: str
    place: float
    beside: float
    estimate: Estimate
    seeds: tuple[tuple[int, float], ...]


def arm_traces(
    drawn: Sequence[ArmMark], styles: Mapping[str, ArmStyle], *, rows: bool, sign: bool = False
) -> list[go.Scatter]:
    """Rings for single seeds and marks with intervals for means, the means on top.

    Args:
        drawn: The arms.
        styles: Style of every arm.
        rows: Whether each arm has a row of its own; else it has a place on the horizontal axis.
        sign: Whether values are differences.
    """
    if len(drawn) > MOST_NAMED:
        return _together(drawn, styles, rows, sign)
    rings, means = [], []
    for each in drawn:
        style, bar = styles[each.arm], error_bar(each.estimate, styles[each.arm].color)
        places, values = [each.beside] * len(each.seeds), [value for _, value in each.seeds]
        rings.append(
            marks(*_turned(places, values, rows), seed_marker(style), _seed_texts(each, sign), **of_arm(each.arm))
        )
        text, position = [estimate_text(each.label, each.estimate)], _turned([each.place], [each.estimate.mean], rows)
        more = {("error_x" if rows else "error_y"): bar} | of_arm(each.arm)
        means.append(marks(*position, mean_marker(style), text, **more))
    return [*rings, *means]


_Numbers = Sequence[float | None]


def _turned(places: _Numbers, values: _Numbers, rows: bool) -> tuple[_Numbers, _Numbers]:
    return (values, places) if rows else (places, values)


def _seed_texts(each: ArmMark, sign: bool) -> list[str]:
    return [f"{shown(each.label)}, seed {seed}: {number(value, sign=sign)}" for seed, value in each.seeds]


def _together(drawn: Sequence[ArmMark], styles: Mapping[str, ArmStyle], rows: bool, sign: bool) -> list[go.Scatter]:
    """All rings as one trace and all means as another, which makes the page of many arms a fraction as large."""
    rings = _rings(drawn, rows, sign)
    looks = [styles[each.arm] for each in drawn]
    marker = {"color": [style.color for style in looks], "symbol": [style.symbol for style in looks], "size": 7}
    ends = [(each.estimate.mean, each.estimate.low, each.estimate.high) for each in drawn]
    bar: dict[str, Any] = {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if math.isnan(high) else short(high - mean) for mean, _, high in ends],
        "arrayminus": [0.0 if math.isnan(low) else short(mean - low) for mean, low, _ in ends],
        "color": FAINT,
        "thickness": 1,
        "width": 0,
    }
    means = marks(
        *_turned([each.place for each in drawn], [short(mean) for mean, _, _ in ends], rows),
        marker,
        [estimate_text(each.label, each.estimate) for each in drawn],
        **({("error_x" if rows else "error_y"): bar} | of_arms([each.arm for each in drawn])),
    )
    return [rings, means]


def _rings(drawn: Sequence[ArmMark], rows: bool, sign: bool) -> go.Scatter:
    """The single seeds of all arms; names and numbers of the arms' hover texts are put together by the page."""
    values, places, seeds = [], [], []
    for each in drawn:
        values += [*(short(value) for _, value in each.seeds), None]
        places += [*[short(each.beside)] * len(each.seeds), None]
        seeds += [*(seed for seed, _ in each.seeds), None]
    xs, ys = _turned(places, values, rows)
    most = max((abs(value) for value in values if value is not None), default=0.0)
    form = ("+" if sign else "") + (".3f" if 0.01 <= most < 10 else ".4~g")
    return go.Scatter(
        x=xs,
        y=ys,
        mode="markers",
        marker={"color": "rgba(148,163,184,0.15)", "size": 5, "line": {"color": FAINT, "width": 1}},
        customdata=seeds,
        hovertemplate=f"%{{text}}, seed %{{customdata}}: %{{{'x' if rows else 'y'}:{form}}}<extra></extra>",
        **of_runs([(each.arm, len(each.seeds), shown(each.label)) for each in drawn]),
    )


def error_bar(estimate: Estimate, color: str) -> dict[str, Any]:
    """The interval of a mean as a Plotly error bar; invisible if there is none."""
    return interval_bar(estimate.mean, estimate.low, estimate.high, color)


def interval_bar(mean: float, low: float, high: float, color: str) -> dict[str, Any]:
    """An interval around a value as a Plotly error bar; invisible if there is none."""
    if math.isnan(high):
        return {"visible": False}
    above, below = high - mean, mean - low
    whiskers = {"color": color, "thickness": 2, "width": 5}
    return {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], **whiskers}


def interval_bars(ends: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Intervals around the values of one trace as thin grey Plotly error bars.

    Args:
        ends: Value, lower and upper end of each.
    """
    return {
        "type": "data",
        "symmetric": False,
        "array": [short(high - value) for value, _, high in ends],
        "arrayminus": [short(value - low) for value, low, _ in ends],
        "color": BASELINE_COLOR,
        "thickness": 1.5,
        "width": 4,
    }


def estimate_text(label: str, estimate: Estimate, longest: int = 40) -> str:
    """A mean with its interval and n, as hover text; ``longest`` is of the label, in characters."""
    spread = around(estimate.low, estimate.high)
    return f"{shown(label, longest)}: {number(estimate.mean)}{spread}, {seeds_words(estimate.n)}"


def trial_text(trial: Trial, metric: MetricInfo) -> str:
    """The mean of a point of a space with its interval, as hover text without the point's name."""
    return number(trial.means[metric.name]) + around(*trial.ends.get(metric.name, NO_ENDS))


def seed_marker(style: ArmStyle) -> dict[str, Any]:
    """A small ring for a single seed."""
    return {"color": style.fill(0.15), "size": 7, "line": {"color": style.color, "width": 1}}


def mean_marker(style: ArmStyle) -> dict[str, Any]:
    """A large marker for a mean."""
    return {"color": style.color, "size": 10, "symbol": style.symbol}
