"""The look of figures: one colour and symbol per arm in every figure, safe for colour-blind readers and print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm

BASELINE_COLOR = "#64748b"
FAINT = "#94a3b8"
INK = "#334155"
LIGHT_TO_BLUE = [[0.0, "#f0f6fb"], [0.5, "#7fb8d9"], [1.0, "#00507d"]]
"""The colours of a heat map; both ends are seen on white and on dark ground."""
RIGHT_COLOR, WRONG_COLOR, MISSED_COLOR = "#0072B2", "#D55E00", FAINT

# Okabe and Ito (2008) without its yellow and black, which vanish on white and on dark ground.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "triangle-down", "hexagon")
MOST_NAMED = 24
"""Arms that a figure shows one by one, with a trace, a colour or a legend each."""
_LEAST_SPAN, _NEIGHBOURHOOD = 1e-4, 0.05
"""Values that differ by less, as a share of the metric's range, are drawn as equal, so much of it on either side."""
_WHOLE_TICKS = 6  # a wider span has whole ticks anyway
_DASHES = ("solid", "dash", "dot", "dashdot")
_STROKES = {"solid": "", "dash": "8 5", "dot": "2.5 4", "dashdot": "8 4 2.5 4"}


@dataclass(frozen=True)
class ArmStyle:
    """Colour, marker and dash of an arm; together they are distinct for 24 arms besides the baseline."""

    color: str
    symbol: str
    dash: str

    @property
    def strokes(self) -> str:
        """The dash as lengths of strokes and gaps in pixels; empty for a solid line."""
        return _STROKES[self.dash]

    def fill(self, opacity: float) -> str:
        """The colour as ``rgba(...)``."""
        red, green, blue = (int(self.color[start : start + 2], 16) for start in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def arm_styles(arms: Sequence[PlannedArm]) -> Mapping[str, ArmStyle]:
    """A style for every arm, by name; the baseline is grey, so that colour means "differs from the baseline"."""
    others = [arm.name for arm in arms if not arm.is_baseline]
    return named_styles(others, [arm.name for arm in arms if arm.is_baseline])


def named_styles(names: Sequence[str], baselines: Sequence[str]) -> Mapping[str, ArmStyle]:
    """A style for every name, the baselines in grey."""
    styles = {}
    for rank, name in enumerate(names):
        color = _COLORS[rank % len(_COLORS)]
        dash = _DASHES[(rank // len(_COLORS)) % len(_DASHES)]
        styles[name] = ArmStyle(color, _SYMBOLS[(rank + 1) % len(_SYMBOLS)], dash)
    return styles | {name: ArmStyle(BASELINE_COLOR, "circle", "solid") for name in baselines}


def shown(text: str, longest: int = 40) -> str:
    """Text for a figure: cut to ``longest`` characters, and escaped, since Plotly reads a subset of HTML."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return escape(cut, quote=False)


def short(value: float) -> float | None:
    """Five significant digits, which keeps pages small without visible loss; None for nan."""
    return None if math.isnan(value) else float(f"{value:.5g}")


def base_layout(height: int, **changes: Any) -> dict[str, Any]:
    """The layout that all figures share, updated by ``changes``."""
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": "zoom",
    } | changes


def lay_out(part: Any, settings: Mapping[str, Any]) -> None:
    """Set parts of the layout of a figure, or of one of its axes, in place of what they were.

    Plotly's ``update_layout`` and ``update_xaxes``, which merge, take eight times as long: half the time of a report.
    """
    for name, value in settings.items():
        part[name] = value


def of_arm(arm: str) -> dict[str, Any]:
    """What a trace of a single arm is given besides, so that the page can hide it."""
    return {"meta": {"arm": arm}}


def of_arms(arms: Sequence[str | Sequence[str] | None]) -> dict[str, Any]:
    """The same for a trace with an arm at each of its points: none for a gap, several where any of them keeps it."""
    return {"meta": {"arms": list(arms)}}


def of_runs(runs: Sequence[tuple[str, int, str | list[str]] | tuple[str, int, str, str]]) -> dict[str, Any]:
    """The same for lines with gaps between them: arm, number of its points before the gap, and what it is called.

    Points with texts of their own have a list: what the line is called, then a text for each point. Lines of single
    cells have the cell's id besides, by which the page highlights one of them.

    The page makes an arm and a text of each point of it, which would be most of a figure of many curves.
    """
    return {"meta": {"runs": [list(run) for run in runs]}}


def of_cells(arms: Sequence[Sequence[str | None]]) -> dict[str, Any]:
    """The same for a heat map with an arm, or none, in each of its cells, row by row."""
    return {"meta": {"cells": [list(row) for row in arms]}}


def counted(texts: Sequence[str], seeds: Sequence[int]) -> tuple[list[str], str]:
    """Hover texts with their numbers of seeds, which are said once for a whole trace where they are the same.

    Returns:
        The texts, and what is said after each of them: ``after`` of ``hover_of``.
    """
    words = [f", {seeds_words(n)}" for n in seeds]
    if len(set(words)) == 1:
        return list(texts), words[0]
    return [text + more for text, more in zip(texts, words, strict=True)], ""


def seeds_words(n: int) -> str:
    """A number of seeds as hover texts say it; one seed has no interval, and needs no sign for that."""
    return "one seed" if n == 1 else f"n = {n}"


def hover_of(after: str) -> dict[str, Any]:
    """The settings of a trace whose points say their texts when readers point at them, and ``after`` after each."""
    return {"hovertemplate": f"%{{text}}{after}<extra></extra>"} if after else {"hoverinfo": "text"}


def arm_rows(arms: Sequence[str | Sequence[str] | None], row: int) -> dict[str, Any]:
    """What the layout of a figure with one row an arm is given besides, so that rows of hidden arms close up.

    Args:
        arms: From top to bottom; none for a row that always stays, several for one that any of them keeps.
        row: Height of a row in pixels.
    """
    return {"meta": {"rows": list(arms), "row": row}}


def axis(title: str, **changes: Any) -> dict[str, Any]:
    """An axis with light grid lines and no frame."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12}},
        "gridcolor": "#e2e8f0",
        "zeroline": False,
        "automargin": True,
        "ticks": "",
    } | changes


def metric_axis(info: MetricInfo, values: Sequence[float], title: str = "") -> dict[str, Any]:
    """An axis of a metric: no ticks below zero where it has no such values, whole ticks where it counts.

    Args:
        info: The metric.
        values: Finite values that the axis shows.
        title: Of the axis.
    """
    changes: dict[str, Any] = {"rangemode": "nonnegative"} if info.low >= 0 else {}
    changes |= _whole_ticks(info, values)
    if ends := metric_ends(info, values):
        changes["range"] = ends
    return axis(title, **changes)


def _whole_ticks(info: MetricInfo, values: Sequence[float]) -> dict[str, Any]:
    few = info.whole and values and max(values) - min(values) < _WHOLE_TICKS
    return {"dtick": 1, "tickformat": "d"} if few else {}


def color_bar(info: MetricInfo, values: Sequence[float]) -> dict[str, Any]:
    """The scale of colours that stand for a metric, with its name: whole ticks where it counts.

    Args:
        info: The metric.
        values: Finite values that have a colour.
    """
    title = {"text": shown(info.short), "side": "right", "font": {"size": 12}}
    ticks = {"tickfont": {"size": 11}, "nticks": 6} | _whole_ticks(info, values)
    return {"thickness": 10, "outlinewidth": 0, "title": title} | ticks


def metric_ends(info: MetricInfo, values: Sequence[float]) -> list[float]:
    """Ends of an axis where what draws would show too little or cut marks; empty where it chooses well.

    Values that hardly differ are shown with their neighbourhood within the metric's range, and a mark at an end of that
    range as a whole; no end lies so far beyond the range that a tick could stand there.

    Args:
        info: The metric.
        values: Finite values that the axis shows.
    """
    if not values:
        return []
    low, high = min(values), max(values)
    bounded = math.isfinite(info.low) and math.isfinite(info.high)
    size = info.high - info.low if bounded else max(abs(low), abs(high)) or 1.0
    if high - low <= _LEAST_SPAN * size:
        near = 1.0 if info.whole else _NEIGHBOURHOOD * size
        return padded(max(low - near, info.low), min(high + near, info.high))
    low, high = ends = padded(low, high)
    return ends if low < info.low or high > info.high else []


def padded(low: float, high: float) -> list[float]:
    """Ends of an axis a little beyond its values."""
    pad = 0.06 * (high - low)
    return [low - pad, high + pad]


def count_axis(title: str, last: int) -> dict[str, Any]:
    """An axis of whole numbers from 1, such as epochs, without ticks between them."""
    return axis(title, showgrid=False, **({"dtick": 1, "tickformat": "d"} if last <= _WHOLE_TICKS else {"nticks": 8}))


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Settings of a logarithmic axis, with one tick per decade, or at 1, 2 and 5 below two decades."""
    return {"type": "log", "dtick": 1 if max(values) / min(values) > 100 else "D2", "tickformat": "~g"}


def rows_axis(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis of named rows, the first one on top."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": list(names)}
    return axis("", showgrid=False, range=[len(names) - 0.4, -0.6], fixedrange=True, **ticks)


def marks(
    xs: Sequence[float | None],
    ys: Sequence[float | None],
    marker: Mapping[str, Any],
    texts: Sequence[str] | None = None,
    after: str = "",
    **more: Any,
) -> go.Scatter:
    """Markers without a line, with hover texts if there are any, and what is said after each of them."""
    hover = {"hoverinfo": "skip"} if texts is None else {"text": list(texts), **hover_of(after)}
    return go.Scatter(x=list(xs), y=list(ys), mode="markers", marker=dict(marker), **hover, **more)
