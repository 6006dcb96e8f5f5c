"""Figures of curves: a metric by epoch for arms or points, and a search's values in the order of its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.curve_panels import Curve, CurvesPanel, HistoryPanel
from fgtune.analysis.formatting import around, number
from fgtune.analysis.search.axes import on_log_scale
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE, STOPPED
from fgtune.reporting.estimate_marks import trial_text
from fgtune.reporting.level_figures import KIND_STYLES, kind_marker, stop_words, trial_marks, within_reach
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    MOST_NAMED,
    WRONG_COLOR,
    ArmStyle,
    axis,
    base_layout,
    count_axis,
    counted,
    lay_out,
    log_axis,
    marks,
    metric_axis,
    of_arm,
    of_arms,
    of_runs,
    seeds_words,
    short,
    shown,
)

_DIRECT_LABELS = 6  # more curves than this have no labels at their ends
_LABEL_CHARACTERS = 16
_MOST_BANDS = 8  # the bands of more curves hide each other
_WIDTHS = {STOPPED: 1.0, COMPLETE: 1.0, BASELINE: 2.5, BEST: 2.5}


def learning_figure(panel: CurvesPanel, styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean and interval band by epoch for every arm, labelled at the end of its line if there is room.

    Where there is none, the page has a legend above all such figures: ``needs_legend``.
    """
    figure = go.Figure()
    ordered = sorted(panel.curves, key=lambda curve: curve.kind != BASELINE)
    direct = _is_labelled(panel)
    for curve in ordered if len(ordered) <= _MOST_BANDS else ():
        figure.add_trace(_band(curve, styles[curve.arm]))
    if len(ordered) > MOST_NAMED:
        figure.add_traces(_by_style(ordered, styles))
    else:
        figure.add_traces([_line(curve, styles[curve.arm]) for curve in ordered])
    values = [value for curve in ordered for part in (curve.low, curve.high, curve.mean) for value in part]
    values = [value for value in values if not math.isnan(value)]
    layout = base_layout(300, xaxis=count_axis("epoch", _last(panel)), yaxis=metric_axis(panel.metric, values))
    if direct:
        layout["margin"] = layout["margin"] | {"r": 14 + 6.4 * max(len(curve.label) for curve in ordered)}
    lay_out(figure.layout, layout)
    if direct:
        _label_ends(figure, panel, styles)
    return figure


def _is_labelled(panel: CurvesPanel) -> bool:
    few = len(panel.curves) <= _DIRECT_LABELS
    return few and all(len(curve.label) <= _LABEL_CHARACTERS for curve in panel.curves)


def needs_legend(panel: CurvesPanel) -> bool:
    """Whether the figure of a panel shows single arms that nothing in it names."""
    return not _is_labelled(panel) and len(panel.curves) <= MOST_NAMED


def _last(panel: CurvesPanel) -> int:
    return max((curve.epochs[-1] for curve in panel.curves), default=1)


def _line(curve: Curve, style: ArmStyle) -> go.Scatter:
    """The curve of an arm; pointing at it says its value, interval and n."""
    texts = [around(low, high) for low, high in zip(curve.low, curve.high, strict=True)]
    value = f"%{{y:.3f}}%{{customdata}}, {seeds_words(curve.n)}"
    return go.Scatter(
        x=list(curve.epochs),
        y=[short(value) for value in curve.mean],
        mode="lines" if len(curve.epochs) > 1 else "markers",
        line={"color": style.color, "width": 2, "dash": style.dash},
        marker={"color": style.color, "symbol": style.symbol},
        name=shown(curve.label, 28),
        hovertemplate=f"{shown(curve.label)}, epoch %{{x}}: {value}<extra></extra>",
        customdata=texts,
        **of_arm(curve.arm),
    )


def _by_style(curves: Sequence[Curve], styles: Mapping[str, ArmStyle]) -> list[go.Scatter]:
    """Very many curves as one trace for each look; intervals of all of them would be half of the page."""
    looks: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        looks.setdefault((styles[curve.arm].color, styles[curve.arm].dash), []).append(curve)
    traces = []
    for (color, dash), own in looks.items():
        names, after = counted([shown(curve.label) for curve in own], [curve.n for curve in own])
        traces.append(_lines(own, {"color": color, "width": 1.2, "dash": dash}, names, after))
    return traces


def _band(curve: Curve, style: ArmStyle) -> go.Scatter:
    banded = [i for i, low in enumerate(curve.low) if not math.isnan(low)]
    return go.Scatter(
        x=[curve.epochs[i] for i in banded] + [curve.epochs[i] for i in reversed(banded)],
        y=[short(curve.high[i]) for i in banded] + [short(curve.low[i]) for i in reversed(banded)],
        fill="toself",
        fillcolor=style.fill(0.14),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        **of_arm(curve.arm),
    )


def _label_ends(figure: go.Figure, panel: CurvesPanel, styles: Mapping[str, ArmStyle]) -> None:
    """Labels at the right edge, pushed apart if lines end close together."""
    values = [value for curve in panel.curves for part in (curve.low, curve.high, curve.mean) for value in part]
    values = [value for value in values if not math.isnan(value)]
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.5
    floor = max(low - pad, min(panel.metric.low, low) - 0.02 * (high - low))
    lay_out(figure.layout.yaxis, {"range": [floor, high + pad]})
    gap = 0.062 * (high - low + 2 * pad)  # a line of text in a panel of this height
    lay_out(figure.layout, {"meta": {"notes": [curve.arm for curve in panel.curves]}})
    ends = spread_apart([curve.mean[-1] for curve in panel.curves], gap, floor, high + pad)
    for curve, y in zip(panel.curves, ends, strict=True):
        figure.add_annotation(
            x=1.0,
            xref="paper",
            y=y,
            xanchor="left",
            xshift=6,
            showarrow=False,
            text=shown(curve.label),
            font={"color": styles[curve.arm].color, "size": 12},
            name="direct",
        )


def spread_apart(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move values, keeping their order, until neighbours are ``gap`` apart and all are within the range."""
    order = sorted(range(len(values)), key=lambda rank: values[rank])
    placed = [0.0] * len(values)
    floor = low
    for rank in order:
        placed[rank] = floor = max(values[rank], floor)
        floor += gap
    ceiling = high
    for rank in reversed(order):
        placed[rank] = ceiling = min(placed[rank], ceiling)
        ceiling -= gap
    return placed


def trial_curves_figure(panel: CurvesPanel) -> go.Figure:
    """Thin learning curves of all points, with a cross at an early stop; the best and the baseline are emphasised."""
    figure = go.Figure()
    for kind in KIND_STYLES:
        curves = [curve for curve in panel.curves if curve.kind == kind]
        if curves:
            line = {"color": KIND_STYLES[kind].color, "width": _WIDTHS[kind]}
            names, after = counted([shown(curve.arm) for curve in curves], [curve.n for curve in curves])
            figure.add_trace(_lines(curves, line, names, after, KIND_STYLES[kind].opacity))
        if kind == STOPPED:
            texts = [
                f"{shown(curve.arm)}: {number(curve.mean[-1])}, stopped at epoch {curve.epochs[-1]}" for curve in curves
            ]
            texts, after = counted(texts, [curve.n for curve in curves])
            xs, ys = [curve.epochs[-1] for curve in curves], [short(curve.mean[-1]) for curve in curves]
            figure.add_trace(marks(xs, ys, kind_marker(kind), texts, after, **of_arms([curve.arm for curve in curves])))
    values = [value for curve in panel.curves for value in curve.mean if not math.isnan(value)]
    lay_out(
        figure.layout,
        base_layout(320, xaxis=count_axis("epoch", _last(panel)), yaxis=metric_axis(panel.metric, values)),
    )
    return figure


def _lines(
    curves: Sequence[Curve], line: Mapping[str, Any], names: Sequence[str], after: str, opacity: float = 1.0
) -> go.Scatter:
    """Several curves as one trace, with gaps between them.

    Pointing at one says its name, as ``shown`` gives it, its value, and ``after``.
    """
    xs: list[int | None] = []
    ys: list[float | None] = []
    for curve in curves:
        xs += [*curve.epochs, None]
        ys += [*map(short, curve.mean), None]
    runs = [(curve.arm, len(curve.epochs), name) for curve, name in zip(curves, names, strict=True)]
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line=dict(line),
        opacity=opacity,
        hovertemplate=f"%{{text}}, epoch %{{x}}: %{{y:.3f}}{after}<extra></extra>",
        **of_runs(runs),
    )


def history_heights(panel: HistoryPanel) -> tuple[list[float], list[float]]:
    """Values of the finished points with the baseline, and where those that were stopped with a value are drawn."""
    finished = [point.value for point in panel.points] + [panel.baseline] * math.isfinite(panel.baseline)
    return finished, [within_reach(point.value, finished) for point in panel.stopped if math.isfinite(point.value)]


def history_figure(panel: HistoryPanel, best: Sequence[str]) -> go.Figure:
    """Points in the order in which they ended, the best value so far as steps, the baseline as a dotted line.

    A point that was stopped early is a cross at its value then, one that has no value a cross at the foot.

    Args:
        panel: One criterion.
        best: Arms drawn as the best.
    """
    figure = go.Figure()
    if not math.isnan(panel.baseline):
        figure.add_hline(panel.baseline, line={"color": BASELINE_COLOR, "width": 1.5, "dash": "dot"})
    last = max([point.order for point in panel.points] + [point.order for point in panel.stopped])
    figure.add_trace(
        go.Scatter(
            x=[*(point.order for point in panel.points), last],
            y=[*(short(point.best) for point in panel.points), short(panel.points[-1].best)],
            mode="lines",
            line={"color": WRONG_COLOR, "width": 2, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    for kind in (COMPLETE, BEST):
        points = [point for point in panel.points if (point.arm in best) == (kind == BEST)]
        xs, ys = [point.order for point in points], [short(point.value) for point in points]
        trials = [point.trial for point in points]
        texts = [f"{shown(each.arm)}: {trial_text(each, panel.metric)}" for each in trials]
        figure.add_trace(trial_marks(xs, ys, kind_marker(kind), texts, trials))
    crosses = [point for point in panel.stopped if math.isfinite(point.value)]
    finished, drawn = history_heights(panel)
    values = finished + drawn
    low, high = min(values), max(values)
    log = on_log_scale(panel.metric, values)
    floor = low * (low / high) ** 0.09 if log else low - 0.09 * (high - low or 1.0)
    without = [point for point in panel.stopped if not math.isfinite(point.value)]
    xs = [point.order for point in crosses + without]
    ys = [short(value) for value in drawn] + [short(floor)] * len(without)
    trials = [point.trial for point in crosses]
    texts = [f"{shown(each.arm)}: {trial_text(each, panel.metric)}{stop_words(each)}" for each in trials]
    texts += [f"{shown(point.arm)}: failed, no value" for point in without]
    figure.add_trace(trial_marks(xs, ys, kind_marker(STOPPED), texts, trials + [point.trial for point in without]))
    order = count_axis("trials in the order of their end", last)
    drawn_at = [*values, *[floor] * bool(without)]
    scale = axis("", **log_axis(values)) if log else metric_axis(panel.metric, drawn_at)
    lay_out(figure.layout, base_layout(320, xaxis=order, yaxis=scale))
    return figure
