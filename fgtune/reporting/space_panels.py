"""The figures of points in a space with their words: settings, criteria, curves, and how a search developed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fgtune.analysis.curve_panels import CurvesPanel, HistoryPanel, history_panels, trial_curves_panels
from fgtune.analysis.formatting import MetricInfo, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import PairPanel, ScatterPanel, agreement_panels, front_panels, scatter_panels
from fgtune.analysis.space_panels import ContourPanel, ParallelPanel, contours_that_matter, parallel_panel
from fgtune.analysis.trials import BASELINE, BEST, STOPPED, Trial
from fgtune.reporting.curve_figures import history_figure, history_heights, trial_curves_figure
from fgtune.reporting.importance_panels import ImportancePanels
from fgtune.reporting.level_figures import pair_figure, scatter_figure, within_reach
from fgtune.reporting.page_figures import BETTER, Figure, FigureGroup, grouped
from fgtune.reporting.space_figures import contour_figure, parallel_figure
from fgtune.text import count


def together_figures(
    data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo], importances: ImportancePanels
) -> tuple[FigureGroup, ...]:
    """All settings beside each other, and the first metric over pairs of those that explain most of it."""
    groups, panel = [], parallel_panel(data, trials, metrics)
    if panel is not None:
        groups.append(FigureGroup("all together", (_parallel(panel),), widest=1))
    explained = next((table.found for table in importances.tables if table.found.metric == metrics[0].name), None)
    pairs = contours_that_matter(data, trials, metrics[0], explained)
    if pairs:
        figures = tuple(_contour(rank, pair) for rank, pair in enumerate(pairs))
        groups.append(FigureGroup(f"two together: {metrics[0].title}", figures))
    return tuple(groups)


def _parallel(panel: ParallelPanel) -> Figure:
    points = [line for line in panel.lines if line.fifth >= 0]
    names = ", ".join(each.title for each in panel.axes)
    alt = f"A line for each of {len(points)} finished points over {names}; coloured by fifths of {panel.metric.title}."
    note = (
        f"Each line is a point, coloured by its fifth in {panel.metric.title}. Drag along an axis to keep the "
        "points inside in every figure and table; further drags narrow the choice, a double click ends it."
    )
    note += f" {panel.left_out} further settings are in the table." if panel.left_out else ""
    return Figure("parallel", "Settings and results of every point", alt, parallel_figure(panel), note)


def _contour(rank: int, panel: ContourPanel) -> Figure:
    title = f"over {panel.x.title} and {panel.y.title}"
    ends = f"from {number(min(panel.values))} to {number(max(panel.values))}"
    alt = f"{panel.metric.title} over {panel.x.title} and {panel.y.title}, {ends} at {len(panel.values)} points."
    note = "Colour: linear between the finished points, and nothing beyond them. The other settings vary too."
    return Figure(f"contour-{rank}", title, alt, contour_figure(panel), note)


def settings_figures(
    data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]
) -> tuple[FigureGroup, ...]:
    """One group per metric, one figure per setting of the space."""

    def made(rank: int, panel: ScatterPanel) -> Figure:
        values = [point.y for point in panel.points if point.kind not in {STOPPED, BASELINE}]
        ends = f", from {number(min(values))} to {number(max(values))}" if values else ""
        alt = f"{panel.metric.title} over {panel.axis.title} for {len(values)} finished points{ends}."
        title, spec = f"over {panel.axis.title}", scatter_figure(panel)
        return Figure(f"space-{rank}", title, alt, spec, slice_beyond(panel))

    return grouped(enumerate(scatter_panels(data, trials, metrics)), lambda panel: panel.metric.title, made)


def _beyond(stopped: Sequence[float], finished: Sequence[float]) -> str:
    """What is said of stopped points whose values lie too far from the finished ones to be drawn there."""
    below = [value < moved for value in stopped if (moved := within_reach(value, finished)) != value]
    if not below:
        return ""
    where = " and ".join(name for side, name in ((True, "below"), (False, "above")) if side in below)
    lie = "lies" if len(below) == 1 else "lie"
    return f"{count(len(below), 'cross', 'crosses')} at the edge {lie} far {where}."


def history_beyond(panel: HistoryPanel) -> str:
    """What is said of points that were stopped too far from the others to be drawn there."""
    stopped = [point.value for point in panel.stopped if math.isfinite(point.value)]
    return _beyond(stopped, history_heights(panel)[0])


def slice_beyond(panel: ScatterPanel) -> str:
    """The same of a metric over a setting."""
    finished = [point.y for point in panel.points if point.kind != STOPPED]
    return _beyond([point.y for point in panel.points if point.kind == STOPPED], finished)


def trial_curves_figures(data: StudyData, trials: Sequence[Trial]) -> tuple[FigureGroup, ...]:
    """One figure per metric, one line per point."""

    def made(rank: int, panel: CurvesPanel) -> Figure:
        stopped = sum(curve.kind == STOPPED for curve in panel.curves)
        marked = [curve for curve in panel.curves if curve.kind in {BASELINE, BEST} and not math.isnan(curve.mean[-1])]
        ends = "; ".join(f"{curve.arm} ends at {number(curve.mean[-1])}" for curve in marked)
        title = panel.metric.title
        alt = f"{title} by epoch of {len(panel.curves)} points, {stopped} of them stopped early. {ends}"
        return Figure(f"trials-{rank}", title, alt, trial_curves_figure(panel), hint=BETTER[panel.metric.direction])

    panels = trial_curves_panels(data, trials)
    return grouped(enumerate(panels), lambda panel: panel.group, made, widest=2 if len(panels) == 1 else 3)


def history_figures(data: StudyData, trials: Sequence[Trial], kinds: Mapping[str, str]) -> tuple[Figure, ...]:
    """One figure per criterion: its values in the order of the trials' ends."""
    best = [arm for arm, kind in kinds.items() if kind == BEST]

    def made(rank: int, panel: HistoryPanel) -> Figure:
        first, last = panel.points[0], panel.points[-1]
        alt = (
            f"{panel.metric.title} of {len(panel.points)} finished trials in the order of their end; the best value "
            f"goes from {number(first.best)} to {number(last.best)}, the baseline has {number(panel.baseline)}."
        )
        values = [math.isfinite(point.value) for point in panel.stopped]
        notes = ["Crosses: trials that were stopped early, at the value and epoch at which they were."] * any(values)
        notes += [history_beyond(panel)]
        notes += ["Crosses at the foot: trials that failed or have no value."] * (not all(values))
        note = " ".join(filter(None, notes))
        spec, hint = history_figure(panel, best), BETTER[panel.metric.direction]
        return Figure(f"history-{rank}", panel.metric.title, alt, spec, note, hint)

    return tuple(made(rank, panel) for rank, panel in enumerate(history_panels(data, trials)))


def pairs_figures(data: StudyData, trials: Sequence[Trial], choosing: Sequence[MetricInfo]) -> tuple[Figure, ...]:
    """Criteria against each other, then each metric that chooses against the primary one."""

    def made(key: str, panel: PairPanel) -> Figure:
        x, y = panel.x.title, panel.y.title
        named = [point for point in panel.points if point.arm in panel.marked]
        values = "; ".join(f"{point.arm}: {number(point.x)} and {number(point.y)}" for point in named)
        title = f"Pareto front: {x} and {y}" if key.startswith("front") else f"{y} against {x}"
        alt = f"{x} and {y} of {len(panel.points)} finished points. {values}".strip()
        return Figure(key, title, alt, pair_figure(panel))

    keyed = [(f"front-{rank}", panel) for rank, panel in enumerate(front_panels(data, trials))]
    keyed += [(f"agreement-{rank}", panel) for rank, panel in enumerate(agreement_panels(data, trials, choosing))]
    return tuple(made(key, panel) for key, panel in keyed)
