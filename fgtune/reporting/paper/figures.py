"""Which figures a study has on paper: those of its report that make sense there, with captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fgtune.analysis.curve_panels import history_panels, learning_panels
from fgtune.analysis.formatting import MetricInfo, capital, percent
from fgtune.analysis.grid_panels import grid_panels
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import SensitivityPanel, sensitivity_panels
from fgtune.analysis.search.axes import axes_of
from fgtune.analysis.search.importances import metric_importances
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.importances import importance_sentence
from fgtune.analysis.trials import BASELINE, BEST, criteria_of, kinds_of, trials_of
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.reporting.paper.draw import (
    Row,
    draw_curves,
    draw_grid,
    draw_history,
    draw_importances,
    draw_levels,
    draw_relations,
    draw_rows,
    rows_height,
)
from fgtune.reporting.paper.style import symbol
from fgtune.reporting.relation_panels import drawn_relations
from fgtune.reporting.theme import RIGHT_COLOR, ArmStyle, arm_styles

_MOST_CURVES = 12
_PLAIN, _HIGH = 2.0, 2.6
"""Heights in inches, without and with a legend below."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure for a paper.

    Attributes:
        name: Of its file, without suffix.
        caption: What it shows, with n and what intervals are.
        height: In inches.
        draw: Draws it into a figure of Matplotlib.
    """

    name: str
    caption: str
    height: float
    draw: Callable[[Any], None]


def paper_figures(data: StudyData, summary: StudySummary) -> tuple[PaperFigure, ...]:
    """The figures of a study, finished or not, in the order of its report.

    Args:
        data: The study folder's content.
        summary: Its summary.
    """
    styles = arm_styles(data.arms)
    if data.study.design.samples_points:
        return (*_of_space(data), *_relations(data, summary))
    return (
        *_differences(data, summary, styles),
        *_datasets(summary),
        *_parts(summary),
        *_levels(data, styles),
        *_grids(data),
        *_curves(data, styles),
        *_relations(data, summary),
    )


def _intervals(level: float) -> str:
    return f"{percent(level)} Student-t intervals"


def _differences(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    contrasts = [item for item in summary.contrasts if item.contrast.n > 0]
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
    info, sizes = summary.metrics[0], sorted({item.contrast.n for item in contrasts})
    n = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]}"
    shaded = "" if summary.margin is None else f" Shaded: differences within ±{summary.margin:g}."
    caption = (
        f"Paired differences in {info.title} to the baseline ({data.baseline.label}): means with "
        f"{_intervals(summary.level)}, rings are single seeds ({n} pairs).{shaded} In brackets: the verdict."
    )
    yield PaperFigure(
        "differences",
        caption,
        rows_height(rows),
        partial(draw_rows, rows=rows, title=f"difference in {info.title}", line=0.0, margin=summary.margin),
    )


def _datasets(summary: StudySummary) -> Iterator[PaperFigure]:
    found, info = summary.datasets, summary.metrics[0]
    for rank, item in enumerate(() if found is None else found.contrasts):
        if not item.measured:
            continue
        rows = []
        for effect in item.measured:
            each = effect.contrast.estimate
            rows.append(Row(effect.dataset, each.mean, each.low, each.high, effect.contrast.differences, marker="s"))
        pooled = item.pooled.estimate
        name = f"together ({item.verdict.value})"
        rows.append(Row(name, pooled.mean, pooled.low, pooled.high, color=RIGHT_COLOR, marker="D"))
        caption = (
            f"Difference of {item.arm} to the baseline in {info.title} on every data set, with "
            f"{_intervals(summary.level)} over seeds; together: the mean over data sets, with its interval over these."
        )
        yield PaperFigure(
            f"datasets-{rank}",
            caption,
            rows_height(rows),
            partial(draw_rows, rows=rows, title=f"difference in {info.title}", line=0.0, margin=item.margin),
        )


def _parts(summary: StudySummary) -> Iterator[PaperFigure]:
    found, info = summary.parts, summary.metrics[0]
    if found is None:
        return
    effects = [each for each in found.effects if each.contrast.n]
    shares = [each for each in found.shares if each.contrast.n]
    for name, named, title, margin in (
        ("parts-effects", [(f"{each.label} ({each.name})", each.contrast) for each in effects],
         f"gain beside others minus gain without, {info.title}", summary.margin),
        ("parts-shares", [(each.part, each.contrast) for each in shares], f"share of the gain in {info.title}", None),
    ):  # fmt: skip
        rows = [
            Row(text, each.estimate.mean, each.estimate.low, each.estimate.high, each.differences, RIGHT_COLOR, "D")
            for text, each in named
        ]
        if rows:
            caption = f"{capital(title)}: means with {_intervals(summary.level)}, rings are single seeds."
            drawn = partial(draw_rows, rows=rows, title=title, line=0.0, margin=margin)
            yield PaperFigure(name, caption, rows_height(rows), drawn)


def _levels(data: StudyData, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    for rank, panel in enumerate(sensitivity_panels(data)):
        points = [point for point in panel.points if point.estimate.n]
        if not points:
            continue
        info = panel.metric
        over = f" over {panel.axis.title}" if panel.axis.path else " of every arm"
        caption = f"{info.title}{over}: means with {_intervals(data.level)}, rings are single seeds."
        caption = caption[0].upper() + caption[1:]
        if panel.axis.path:
            drawn = partial(draw_levels, panel=panel, styles=styles)
            yield PaperFigure(f"levels-{rank}", f"{caption} Dotted: the baseline's mean.", _PLAIN, drawn)
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
    return PaperFigure(name, f"{caption} Line: the baseline's mean.", rows_height(rows), drawn)


def _grids(data: StudyData) -> Iterator[PaperFigure]:
    for rank, panel in enumerate(grid_panels(data)):
        fixed = f" at {panel.others}" if panel.others else ""
        sizes = sorted({int(n) for n in panel.counts.flat if n})
        caption = f"Mean {panel.metric.title} over {panel.x} and {panel.y}{fixed}; bold: the baseline. "
        caption += f"n = {' to '.join(map(str, sizes[:: max(1, len(sizes) - 1)]))} seeds."
        yield PaperFigure(f"grid-{rank}", caption, 0.8 + 0.28 * len(panel.rows), partial(draw_grid, panel=panel))


def _curves(data: StudyData, styles: Mapping[str, ArmStyle]) -> Iterator[PaperFigure]:
    for rank, panel in enumerate(learning_panels(data)):
        if not 0 < len(panel.curves) <= _MOST_CURVES:
            continue  # more lines hide each other on paper
        caption = f"Mean {panel.metric.title} by epoch over the finished seeds; bands: {_intervals(data.level)}."
        height = _PLAIN + 0.15 * math.ceil(len(panel.curves) / 2)
        yield PaperFigure(f"curves-{rank}", caption, height, partial(draw_curves, panel=panel, styles=styles))


def _relations(data: StudyData, summary: StudySummary) -> Iterator[PaperFigure]:
    only = None
    if data.study.design.samples_points:
        kinds = kinds_of(data, trials_of(data))
        only = [arm for arm, kind in kinds.items() if kind in {BASELINE, BEST}]
    for rank, panel in enumerate(drawn_relations(data, summary, only)[0]):
        source = f", source {panel.source}" if panel.num_sources > 1 else ""
        rows = "learned fine classes, aligned with true ones" if panel.has_truth else "learned fine classes"
        caption = (
            f"Relations of {panel.label}{source}, seed {panel.seed} (its median one). Rows: {rows}. "
            "Left: where a row's samples lie. Right: its parent."
        )
        height = min(7.3, 1.2 + 0.16 * max(len(panel.rows), 5))
        yield PaperFigure(f"relations-{rank}", caption, height, partial(draw_relations, panel=panel))


def _of_space(data: StudyData) -> Iterator[PaperFigure]:
    trials, criteria = trials_of(data, ARM_METRICS), criteria_of(data)
    if data.study.design.criteria:
        for rank, panel in enumerate(history_panels(data, trials)):
            caption = f"{panel.metric.title} of the trials in the order of their end, each the mean over its seeds."
            caption, drawn = capital(caption), partial(draw_history, panel=panel)
            yield PaperFigure(f"history-{rank}", caption, _HIGH, drawn)
    primary = data.info(data.study.metrics.primary)
    judged: Sequence[MetricInfo] = tuple({info.name: info for info in (*criteria, primary)}.values())
    names = {each.path: each.title for each in axes_of(data)}
    for rank, (info, found) in enumerate(zip(judged, metric_importances(data, trials, judged), strict=True)):
        if found.anything:
            caption = (
                f"Share of the variation of {info.title} over {found.n} finished points that each parameter explains, "
                f"with {percent(found.level)} intervals; ticks: what chance reaches. "
                f"{importance_sentence(found, names)}"
            )
            drawn = partial(draw_importances, found=found, names=names)
            yield PaperFigure(f"importances-{rank}", caption, 0.6 + 0.24 * len(found.items), drawn)
