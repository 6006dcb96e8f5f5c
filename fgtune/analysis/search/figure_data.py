"""The numbers behind the figures of a study that spreads its points over a space, as frozen records to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import numpy as np
import pandas as pd

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import Axis, axes_of, by_mean, unit_places
from fgtune.analysis.search.importances import Importances, importances
from fgtune.analysis.search.selection import best_trial, pareto_front, sign_of
from fgtune.analysis.text.formatting import MetricInfo, metric_info
from fgtune.analysis.trials import Trial, criteria_of
from fgtune.catalog import COST
from fgtune.results.records import CellState

BASELINE, BEST, COMPLETE, STOPPED = "baseline", "best", "complete", "stopped"
"""Kinds of a drawn point: the baseline; the best or, with several criteria, on the Pareto front; others that ran to
their end; those stopped early, whose values are of the epoch at which they were."""

_LOG_SPAN = 30.0
_MOST_VERTICES = 12_000  # of all curves of one panel together


@dataclass(frozen=True)
class HistoryPoint:
    """A finished point in the order of its end; ``best`` is the best value until then, its own included."""

    order: int
    arm: str
    value: float
    best: float


@dataclass(frozen=True)
class HistoryPanel:
    """How one criterion came along.

    Attributes:
        metric: The criterion.
        baseline: Its value in the baseline; nan without one.
        points: Those that ran to their end.
        stopped: Places, in the same order, of those that did not.
    """

    metric: MetricInfo
    baseline: float
    points: tuple[HistoryPoint, ...]
    stopped: tuple[int, ...]


@dataclass(frozen=True)
class SpreadPoint:
    """A point drawn by two numbers; ``kind`` is one of the four above, ``epochs`` that of its shortest cell."""

    arm: str
    kind: str
    x: float
    y: float
    epochs: int


@dataclass(frozen=True)
class ScatterPanel:
    """One metric over one varied setting, all others moving along.

    Attributes:
        axis: The setting.
        metric: The metric on the other axis.
        baseline: The baseline's value; nan without one.
        points: Those that have both.
    """

    axis: Axis
    metric: MetricInfo
    baseline: float
    points: tuple[SpreadPoint, ...]


@dataclass(frozen=True)
class PairPanel:
    """Two metrics of every point that ran to its end.

    Attributes:
        x: The metric on the horizontal axis.
        y: The other one.
        points: With the baseline.
        marked: Points to name: the chosen one and the best one, or none.
    """

    x: MetricInfo
    y: MetricInfo
    points: tuple[SpreadPoint, ...]
    marked: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialCurve:
    """A metric by epoch, mean over the seeds of one point that have it, until one of them was stopped."""

    arm: str
    kind: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class CurvesPanel:
    """One metric by epoch for every point."""

    metric: MetricInfo
    curves: tuple[TrialCurve, ...]


def on_log_scale(info: MetricInfo, values: Sequence[float]) -> bool:
    """Whether values are costs that span so much that a linear scale would show the largest alone."""
    return info.name.startswith(COST) and len(values) > 0 and min(values) > 0 and max(values) / min(values) > _LOG_SPAN


def kinds_of(data: StudyData, trials: Sequence[Trial]) -> dict[str, str]:
    """How each point is drawn, by arm; those that failed or are unfinished are not."""
    criteria = criteria_of(data)
    points = [trial for trial in trials if not trial.is_baseline]
    first = best_trial(points, criteria[0])
    best = set(pareto_front(points, criteria)) if len(criteria) > 1 else {first.arm} if first is not None else set()
    kinds = {}
    for trial in trials:
        if trial.complete:
            kinds[trial.arm] = BASELINE if trial.is_baseline else BEST if trial.arm in best else COMPLETE
        elif trial.state == CellState.PRUNED.value:
            kinds[trial.arm] = STOPPED
    return kinds


def history_panels(data: StudyData, trials: Sequence[Trial]) -> tuple[HistoryPanel, ...]:
    """Each criterion in the order in which points ended; none before one ran to its end."""
    panels = []
    ended = sorted((trial for trial in trials if trial.order is not None), key=lambda trial: trial.order or 0)
    for info in criteria_of(data):
        judged = [trial for trial in ended if math.isfinite(trial.value(info.name))]
        values = [trial.value(info.name) for trial in judged]
        best = accumulate(values, min if info.direction == "minimize" else max)
        points = tuple(
            HistoryPoint(trial.order or 0, trial.arm, value, top)
            for trial, value, top in zip(judged, values, best, strict=True)
        )
        stopped = tuple(trial.order or 0 for trial in ended if not math.isfinite(trial.value(info.name)))
        if points:
            panels.append(HistoryPanel(info, _baseline_value(trials, info), points, stopped))
    return tuple(panels)


def _baseline_value(trials: Sequence[Trial], info: MetricInfo) -> float:
    return next((trial.value(info.name) for trial in trials if trial.is_baseline), math.nan)


def scatter_panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[ScatterPanel, ...]:
    """A panel for every metric and varied setting, metric by metric, where any point has both."""
    kinds, panels = kinds_of(data, trials), []
    for info in metrics:
        for axis in axes_of(data):
            points = []
            for trial in trials:
                place, value = axis.place(trial.levels.get(axis.path)), trial.means.get(info.name, math.nan)
                if trial.arm in kinds and place is not None and math.isfinite(value):
                    points.append(SpreadPoint(trial.arm, kinds[trial.arm], place, value, trial.epochs))
            if any(point.kind != BASELINE for point in points):
                panels.append(ScatterPanel(axis, info, _baseline_value(trials, info), tuple(points)))
    return tuple(panels)


def front_panels(data: StudyData, trials: Sequence[Trial]) -> tuple[PairPanel, ...]:
    """Every two criteria against each other; none with one criterion."""
    kinds = kinds_of(data, trials)
    pairs = [_pair(trials, kinds, one, two) for one, two in combinations(criteria_of(data), 2)]
    return tuple(panel for panel in pairs if any(point.kind != BASELINE for point in panel.points))


def agreement_panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[PairPanel, ...]:
    """Each of some metrics against the primary one, with what each of the two would choose; none for the primary."""
    primary = metric_info(data.study.metrics.primary)
    kinds, panels = kinds_of(data, trials), []
    for info in metrics:
        panel = _pair(trials, kinds, info, primary)
        own = {point.arm for point in panel.points if point.kind != BASELINE}
        if info.name == primary.name or not own:
            continue
        both = [trial for trial in trials if trial.arm in own]
        chosen = [best_trial(both, info), best_trial(both, primary) if primary.direction != "none" else None]
        marked = tuple(dict.fromkeys(trial.arm for trial in chosen if trial is not None))
        panels.append(PairPanel(info, primary, panel.points, marked))
    return tuple(panels)


def _pair(trials: Sequence[Trial], kinds: dict[str, str], one: MetricInfo, two: MetricInfo) -> PairPanel:
    points = [
        SpreadPoint(trial.arm, kinds[trial.arm], trial.value(one.name), trial.value(two.name), trial.epochs)
        for trial in trials
        if math.isfinite(trial.value(one.name)) and math.isfinite(trial.value(two.name))
    ]
    return PairPanel(one, two, tuple(points))


def metric_importances(
    data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo], *, seed: int = 0
) -> tuple[Importances, ...]:
    """What each varied setting explains of each metric over the space, from the points that ran to their end.

    Args:
        data: The study.
        trials: Its points; the baseline is left out, for nobody drew it.
        metrics: What to decompose; a cost of several magnitudes by its logarithm.
        seed: Of forests, resamples and shuffles.
    """
    axes, made = axes_of(data), []
    for info in metrics:
        judged = [trial for trial in trials if not trial.is_baseline and math.isfinite(trial.value(info.name))]
        places = unit_places([by_mean(axis, judged, info.name) for axis in axes], judged)
        values = np.array([trial.value(info.name) for trial in judged])
        values = np.log10(values) if on_log_scale(info, values.tolist()) else values
        made.append(importances(info.name, places, values, [axis.path for axis in axes], seed=seed, level=data.level))
    return tuple(made)


def curves_panels(
    data: StudyData, trials: Sequence[Trial], extra: Sequence[str] = ("train/loss",)
) -> tuple[CurvesPanel, ...]:
    """Every point's curve of the criteria, the shown metrics and ``extra`` ones, where they were recorded by epoch."""
    curves = data.folder.read_curves()
    if curves.empty:
        return ()
    kinds = kinds_of(data, trials)
    curves = curves[curves["arm"].isin(kinds) & curves["cell_id"].isin(data.results)]
    last = {trial.arm: trial.epochs for trial in trials}
    curves = curves[curves["epoch"] <= curves["arm"].map(last)]
    shown = [info.name for info in criteria_of(data)]
    panels = []
    for name in dict.fromkeys([*shown, *data.shown_metrics, *extra]):
        if name in curves.columns:
            drawn = _curves(curves, kinds, name)
            panels += [CurvesPanel(metric_info(name), drawn)] if drawn else []
    return tuple(panels)


def _curves(curves: pd.DataFrame, kinds: dict[str, str], metric: str) -> tuple[TrialCurve, ...]:
    finite = curves[np.isfinite(curves[metric].to_numpy(dtype=np.float64))]
    means = finite.groupby(["arm", "epoch"], sort=True)[metric].mean()
    stride = max(1, math.ceil(len(means) / _MOST_VERTICES))
    by_arm: dict[str, list[tuple[int, float]]] = {}
    for (arm, epoch), value in means.items():
        by_arm.setdefault(str(arm), []).append((int(epoch), float(value)))
    made = []
    for arm, kind in kinds.items():
        own = by_arm.get(arm, [])
        kept = [pair for place, pair in enumerate(own) if place % stride == 0 or place == len(own) - 1]
        if kept:
            epochs, values = zip(*kept, strict=True)
            made.append(TrialCurve(arm, kind, epochs, values))
    return tuple(made)


def ranked(data: StudyData, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The points from the best to the worst.

    The Pareto front comes first, then the others by the first criterion, then those that were stopped (the longest
    first), that failed, and that are unfinished.
    """
    criterion = criteria_of(data)[0]
    kinds = kinds_of(data, trials)
    states = [CellState.COMPLETE.value, CellState.PRUNED.value, CellState.FAIL.value]

    def rank(trial: Trial) -> tuple[int, int, float, float]:
        state = states.index(trial.state) if trial.state in states else len(states)
        value = trial.value(criterion.name)
        score = -sign_of(criterion.direction) * value if math.isfinite(value) else math.inf
        return state, 0 if kinds.get(trial.arm) == BEST else 1, score, -trial.epochs

    return tuple(sorted((trial for trial in trials if not trial.is_baseline), key=rank))
