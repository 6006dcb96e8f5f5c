"""Figures of several settings of a space at once: parallel coordinates, and contours over two settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.search.axes import Axis
from fgtune.analysis.space_panels import UNUSED, ContourPanel, ParallelLine, ParallelPanel
from fgtune.analysis.trials import BEST
from fgtune.reporting.estimate_marks import trial_text
from fgtune.reporting.level_figures import KIND_STYLES, kind_marker, trial_marks
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    FAINT,
    LIGHT_TO_BLUE,
    axis,
    base_layout,
    color_bar,
    counted,
    hover_of,
    lay_out,
    log_axis,
    of_arm,
    of_runs,
    short,
    shown,
)

FIFTHS = (
    ("best fifth", "#D55E00"),
    ("second", "#E69F00"),
    ("third", "#56B4E9"),
    ("fourth", "#0072B2"),
    ("last fifth", FAINT),
)
"""What the points of each fifth are called, from the best, and their colour."""
_TITLE = 18
_UPRIGHT = 4  # more axes have tilted titles


def parallel_figure(panel: ParallelPanel) -> go.Figure:
    """A line for each point over all axes, coloured by fifth; below them the same in grey, by which readers choose.

    The page turns a box that is drawn over an axis into a choice of arms.
    """
    figure, points = go.Figure(), [line for line in panel.lines if line.fifth >= 0]
    xs, ys = _polyline(points)
    ground = {"color": FAINT, "width": 0.6}
    meta = {"meta": {"brush": [[line.arm, len(line.places)] for line in points]}}
    figure.add_trace(
        go.Scatter(x=xs, y=ys, mode="lines", line=ground, opacity=0.35, hoverinfo="skip", showlegend=False, **meta)
    )
    for fifth, (name, color) in reversed([*enumerate(FIFTHS)]):
        own = [line for line in points if line.fifth == fifth]
        if own:
            width = 2.0 if fifth == 0 else 1.1
            figure.add_trace(_coloured(own, name, {"color": color, "width": width}))
    for line in panel.lines:
        if line.fifth < 0:
            dashed = {"color": BASELINE_COLOR, "width": 2.5, "dash": "dot"}
            (label,), after = counted([shown(line.arm)], [line.seeds])
            about = {"text": [f"{label}: {shown(text)}" for text in line.texts], **hover_of(after), **of_arm(line.arm)}
            xs, ys = _polyline([line])
            figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=dashed, name="baseline", **about))
    for place, each in enumerate(panel.axes):
        figure.add_vline(place, line={"color": BASELINE_COLOR, "width": 1})
        for at, text in each.ticks:
            figure.add_annotation(
                x=place, y=at, text=shown(text, 14), showarrow=False, xanchor="left", xshift=3,
                font={"size": 11, "color": BASELINE_COLOR},
            )  # fmt: skip
    for place, each in enumerate(panel.axes):
        tilted = {"textangle": -25, "xanchor": "left", "xshift": -6} if len(panel.axes) > _UPRIGHT else {}
        figure.add_annotation(
            x=place, y=1, yref="paper", yanchor="bottom", text=shown(each.title, _TITLE), showarrow=False,
            font={"size": 12, "color": BASELINE_COLOR}, **tilted,
        )  # fmt: skip
    unused = any(UNUSED in line.places for line in panel.lines)
    lay_out(figure.layout,
        base_layout(
            420,
            xaxis=axis("", showgrid=False, showticklabels=False, range=[-0.15, len(panel.axes) - 0.55],
                       fixedrange=True),
            yaxis=axis("", showgrid=False, range=[-0.2 if unused else -0.05, 1.05], fixedrange=True,
                       tickvals=[UNUSED] if unused else [], ticktext=["not used"] if unused else []),
            margin={"l": 40, "r": 84, "t": 24 if len(panel.axes) <= _UPRIGHT else 62, "b": 30},
            showlegend=True,
            legend={"orientation": "h", "y": -0.04, "x": 0, "traceorder": "reversed"},
            dragmode="select",
            meta={"brush": True},
        )
    )  # fmt: skip
    return figure


def _coloured(lines: Sequence[ParallelLine], name: str, look: Mapping[str, Any]) -> go.Scatter:
    xs, ys = _polyline(lines)
    names, after = counted([shown(line.arm) for line in lines], [line.seeds for line in lines])
    runs: list[tuple[str, int, str | list[str]]] = [
        (line.arm, len(line.places), [called, *map(shown, line.texts)])
        for line, called in zip(lines, names, strict=True)
    ]
    return go.Scatter(x=xs, y=ys, mode="lines", line=dict(look), name=name, **hover_of(after), **of_runs(runs))


def _polyline(lines: Sequence[ParallelLine]) -> tuple[list[int | None], list[float | None]]:
    """All lines as one, with gaps between them."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    for line in lines:
        xs += [*range(len(line.places)), None]
        ys += [*map(short, line.places), None]
    return xs, ys


def contour_figure(panel: ContourPanel) -> go.Figure:
    """A metric as colours over two settings, with the points that it was drawn through."""
    figure = go.Figure()
    lowest = panel.metric.direction == "minimize"
    place = f"{shown(panel.x.title)} %{{x:.3g}}, {shown(panel.y.title)} %{{y:.3g}}"
    figure.add_trace(
        go.Contour(
            x=[short(float(x)) for x in panel.xs],
            y=[short(float(y)) for y in panel.ys],
            z=[[short(float(z)) for z in row] for row in panel.z],
            colorscale=LIGHT_TO_BLUE,
            reversescale=lowest,
            line={"width": 0.4, "color": "rgba(255,255,255,0.6)"},
            colorbar=color_bar(panel.metric, panel.values),
            hovertemplate=f"{place}: about %{{z:.3f}}<extra></extra>",
        )
    )
    for kind in KIND_STYLES:
        own = [(point, value) for point, value in zip(panel.points, panel.values, strict=True) if point.kind == kind]
        if own:
            trials = [point.trial for point, _ in own]
            texts = [f"{shown(each.arm)}: {trial_text(each, panel.metric)}" for each in trials]
            ring = {"color": "white", "width": 1}
            marker = kind_marker(kind) | {"line": ring, "opacity": 1.0, "size": 12 if kind == BEST else 7}
            places = [short(point.x) for point, _ in own], [short(point.y) for point, _ in own]
            figure.add_trace(trial_marks(*places, marker, texts, trials))
    xs, ys = [point.x for point in panel.points], [point.y for point in panel.points]
    lay_out(figure.layout, base_layout(320, xaxis=_scaled(panel.x, xs), yaxis=_scaled(panel.y, ys)))
    return figure


def _scaled(setting: Axis, drawn: Sequence[float]) -> dict[str, Any]:
    low, high = min(setting.low, *drawn), max(setting.high, *drawn)
    ends = [math.log10(low), math.log10(high)] if setting.log else [low, high]
    scale = log_axis([low, high]) if setting.log else {}
    return axis(shown(setting.title), showgrid=False, range=ends, **scale)
