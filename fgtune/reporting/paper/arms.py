"""Figures of arms that are compared one by one: differences, metrics over levels, heat maps and learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

from fgtune.analysis.curve_panels import CurvesPanel, learning_panels
from fgtune.analysis.formatting import MetricInfo, capital
from fgtune.analysis.grid_panels import grid_panels
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import SensitivityPanel, sensitivity_panels
from fgtune.analysis.summary import StudySummary
from fgtune.reporting.few_arms import MOST_ROWS, by_distance, called, drawn_contrasts
from fgtune.reporting.paper.draw import Row, draw_curves, draw_grid, draw_levels, draw_rows, rows_height
from fgtune.reporting.paper.figure import PLAIN, PaperFigure, intervals, sizes_text
from fgtune.reporting.paper.style import symbol
from fgtune.reporting.theme import ArmStyle

MOST_CURVES = 12
"""More learning curves hide each other on paper."""


def difference_figures(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    """Paired differences of the planned contrasts, of many points the largest; nothing where there are no pairs."""
    contrasts, left = drawn_contrasts(summary, MOST_ROWS if data.study.design.samples_points else None)
    if not contrasts:
        return
    rows = []
    for item in contrasts:
        pairs, style = item.contrast, styles[item.arm]
        verdict = "" if item.judgement is None else f" ({item.judgement.verdict.value})"
        ends = pairs.estimate.low, pairs.estimate.high
        rows.append(
            Row(f"{item.label}{verdict}", pairs.estimate.mean, *ends, pairs.differences, style.color, symbol(style))
        )
    info, n = summary.metrics[0], sizes_text(item.contrast.n for item in contrasts)
    shaded = "" if summary.margin is None else f" Shaded: differences within ±{summary.margin:g}."
    caption = (
        f"Paired differences in {info.title} to the baseline ({data.baseline.label}): means with "
        f"{intervals(summary.level)}, rings are single seeds ({n} pairs).{shaded} In brackets: the verdict."
        f"{f' {left}.' if left else ''}"
    )
    yield PaperFigure(
        "differences",
        caption,
        rows_height(len(rows)),
        partial(draw_rows, rows=rows, title=f"difference in {info.title}", line=0.0, margin=summary.margin),
    )


def level_figures(data: StudyData, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    """Every shown metric over each factor, or over the arms."""
    for rank, panel in enumerate(sensitivity_panels(data)):
        points = [point for point in panel.points if point.estimate.n]
        if not points:
            continue
        info = panel.metric
        over = f" over {panel.axis.title}" if panel.axis.path else " of every arm"
        caption = capital(f"{info.title}{over}: means with {intervals(data.level)}, rings are single seeds.")
        if panel.axis.path:
            drawn = partial(draw_levels, panel=panel, styles=styles)
            yield PaperFigure(f"levels-{rank}", f"{caption} Dotted: the baseline's mean.", PLAIN, drawn)
        else:
            yield _arms(f"levels-{rank}", caption, panel, info, styles)


def _arms(
    name: str, caption: str, panel: SensitivityPanel, info: MetricInfo, styles: Mapping[str, ArmStyle]
) -> PaperFigure:
    rows, line = [], math.nan
    for point in panel.points:
        if point.estimate.n:
            each, style = point.estimate, styles[point.arm]
            values = tuple(value for _, value in point.seeds)
            rows.append(Row(point.label, each.mean, each.low, each.high, values, style.color, symbol(style)))
            line = each.mean if point.is_baseline else line
    drawn = partial(draw_rows, rows=rows, title=info.title, line=line, margin=None, info=info)
    return PaperFigure(name, f"{caption} Line: the baseline's mean.", rows_height(len(rows)), drawn)


def grid_figures(data: StudyData) -> Iterator[PaperFigure]:
    """A heat map for each pair of factors of a full grid."""
    for rank, panel in enumerate(grid_panels(data)):
        fixed = f" at {panel.others}" if panel.others else ""
        caption = f"Mean {panel.metric.title} over {panel.x} and {panel.y}{fixed}; bold: the baseline. "
        caption += f"{sizes_text(map(int, panel.counts.flat))} seeds."
        yield PaperFigure(f"grid-{rank}", caption, 0.8 + 0.28 * len(panel.rows), partial(draw_grid, panel=panel))


def curve_figures(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    """Every recorded metric by epoch; of more than ``MOST_CURVES`` arms the baseline and those farthest from it."""
    for rank, panel in enumerate(learning_panels(data)):
        kept = by_distance([curve.arm for curve in panel.curves], summary)[:MOST_CURVES]
        curves = tuple(curve for curve in panel.curves if curve.arm in kept)
        caption = f"Mean {panel.metric.title} by epoch over the finished seeds; bands: {intervals(data.level)}."
        if len(curves) < len(panel.curves):
            which = called(kept, summary, summary.metrics[0].title)
            caption += f" {len(curves)} of {len(panel.curves)} arms: {which}."
        height, drawn = PLAIN + 0.15 * math.ceil(len(curves) / 2), CurvesPanel(panel.metric, panel.group, curves)
        yield PaperFigure(f"curves-{rank}", caption, height, partial(draw_curves, panel=drawn, styles=styles))
