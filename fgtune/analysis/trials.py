"""The points of a study whose arms lie in a space (a search, random or Sobol points): one record each, and their ranks.

A point counts by the mean over its cells if all of them are COMPLETE, as in the search itself; one that was stopped
early, failed or is unfinished never enters a comparison. What is shown of one that was stopped is the mean over all its
cells at one epoch, the last that every one of them has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.catalog.spec import sign_of
from fgtune.results.records import CellResult, CellState, best_by_mean, joint_state

if TYPE_CHECKING:
    import pandas as pd

UNFINISHED = "UNFINISHED"
"""State of a point with cells that have not ended."""
NO_ENDS = (math.nan, math.nan)
"""What stands for an interval where there is none."""

BASELINE, BEST, COMPLETE, STOPPED = "baseline", "best", "complete", "stopped"
"""Kinds of points in figures: the baseline; the best one or, with several criteria, those on the Pareto front; other
completed ones; those stopped early, whose values are from the epoch at which they were."""


@dataclass(frozen=True)
class Trial:
    """A point of the space, over its seeds.

    Attributes:
        arm: Its name in the plan.
        is_baseline: Whether it is the arm that others are compared with.
        levels: Value of every varied path; None if a condition leaves the parameter out.
        state: COMPLETE if all its cells are; FAIL or PRUNED if one of them is; else ``UNFINISHED``.
        order: Its rank in the order in which points ended, from 1; None while it is unfinished.
        means: Mean over its cells by metric, if all of them have it; for a PRUNED point, at ``epochs``.
        epochs: Epochs of the shortest of its cells; 0 before any ended.
        seeds: Number of cells that ended.
        ends: Interval of each mean, Student's t within the metric's range; of none for a single cell.
    """

    arm: str
    is_baseline: bool
    levels: Mapping[str, Any]
    state: str
    order: int | None
    means: Mapping[str, float]
    epochs: int
    seeds: int
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all its cells are COMPLETE."""
        return self.state == CellState.COMPLETE.value

    @property
    def stopped(self) -> bool:
        """Whether it was stopped early: ``means`` are then those at epoch ``epochs``."""
        return self.state == CellState.PRUNED.value

    def value(self, metric: str) -> float:
        """Its mean; nan if it has none or is not complete."""
        return self.means.get(metric, math.nan) if self.complete else math.nan


def criteria_of(data: StudyData) -> tuple[MetricInfo, ...]:
    """What points are ranked by: the objectives of a search, each with its direction there; else the primary metric."""
    infos = [(data.info(name), mode) for name, mode in data.study.ranking]
    return tuple(info if mode is None else replace(info, direction=mode) for info, mode in infos)


def judged_infos(data: StudyData) -> tuple[MetricInfo, ...]:
    """What points are ranked by, then the primary metric where it is none of these."""
    primary = data.info(data.study.metrics.primary)
    return tuple({info.name: info for info in (*criteria_of(data), primary)}.values())


def arm_means(data: StudyData) -> dict[str, tuple[float, int]]:
    """For each arm, the mean of the first criterion over the COMPLETE cells that have it, and their number."""
    name = criteria_of(data)[0].name
    by_arm = {arm.name: data.values(arm.name, name).values() for arm in data.arms}
    return {arm: (math.fsum(values) / len(values), len(values)) for arm, values in by_arm.items() if values}


def best_arm(data: StudyData) -> str | None:
    """The arm with the best mean among those with the most values; in a search by its first objective.

    A search without fine labels could not choose by the primary metric, so this is the arm that it would really yield.
    """
    direction = criteria_of(data)[0].direction
    return best_by_mean(arm_means(data), "minimize" if direction == "minimize" else "maximize")


def shown_infos(data: StudyData) -> tuple[MetricInfo, ...]:
    """Criteria, then the other shown metrics; a criterion with its direction in the search."""
    criteria = criteria_of(data)
    named = {info.name for info in criteria}
    return (*criteria, *(data.info(name) for name in data.shown_metrics if name not in named))


_Curves = Callable[[], Mapping[str, "pd.DataFrame"]]
"""The curves by cell, read when they are first asked for."""


def trials_of(data: StudyData, also: Iterable[str] = ()) -> tuple[Trial, ...]:
    """Every point of the study in the order of the plan, including the baseline.

    Args:
        data: The study.
        also: Metrics that are wanted besides criteria and shown ones, such as those of whole arms.
    """
    names = [*dict.fromkeys([*(info.name for info in shown_infos(data)), *also])]
    curves = cache(
        lambda: {str(key): own for key, own in data.folder.read_counted_curves().groupby("cell_id", sort=False)}
    )
    trials = [_trial(data, arm, names, curves) for arm in data.arms]
    ends = _ends(data)
    ended = [trial.arm for trial in trials if trial.state != UNFINISHED and not trial.is_baseline]
    order = {arm: rank for rank, arm in enumerate(sorted(ended, key=lambda arm: ends[arm]), start=1)}
    return tuple(replace(trial, order=order.get(trial.arm)) for trial in trials)


def _ends(data: StudyData) -> dict[str, tuple[str, int]]:
    """When the last cell of each arm ended: the time, and its position in the ledger to break ties."""
    lines = {cell_id: rank for rank, cell_id in enumerate(data.results)}
    ends: dict[str, tuple[str, int]] = {}
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None:
            end = (result.finished_at, lines[cell.cell_id])
            ends[cell.arm] = max(ends.get(cell.arm, end), end)
    return ends


def _values_at(results: Sequence[CellResult], epoch: int, curves: _Curves) -> Callable[[CellResult, str], float]:
    """A function for the metrics of cells at an epoch, from their curves where they ran on after it.

    Costs are those of the whole cell. A metric that was not measured at the epoch is nan.
    """
    longer = {result.cell_id for result in results if result.epochs > epoch}
    rows: dict[str, Mapping[Any, Any]] = {}
    for cell_id in longer & curves().keys() if longer else ():
        own = curves()[cell_id]
        for row in own[own["epoch"] == epoch].to_dict("records"):
            rows[cell_id] = row

    def value(result: CellResult, metric: str) -> float:
        if result.cell_id not in longer or metric.startswith("cost/"):
            return result.value(metric)
        return float(rows.get(result.cell_id, {}).get(metric, math.nan))

    return value


def _trial(data: StudyData, arm: PlannedArm, names: Sequence[str], curves: _Curves) -> Trial:
    cells = data.cells(arm.name)
    results = data.ended(arm.name)
    state = joint_state(results).value if cells and len(results) == len(cells) else UNFINISHED
    epochs = min((result.epochs for result in results), default=0)
    values = _values_at(results, epochs, curves) if state == CellState.PRUNED.value else CellResult.value
    of_cells = [name for name in names if name not in ARM_METRICS] if results else []
    single = {name: [values(result, name) for result in results] for name in of_cells}
    means = {name: math.fsum(each) / len(results) for name, each in single.items()}
    if state == CellState.COMPLETE.value:
        means |= {name: data.agreements.whole(arm.name, len(cells)) for name in names if name in ARM_METRICS}
    means = {name: value for name, value in means.items() if math.isfinite(value)}
    ends = {}
    for name in means if len(results) > 1 and state != UNFINISHED else ():
        found = mean_interval(single[name], data.level) if name in single else arm_estimate(data, arm.name, name)
        found = found.within(data.info(name).limits)
        ends[name] = (found.low, found.high)
    return Trial(
        arm=arm.name,
        is_baseline=arm.is_baseline,
        levels=dict(arm.levels),
        state=state,
        order=None,
        means=means,
        epochs=epochs,
        seeds=len(results),
        ends=ends,
    )


def best_trial(trials: Sequence[Trial], info: MetricInfo) -> Trial | None:
    """The COMPLETE point with the best mean, the first if tied; None if no point has the metric."""
    judged = [trial for trial in trials if math.isfinite(trial.value(info.name))]
    return max(judged, key=lambda trial: sign_of(info.direction) * trial.value(info.name), default=None)


def pareto_front(trials: Sequence[Trial], infos: Sequence[MetricInfo]) -> tuple[str, ...]:
    """The COMPLETE points that no other one dominates (at least as good in every metric, better in one)."""
    judged = [trial for trial in trials if all(math.isfinite(trial.value(info.name)) for info in infos)]
    scores = [[sign_of(info.direction) * trial.value(info.name) for info in infos] for trial in judged]
    return tuple(
        trial.arm
        for trial, score in zip(judged, scores, strict=True)
        if not any(other != score and all(b >= a for a, b in zip(score, other, strict=True)) for other in scores)
    )


def kinds_of(data: StudyData, trials: Sequence[Trial]) -> dict[str, str]:
    """The kind of each point by arm; points that failed or are unfinished have none and are not drawn."""
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


def ranked(data: StudyData, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The points from best to worst, without the baseline.

    The Pareto front comes first, then the others by the first criterion, then those that were stopped (the longest
    first), those that failed, and those that are unfinished.
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
