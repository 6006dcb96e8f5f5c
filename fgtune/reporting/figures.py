"""Figure data into Plotly figures: only ink here, every number comes from ``fgtune.analysis.figure_data``.

One figure a panel, so that the page can lay panels side by side or, on a narrow screen, one below the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fgtune.analysis.figure_data import Curve, ForestRow, LearningPanel, LevelPoint, SensitivityPanel, SolverPoint
from fgtune.analysis.statistics import Estimate
from fgtune.analysis.text.formatting import MetricInfo, number, seconds_text
from fgtune.reporting.theme import ArmStyle, axis, base_layout, short, shown

_DIRECT_LABELS = 6  # more curves than this get a legend instead of labels at their ends
_LABEL_CHARACTERS = 16
_LOG_SPAN = 10.0  # solver times that span more than this factor are drawn on a logarithmic axis


def sensitivity_figure(panel: SensitivityPanel, styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean, interval and single seeds at every level; a line joins the means where levels are numbers."""
    figure = go.Figure()
    points = [point for point in panel.points if point.estimate.n]
    baseline = next((point for point in points if point.is_baseline), None)
    if baseline is not None:
        figure.add_hline(baseline.estimate.mean, line={"color": "#94a3b8", "width": 1, "dash": "dot"})
    if panel.numeric:
        _add_line(figure, points)
    step = _spacing([point.x for point in panel.points], panel.log)
    for point in points:
        _add_seeds(figure, point, styles[point.arm], step, panel.log)
    for point in points:
        _add_mean(figure, point, styles[point.arm])
    ticks = {"tickvals": [point.x for point in panel.points], "ticktext": [shown(p.tick, 24) for p in panel.points]}
    figure.update_layout(
        base_layout(
            320,
            xaxis=axis(shown(panel.axis), showgrid=False, **ticks, **_x_range(panel, step)),
            yaxis=axis(""),
        )
    )
    return figure


def _spacing(xs: Sequence[float], log: bool) -> float:
    """The smallest gap between levels (a ratio's logarithm on a log axis); 1 for a single level."""
    scaled = sorted({math.log10(x) if log else x for x in xs})
    return min((after - before for before, after in itertools.pairwise(scaled)), default=1.0)


def _x_range(panel: SensitivityPanel, step: float) -> dict[str, object]:
    scaled = [math.log10(point.x) if panel.log else point.x for point in panel.points]
    pad = 0.6 * step if not panel.numeric else max(0.5 * step, 0.08 * (max(scaled) - min(scaled)))
    return {"type": "log" if panel.log else "linear", "range": [min(scaled) - pad, max(scaled) + pad]}


def _add_line(figure: go.Figure, points: Sequence[LevelPoint]) -> None:
    figure.add_trace(
        go.Scatter(
            x=[point.x for point in points],
            y=[point.estimate.mean for point in points],
            mode="lines",
            line={"color": "rgba(148,163,184,0.6)", "width": 2},
            hoverinfo="skip",
        )
    )


def _add_seeds(figure: go.Figure, point: LevelPoint, style: ArmStyle, step: float, log: bool) -> None:
    shift = -0.16 * step  # beside the mean, so that the interval stays visible
    x = point.x * 10**shift if log else point.x + shift
    figure.add_trace(
        go.Scatter(
            x=[x] * len(point.seeds),
            y=[value for _, value in point.seeds],
            mode="markers",
            marker={"color": style.fill(0.15), "size": 7, "line": {"color": style.color, "width": 1}},
            text=[f"{shown(point.label)}, seed {seed}: {number(value)}" for seed, value in point.seeds],
            hoverinfo="text",
        )
    )


def _add_mean(figure: go.Figure, point: LevelPoint, style: ArmStyle) -> None:
    estimate = point.estimate
    figure.add_trace(
        go.Scatter(
            x=[point.x],
            y=[estimate.mean],
            error_y=_error(estimate, style.color),
            mode="markers",
            marker={"color": style.color, "size": 10, "symbol": style.symbol},
            text=[_estimate_text(point.label, estimate)],
            hoverinfo="text",
        )
    )


def _error(estimate: Estimate, color: str) -> dict[str, object]:
    if math.isnan(estimate.high):
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [estimate.high - estimate.mean],
        "arrayminus": [estimate.mean - estimate.low],
        "color": color,
        "thickness": 2,
        "width": 5,
    }


def _estimate_text(label: str, estimate: Estimate) -> str:
    spread = "" if math.isnan(estimate.low) else f" [{number(estimate.low)}, {number(estimate.high)}]"
    return f"{shown(label)}: {number(estimate.mean)}{spread}, n = {estimate.n}"


def learning_figure(panel: LearningPanel, styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean and interval band by epoch for every arm, named at the end of its line where there is room."""
    figure = go.Figure()
    ordered = sorted(panel.curves, key=lambda curve: not curve.is_baseline)
    direct = len(ordered) <= _DIRECT_LABELS and all(len(curve.label) <= _LABEL_CHARACTERS for curve in ordered)
    for curve in ordered:
        _add_band(figure, curve, styles[curve.arm])
    for curve in ordered:
        style = styles[curve.arm]
        figure.add_trace(
            go.Scatter(
                x=list(curve.epochs),
                y=[short(value) for value in curve.mean],
                mode="lines" if len(curve.epochs) > 1 else "markers",
                line={"color": style.color, "width": 2, "dash": style.dash},
                marker={"color": style.color, "symbol": style.symbol},
                name=shown(curve.label, 28),
                hovertemplate=f"{shown(curve.label)}, epoch %{{x}}: %{{y:.3f}} (n = {curve.n})<extra></extra>",
            )
        )
    layout = base_layout(300, xaxis=axis("epoch", showgrid=False), yaxis=axis(""))
    if direct:
        layout["margin"] = layout["margin"] | {"r": 14 + 6.4 * max(len(curve.label) for curve in ordered)}
    else:
        layout |= {"showlegend": True, "height": 340, "legend": {"orientation": "h", "y": -0.28, "x": 0}}
    figure.update_layout(layout)
    if direct:
        _label_ends(figure, panel, styles)
    return figure


def _add_band(figure: go.Figure, curve: Curve, style: ArmStyle) -> None:
    banded = [place for place, low in enumerate(curve.low) if not math.isnan(low)]
    figure.add_trace(
        go.Scatter(
            x=[curve.epochs[i] for i in banded] + [curve.epochs[i] for i in reversed(banded)],
            y=[short(curve.high[i]) for i in banded] + [short(curve.low[i]) for i in reversed(banded)],
            fill="toself",
            fillcolor=style.fill(0.14),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _label_ends(figure: go.Figure, panel: LearningPanel, styles: Mapping[str, ArmStyle]) -> None:
    """Names at the right edge, pushed apart where lines end close together."""
    seen = [value for curve in panel.curves for part in (curve.low, curve.high, curve.mean) for value in part]
    seen = [value for value in seen if not math.isnan(value)]
    low, high = min(seen), max(seen)
    pad = 0.06 * (high - low) or 0.5
    figure.update_layout(yaxis={"range": [low - pad, high + pad]})
    gap = 0.062 * (high - low + 2 * pad)  # a line of text in a panel of this height
    ends = spread_apart([curve.mean[-1] for curve in panel.curves], gap, low - pad, high + pad)
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
    """Move values as little as needed, in their order, until neighbours are ``gap`` apart, staying within the range."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    placed = [0.0] * len(values)
    floor = low
    for place in order:
        placed[place] = floor = max(values[place], floor)
        floor += gap
    ceiling = high
    for place in reversed(order):
        placed[place] = ceiling = min(placed[place], ceiling)
        ceiling -= gap
    return placed


def forest_figure(
    rows: Sequence[ForestRow], styles: Mapping[str, ArmStyle], info: MetricInfo, margin: float
) -> go.Figure:
    """Paired differences to the baseline: mean, interval, single pairs, and the band in which they do not matter."""
    figure = go.Figure()
    figure.add_vrect(-margin, margin, fillcolor="rgba(148,163,184,0.22)", line_width=0, layer="below")
    figure.add_vline(0.0, line={"color": "#64748b", "width": 1})
    for place, row in enumerate(rows):
        style = styles[row.arm]
        figure.add_trace(
            go.Scatter(
                x=[value for _, value in row.differences],
                y=[place - 0.22] * len(row.differences),
                mode="markers",
                marker={"color": style.fill(0.15), "size": 7, "line": {"color": style.color, "width": 1}},
                text=[f"{shown(row.label)}, seed {seed}: {number(v, sign=True)}" for seed, v in row.differences],
                hoverinfo="text",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[row.estimate.mean],
                y=[place],
                error_x=_error(row.estimate, style.color),
                mode="markers",
                marker={"color": style.color, "size": 10, "symbol": style.symbol},
                text=[_estimate_text(row.label, row.estimate)],
                hoverinfo="text",
            )
        )
    names = [f"{shown(row.label, 22)}<br><i>{row.verdict}</i>" for row in rows]
    ticks = {"tickvals": list(range(len(rows))), "ticktext": names}
    figure.update_layout(
        base_layout(
            90 + 56 * max(1, len(rows)),
            xaxis=axis(f"difference in {shown(info.title)}", range=_forest_range(rows, margin)),
            yaxis=axis("", showgrid=False, range=[len(rows) - 0.4, -0.6], **ticks),
        )
    )
    return figure


def _forest_range(rows: Sequence[ForestRow], margin: float) -> list[float]:
    """From end to end of every interval, every pair and the margin, with some air."""
    ends = [end for row in rows for end in (row.estimate.low, row.estimate.high) if not math.isnan(end)]
    drawn = [*ends, *(value for row in rows for _, value in row.differences), -1.5 * margin, 1.5 * margin]
    pad = 0.03 * (max(drawn) - min(drawn))
    return [min(drawn) - pad, max(drawn) + pad]


def solver_figure(points: Sequence[SolverPoint], styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean seconds a solve in every cell, arm by arm; a logarithmic axis where they span more than a decade."""
    rows = list(dict.fromkeys((point.arm, point.label, point.solver) for point in points))
    several = len({solver for _, _, solver in rows}) > 1
    figure = go.Figure()
    names = []
    for place, (arm, label, solver) in enumerate(rows):
        own = [point for point in points if (point.arm, point.solver) == (arm, solver)]
        style = styles[arm]
        names.append(shown(label, 22) + (f"<br><i>{shown(solver)}</i>" if several and label != solver else ""))
        figure.add_trace(
            go.Scatter(
                x=[short(point.seconds_per_solve) for point in own],
                y=[place] * len(own),
                mode="markers",
                marker={
                    "color": style.fill(0.3),
                    "size": 9,
                    "symbol": style.symbol,
                    "line": {"color": style.color, "width": 1.2},
                },
                text=[f"{shown(p.label)}, seed {p.seed}: {seconds_text(p.seconds_per_solve)} a solve" for p in own],
                hoverinfo="text",
            )
        )
    times = [point.seconds_per_solve for point in points]
    log = min(times) > 0 and max(times) / min(times) > _LOG_SPAN
    scale = {"type": "log", "dtick": 1} if log else {"rangemode": "tozero", "nticks": 6}
    ticks = {"tickvals": list(range(len(rows))), "ticktext": names}
    figure.update_layout(
        base_layout(
            80 + 44 * max(1, len(rows)),
            xaxis=axis("time a solve, mean of a cell", exponentformat="SI", ticksuffix="s", **scale),
            yaxis=axis("", showgrid=False, range=[len(rows) - 0.4, -0.6], **ticks),
        )
    )
    return figure
