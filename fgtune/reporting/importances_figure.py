"""What each parameter explains, as a figure; numbers come from ``fgtune.analysis.search.importances``."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from fgtune.analysis.search.importances import Importances
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


def importances_figure(found: Importances, names: Mapping[str, str]) -> go.Figure:
    """Main effects as bars with intervals, total effects as open marks, and what chance reaches as ticks.

    Args:
        found: The decomposition, with at least one item.
        names: Names of the parameters for readers.
    """
    items, places = found.items, list(range(len(found.items)))
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=[short(item.main) for item in items],
            y=places,
            orientation="h",
            width=0.5,
            marker={"color": [RIGHT_COLOR if item.above_chance else MISSED_COLOR for item in items]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [short(item.high - item.main) for item in items],
                "arrayminus": [short(item.main - item.low) for item in items],
                "color": BASELINE_COLOR,
                "thickness": 1.5,
                "width": 4,
            },
            text=[f"{shown(names[item.parameter])}: {item.main:.0%} alone, {item.total:.0%} in all" for item in items],
            textposition="none",
            hoverinfo="text",
        )
    )
    for values, symbol, size, color in (
        ([item.total for item in items], "circle-open", 9, RIGHT_COLOR),
        ([item.chance for item in items], "line-ns", 18, WRONG_COLOR),
    ):
        figure.add_trace(
            go.Scatter(
                x=[short(value) for value in values],
                y=places,
                mode="markers",
                marker={"symbol": symbol, "size": size, "color": color, "line": {"color": color, "width": 2}},
                hoverinfo="skip",
            )
        )
    rows = [shown(names[item.parameter], 26) for item in items]
    top = max(max(item.high, item.total, item.chance) for item in items)
    figure.update_layout(
        base_layout(
            80 + 34 * max(2, len(items)),
            xaxis=axis("share of the variation over the space", range=[0, min(1.0, top) * 1.04], tickformat=".0%"),
            yaxis=axis("", showgrid=False, tickvals=places, ticktext=rows, range=[len(items) - 0.4, -0.6]),
        )
    )
    return figure
