"""Drawing of figures of points in a space: two metrics, a metric over settings, and all settings side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fgtune.analysis.level_panels import PairPanel, ScatterPanel, TrialPoint
from fgtune.analysis.search.axes import Axis, on_log_scale
from fgtune.analysis.space_panels import UNUSED, ContourPanel, ParallelPanel
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE, STOPPED
from fgtune.reporting.level_figures import KIND_STYLES, MOST_TICKS, by_kind, strip_place, within_reach
from fgtune.reporting.paper.style import cut, scale_log, scale_metric
from fgtune.reporting.space_figures import FIFTHS
from fgtune.reporting.theme import BASELINE_COLOR as GREY
from fgtune.reporting.theme import FAINT, WRONG_COLOR

_MARKS = {STOPPED: ("x", 3.0), COMPLETE: ("o", 3.0), BASELINE: ("s", 4.5), BEST: ("*", 7.5)}
"""Marker and size of each kind of point, as the page has them."""
COLUMNS = 2
"""Settings side by side in one figure of slices."""


def _points(
    axes: Any, kind: str, xs: Sequence[float], ys: Sequence[float], label: str = "", edge: str | None = None
) -> None:
    """Points of a kind; ``label`` names them in the legend, ``edge`` is the colour of a line around each."""
    marker, size = _MARKS[kind]
    around = {} if edge is None else {"markeredgecolor": edge, "markeredgewidth": 0.5}
    look = {"color": KIND_STYLES[kind].color, "alpha": 1.0 if edge else KIND_STYLES[kind].opacity}
    axes.plot(xs, ys, marker, markersize=size, linestyle="none", label=label or None, gid=kind, **look, **around)


def draw_pair(figure: Any, panel: PairPanel, words: Mapping[str, str]) -> None:
    """Two metrics of every completed point; marked points are named, a diamond is around one that is not a star.

    Args:
        figure: The figure of Matplotlib.
        panel: The metrics.
        words: What the kinds of points are called.
    """
    axes = figure.add_subplot()
    for kind, points in by_kind(panel.points):
        _points(axes, kind, [point.x for point in points], [point.y for point in points], words[kind])
    xs, ys = [point.x for point in panel.points], [point.y for point in panel.points]
    middle = sum(xs) / max(len(xs), 1)
    for point in panel.points:
        if point.arm not in panel.marked:
            continue
        if point.kind not in {BEST, BASELINE}:
            axes.plot([point.x], [point.y], "D", markersize=6.5, markerfacecolor="none", color=WRONG_COLOR)
        below = point.arm == panel.marked[0] and len(panel.marked) > 1
        axes.annotate(
            cut(panel.names.get(point.arm, point.arm), 24), (point.x, point.y), color=WRONG_COLOR, fontsize=6.5,
            xytext=(-5 if point.x > middle else 5, -8 if below else 5), textcoords="offset points",
            ha="right" if point.x > middle else "left", va="center",
        )  # fmt: skip
    for axis, info, values in ((axes.xaxis, panel.x, xs), (axes.yaxis, panel.y, ys)):
        if on_log_scale(info, values):
            scale_log(axis)
        else:
            scale_metric(axis, info, values)
    axes.set_xlabel(panel.x.title)
    axes.set_ylabel(panel.y.title)
    figure.legend(loc="outside lower left", ncols=2)


def slices_height(panels: Sequence[ScatterPanel]) -> float:
    """Inches that a metric over so many settings needs."""
    return 0.3 + 1.55 * math.ceil(len(panels) / COLUMNS)


def draw_slices(figure: Any, panels: Sequence[ScatterPanel], words: Mapping[str, str]) -> None:
    """One metric over every setting, side by side: numbers on their scale, categories as strips.

    Args:
        figure: The figure of Matplotlib.
        panels: Of one metric, a setting each.
        words: What the kinds of points are called.
    """
    info, rows = panels[0].metric, math.ceil(len(panels) / COLUMNS)
    grid = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    drawn = []
    for axes, panel in zip(grid.flat, panels, strict=False):
        drawn += _slice(axes, panel, words)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    first = grid[0, 0]
    if on_log_scale(info, drawn):
        scale_log(first.yaxis)
    else:
        scale_metric(first.yaxis, info, drawn)
    figure.supylabel(info.title, fontsize=8)
    kinds: dict[str, Any] = {}
    for axes in grid.flat[: len(panels)]:
        kinds |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(kinds.values(), kinds.keys(), loc="outside lower left", ncols=2)


def _slice(axes: Any, panel: ScatterPanel, words: Mapping[str, str]) -> list[float]:
    """Draw a metric over one setting; returns the values that its vertical axis has to show."""
    setting = panel.axis
    finished = [point.y for point in panel.points if point.kind != STOPPED]

    def height(point: TrialPoint) -> float:
        return within_reach(point.y, finished) if point.kind == STOPPED else point.y

    if math.isfinite(panel.baseline):
        axes.axhline(panel.baseline, color=GREY, linewidth=0.7, linestyle=":")
    for kind, points in by_kind(panel.points):
        xs = [point.x if setting.numeric else strip_place(point, rank) for rank, point in enumerate(points)]
        _points(axes, kind, xs, [height(point) for point in points], words[kind])
    _scale_setting(axes.xaxis, setting)
    axes.set_xlabel(cut(setting.title))
    return [height(point) for point in panel.points] + [panel.baseline] * math.isfinite(panel.baseline)


def _scale_setting(axis: Any, setting: Axis) -> None:
    """Scale an axis for a setting; few listed levels are its ticks."""
    if setting.numeric and setting.log:
        scale_log(axis)
    if not setting.numeric:
        axis.set_ticks(range(len(setting.categories)), labels=[cut(text, 12) for text in setting.categories])
        getattr(axis.axes, f"set_{axis.axis_name}lim")(-0.6, len(setting.categories) - 0.4)
    elif 0 < len(setting.numbers) <= MOST_TICKS:
        axis.set_ticks(setting.numbers, labels=[cut(text, 8) for text in setting.categories])
        axis.set_ticks([], minor=True)


def draw_contour(figure: Any, panel: ContourPanel) -> None:
    """A metric as colours over two settings, linear between the points that are drawn on it."""
    axes = figure.add_subplot()
    reverse = "_r" if panel.metric.direction == "minimize" else ""
    image = axes.contourf(panel.xs, panel.ys, panel.z, levels=10, cmap=f"Blues{reverse}")
    for kind, points in by_kind(panel.points):
        _points(axes, kind, [point.x for point in points], [point.y for point in points], edge="white")
    for axis, setting in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
        _scale_setting(axis, setting)
        axis.set_label_text(setting.title)
    figure.colorbar(image, ax=axes, label=panel.metric.title, fraction=0.06).outline.set_visible(False)


def draw_parallel(figure: Any, panel: ParallelPanel) -> None:
    """A line for each point over all settings and metrics, coloured by fifth, the best on top; the baseline dotted."""
    axes, across = figure.add_subplot(), range(len(panel.axes))
    for fifth, (name, color) in reversed([*enumerate(FIFTHS)]):
        own = [line for line in panel.lines if line.fifth == fifth]
        for line in own:
            label = name if line is own[0] else None
            axes.plot(across, line.places, color=color, linewidth=1.1 if fifth == 0 else 0.6, label=label, gid=line.arm)
    for line in panel.lines:
        if line.fifth < 0:
            axes.plot(across, line.places, color=GREY, linewidth=1.3, linestyle=":", label="baseline", gid=line.arm)
    for place, each in enumerate(panel.axes):
        axes.axvline(place, color=FAINT, linewidth=0.6, zorder=0.5)
        for at, text in each.ticks:
            axes.text(place + 0.04, at, cut(text, 12), fontsize=5.5, color=GREY, va="center")
    unused = any(UNUSED in line.places for line in panel.lines)
    axes.set_yticks([UNUSED] if unused else [], ["not used"] if unused else [])
    axes.set_ylim(-0.18 if unused else -0.05, 1.05)
    axes.set_xticks(across, [cut(each.title, 22) for each in panel.axes], rotation=30, ha="right")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower left", ncols=3)
