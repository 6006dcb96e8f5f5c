"""Figures of a study that spreads its points over a space: only ink; numbers come from ``analysis.search_figures``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from fgtune.analysis.search.figure_data import (
    BASELINE,
    BEST,
    COMPLETE,
    STOPPED,
    CurvesPanel,
    HistoryPanel,
    PairPanel,
    ScatterPanel,
    SpreadPoint,
    TrialCurve,
    on_log_scale,
)
from fgtune.analysis.text.formatting import number
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    MISSED_COLOR,
    RIGHT_COLOR,
    WRONG_COLOR,
    axis,
    base_layout,
    short,
    shown,
)

_GOLDEN = 0.618034  # multiples of it spread evenly, whatever their number
_MOST_TICKS = 8  # listed levels up to this many are ticks of their axis


@dataclass(frozen=True)
class KindStyle:
    """How points of one kind look; colour and shape both tell them apart."""

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
"""In the order in which they are drawn, the last one on top."""


def _marker(kind: str) -> dict[str, object]:
    style = KIND_STYLES[kind]
    line = {"color": style.color, "width": 1.5 if kind == STOPPED else 0}
    return {"color": style.color, "symbol": style.symbol, "size": style.size, "opacity": style.opacity, "line": line}


def history_figure(panel: HistoryPanel, best: Sequence[str]) -> go.Figure:
    """Every finished point by the order of its end, the best value so far as a step, the baseline as a dotted line.

    Args:
        panel: One criterion.
        best: Arms drawn as the best.
    """
    figure = go.Figure()
    if not math.isnan(panel.baseline):
        figure.add_hline(panel.baseline, line={"color": BASELINE_COLOR, "width": 1.5, "dash": "dot"})
    last = max([point.order for point in panel.points] + list(panel.stopped))
    figure.add_trace(
        go.Scatter(
            x=[*(point.order for point in panel.points), last],
            y=[*(short(point.best) for point in panel.points), short(panel.points[-1].best)],
            mode="lines",
            line={"color": WRONG_COLOR, "width": 2, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    for kind, wanted in ((COMPLETE, False), (BEST, True)):
        own = [point for point in panel.points if (point.arm in best) == wanted]
        figure.add_trace(
            go.Scatter(
                x=[point.order for point in own],
                y=[short(point.value) for point in own],
                mode="markers",
                marker=_marker(kind),
                text=[f"{point.arm}: {number(point.value)}" for point in own],
                hoverinfo="text",
            )
        )
    values = [point.value for point in panel.points] + [panel.baseline] * (not math.isnan(panel.baseline))
    low, high = min(values), max(values)
    log = on_log_scale(panel.metric, values)
    floor = low * (low / high) ** 0.09 if log else low - 0.09 * (high - low or 1.0)
    figure.add_trace(
        go.Scatter(
            x=list(panel.stopped),
            y=[short(floor)] * len(panel.stopped),
            mode="markers",
            marker=_marker(STOPPED),
            text=["stopped early or failed"] * len(panel.stopped),
            hoverinfo="text",
        )
    )
    figure.update_layout(
        base_layout(
            320,
            xaxis=axis("trials in the order of their end", showgrid=False),
            yaxis=axis("", **(_log_axis(values) if log else {})),
        )
    )
    return figure


def scatter_figure(panel: ScatterPanel) -> go.Figure:
    """A metric over one setting: numbers on their scale, categories as strips."""
    figure = go.Figure()
    if not math.isnan(panel.baseline):
        figure.add_hline(panel.baseline, line={"color": BASELINE_COLOR, "width": 1, "dash": "dot"})
    setting = panel.axis
    for kind in KIND_STYLES:
        own = [point for point in panel.points if point.kind == kind]
        if own:
            xs = [short(point.x) if setting.numeric else _strip(point, rank) for rank, point in enumerate(own)]
            figure.add_trace(_points(own, kind, xs))
    ticks: dict[str, object] = {}
    if not setting.numeric:
        names = [shown(text, 18) for text in setting.categories]
        ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [-0.6, len(names) - 0.4]}
    elif setting.log:
        ticks = _log_axis([point.x for point in panel.points])
    if setting.numeric and 0 < len(setting.numbers) <= _MOST_TICKS:
        ticks |= {"tickvals": list(setting.numbers), "ticktext": list(setting.categories)}
    values = [point.y for point in panel.points]
    scale = _log_axis(values) if on_log_scale(panel.metric, values) else {}
    figure.update_layout(base_layout(260, xaxis=axis("", showgrid=False, **ticks), yaxis=axis("", **scale)))
    return figure


def _strip(point: SpreadPoint, rank: int) -> float:
    """A category's place, points of a kind beside each other, the first one in the middle."""
    return point.x + 0.5 * ((rank * _GOLDEN + 0.5) % 1 - 0.5)


def _points(points: Sequence[SpreadPoint], kind: str, xs: Sequence[float | None]) -> go.Scatter:
    after = ", stopped at epoch {}" if kind == STOPPED else ""
    return go.Scatter(
        x=list(xs),
        y=[short(point.y) for point in points],
        mode="markers",
        marker=_marker(kind),
        text=[f"{shown(point.arm)}: {number(point.y)}{after.format(point.epochs)}" for point in points],
        hoverinfo="text",
    )


def pair_figure(panel: PairPanel) -> go.Figure:
    """Two metrics of every point that ran to its end; marked points are named."""
    figure = go.Figure()
    for kind in KIND_STYLES:
        own = [point for point in panel.points if point.kind == kind]
        if own:
            trace = _points(own, kind, [short(point.x) for point in own])
            trace.text = [f"{shown(point.arm)}: {number(point.x)}, {number(point.y)}" for point in own]
            figure.add_trace(trace)
    named = [point for point in panel.points if point.arm in panel.marked]
    best = [point for point in named if point.kind not in {BEST, BASELINE}]
    figure.add_trace(
        go.Scatter(
            x=[short(point.x) for point in best],
            y=[short(point.y) for point in best],
            mode="markers",
            marker={"symbol": "diamond-open", "size": 14, "color": WRONG_COLOR, "line": {"width": 2}},
            hoverinfo="skip",
        )
    )
    xs, ys = [point.x for point in panel.points], [point.y for point in panel.points]
    log = {"x": on_log_scale(panel.x, xs), "y": on_log_scale(panel.y, ys)}
    for point in named:
        right = point.x > sum(each.x for each in panel.points) / len(panel.points)
        figure.add_annotation(
            x=math.log10(point.x) if log["x"] else point.x,
            y=math.log10(point.y) if log["y"] else point.y,
            text=shown(point.arm),
            showarrow=False,
            xanchor="right" if right else "left",
            xshift=8 if right else -8,
            yshift=-16 if point.arm == panel.marked[0] and len(named) > 1 else 15,
            font={"size": 11, "color": WRONG_COLOR},
        )
    figure.update_layout(
        base_layout(
            360,
            xaxis=axis(shown(panel.x.title), **(_log_axis(xs) if log["x"] else {})),
            yaxis=axis(shown(panel.y.title), **(_log_axis(ys) if log["y"] else {})),
        )
    )
    return figure


def _log_axis(values: Sequence[float]) -> dict[str, object]:
    """A logarithmic axis with a tick a decade; at 1, 2 and 5 where there are fewer than two decades."""
    return {"type": "log", "dtick": 1 if max(values) / min(values) > 100 else "D2", "tickformat": "~g"}


def curves_figure(panel: CurvesPanel) -> go.Figure:
    """Thin learning curves of all points, a cross where one was stopped; the best and the baseline stand out."""
    figure = go.Figure()
    widths = {STOPPED: 1.0, COMPLETE: 1.0, BASELINE: 2.5, BEST: 2.5}
    for kind, style in KIND_STYLES.items():
        own = [curve for curve in panel.curves if curve.kind == kind]
        if own:
            figure.add_trace(_lines(own, style, widths[kind]))
        if kind == STOPPED:
            figure.add_trace(
                go.Scatter(
                    x=[curve.epochs[-1] for curve in own],
                    y=[short(curve.values[-1]) for curve in own],
                    mode="markers",
                    marker=_marker(kind),
                    text=[f"{shown(curve.arm)}, stopped at epoch {curve.epochs[-1]}" for curve in own],
                    hoverinfo="text",
                )
            )
    figure.update_layout(base_layout(320, xaxis=axis("epoch", showgrid=False), yaxis=axis("")))
    return figure


def _lines(curves: Sequence[TrialCurve], style: KindStyle, width: float) -> go.Scatter:
    """All curves of one kind as one trace, with gaps between them."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    names: list[str] = []
    for curve in curves:
        xs += [*curve.epochs, None]
        ys += [*map(short, curve.values), None]
        names += [shown(curve.arm)] * (len(curve.epochs) + 1)
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": style.color, "width": width},
        opacity=style.opacity,
        text=names,
        hovertemplate="%{text}, epoch %{x}: %{y:.3f}<extra></extra>",
    )
