"""Figures over several data sets: an arm's difference on each of them with the pooled one, and the arms' mean ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fgtune.analysis.datasets.ranks import RankTest
from fgtune.analysis.datasets.together import PooledContrast
from fgtune.analysis.formatting import MetricInfo, interval, number
from fgtune.reporting.estimate_marks import error_bar, estimate_text
from fgtune.reporting.row_figures import difference_ground
from fgtune.reporting.theme import (
    BASELINE_COLOR,
    FAINT,
    RIGHT_COLOR,
    arm_rows,
    axis,
    base_layout,
    lay_out,
    marks,
    of_arm,
    of_arms,
    rows_axis,
    short,
    shown,
)
from fgtune.text import count

_ROW, _EFFECT_ROW = 28, 30  # pixels a row of ranks, and of a data set


def pooled_figure(contrast: PooledContrast, info: MetricInfo) -> go.Figure:
    """The difference to the baseline on each data set, and the pooled one as a diamond as wide as its interval.

    Args:
        contrast: With at least one effect.
        info: The metric.
    """
    figure, effects = go.Figure(), contrast.measured
    drawn = difference_ground(figure, contrast.margin)
    for row, effect in enumerate(effects):
        estimate = effect.contrast.estimate
        marker = {"color": BASELINE_COLOR, "size": 9, "symbol": "square"}
        bar = error_bar(estimate, BASELINE_COLOR)
        text = estimate_text(effect.dataset, estimate)
        figure.add_trace(marks([short(estimate.mean)], [row], marker, [text], error_x=bar, **of_arm(effect.arm)))
        drawn += [end for end in (estimate.mean, estimate.low, estimate.high) if not math.isnan(end)]
    row, pooled = len(effects), contrast.pooled
    mean, low, high = pooled.estimate.mean, pooled.estimate.low, pooled.estimate.high
    names = [shown(effect.dataset, 22) for effect in effects]
    if math.isnan(low):
        text = f"together: {number(mean, sign=True)}, {count(len(effects), 'data set')}"
        diamond = {"color": RIGHT_COLOR, "size": 10, "symbol": "diamond-open"}
        figure.add_trace(marks([short(mean)], [row], diamond, [text], **of_arms([None])))
    else:
        text = f"together: {number(mean, sign=True)} [{interval(low, high, sign=True)}], {len(effects)} data sets"
        figure.add_trace(_line(pooled.new_low, pooled.new_high, row, FAINT, 2))
        figure.add_trace(_diamond(mean, low, high, row, text))
        drawn += [low, high, pooled.new_low, pooled.new_high]
    pad = 0.04 * (max(drawn) - min(drawn)) or 1.0
    lay_out(figure.layout, arm_rows([*(effect.arm for effect in effects), None], _EFFECT_ROW))
    lay_out(
        figure.layout,
        base_layout(
            90 + _EFFECT_ROW * (len(names) + 1),
            xaxis=axis(f"difference in {shown(info.title)}", range=[min(drawn) - pad, max(drawn) + pad]),
            yaxis=rows_axis([*names, f"<b>together</b><br><i>{contrast.verdict.value}</i>"]),
        ),
    )
    return figure


def _diamond(mean: float, low: float, high: float, row: int, text: str) -> go.Scatter:
    return go.Scatter(
        x=[short(x) for x in (low, mean, high, mean, low)],
        y=[row, row - 0.3, row, row + 0.3, row],
        mode="lines",
        fill="toself",
        fillcolor=RIGHT_COLOR,
        line={"color": RIGHT_COLOR, "width": 1},
        text=[text] * 5,
        hoverinfo="text",
        **of_arms([None] * 5),
    )


def _line(low: float, high: float, row: float, color: str, width: int) -> go.Scatter:
    ends = [short(low), short(high)]
    line = {"color": color, "width": width}
    return go.Scatter(x=ends, y=[row, row], mode="lines", line=line, hoverinfo="skip", **of_arms([None, None]))


def ranks_figure(test: RankTest, members: Mapping[str, Sequence[str]]) -> go.Figure:
    """Mean ranks of the arms; below them a bar for each group that the critical difference does not tell apart.

    Args:
        test: The ranks.
        members: For each arm that readers may hide, its arms in the plan, one a data set.
    """
    figure, rows = go.Figure(), len(test.arms)
    texts = [f"{shown(arm)}: mean rank {rank:.2f}" for arm, rank in zip(test.arms, test.ranks, strict=True)]
    after = f", {len(test.datasets)} data sets"
    marker = {"color": BASELINE_COLOR, "size": 10, "symbol": "circle"}
    arms = [members.get(arm) for arm in test.arms]
    ranks = [short(rank) for rank in test.ranks]
    figure.add_trace(marks(ranks, list(range(rows)), marker, texts, after, **of_arms(arms)))
    names = [shown(arm, 22) for arm in test.arms]
    for row, (first, last) in enumerate(test.groups, start=rows):
        figure.add_trace(_line(test.ranks[first], test.ranks[last], row, RIGHT_COLOR, 6))
        names.append("<i>not told apart</i>")
    figure.add_trace(_line(1.0, 1.0 + test.critical, len(names), FAINT, 4))
    names.append("<i>critical difference</i>")
    lay_out(figure.layout, arm_rows([*arms, *[None] * (len(names) - rows)], _ROW))
    lay_out(
        figure.layout,
        base_layout(
            80 + _ROW * len(names),
            xaxis=axis("mean rank, 1 is the best", range=[0.8, max(rows, 1.0 + test.critical) + 0.2]),
            yaxis=rows_axis(names),
        ),
    )
    return figure
