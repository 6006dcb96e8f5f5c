"""The primary metric by epoch of every single cell, as far as it came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.results.records import CellState

MOST_POINTS = 20
"""So many epochs of a longer curve are drawn: the first, the last, whose value counts, and some between."""


@dataclass(frozen=True)
class CellCurve:
    """A metric by epoch of one cell.

    Attributes:
        cell_id: Its id.
        arm: Name of its arm in the plan.
        label: Name of its arm for readers.
        seed: Its seed.
        state: How it ended.
        epochs: (E,) int, ascending; those with a finite value, at most ``MOST_POINTS`` of them.
        values: (E,) the metric there.
    """

    cell_id: str
    arm: str
    label: str
    seed: int
    state: CellState
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class CellCurvesPanel:
    """The curves of all cells that have one, in the order of the plan."""

    metric: MetricInfo
    curves: tuple[CellCurve, ...]


def cell_curves_panel(data: StudyData) -> CellCurvesPanel | None:
    """The primary metric by epoch of every ended cell; None where no cell has it at more than one epoch."""
    info, frame = data.info(data.study.metrics.primary), data.folder.read_counted_curves()
    if info.name not in frame.columns:
        return None
    frame = frame[np.isfinite(frame[info.name].to_numpy(dtype=np.float64))].sort_values(["cell_id", "epoch"])
    epochs, values = frame["epoch"].to_numpy(dtype=np.int64), frame[info.name].to_numpy(dtype=np.float64)
    rows = frame.groupby("cell_id", sort=False).indices
    labels = {arm.name: data.shown_name(arm) for arm in data.arms}
    curves = []
    for cell in data.planned:
        if cell.cell_id in data.results and cell.cell_id in rows:
            at = rows[cell.cell_id][drawn_points(len(rows[cell.cell_id]))]
            state, own = data.results[cell.cell_id].state, (tuple(epochs[at].tolist()), tuple(values[at].tolist()))
            curves.append(CellCurve(cell.cell_id, cell.arm, labels[cell.arm], cell.seed, state, *own))
    return CellCurvesPanel(info, tuple(curves)) if any(len(curve.epochs) > 1 for curve in curves) else None


def drawn_points(number: int) -> list[int]:
    """The places that are drawn of so many points in a row: all, or ``MOST_POINTS`` from the first to the last.

    >>> drawn_points(3), drawn_points(39)[:3], drawn_points(39)[-1]
    ([0, 1, 2], [0, 2, 4], 38)
    """
    places: list[int] = np.linspace(0, number - 1, min(number, MOST_POINTS)).round().astype(int).tolist()
    return places
