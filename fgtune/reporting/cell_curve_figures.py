"""The figure of single cells: the primary metric by epoch of each as a thin line, of which the page emphasises one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from fgtune.analysis.cell_curves import MOST_POINTS, CellCurve, CellCurvesPanel, cell_curves_panel
from fgtune.analysis.formatting import number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.trials import STOPPED
from fgtune.reporting.cell_list import MOST_CELLS
from fgtune.reporting.level_figures import KIND_STYLES, within_reach
from fgtune.reporting.page_figures import BETTER, Figure, FigureGroup
from fgtune.reporting.theme import (
    ArmStyle,
    base_layout,
    count_axis,
    lay_out,
    metric_axis,
    metric_ends,
    of_runs,
    padded,
    short,
    shown,
)
from fgtune.results.records import CellState
from fgtune.text import count

_DENSE = 200  # more lines than this are so faint that where they are many is seen
_ENDS = {CellState.COMPLETE: "", CellState.PRUNED: ", stopped early", CellState.FAIL: ", failed"}


@dataclass(frozen=True)
class LineLook:
    """Colour and dash of thin lines; those that look alike are one trace."""

    color: str
    dash: str = "solid"


def looks_of_arms(styles: Mapping[str, ArmStyle]) -> dict[str, LineLook]:
    """The look of each arm's cells, where arms are compared: its colour and dash."""
    return {arm: LineLook(style.color, style.dash) for arm, style in styles.items()}


def looks_of_points(arms: Sequence[str], kinds: Mapping[str, str]) -> dict[str, LineLook]:
    """The look of each point's cells in a space, in drawing order: that of its kind, as if stopped where it failed."""
    order = list(KIND_STYLES)
    drawn = sorted(arms, key=lambda arm: order.index(kinds.get(arm, STOPPED)))
    return {arm: LineLook(KIND_STYLES[kinds.get(arm, STOPPED)].color) for arm in drawn}


def cell_curve_figures(data: StudyData, looks: Mapping[str, LineLook]) -> FigureGroup:
    """The figure of single cells; none of more cells than the page lists, or where none has more than one epoch.

    Args:
        data: The study.
        looks: The look of every arm's cells, in drawing order.
    """
    panel = cell_curves_panel(data) if len(data.planned) <= MOST_CELLS else None
    if panel is None:
        return FigureGroup("", ())
    title, cells = panel.metric.title, panel.curves
    states = [curve.state for curve in cells]
    ended = [(states.count(state), words) for state, words in _ENDS.items() if words]
    lost = "".join(f", {found} of them{words.removeprefix(',')}" for found, words in ended if found)
    low, high = reach_of(panel)
    ends = [curve.values[-1] for curve in cells if low <= curve.values[-1] <= high]
    far = len(cells) - len(ends)
    beyond = f"; {'that' if far == 1 else 'those'} of {count(far, 'cell')} far beyond" if far else ""
    last = f"Their last values lie between {number(min(ends))} and {number(max(ends))}{beyond}."
    alt = f"{title} by epoch, a thin line for each of {count(len(cells), 'cell')}{lost}. {last}"
    notes = ["A dot is a cell with one epoch."] * any(len(curve.epochs) == 1 for curve in cells)
    most = f"Of a cell with more than {MOST_POINTS} epochs, {MOST_POINTS} are drawn, the first and the last among them."
    notes += [most] * any(len(curve.epochs) == MOST_POINTS for curve in cells)
    notes += _outside(sum(not low <= min(curve.values) <= max(curve.values) <= high for curve in cells))
    figure = cell_curves_figure(panel, looks)
    hint = BETTER[panel.metric.direction]
    return FigureGroup("", (Figure("cell-curves", title, alt, figure, " ".join(notes), hint),))


def reach_of(panel: CellCurvesPanel) -> tuple[float, float]:
    """Between which values cells are drawn: all where none is complete, else those not far beyond the complete ones.

    One cell whose numbers grew without bound would squeeze all others into a line. Far is beyond what values of
    complete cells span, three times over, and where these are few or all the same, beyond the metric's own range or
    their size.
    """
    values = [value for curve in panel.curves if curve.state is CellState.COMPLETE for value in curve.values]
    if not values:
        return -math.inf, math.inf
    low, high = within_reach(-math.inf, values), within_reach(math.inf, values)
    if math.isfinite(high - low):
        return low, high
    info = panel.metric
    bounded = math.isfinite(info.low) and math.isfinite(info.high)
    room = info.high - info.low if bounded else max(map(abs, values)) or 1.0
    return min(values) - room, max(values) + room


def _outside(cells: int) -> list[str]:
    """What is said of so many cells whose lines leave the figure."""
    if not cells:
        return []
    lines, whose = ("line", "its") if cells == 1 else ("lines", "their")
    return [
        f"The {lines} of {count(cells, 'cell')} beside the complete ones {'leaves' if cells == 1 else 'leave'} the "
        f"figure: {whose} values lie far beyond."
    ]


def cell_curves_figure(panel: CellCurvesPanel, looks: Mapping[str, LineLook]) -> go.Figure:
    """A thin line for every cell, in the look of its arm; a small mark for one with a single epoch.

    What lies far beyond the complete cells (``reach_of``) is outside the axis.

    Args:
        panel: The curves.
        looks: The look of every arm's cells, in drawing order.
    """
    figure = go.Figure()
    opacity = 0.6 if len(panel.curves) <= _DENSE else 0.3
    alike: dict[LineLook, list[CellCurve]] = {look: [] for look in looks.values()}
    for curve in panel.curves:
        alike[looks[curve.arm]].append(curve)
    for look, curves in alike.items():
        for own in (
            [curve for curve in curves if len(curve.epochs) > 1],
            [curve for curve in curves if len(curve.epochs) == 1],
        ):
            if own:
                figure.add_trace(_trace(own, look, opacity))
    low, high = reach_of(panel)
    every = [value for curve in panel.curves for value in curve.values]
    values = [value for value in every if low <= value <= high]
    heights = metric_axis(panel.metric, values)
    if len(values) < len(every):
        heights |= {"range": metric_ends(panel.metric, values) or padded(min(values), max(values))}
    first, last = min(curve.epochs[0] for curve in panel.curves), max(curve.epochs[-1] for curve in panel.curves)
    pad = 0.02 * (last - first)  # room for marks of the one that is highlighted, so that it moves no other
    epochs = count_axis("epoch", last) | {"range": [first - pad, last + pad]}
    layout = base_layout(380, xaxis=epochs, yaxis=heights)
    lay_out(figure.layout, layout)
    return figure


def drawn_cells(figure: go.Figure) -> set[str]:
    """The cells that a figure of single cells draws."""
    return {cell for trace in figure.data for *_, cell in trace.meta["runs"]}


def _trace(curves: Sequence[CellCurve], look: LineLook, opacity: float) -> go.Scatter:
    """Several cells as one trace, with gaps between them: lines, or marks where each has one point."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    for curve in curves:
        xs += [*curve.epochs, None]
        ys += [*map(short, curve.values), None]
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines" if len(curves[0].epochs) > 1 else "markers",
        line={"color": look.color, "width": 1, "dash": look.dash},
        marker={"color": look.color, "size": 4},
        opacity=opacity,
        hovertemplate="%{text}, epoch %{x}: %{y:.3f}<extra></extra>",
        **of_runs([(curve.arm, len(curve.epochs), _name(curve), curve.cell_id) for curve in curves]),
    )


def _name(curve: CellCurve) -> str:
    return f"{shown(curve.label)}, seed {curve.seed}{_ENDS[curve.state]}"
