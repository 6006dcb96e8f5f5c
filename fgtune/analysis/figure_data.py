"""The numbers behind every figure, as frozen records that a figure only has to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.records import ContrastSummary
from fgtune.analysis.statistics import Estimate, mean_interval
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.formatting import MetricInfo, factor_name, level_text, metric_info
from fgtune.analysis.verdicts import Verdict
from fgtune.arrays import FloatArray

_LOG_SPAN = 30.0  # levels that span more than this factor are drawn on a logarithmic axis


@dataclass(frozen=True)
class LevelPoint:
    """One arm in a sensitivity panel.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        is_baseline: Whether the others are compared with it.
        x: Its level as a number; its rank on a categorical axis.
        tick: Its level as text.
        estimate: Mean and interval.
        seeds: (seed, value) of every finished cell.
    """

    arm: str
    label: str
    is_baseline: bool
    x: float
    tick: str
    estimate: Estimate
    seeds: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SensitivityPanel:
    """One metric over the levels of one factor, the other factors at their baseline level.

    Attributes:
        factor: Dotted path; None where the axis is the arms of a comparison.
        axis: Title of the level axis.
        numeric: Whether levels are numbers on a scale.
        log: Whether that scale is logarithmic.
        metric: The metric on the other axis.
        points: Sorted by level where numeric, else in the order of the plan.
    """

    factor: str | None
    axis: str
    numeric: bool
    log: bool
    metric: MetricInfo
    points: tuple[LevelPoint, ...]


@dataclass(frozen=True)
class Curve:
    """One arm's metric by epoch, over its finished seeds.

    Attributes:
        epochs: (E,) int.
        mean: (E,) mean over the seeds that have a finite value at that epoch.
        low: (E,) lower end of the t interval; nan where fewer than two seeds have one.
        high: (E,) upper end.
        n: Number of seeds.
    """

    arm: str
    label: str
    is_baseline: bool
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class LearningPanel:
    """Learning curves of one metric for a group of arms; ``group`` names the factor they vary, if there are several."""

    metric: MetricInfo
    group: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class ForestRow:
    """One planned contrast: its mean difference, its interval, every pair, its verdict (in words)."""

    arm: str
    label: str
    estimate: Estimate
    differences: tuple[tuple[int, float], ...]
    verdict: str


@dataclass(frozen=True)
class SolverPoint:
    """Seconds a solve of the relations took on average, in one cell."""

    arm: str
    label: str
    solver: str
    seed: int
    seconds_per_solve: float


def sensitivity_panels(data: StudyData) -> tuple[SensitivityPanel, ...]:
    """A panel for every factor and shown metric, factor by factor; for a comparison, one a metric over its arms."""
    panels = []
    for factor, arms in arm_groups(data):
        levels = [None if factor is None else arm.levels[factor] for arm in arms]
        numeric = all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)
        if numeric:
            arms = tuple(sorted(arms, key=lambda arm: float(arm.levels[factor or ""])))
        xs = [float(arm.levels[factor or ""]) if numeric else float(rank) for rank, arm in enumerate(arms)]
        log = numeric and min(xs) > 0 and max(xs) / min(xs) > _LOG_SPAN
        axis = "arm" if factor is None else factor_name(factor, data.factors)
        for name in data.shown_metrics:
            points = tuple(_point(data, arm, factor, x, name) for arm, x in zip(arms, xs, strict=True))
            panels.append(SensitivityPanel(factor, axis, numeric, log, metric_info(name), points))
    return tuple(panels)


def arm_groups(data: StudyData) -> list[tuple[str | None, tuple[PlannedArm, ...]]]:
    """The arms that vary one factor alone, baseline included, factor by factor; all arms together in a comparison."""
    if not data.study.design.varies_factors or not data.factors:
        return [(None, data.arms)]
    base = data.baseline.levels
    groups: list[tuple[str | None, tuple[PlannedArm, ...]]] = []
    for factor in data.factors:
        others = [path for path in data.factors if path != factor]
        groups.append((factor, tuple(arm for arm in data.arms if all(arm.levels[p] == base[p] for p in others))))
    return groups


def _point(data: StudyData, arm: PlannedArm, factor: str | None, x: float, metric: str) -> LevelPoint:
    values = data.values(arm.name, metric)
    tick: Any = arm.label if factor is None else level_text(arm.levels[factor])
    return LevelPoint(
        arm=arm.name,
        label=arm.label,
        is_baseline=arm.is_baseline,
        x=x,
        tick=tick,
        estimate=mean_interval(list(values.values()), data.level),
        seeds=tuple(sorted(values.items())),
    )


def learning_panels(data: StudyData, extra: Sequence[str] = ("train/loss",)) -> tuple[LearningPanel, ...]:
    """Curves of the shown metrics and of ``extra`` ones, where they were recorded by epoch; finished cells alone."""
    curves = data.folder.read_curves()
    if curves.empty:
        return ()
    finished = [cell.cell_id for arm in data.arms for cell in data.cells(arm.name) if _complete(data, cell.cell_id)]
    curves = curves[curves["cell_id"].isin(finished)]
    names = [name for name in (*data.shown_metrics, *extra) if name in curves.columns]
    groups = arm_groups(data)
    panels = []
    for factor, arms in groups:
        title = factor_name(factor, data.factors) if factor is not None and len(groups) > 1 else ""
        for name in names:
            drawn = [_curve(data, curves, arm, name) for arm in arms]
            panels.append(LearningPanel(metric_info(name), title, tuple(curve for curve in drawn if curve.epochs)))
    return tuple(panel for panel in panels if panel.curves)


def _complete(data: StudyData, cell_id: str) -> bool:
    result = data.results.get(cell_id)
    return result is not None and result.state.value == "COMPLETE"


def _curve(data: StudyData, curves: pd.DataFrame, arm: PlannedArm, metric: str) -> Curve:
    ids = [cell.cell_id for cell in data.cells(arm.name)]  # two arms may share cells
    own = curves.loc[curves["cell_id"].isin(ids), ["seed", "epoch", metric]]
    own = own[np.isfinite(own[metric].to_numpy(dtype=np.float64))]
    grouped = own.groupby("epoch", sort=True)[metric].agg(["count", "mean", "std"])
    n = grouped["count"].to_numpy()
    mean = grouped["mean"].to_numpy(dtype=np.float64)
    enough = n >= 2
    quantile = stats.t.ppf(0.5 + data.level / 2, np.maximum(n - 1, 1))
    half: FloatArray = np.where(enough, quantile * grouped["std"].to_numpy() / np.sqrt(np.maximum(n, 1)), math.nan)
    return Curve(
        arm=arm.name,
        label=arm.label,
        is_baseline=arm.is_baseline,
        epochs=tuple(int(epoch) for epoch in grouped.index),
        mean=tuple(mean.tolist()),
        low=tuple((mean - half).tolist()),
        high=tuple((mean + half).tolist()),
        n=int(own["seed"].nunique()),
    )


def forest_rows(summary: StudySummary) -> tuple[ForestRow, ...]:
    """The planned contrasts that have a pair, in the order of the plan."""
    return tuple(_forest_row(contrast) for contrast in summary.contrasts if contrast.contrast.n > 0)


def _forest_row(contrast: ContrastSummary) -> ForestRow:
    verdict = Verdict.UNDECIDED if contrast.judgement is None else contrast.judgement.verdict
    pairs = tuple(zip(contrast.contrast.seeds, contrast.contrast.differences, strict=True))
    return ForestRow(contrast.arm, contrast.label, contrast.contrast.estimate, pairs, verdict.value)


def solver_points(data: StudyData) -> tuple[SolverPoint, ...]:
    """Mean seconds a solve, cell by cell, over all cells that ended and solved anything."""
    labels = {arm.name: arm.label for arm in data.arms}
    points = []
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None and result.solver is not None and result.solver.solves > 0:
            use = result.solver
            points.append(SolverPoint(cell.arm, labels[cell.arm], use.solver, cell.seed, use.seconds / use.solves))
    return tuple(points)
