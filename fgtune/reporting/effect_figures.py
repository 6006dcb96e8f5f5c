"""Figures of estimates that have no arm of their own: differences of differences, shares of a total."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from fgtune.analysis.formatting import number
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.reporting.row_figures import difference_ground, error_bar, estimate_text
from fgtune.reporting.theme import INK, RIGHT_COLOR, axis, base_layout, marks, rows_axis, short, shown

_Row = tuple[str, str, PairedContrast]
"""Name, a few words below it (may be empty), and the values by seed."""


def effects_figure(rows: Sequence[_Row], title: str, margin: float | None = None) -> go.Figure:
    """Mean, interval and single seeds, row by row.

    Args:
        rows: Each with at least one seed.
        title: What the horizontal axis shows.
        margin: Half the width of the band of unimportant values; None for no band.
    """
    figure, names = go.Figure(), []
    drawn = difference_ground(figure, margin)
    ring = {"color": "rgba(51,65,85,0.12)", "size": 7, "line": {"color": INK, "width": 1}}
    for row, (name, below, contrast) in enumerate(rows):
        estimate = contrast.estimate
        texts = [
            f"{shown(name)}, seed {seed}: {number(value, sign=True)}"
            for seed, value in zip(contrast.seeds, contrast.differences, strict=True)
        ]
        figure.add_trace(marks([short(x) for x in contrast.differences], [row - 0.22] * contrast.n, ring, texts))
        marker, bar = {"color": RIGHT_COLOR, "size": 10, "symbol": "diamond"}, error_bar(estimate, RIGHT_COLOR)
        figure.add_trace(marks([short(estimate.mean)], [row], marker, [estimate_text(name, estimate)], error_x=bar))
        drawn += [*contrast.differences, *(end for end in (estimate.low, estimate.high) if not math.isnan(end))]
        names.append(shown(name, 30) + (f"<br><i>{shown(below)}</i>" if below else ""))
    pad = 0.04 * (max(drawn) - min(drawn)) or 1.0
    figure.update_layout(
        base_layout(
            90 + 46 * len(names),
            xaxis=axis(shown(title, 80), range=[min(drawn) - pad, max(drawn) + pad]),
            yaxis=rows_axis(names),
        )
    )
    return figure
