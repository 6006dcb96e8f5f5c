"""Learned against true relations as a figure: where each fine class's samples go, and which parent it was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fgtune.analysis.relations_data import LEARNED_ONLY, NONE, RIGHT, TRUE_ONLY, RelationsPanel
from fgtune.reporting.theme import MISSED_COLOR, RIGHT_COLOR, WRONG_COLOR, axis, base_layout

_MOST_NAMED = 30  # more rows or columns than this are drawn without names
_CLEAR_TO_BLUE = [[0.0, "rgba(0,114,178,0)"], [0.02, "rgba(0,114,178,0.06)"], [1.0, "rgba(0,114,178,1)"]]


def relations_figure(panel: RelationsPanel) -> go.Figure:
    """Left: shares of a row's samples by class. Right: its parent, learned and true, told apart by colour and shape."""
    num_rows, num_coarse = panel.marks.shape
    wide, narrow = len(panel.columns), max(num_coarse, 2)
    share = min(0.5, max(0.2, narrow / (wide + narrow)))
    figure = make_subplots(1, 2, shared_yaxes=True, column_widths=[1 - share, share], horizontal_spacing=0.03)
    named = num_rows <= _MOST_NAMED
    gap = 1 if named else 0
    figure.add_trace(_shares(panel, gap), 1, 1)
    for code, color, symbol in _codes(panel):
        figure.add_trace(_marks(panel, code, color, symbol), 1, 2)
    grid = {"showgrid": False, "showline": False}
    left = "true fine class" if panel.has_truth else "coarse label"
    columns = {"tickvals": list(range(wide)), "ticktext": list(panel.columns)} if wide <= _MOST_NAMED else {}
    rows = {"tickvals": list(range(num_rows)), "ticktext": list(panel.rows)} if named else {}
    figure.update_layout(base_layout(int(min(560, 90 + 22 * max(num_rows, 5)))))
    figure.update_xaxes(axis(left, **grid, **columns, showticklabels=bool(columns), tickangle=0), col=1)
    figure.update_xaxes(
        axis("parent", **grid, tickvals=list(range(num_coarse)), range=[-0.6, num_coarse - 0.4], tickangle=0), col=2
    )
    figure.update_xaxes(showticklabels=num_coarse <= _MOST_NAMED, col=2)
    figure.update_yaxes(axis("", **grid, **rows, showticklabels=named, range=[num_rows - 0.5, -0.5]), col=1)
    figure.update_yaxes(axis("", showgrid=named, showticklabels=False, range=[num_rows - 0.5, -0.5], **rows), col=2)
    return figure


def _shares(panel: RelationsPanel, gap: int) -> go.Heatmap:
    shares = np.round(panel.shares, 4)
    return go.Heatmap(
        z=[[None if np.isnan(value) else float(value) for value in row] for row in shares],
        colorscale=_CLEAR_TO_BLUE,
        zmin=0.0,
        zmax=1.0,
        showscale=False,
        xgap=gap,
        ygap=gap,
        customdata=[[name] * shares.shape[1] for name in panel.rows],
        hovertemplate="row %{customdata}<br>column %{x}: %{z:.0%} of its samples<extra></extra>",
    )


def _codes(panel: RelationsPanel) -> list[tuple[int, str, str]]:
    if not panel.has_truth:
        return [(LEARNED_ONLY, RIGHT_COLOR, "square")]
    return [(RIGHT, RIGHT_COLOR, "square"), (TRUE_ONLY, MISSED_COLOR, "square-open"), (LEARNED_ONLY, WRONG_COLOR, "x")]


def _marks(panel: RelationsPanel, code: int, color: str, symbol: str) -> go.Scatter:
    rows, columns = np.nonzero(panel.marks == code)
    num_rows = max(panel.marks.shape[0], 1)
    size = float(np.clip(360 / num_rows, 3, 11))
    meaning = {RIGHT: "learned and true parent", LEARNED_ONLY: "learned parent", TRUE_ONLY: "true parent", NONE: ""}
    marker: dict[str, Any] = {"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1.5}}
    return go.Scatter(
        x=columns.tolist(),
        y=rows.tolist(),
        mode="markers",
        marker=marker,
        text=[f"row {panel.rows[row]}: {meaning[code]} {column}" for row, column in zip(rows, columns, strict=True)],
        hoverinfo="text",
    )
