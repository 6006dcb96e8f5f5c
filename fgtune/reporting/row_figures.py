"""Figures with named rows: differences of arms, times of solvers, relations of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fgtune.analysis.formatting import MetricInfo, seconds_text
from fgtune.analysis.level_panels import SolverPoint
from fgtune.analysis.relations_data import LEARNED_ONLY, NONE, RIGHT, TRUE_ONLY, RelationsPanel
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.reporting.estimate_marks import ArmMark, arm_traces
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    MISSED_COLOR,
    MOST_NAMED,
    RIGHT_COLOR,
    WRONG_COLOR,
    ArmStyle,
    arm_rows,
    axis,
    base_layout,
    lay_out,
    marks,
    of_arm,
    rows_axis,
    short,
    shown,
)

_MOST_NAMED = 30  # more rows or columns of relations than this have no names
_MOST_PARENTS = 8  # numbers of coarse classes that find room below the narrow part of a relations figure
_CLEAR_TO_BLUE = [[0.0, "rgba(0,114,178,0)"], [0.02, "rgba(0,114,178,0.06)"], [1.0, "rgba(0,114,178,1)"]]
_LOG_SPAN = 10.0  # solver times that span more than this factor are drawn on a logarithmic axis
_UNITS = (("s", 1.0), ("ms", 1e3), ("µs", 1e6))  # the largest of which some time has one


def difference_ground(figure: go.Figure, margin: float | None) -> list[float]:
    """Draw the band of unimportant differences and the line of none, which other marks then cover.

    Args:
        figure: Its horizontal axis shows differences.
        margin: Half the width of the band; None for no band.

    Returns:
        Values that the axis has to show.
    """
    if margin is not None:
        figure.add_vrect(-margin, margin, fillcolor="rgba(148,163,184,0.22)", line_width=0, layer="below")
    figure.add_vline(0.0, line={"color": BASELINE_COLOR, "width": 1})
    return [0.0] if margin is None else [0.0, -1.5 * margin, 1.5 * margin]


class ForestRow(Protocol):
    """A row of a forest plot: a contrast of one study, or of two."""

    @property
    def arm(self) -> str:
        """The arm, which gives the row its colour."""

    @property
    def label(self) -> str:
        """The row's name for readers."""

    @property
    def contrast(self) -> PairedContrast:
        """The paired differences."""


def forest_figure(
    contrasts: Sequence[ForestRow],
    styles: Mapping[str, ArmStyle],
    info: MetricInfo,
    margin: float | None,
    below: Sequence[str] = (),
) -> go.Figure:
    """Paired differences to the baseline: mean, interval, single pairs, and the band of unimportant differences.

    Args:
        contrasts: With at least one pair each.
        styles: Style of every arm.
        info: The metric.
        margin: Half the width of the band; None for no band.
        below: What stands below each row's name, such as its study.
    """
    figure, drawn = go.Figure(), []
    shown_values = difference_ground(figure, margin)
    for row, item in enumerate(contrasts):
        pairs, estimate = item.contrast, item.contrast.estimate
        values = tuple(zip(pairs.seeds, pairs.differences, strict=True))
        drawn.append(ArmMark(item.arm, item.label, row, row - 0.22, estimate, values))
        shown_values += [*pairs.differences, *(end for end in (estimate.low, estimate.high) if not math.isnan(end))]
    figure.add_traces(arm_traces(drawn, styles, rows=True, sign=True))
    step = 24 if len(contrasts) > MOST_NAMED and not below else 46
    names = [shown(item.label, 22) for item in contrasts]
    names = (
        [f"{name}<br><i>{shown(words, 30)}</i>" for name, words in zip(names, below, strict=True)] if below else names
    )
    pad = 0.03 * (max(shown_values) - min(shown_values)) or 1.0
    lay_out(figure.layout, arm_rows([item.arm for item in contrasts], step))
    lay_out(
        figure.layout,
        base_layout(
            90 + step * max(1, len(names)),
            xaxis=axis(f"difference in {shown(info.title)}", range=[min(shown_values) - pad, max(shown_values) + pad]),
            yaxis=rows_axis(names),
        ),
    )
    return figure


def solver_figure(points: Sequence[SolverPoint], styles: Mapping[str, ArmStyle]) -> go.Figure:
    """Mean seconds per solve in every cell, arm by arm; on a logarithmic axis if they span more than a decade."""
    rows: dict[tuple[str, str, str], list[SolverPoint]] = {}
    for point in points:
        rows.setdefault((point.arm, point.label, point.solver), []).append(point)
    several = len({solver for _, _, solver in rows}) > 1
    times = [point.seconds_per_solve for point in points]
    unit, per_second = next(each for each in _UNITS if max(times) * each[1] >= 1 or each is _UNITS[-1])
    figure, names = go.Figure(), []
    for row, ((arm, label, solver), cells) in enumerate(rows.items()):
        style = styles[arm]
        names.append(shown(label, 22) + (f"<br><i>{shown(solver)}</i>" if several and label != solver else ""))
        ring = {"color": style.color, "width": 1.2}
        marker = {"color": style.fill(0.3), "size": 9, "symbol": style.symbol, "line": ring}
        texts = [f"{shown(p.label)}, seed {p.seed}: {seconds_text(p.seconds_per_solve)} per solve" for p in cells]
        xs = [short(p.seconds_per_solve * per_second) for p in cells]
        figure.add_trace(marks(xs, [row] * len(cells), marker, texts, **of_arm(arm)))
    log = min(times) > 0 and max(times) / min(times) > _LOG_SPAN
    scale = {"type": "log", "dtick": 1} if log else {"rangemode": "tozero", "nticks": 6}
    times_axis = axis(f"time per solve in {unit}, mean of a cell", tickformat="~g", **scale)
    step = 24 if len(rows) > MOST_NAMED and not any("<br>" in name for name in names) else 44
    lay_out(figure.layout, base_layout(80 + step * max(1, len(rows)), xaxis=times_axis, yaxis=rows_axis(names)))
    lay_out(figure.layout, arm_rows([arm for arm, _, _ in rows], step))
    return figure


def relations_figure(panel: RelationsPanel) -> go.Figure:
    """Left: shares of a row's samples by class. Right: its learned and true parent, each with its colour and shape."""
    num_rows, num_coarse = panel.marks.shape
    wide, narrow = len(panel.columns), max(num_coarse, 2)
    share = min(0.5, max(0.2, narrow / (wide + narrow)))
    figure = make_subplots(1, 2, shared_yaxes=True, column_widths=[1 - share, share], horizontal_spacing=0.03)
    named = num_rows <= _MOST_NAMED
    gap = 1 if named else 0
    figure.add_trace(_shares(panel, gap), 1, 1)
    for code, color, symbol in _codes(panel):
        figure.add_trace(_edges(panel, code, color, symbol), 1, 2)
    grid = {"showgrid": False, "showline": False}
    left = "true fine class" if panel.has_truth else "coarse label"
    columns = {"tickvals": list(range(wide)), "ticktext": list(panel.columns)} if wide <= _MOST_NAMED else {}
    rows = {"tickvals": list(range(num_rows)), "ticktext": list(panel.rows)} if named else {}
    lay_out(figure.layout, base_layout(int(min(560, 90 + 22 * max(num_rows, 5)))))
    across = {"range": [-0.5, wide - 0.5], "tickangle": 0}
    lay_out(figure.layout.xaxis, axis(left, **grid, **columns, **across, showticklabels=bool(columns)))
    ticks = list(range(0, num_coarse, -(-num_coarse // _MOST_PARENTS)))
    parents = {"tickvals": ticks, "range": [-0.6, num_coarse - 0.4], "tickangle": 0}
    lay_out(figure.layout.xaxis2, axis("parent", **grid, **parents))
    span = {"range": [num_rows - 0.5, -0.5]}
    lay_out(figure.layout.yaxis, axis("", **grid, **rows, **span, showticklabels=named))
    lay_out(figure.layout.yaxis2, axis("", **rows, **span, showgrid=named, showticklabels=False))
    return figure


def _shares(panel: RelationsPanel, gap: int) -> go.Heatmap:
    shares, (tall, wide) = np.round(panel.shares, 4), panel.block
    rows, columns = _spans(panel.rows, tall), _spans(panel.columns, wide)
    return go.Heatmap(
        z=[[None if np.isnan(value) else float(value) for value in row] for row in shares],
        colorscale=_CLEAR_TO_BLUE,
        zmin=0.0,
        zmax=1.0,
        showscale=False,
        xgap=gap,
        ygap=gap,
        x0=(wide - 1) / 2,
        dx=wide,
        y0=(tall - 1) / 2,
        dy=tall,
        customdata=[[[row, column] for column in columns] for row in rows],
        hovertemplate="row %{customdata[0]}<br>column %{customdata[1]}: %{z:.0%} of its samples<extra></extra>",
    )


def _spans(names: Sequence[str], step: int) -> list[str]:
    """What every ``step`` names that stand beside one another are called together."""
    groups = [names[start : start + step] for start in range(0, len(names), step)]
    return [group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}" for group in groups]


def _codes(panel: RelationsPanel) -> list[tuple[int, str, str]]:
    if not panel.has_truth:
        return [(LEARNED_ONLY, RIGHT_COLOR, "square")]
    return [(RIGHT, RIGHT_COLOR, "square"), (TRUE_ONLY, MISSED_COLOR, "square-open"), (LEARNED_ONLY, WRONG_COLOR, "x")]


def _edges(panel: RelationsPanel, code: int, color: str, symbol: str) -> go.Scatter:
    rows, columns = np.nonzero(panel.marks == code)
    num_rows = max(panel.marks.shape[0], 1)
    size = float(np.clip(360 / num_rows, 3, 11))
    meaning = {RIGHT: "learned and true parent", LEARNED_ONLY: "learned parent", TRUE_ONLY: "true parent", NONE: ""}
    marker: dict[str, Any] = {"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1.5}}
    texts = [f"row {panel.rows[row]}: {meaning[code]} {column}" for row, column in zip(rows, columns, strict=True)]
    return marks(columns.tolist(), rows.tolist(), marker, texts)
