"""Figures of a metric over a setting, the arms or another metric: arms with intervals, points by kind."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fgtune.analysis.formatting import MetricInfo, number
from fgtune.analysis.grid_panels import GridPanel
from fgtune.analysis.level_panels import LevelPoint, PairPanel, ScatterPanel, SensitivityPanel, TrialPoint
from fgtune.analysis.search.axes import on_log_scale
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE, STOPPED, Trial
from fgtune.analysis.verdicts.statistics import Estimate
from fgtune.reporting.estimate_marks import ArmMark, arm_traces, error_bar, estimate_text, trial_text
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    FAINT,
    LIGHT_TO_BLUE,
    MISSED_COLOR,
    MOST_NAMED,
    RIGHT_COLOR,
    WRONG_COLOR,
    ArmStyle,
    arm_rows,
    axis,
    base_layout,
    color_bar,
    counted,
    lay_out,
    log_axis,
    marks,
    metric_axis,
    of_arm,
    of_arms,
    of_cells,
    rows_axis,
    short,
    shown,
)

_GOLDEN = 0.618034  # its multiples modulo 1 are evenly distributed, whatever their number
_ROW_FEW, _ROW_LEAST = 46, 22  # pixels a row with few arms, and with many
_REACH = 2.0  # so far beyond the finished points, in their span, are stopped ones drawn at their value
_FEWEST_FOR_REACH = 5
MOST_TICKS = 8
"""Up to this many listed levels are the ticks of their axis."""


@dataclass(frozen=True)
class KindStyle:
    """How points of a kind look; both colour and shape distinguish them."""

    color: str
    symbol: str
    size: int
    opacity: float


KIND_STYLES: Mapping[str, KindStyle] = {
    STOPPED: KindStyle(MISSED_COLOR, "x-thin", 6, 1.0),
    COMPLETE: KindStyle(RIGHT_COLOR, "circle", 7, 0.55),
    BASELINE: KindStyle(BASELINE_COLOR, "square", 10, 1.0),
    BEST: KindStyle(WRONG_COLOR, "star", 13, 1.0),
}
"""In drawing order, the last one on top."""


def kind_marker(kind: str) -> dict[str, Any]:
    """The marker of a kind of point."""
    style = KIND_STYLES[kind]
    line = {"color": style.color, "width": 1.5 if kind == STOPPED else 0}
    return {"color": style.color, "symbol": style.symbol, "size": style.size, "opacity": style.opacity, "line": line}


def within_reach(value: float, finished: Sequence[float]) -> float:
    """Where a point that was stopped early is drawn: at its value, unless that would squeeze the finished points.

    Args:
        value: Its value when it was stopped.
        finished: The values of the points that ran to their end.

    Returns:
        The value, or the end of what finished values span, three times over, where it lies beyond.
    """
    if len(finished) < _FEWEST_FOR_REACH:
        return value
    low, high = min(finished), max(finished)
    reach = _REACH * (high - low)
    return value if reach == 0 else min(max(value, low - reach), high + reach)


def sensitivity_figure(panel: SensitivityPanel, styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean, interval and single seeds at every level; a line joins the means if levels are numbers."""
    figure = go.Figure()
    log, points = panel.axis.log, [point for point in panel.points if point.estimate.n]
    baseline = next((point for point in points if point.is_baseline), None)
    if baseline is not None:
        figure.add_hline(baseline.estimate.mean, line={"color": FAINT, "width": 1, "dash": "dot"})
    if panel.axis.numeric:
        means = [point.estimate.mean for point in points]
        figure.add_trace(_joined([p.x for p in points], means, [p.arm for p in points]))
    scaled = sorted({math.log10(point.x) if log else point.x for point in panel.points})
    step = min((after - before for before, after in itertools.pairwise(scaled)), default=1.0)
    shift = -0.16 * step  # single seeds are beside the mean, so that the interval stays visible
    drawn = [ArmMark(p.arm, p.label, p.x, p.x * 10**shift if log else p.x + shift, p.estimate, p.seeds) for p in points]
    figure.add_traces(arm_traces(drawn, styles, rows=False))
    pad = max(0.5 * step, 0.08 * (scaled[-1] - scaled[0])) if panel.axis.numeric else 0.6 * step
    scale = {"type": "log" if log else "linear", "range": [scaled[0] - pad, scaled[-1] + pad]}
    ticks = {"tickvals": [point.x for point in panel.points], "ticktext": [shown(p.tick, 24) for p in panel.points]}
    if len(points) > MOST_NAMED and panel.axis.numeric:
        ticks = log_axis([point.x for point in panel.points]) if log else {}
    levels = axis(shown(panel.scale_title), showgrid=False, **(ticks | scale))
    lay_out(figure.layout, base_layout(320, xaxis=levels, yaxis=metric_axis(panel.metric, drawn_values(points))))
    return figure


def _joined(xs: Sequence[float], means: Sequence[float], arms: Sequence[str]) -> go.Scatter:
    """A line through means; past those of hidden arms it goes on to the next one."""
    line = {"color": "rgba(148,163,184,0.6)", "width": 2}
    return go.Scatter(
        x=list(xs), y=list(means), mode="lines", line=line, hoverinfo="skip", connectgaps=True, **of_arms(arms)
    )


def drawn_values(points: Sequence[LevelPoint]) -> list[float]:
    """Every seed's value and the ends of all intervals."""
    values = [value for point in points for _, value in point.seeds]
    ends = [end for point in points for end in (point.estimate.low, point.estimate.high)]
    return values + [end for end in ends if math.isfinite(end)]


def arms_figure(panel: SensitivityPanel, styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean, interval and single seeds of every arm, a row each, with a line at the baseline's mean."""
    figure = go.Figure()
    points = [point for point in panel.points if point.estimate.n]
    baseline = next((point for point in points if point.is_baseline), None)
    if baseline is not None:
        figure.add_vline(baseline.estimate.mean, line={"color": FAINT, "width": 1, "dash": "dot"})
    drawn = [
        ArmMark(point.arm, point.label, row, row - 0.24, point.estimate, point.seeds)
        for row, point in enumerate(points)
    ]
    figure.add_traces(arm_traces(drawn, styles, rows=True))
    names = [shown(point.label, 22) for point in points]
    step = max(_ROW_FEW - len(names), _ROW_LEAST)
    values = drawn_values(points)
    pad = 0.07 * (max(values) - min(values))  # so that marks at the ends do not touch the names
    scale = metric_axis(panel.metric, values) | ({"range": [min(values) - pad, max(values) + pad]} if pad else {})
    lay_out(figure.layout, base_layout(80 + step * max(1, len(names)), xaxis=scale, yaxis=rows_axis(names)))
    lay_out(figure.layout, arm_rows([point.arm for point in points], step))
    return figure


def number_figure(
    rows: Sequence[tuple[str, int, Estimate]], left: Sequence[int], truth: int | None, info: MetricInfo
) -> go.Figure:
    """A criterion over the number of fine classes: numbers that are left are filled, the true one is a dashed line.

    Args:
        rows: The arm, its number, and its criterion, with at least one seed.
        left: Numbers that are not shown to be worse than the best.
        truth: The number of the data; None where it is not known.
        info: The criterion.
    """
    figure = go.Figure()
    if truth is not None:
        figure.add_vline(truth, line={"color": WRONG_COLOR, "width": 1.5, "dash": "dash"})
    sizes = [size for _, size, _ in rows]
    figure.add_trace(_joined(sizes, [estimate.mean for _, _, estimate in rows], [arm for arm, _, _ in rows]))
    for arm, size, estimate in rows:
        symbol = "circle" if size in left else "circle-open"
        marker = {"color": RIGHT_COLOR, "symbol": symbol, "size": 9, "line": {"width": 2, "color": RIGHT_COLOR}}
        bar = error_bar(estimate, RIGHT_COLOR)
        text = [estimate_text(f"K_F {size}", estimate)]
        figure.add_trace(marks([size], [estimate.mean], marker, text, error_y=bar, **of_arm(arm)))
    ticks = {"tickvals": sizes, "ticktext": [str(size) for size in sizes]}
    ends = [end for _, _, each in rows for end in (each.mean, each.low, each.high) if math.isfinite(end)]
    sizes_axis = axis("K_F", showgrid=False, **ticks)
    lay_out(figure.layout, base_layout(280, xaxis=sizes_axis, yaxis=metric_axis(info, ends)))
    return figure


def grid_figure(panel: GridPanel) -> go.Figure:
    """Means of a metric over two factors as colours and numbers; the baseline is framed."""
    rows, columns = panel.means.shape
    figure = go.Figure()
    texts = [["" if math.isnan(mean) else number(float(mean)) for mean in row] for row in panel.means]
    hover = [
        [
            estimate_text(f"{panel.x} {x}, {panel.y} {y}", panel.estimates[row][column], longest=80)
            for column, x in enumerate(panel.columns)
        ]
        for row, y in enumerate(panel.rows)
    ]
    figure.add_trace(
        go.Heatmap(
            z=[[short(float(mean)) for mean in row] for row in panel.means],
            text=texts,
            texttemplate="%{text}",
            hovertext=hover,
            hoverinfo="text",
            hoverongaps=False,
            colorscale=LIGHT_TO_BLUE,
            zmin=short(float(np.nanmin(panel.means))),  # colours keep their meaning when arms are hidden
            zmax=short(float(np.nanmax(panel.means))),
            reversescale=panel.metric.direction == "minimize",
            xgap=2,
            ygap=2,
            colorbar=color_bar(panel.metric, panel.means[np.isfinite(panel.means)].tolist()),
            **of_cells(panel.arms),
        )
    )
    row, column = panel.baseline
    frame = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    figure.add_shape(type="rect", **frame, line={"color": BASELINE_COLOR, "width": 2})
    ticks = {"tickvals": list(range(columns)), "ticktext": [shown(text, 12) for text in panel.columns]}
    layout = base_layout(
        int(min(560, 130 + 34 * rows)),
        xaxis=axis(shown(panel.x), showgrid=False, fixedrange=True, **ticks),
        yaxis=rows_axis([shown(text, 16) for text in panel.rows])
        | {"title": {"text": shown(panel.y), "standoff": 8, "font": {"size": 12}}, "range": [rows - 0.5, -0.5]},
    )
    lay_out(figure.layout, layout)
    return figure


def scatter_figure(panel: ScatterPanel) -> go.Figure:
    """A metric over one setting: numbers on their scale, categories as strips."""
    figure = go.Figure()
    if not math.isnan(panel.baseline):
        figure.add_hline(panel.baseline, line={"color": BASELINE_COLOR, "width": 1, "dash": "dot"})
    setting = panel.axis
    finished = [point.y for point in panel.points if point.kind != STOPPED]
    values = [within_reach(p.y, finished) if p.kind == STOPPED else p.y for p in panel.points]
    heights = {point.arm: value for point, value in zip(panel.points, values, strict=True)}
    for kind, points in by_kind(panel.points):
        xs = [short(point.x) if setting.numeric else strip_place(point, rank) for rank, point in enumerate(points)]
        ys, trials = [short(heights[point.arm]) for point in points], [point.trial for point in points]
        texts = [f"{shown(each.arm)}: {trial_text(each, panel.metric)}{stop_words(each)}" for each in trials]
        figure.add_trace(trial_marks(xs, ys, kind_marker(kind), texts, trials))
    ticks: dict[str, Any] = {}
    if not setting.numeric:
        names = [shown(text, 18) for text in setting.categories]
        ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [-0.6, len(names) - 0.4]}
    elif setting.log:
        ticks = log_axis([point.x for point in panel.points])
    if setting.numeric and 0 < len(setting.numbers) <= MOST_TICKS:
        ticks |= {"tickvals": list(setting.numbers), "ticktext": list(setting.categories)}
    values += [panel.baseline] * math.isfinite(panel.baseline)
    log = on_log_scale(panel.metric, values)
    scale = axis("", **log_axis(values)) if log else metric_axis(panel.metric, values)
    lay_out(figure.layout, base_layout(260, xaxis=axis("", showgrid=False, **ticks), yaxis=scale))
    return figure


def stop_words(trial: Trial) -> str:
    """When a point was stopped early, as hover text; empty for any other."""
    return f", stopped at epoch {trial.epochs}" if trial.stopped else ""


def trial_marks(
    xs: Sequence[float | None],
    ys: Sequence[float | None],
    marker: Mapping[str, Any],
    texts: Sequence[str],
    trials: Sequence[Trial],
) -> go.Scatter:
    """Markers of points of a space, each with its text and its number of seeds."""
    texts, after = counted(texts, [trial.seeds for trial in trials])
    return marks(xs, ys, marker, texts, after, **of_arms([trial.arm for trial in trials]))


def by_kind(points: Sequence[TrialPoint]) -> list[tuple[str, list[TrialPoint]]]:
    """The points of every kind that occurs, in drawing order."""
    groups = [(kind, [point for point in points if point.kind == kind]) for kind in KIND_STYLES]
    return [(kind, group) for kind, group in groups if group]


def strip_place(point: TrialPoint, rank: int) -> float:
    """The position of a point in its category's strip; the first one of a kind is in the middle."""
    return point.x + 0.5 * ((rank * _GOLDEN + 0.5) % 1 - 0.5)


def pair_figure(panel: PairPanel) -> go.Figure:
    """Two metrics of every completed point; marked points are named."""
    figure, names = go.Figure(), panel.names
    for kind, points in by_kind(panel.points):
        trials = [point.trial for point in points]
        values = [f"{trial_text(each, panel.x)}, {trial_text(each, panel.y)}" for each in trials]
        texts = [f"{shown(names.get(p.arm, p.arm))}: {value}" for p, value in zip(points, values, strict=True)]
        positions = [short(point.x) for point in points], [short(point.y) for point in points]
        figure.add_trace(trial_marks(*positions, kind_marker(kind), texts, trials))
    named = [point for point in panel.points if point.arm in panel.marked]
    best = [point for point in named if point.kind not in {BEST, BASELINE}]
    diamond = {"symbol": "diamond-open", "size": 14, "color": WRONG_COLOR, "line": {"width": 2}}
    best_arms = of_arms([point.arm for point in best])
    figure.add_trace(
        marks([short(point.x) for point in best], [short(point.y) for point in best], diamond, **best_arms)
    )
    xs, ys = [point.x for point in panel.points], [point.y for point in panel.points]
    log_x, log_y = on_log_scale(panel.x, xs), on_log_scale(panel.y, ys)
    for point in named:
        right = point.x > sum(xs) / len(xs)
        figure.add_annotation(
            x=math.log10(point.x) if log_x else point.x,
            y=math.log10(point.y) if log_y else point.y,
            text=shown(names.get(point.arm, point.arm)),
            showarrow=False,
            xanchor="right" if right else "left",
            xshift=8 if right else -8,
            yshift=-16 if point.arm == panel.marked[0] and len(named) > 1 else 15,
            font={"size": 11, "color": WRONG_COLOR},
        )
    x_title, y_title = shown(panel.x.title), shown(panel.y.title)
    x_axis = axis(x_title, **log_axis(xs)) if log_x else metric_axis(panel.x, xs, x_title)
    y_axis = axis(y_title, **log_axis(ys)) if log_y else metric_axis(panel.y, ys, y_title)
    lay_out(figure.layout, base_layout(360, xaxis=x_axis, yaxis=y_axis, meta={"notes": [point.arm for point in named]}))
    return figure
