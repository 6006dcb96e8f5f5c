"""The numbers behind curves: metrics by epoch, for arms and for points of a space, and a search's best value so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pandas as pd

from fgtune.analysis.formatting import MetricInfo, factor_name
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.level_panels import shown_groups
from fgtune.analysis.trials import BASELINE, COMPLETE, Trial, criteria_of, kinds_of, shown_infos
from fgtune.analysis.verdicts.statistics import t_quantile
from fgtune.arrays import FloatArray, IntArray
from fgtune.results.records import CellState

_MOST_VERTICES = 12_000  # over all points' curves in one panel
ALL_ARMS = "all arms"
"""The group of curves that has every arm, beside those of single factors."""
_EXTRA = ("train/loss",)  # drawn in addition to the shown metrics


@dataclass(frozen=True)
class Curve:
    """A metric by epoch, over the finished seeds of an arm, or over those of a point until one was stopped.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        kind: As in ``kinds_of``.
        epochs: (E,) int.
        mean: (E,) mean over the seeds that have a finite value at that epoch.
        low: (E,) lower end of the t interval; nan with fewer than two seeds. Empty for points of a space.
        high: (E,) upper end.
        n: Number of seeds.
    """

    arm: str
    label: str
    kind: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    n: int = 0


@dataclass(frozen=True)
class CurvesPanel:
    """Curves of one metric; ``group`` names the factor that the arms vary, if there are several."""

    metric: MetricInfo
    group: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class HistoryPoint:
    """A finished point in the order in which points ended; ``best`` is the best value so far, including this one."""

    order: int
    trial: Trial
    value: float
    best: float

    @property
    def arm(self) -> str:
        """Its name in the plan."""
        return self.trial.arm


@dataclass(frozen=True)
class StoppedPoint:
    """A point that ended without a value at its last planned epoch, in the same order.

    Attributes:
        order: Its place.
        trial: The point.
        value: Of one that was stopped early, the criterion when it was stopped; nan for one that failed.
    """

    order: int
    trial: Trial
    value: float

    @property
    def arm(self) -> str:
        """Its name in the plan."""
        return self.trial.arm


@dataclass(frozen=True)
class HistoryPanel:
    """How one criterion developed during a search.

    Attributes:
        metric: The criterion.
        baseline: Its value for the baseline; nan if there is none.
        points: The completed points.
        stopped: The other points that ended: they were stopped early, or failed.
    """

    metric: MetricInfo
    baseline: float
    points: tuple[HistoryPoint, ...]
    stopped: tuple[StoppedPoint, ...]


def learning_panels(data: StudyData) -> tuple[CurvesPanel, ...]:
    """Curves of the shown metrics and the training loss, of finished cells; none of metrics recorded at one epoch."""
    curves = data.folder.read_counted_curves()
    if curves.empty:
        return ()
    complete = {cell_id for cell_id, result in data.results.items() if result.state is CellState.COMPLETE}
    curves = curves[curves["cell_id"].isin(complete)]
    names = [name for name in (*data.shown_metrics, *_EXTRA) if name in curves.columns]
    rows = _Rows(curves, names)
    groups = shown_groups(data)
    panels = []
    for factor, arms in groups:
        title = "" if len(groups) == 1 else ALL_ARMS if factor is None else factor_name(factor, data.factors)
        for name in names:
            drawn = [_arm_curve(data, rows, arm, name) for arm in arms]
            panels.append(CurvesPanel(data.info(name), title, tuple(curve for curve in drawn if curve.epochs)))
    return tuple(panel for panel in panels if any(len(curve.epochs) > 1 for curve in panel.curves))


class _Rows:
    """The curves of finished cells as arrays, with the rows of each cell at hand."""

    def __init__(self, curves: pd.DataFrame, metrics: Sequence[str]) -> None:
        grouped = curves.groupby("cell_id", sort=False).indices
        self.of_cell = {cell_id: np.asarray(rows, dtype=np.int64) for cell_id, rows in grouped.items()}
        self.epochs, self.seeds = (curves[name].to_numpy(dtype=np.int64) for name in ("epoch", "seed"))
        self.metrics = {name: curves[name].to_numpy(dtype=np.float64) for name in metrics}


def _arm_curve(data: StudyData, rows: _Rows, arm: PlannedArm, metric: str) -> Curve:
    ids = {cell.cell_id: None for cell in data.cells(arm.name)}  # two arms may share cells
    at = np.concatenate([np.empty(0, dtype=np.int64), *(rows.of_cell[each] for each in ids if each in rows.of_cell)])
    at = at[np.isfinite(rows.metrics[metric][at])]
    values = rows.metrics[metric][at]
    epochs, place = np.unique(rows.epochs[at], return_inverse=True)
    n = np.bincount(place, minlength=len(epochs))
    mean = np.bincount(place, values, len(epochs)) / n
    sd = np.sqrt(np.bincount(place, (values - mean[place]) ** 2, len(epochs)) / np.maximum(n - 1, 1))
    info = data.info(metric)
    half = np.where(n >= 2, _quantiles(data.level, n) * sd / np.sqrt(n), math.nan)  # (E,)
    return Curve(
        arm=arm.name,
        label=arm.label,
        kind=BASELINE if arm.is_baseline else COMPLETE,
        epochs=tuple(epochs.tolist()),
        mean=tuple(mean.tolist()),
        low=tuple(np.maximum(mean - half, np.minimum(info.low, mean)).tolist()),
        high=tuple(np.minimum(mean + half, np.maximum(info.high, mean)).tolist()),
        n=len(np.unique(rows.seeds[at])),
    )


def _quantiles(level: float, n: IntArray) -> FloatArray:
    """Student's t for means of so many values, computed once for each number."""
    sizes, place = np.unique(np.maximum(n - 1, 1), return_inverse=True)
    found: FloatArray = np.array([t_quantile(0.5 + level / 2, size) for size in sizes.tolist()])[place]
    return found


def trial_curves_panels(data: StudyData, trials: Sequence[Trial]) -> tuple[CurvesPanel, ...]:
    """Every point's curves of criteria, shown metrics and the training loss; none of metrics recorded at one epoch."""
    curves = data.folder.read_counted_curves()
    if curves.empty:
        return ()
    kinds = kinds_of(data, trials)
    curves = curves[curves["arm"].isin(kinds) & curves["cell_id"].isin(data.results)]
    if curves.empty:  # a map of no arms would yield text, which compares with no number of epochs
        return ()
    curves = curves[curves["epoch"] <= curves["arm"].map({trial.arm: trial.epochs for trial in trials})]
    names = dict.fromkeys([*(info.name for info in shown_infos(data)), *_EXTRA])
    seeds = {trial.arm: trial.seeds for trial in trials}
    panels = [
        CurvesPanel(data.info(name), "", _trial_curves(curves, kinds, name, seeds))
        for name in names
        if name in curves.columns
    ]
    return tuple(panel for panel in panels if any(len(curve.epochs) > 1 for curve in panel.curves))


def _trial_curves(
    curves: pd.DataFrame, kinds: Mapping[str, str], metric: str, seeds: Mapping[str, int]
) -> tuple[Curve, ...]:
    finite = curves[np.isfinite(curves[metric].to_numpy(dtype=np.float64))]
    means = finite.groupby(["arm", "epoch"], sort=True)[metric].mean()
    stride = max(1, math.ceil(len(means) / _MOST_VERTICES))
    by_arm: dict[str, list[tuple[int, float]]] = {}
    for (arm, epoch), value in means.items():
        by_arm.setdefault(str(arm), []).append((int(epoch), float(value)))
    thinned = []
    for arm, kind in kinds.items():
        pairs = by_arm.get(arm, [])
        kept = [pair for rank, pair in enumerate(pairs) if rank % stride == 0 or rank == len(pairs) - 1]
        if kept:
            epochs, values = zip(*kept, strict=True)
            thinned.append(Curve(arm, arm, kind, epochs, values, n=seeds[arm]))
    return tuple(thinned)


def history_panels(data: StudyData, trials: Sequence[Trial]) -> tuple[HistoryPanel, ...]:
    """Each criterion in the order in which points ended; none before one has completed."""
    panels = []
    ended = sorted((trial for trial in trials if trial.order is not None), key=lambda trial: trial.order or 0)
    for info in criteria_of(data):
        judged = [trial for trial in ended if math.isfinite(trial.value(info.name))]
        values = [trial.value(info.name) for trial in judged]
        best = accumulate(values, min if info.direction == "minimize" else max)
        points = tuple(
            HistoryPoint(trial.order or 0, trial, value, top)
            for trial, value, top in zip(judged, values, best, strict=True)
        )
        stopped = tuple(
            StoppedPoint(
                trial.order or 0,
                trial,
                trial.means.get(info.name, math.nan) if trial.stopped else math.nan,
            )
            for trial in ended
            if not math.isfinite(trial.value(info.name))
        )
        baseline = next((trial.value(info.name) for trial in trials if trial.is_baseline), math.nan)
        if points:
            panels.append(HistoryPanel(info, baseline, points, stopped))
    return tuple(panels)
