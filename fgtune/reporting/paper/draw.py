"""Drawing of each kind of figure into a figure of Matplotlib, from the numbers that the page draws too."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.curve_panels import CurvesPanel, HistoryPanel
from fgtune.analysis.formatting import MetricInfo, number
from fgtune.analysis.grid_panels import GridPanel
from fgtune.analysis.level_panels import SensitivityPanel
from fgtune.analysis.relations_data import LEARNED_ONLY, RIGHT, TRUE_ONLY, RelationsPanel
from fgtune.analysis.search.axes import on_log_scale
from fgtune.analysis.search.importances import Importances
from fgtune.reporting.curve_figures import history_heights
from fgtune.reporting.level_figures import drawn_values
from fgtune.reporting.paper.style import count_ticks, cut, dash, ground, name_rows, scale_log, scale_metric, symbol
from fgtune.reporting.theme import BASELINE_COLOR as GREY
from fgtune.reporting.theme import INK, MISSED_COLOR, RIGHT_COLOR, WRONG_COLOR, ArmStyle
from fgtune.visible import visible

_NAMED = 30  # rows or columns of relations beyond this have no names
_LINE = 44
_SEEDS = 0.24  # rows above a mean


@dataclass(frozen=True)
class Row:
    """A mean with its interval and single values, as a row of a figure.

    Attributes:
        name: What stands beside it.
        mean: The mean.
        low: Lower end of its interval; nan for none.
        high: Upper end.
        values: Single seeds, or data sets.
        color: Of its marks.
        marker: Of its mean.
    """

    name: str
    mean: float
    low: float
    high: float
    values: tuple[float, ...] = ()
    color: str = INK
    marker: str = "o"


def rows_height(rows: int) -> float:
    """Inches that a figure of so many rows needs."""
    return 0.55 + 0.27 * max(2, rows)


def draw_rows(
    figure: Any,
    rows: Sequence[Row],
    title: str,
    line: float | None,
    margin: float | None,
    info: MetricInfo | None = None,
) -> None:
    """Rows of means with intervals and single values.

    Args:
        figure: The figure of Matplotlib.
        rows: From top to bottom.
        title: What the horizontal axis shows.
        line: Where a vertical line stands; None for none.
        margin: Half the width of a shaded band around 0; None for none.
        info: The metric whose values the rows are; None for differences and shares.
    """
    axes = figure.add_subplot()
    ground(axes, margin, line)
    for place, row in enumerate(rows):
        axes.plot(
            row.values, [place - _SEEDS] * len(row.values), "o", markersize=2.6, markerfacecolor="none",
            markeredgewidth=0.5, color=row.color, gid=f"seeds {place}",
        )  # fmt: skip
        _bar(axes, row.mean, place, row.low, row.high, row.color, row.marker, horizontal=True)
    name_rows(axes, [row.name for row in rows])
    if info is not None:
        scale_metric(axes.xaxis, info, [x for row in rows for x in (row.mean, row.low, row.high, *row.values)])
    _below(axes, title)


def _below(axes: Any, title: str) -> None:
    """The title of a horizontal axis, to the left of its end: beside long names of rows an axis is short."""
    axes.set_xlabel(textwrap.fill(title, _LINE), loc="right")


def _bar(axes: Any, x: float, y: float, low: float, high: float, color: str, marker: str, *, horizontal: bool) -> None:
    """A mean as a mark, with its interval where there is one."""
    middle = x if horizontal else y
    around = None if math.isnan(low) else [[middle - low], [high - middle]]
    bars = {"xerr": around} if horizontal else {"yerr": around}
    axes.errorbar([x], [y], **bars, fmt=marker, color=color, capsize=2, elinewidth=1.0, capthick=0.8, markersize=4.5)


def draw_levels(figure: Any, panel: SensitivityPanel, styles: Mapping[str, ArmStyle]) -> None:
    """Mean, interval and single seeds at every level; a line joins the means where levels are numbers."""
    axes = figure.add_subplot()
    points = [point for point in panel.points if point.estimate.n]
    baseline = next((point for point in points if point.is_baseline), None)
    if baseline is not None:
        axes.axhline(baseline.estimate.mean, color=GREY, linewidth=0.7, linestyle=":")
    if panel.axis.log:
        axes.set_xscale("log")
    if panel.axis.numeric:
        axes.plot([p.x for p in points], [p.estimate.mean for p in points], color="#cbd5e1", linewidth=1.0, zorder=1)
    for point in points:
        style, estimate = styles[point.arm], point.estimate
        values = [value for _, value in point.seeds]
        axes.plot(
            [point.x] * len(values), values, "o", markersize=2.6, markerfacecolor="none", markeredgewidth=0.5,
            color=style.color, alpha=0.7, gid=f"seeds {visible(point.arm)}",
        )  # fmt: skip
        _bar(axes, point.x, estimate.mean, estimate.low, estimate.high, style.color, symbol(style), horizontal=False)
    axes.set_xticks([point.x for point in panel.points], [cut(point.tick, 14) for point in panel.points])
    axes.minorticks_off()
    axes.set_xlabel(panel.scale_title)
    axes.set_ylabel(panel.metric.title)
    scale_metric(axes.yaxis, panel.metric, drawn_values(points))


def draw_curves(figure: Any, panel: CurvesPanel, styles: Mapping[str, ArmStyle]) -> None:
    """Mean and interval by epoch, a line an arm."""
    axes = figure.add_subplot()
    for curve in panel.curves:
        style = styles[curve.arm]
        axes.fill_between(curve.epochs, curve.low, curve.high, color=style.color, alpha=0.14, linewidth=0)
        axes.plot(curve.epochs, curve.mean, dash(style), color=style.color, label=cut(curve.label, 24))
    axes.set_xlabel("epoch")
    count_ticks(axes.xaxis)
    axes.set_ylabel(panel.metric.title)
    drawn = [value for curve in panel.curves for part in (curve.low, curve.high, curve.mean) for value in part]
    scale_metric(axes.yaxis, panel.metric, drawn)
    if len(panel.curves) > 1:
        figure.legend(loc="outside lower left", ncols=2)


def draw_history(figure: Any, panel: HistoryPanel) -> None:
    """Points in the order in which they ended, the best value so far as steps, the baseline as a dotted line."""
    axes = figure.add_subplot()
    if math.isfinite(panel.baseline):
        axes.axhline(panel.baseline, color=GREY, linewidth=0.9, linestyle=":", label="baseline")
    stopped = [point for point in panel.stopped if math.isfinite(point.value)]
    axes.plot([p.order for p in panel.points], [p.value for p in panel.points], "o", color=RIGHT_COLOR, alpha=0.6,
              markersize=3, linestyle="none", label="ran to its end")  # fmt: skip
    finished, heights = history_heights(panel)
    if stopped:
        axes.plot([p.order for p in stopped], heights, "x", color=MISSED_COLOR, markersize=3.5,
                  linestyle="none", label="stopped early")  # fmt: skip
    axes.step([p.order for p in panel.points], [p.best for p in panel.points], where="post", color=WRONG_COLOR,
              label="best so far")  # fmt: skip
    values = finished + heights
    if on_log_scale(panel.metric, values):
        scale_log(axes.yaxis)
    else:
        scale_metric(axes.yaxis, panel.metric, values)
    axes.set_xlabel("trials in the order of their end")
    count_ticks(axes.xaxis)
    axes.set_ylabel(panel.metric.title)
    figure.legend(loc="outside lower left", ncols=2)


def draw_importances(figure: Any, found: Importances, names: Mapping[str, str]) -> None:
    """Bars of what each parameter explains alone, circles of what it adds with others, ticks of what chance reaches."""
    axes, items = figure.add_subplot(), found.ranked
    for place, item in enumerate(items):
        color = RIGHT_COLOR if item.stands_out else MISSED_COLOR
        around = [[item.main - item.low], [item.high - item.main]]
        axes.barh([place + 0.1], [item.main], height=0.42, color=color, xerr=around, ecolor=GREY, capsize=1.5,
                  error_kw={"elinewidth": 0.8})  # fmt: skip
        axes.plot([item.chance] * 2, [place - 0.16, place + 0.36], color=WRONG_COLOR, linewidth=1.2)
        if not math.isnan(item.joint_chance):
            joined = RIGHT_COLOR if item.partners else MISSED_COLOR
            axes.plot([item.joint], [place - 0.28], "o", markerfacecolor="none", color=joined, markersize=3.5)
            axes.plot([item.joint_chance] * 2, [place - 0.38, place - 0.18], color=WRONG_COLOR, linewidth=1.0)
    name_rows(axes, [names.get(item.parameter, item.parameter) for item in items])
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.set_xlim(left=0)
    _below(axes, "share of the variation")


def draw_grid(figure: Any, panel: GridPanel) -> None:
    """Means of a metric over two factors as colours and numbers."""
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    reverse = "_r" if panel.metric.direction == "minimize" else ""
    image = axes.imshow(panel.means, cmap=f"Blues{reverse}", aspect="auto")
    low, high = np.nanmin(panel.means), np.nanmax(panel.means)
    for (row, column), mean in np.ndenumerate(panel.means):
        if math.isfinite(mean):
            share = 0.5 if high <= low else (mean - low) / (high - low)
            dark = (share < 0.4) if reverse else (share > 0.6)
            weight = "bold" if (row, column) == panel.baseline else "normal"
            axes.text(column, row, number(mean), ha="center", va="center", color="white" if dark else INK,
                      fontweight=weight)  # fmt: skip
    axes.set_xticks(range(len(panel.columns)), [cut(text, 12) for text in panel.columns])
    axes.set_yticks(range(len(panel.rows)), [cut(text, 16) for text in panel.rows])
    axes.tick_params(length=0)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    figure.colorbar(image, ax=axes, label=panel.metric.title, fraction=0.06).outline.set_visible(False)


def draw_relations(figure: Any, panel: RelationsPanel) -> None:
    """Left: shares of a row's samples by class. Right: its learned and its true parent."""
    rows, coarse = panel.marks.shape
    wide, narrow = len(panel.columns), max(coarse, 2)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[max(wide, 2 * narrow), narrow])
    low, far = (number * step - 0.5 for number, step in zip(panel.shares.shape, panel.block, strict=True))
    image = left.imshow(panel.shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", extent=(-0.5, far, low, -0.5))
    left.set(xlim=(-0.5, wide - 0.5), ylim=(rows - 0.5, -0.5))
    size = float(np.clip(110 / max(rows, 1), 1.0, 5.0))
    marks = [(RIGHT, RIGHT_COLOR, "s", RIGHT_COLOR, "learned and true"),
             (LEARNED_ONLY, WRONG_COLOR, "x", WRONG_COLOR, "learned only"),
             (TRUE_ONLY, MISSED_COLOR, "s", "none", "true only")]  # fmt: skip
    if not panel.has_truth:
        marks = [(LEARNED_ONLY, RIGHT_COLOR, "s", RIGHT_COLOR, "learned")]
    for code, color, marker, face, meaning in marks:
        ys, xs = np.nonzero(panel.marks == code)
        right.plot(xs, ys, marker, color=color, markerfacecolor=face, markersize=size, linestyle="none", label=meaning)
    for axes in (left, right):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    columns = range(wide) if wide <= _NAMED else []
    left.set_xticks(columns, [panel.columns[column] for column in columns])
    names = range(rows) if rows <= _NAMED else []
    left.set_yticks(names, [panel.rows[row] for row in names])
    right.set_xticks(range(coarse) if coarse <= _NAMED else [])
    right.set_xlim(-0.6, coarse - 0.4)
    scale = figure.colorbar(image, ax=[left, right], location="top", aspect=40, fraction=0.04, pad=0.02)
    scale.set_ticks([0.0, 0.5, 1.0], labels=["0 %", "50 %", "100 %"])
    scale.set_label("share of a row's samples (left)", fontsize=7)
    scale.outline.set_visible(False)
    left.set_xlabel("true fine class" if panel.has_truth else "coarse label")
    right.set_xlabel("parent", loc="right")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower left", ncols=3, columnspacing=1.0)
