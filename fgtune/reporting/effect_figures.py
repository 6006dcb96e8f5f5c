"""Figures of estimates that have no arm of their own: differences of differences, shares of a total."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.formatting import number
from fgtune.analysis.parts.side_by_side import PartGain
from fgtune.analysis.text.variance import share_words
from fgtune.analysis.variance.parts import Share
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.reporting.estimate_marks import error_bar, estimate_text
from fgtune.reporting.row_figures import difference_ground
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    RIGHT_COLOR,
    WRONG_COLOR,
    axis,
    base_layout,
    lay_out,
    marks,
    rows_axis,
    short,
    shown,
)

_LINE = 44  # characters below a figure of half the page
GAIN_MARKS = (
    (-0.15, RIGHT_COLOR, "diamond", "lost without it"),
    (0.15, WRONG_COLOR, "circle-open", "gained by it alone"),
)
"""Place beside its row, colour and symbol of each of the two gains of a part, and what it is."""
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
    ring = {"color": "rgba(100,116,139,0.15)", "size": 7, "line": {"color": BASELINE_COLOR, "width": 1}}
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
    return _of_gains(figure, title, drawn, names)


def gains_figure(parts: Sequence[PartGain], title: str, margin: float | None) -> go.Figure:
    """What is lost without each part as filled diamonds, and below what it gains alone as open circles, row by row.

    Args:
        parts: From top to bottom.
        title: What the horizontal axis shows.
        margin: Half the width of the band of unimportant values; None for no band.
    """
    figure = go.Figure()
    drawn = difference_ground(figure, margin)
    for row, part in enumerate(parts):
        for contrast, (shift, color, symbol, words) in zip((part.beside, part.alone), GAIN_MARKS, strict=True):
            estimate = contrast.estimate
            if contrast.n:
                marker = {"color": color, "size": 10, "symbol": symbol, "line": {"width": 2, "color": color}}
                text, bar = estimate_text(f"{part.part}, {words}", estimate), error_bar(estimate, color)
                figure.add_trace(marks([short(estimate.mean)], [row + shift], marker, [text], error_x=bar))
                drawn += [end for end in (estimate.mean, estimate.low, estimate.high) if not math.isnan(end)]
    return _of_gains(figure, title, drawn, [shown(part.part, 30) for part in parts])


def _of_gains(figure: go.Figure, title: str, drawn: Sequence[float], names: Sequence[str]) -> go.Figure:
    """The figure with an axis that has all that is drawn, and a name for each row."""
    pad = 0.04 * (max(drawn) - min(drawn)) or 1.0
    ends = [min(drawn) - pad, max(drawn) + pad]
    across = axis(_wrapped(title), range=ends)
    lay_out(figure.layout, base_layout(90 + 46 * len(names), xaxis=across, yaxis=rows_axis(names)))
    return figure


def _wrapped(title: str) -> str:
    """A title in lines that fit a figure of half the page."""
    return "<br>".join(shown(line, _LINE) for line in textwrap.wrap(title, _LINE))


def shares_figure(rows: Sequence[tuple[str, Share, bool]], title: str) -> go.Figure:
    """Shares of a total in per cent as bars with intervals, row by row; those that stand out are coloured.

    Args:
        rows: Name, share, and whether it stands out.
        title: What the horizontal axis shows.
    """
    figure = go.Figure()
    figure.add_vline(0.0, line={"color": BASELINE_COLOR, "width": 1})
    drawn = [0.0, 100.0]
    for row, (name, share, stands_out) in enumerate(rows):
        value, color = 100 * share.value, RIGHT_COLOR if stands_out else BASELINE_COLOR
        bar: dict[str, Any] = {"visible": False}
        if not math.isnan(share.low):
            low, high = 100 * share.low, 100 * share.high
            bar = {
                "type": "data",
                "symmetric": False,
                "array": [short(high - value)],
                "arrayminus": [short(value - low)],
            }
            bar |= {"color": RIGHT_COLOR, "thickness": 1.5, "width": 5}
            drawn += [low, high]
        drawn.append(value)
        text = f"{shown(name)}: {share_words(share)}"
        figure.add_trace(
            go.Bar(
                x=[short(value)], y=[row], orientation="h", width=0.5, error_x=bar, text=[text], textposition="none",
                marker={"color": color, "opacity": 0.75}, hoverinfo="text",
            )
        )  # fmt: skip
    low, high = shares_ends(drawn)
    lay_out(
        figure.layout,
        base_layout(
            90 + 46 * len(rows),
            xaxis=axis(shown(title, 80), range=[low, high]),
            yaxis=rows_axis([shown(name, 30) for name, _, _ in rows]),
        ),
    )
    return figure


def shares_ends(drawn: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis of shares in per cent.

    An interval of ten seeds can be many times as long as the whole: its end is then cut off, and stands in the table.
    """
    low, high = max(min(drawn), -150.0), min(max(drawn), 250.0)
    pad = 0.04 * (high - low)
    return low - pad, high + pad
