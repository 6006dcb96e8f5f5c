"""The numbers behind figures of a metric over a setting, the arms or another metric, and of solver times."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import MetricInfo, factor_name, level_text
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.search.axes import Axis, axes_of, listed_axis, spans_magnitudes
from fgtune.analysis.search.selection import LabelFreeChoice
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE, Trial, best_trial, criteria_of, kinds_of, trials_of
from fgtune.analysis.verdicts.statistics import Estimate
from fgtune.catalog.metrics import ARM_METRICS

_ON_OFF = 2
_MOST_BESIDE_ZERO = 12  # levels that a figure names one by one


@dataclass(frozen=True)
class LevelPoint:
    """An enumerated arm over the levels of a setting.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        is_baseline: Whether the others are compared with it.
        x: Its level as a number, that of 0 where it stands apart; its rank on a categorical axis.
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
    """A metric over the levels of one setting, with the others at their baseline; or over the arms of a comparison.

    Attributes:
        axis: The setting, or the arms.
        metric: The metric on the other axis.
        points: Sorted by level if numeric, else in the order of the plan.
    """

    axis: Axis
    metric: MetricInfo
    points: tuple[LevelPoint, ...]

    @property
    def scale_title(self) -> str:
        """The name of the axis, and where its 0 stands if not on the scale."""
        apart = self.axis.log and self.axis.numbers[0] == 0
        return f"{self.axis.title} (0 apart)" if apart else self.axis.title


@dataclass(frozen=True)
class TrialPoint:
    """A point of a space at two coordinates; ``kind`` as in ``kinds_of``."""

    trial: Trial
    kind: str
    x: float
    y: float

    @property
    def arm(self) -> str:
        """Its name in the plan."""
        return self.trial.arm


@dataclass(frozen=True)
class ScatterPanel:
    """A metric over one setting of a space, while all others vary too.

    Attributes:
        axis: The setting.
        metric: The metric on the other axis.
        baseline: The baseline's value; nan if there is none.
        points: The points that have both.
    """

    axis: Axis
    metric: MetricInfo
    baseline: float
    points: tuple[TrialPoint, ...]


@dataclass(frozen=True)
class PairPanel:
    """Two metrics of every completed point.

    Attributes:
        x: The metric on the horizontal axis.
        y: The metric on the vertical axis.
        points: Including the baseline.
        marked: Points to name: the chosen one and the best one, or none.
        names: What readers call points, where that is not their name in the plan.
    """

    x: MetricInfo
    y: MetricInfo
    points: tuple[TrialPoint, ...]
    marked: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SolverPoint:
    """Mean seconds per solve of the relations in one cell."""

    arm: str
    label: str
    solver: str
    seed: int
    seconds_per_solve: float


def sensitivity_panels(data: StudyData) -> tuple[SensitivityPanel, ...]:
    """A panel per group of arms and shown metric, group by group; see ``shown_groups``."""
    panels = []
    for factor, arms in shown_groups(data):
        if factor is None:
            axis = listed_axis("", "arm", [arm.label for arm in arms])
        else:
            arms = _as_listed(data, factor, arms)
            axis = listed_axis(factor, factor_name(factor, data.factors), [arm.levels[factor] for arm in arms])
        if axis.numeric:
            arms = tuple(sorted(arms, key=lambda arm: float(arm.levels[axis.path])))
        axis, zero = _with_zero(axis)
        for name in data.shown_metrics:
            points = tuple(_level_point(data, arm, axis, rank, name, zero) for rank, arm in enumerate(arms))
            panels.append(SensitivityPanel(axis, data.info(name), points))
    return tuple(panels)


def _with_zero(axis: Axis) -> tuple[Axis, float]:
    """The axis, and where its level 0 stands.

    Weights are often listed as 0 and numbers of several magnitudes, which crowd at one end of a linear scale: then the
    scale is logarithmic, and 0 stands apart at its left end, as far off as neighbours are on average.
    """
    positive = [number for number in axis.numbers if number > 0]
    if not axis.numbers or axis.numbers[0] != 0 or len(positive) > _MOST_BESIDE_ZERO or not spans_magnitudes(positive):
        return axis, 0.0
    zero = positive[0] / (positive[-1] / positive[0]) ** (1 / (len(positive) - 1))
    return replace(axis, log=True, low=zero), zero


def _as_listed(data: StudyData, factor: str, arms: tuple[PlannedArm, ...]) -> tuple[PlannedArm, ...]:
    """The arms in the order in which the study file lists their levels, where it does."""
    stated = data.study.design.domains.get(factor)
    if not isinstance(stated, tuple):
        return arms
    places = {level_text(level): place for place, level in enumerate(stated)}
    return tuple(sorted(arms, key=lambda arm: places.get(level_text(arm.levels[factor]), len(places))))


def arm_groups(data: StudyData) -> list[tuple[str | None, tuple[PlannedArm, ...]]]:
    """For each factor the arms that vary only this factor, including the baseline; for a comparison all arms."""
    if not data.study.design.varies_factors or not data.factors:
        return [(None, data.arms)]
    base = data.baseline.levels
    varied = [{path for path in data.factors if arm.levels[path] != base[path]} for arm in data.arms]
    return [
        (factor, tuple(arm for arm, paths in zip(data.arms, varied, strict=True) if paths <= {factor}))
        for factor in data.factors
    ]


def shown_groups(data: StudyData) -> list[tuple[str | None, tuple[PlannedArm, ...]]]:
    """The groups of arms that figures show side by side; together they have every arm.

    Factors that are only on or off have no levels to draw a figure over: the arms of an ablation stand together, and so
    do all arms of a study some of which no factor's figure has, since they change several factors.
    """
    groups = arm_groups(data)
    if data.study.design.names_arms:
        groups = [(factor, arms) for factor, arms in groups if factor is not None and len(arms) > _ON_OFF]
    shown = {arm.name for _, arms in groups for arm in arms}
    complete = all(arm.name in shown for arm in data.arms)
    return groups if groups and complete else [(None, data.arms), *groups]


def _level_point(data: StudyData, arm: PlannedArm, axis: Axis, rank: int, metric: str, zero: float) -> LevelPoint:
    return LevelPoint(
        arm=arm.name,
        label=arm.label,
        is_baseline=arm.is_baseline,
        x=float(arm.levels[axis.path] or zero) if axis.numeric else float(rank),
        tick=level_text(arm.levels[axis.path]) if axis.path else arm.label,
        estimate=arm_estimate(data, arm.name, metric),
        seeds=tuple(sorted(data.values(arm.name, metric).items())),
    )


def scatter_panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[ScatterPanel, ...]:
    """A panel per metric and setting of the space, metric by metric, if any point has both."""
    kinds, panels = kinds_of(data, trials), []
    for info in metrics:
        baseline = next((trial.value(info.name) for trial in trials if trial.is_baseline), math.nan)
        for axis in axes_of(data):
            placed = ((trial, axis.place(trial.levels.get(axis.path))) for trial in trials if trial.arm in kinds)
            points = tuple(
                TrialPoint(trial, kinds[trial.arm], x, trial.means[info.name])
                for trial, x in placed
                if x is not None and info.name in trial.means
            )
            if any(point.kind != BASELINE for point in points):
                panels.append(ScatterPanel(axis, info, baseline, points))
    return tuple(panels)


def front_panels(data: StudyData, trials: Sequence[Trial]) -> tuple[PairPanel, ...]:
    """Every pair of criteria; none with a single criterion."""
    kinds = kinds_of(data, trials)
    panels = (PairPanel(*pair, _both(trials, kinds, *pair)) for pair in combinations(criteria_of(data), 2))
    return tuple(panel for panel in panels if any(point.kind != BASELINE for point in panel.points))


def agreement_panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[PairPanel, ...]:
    """Each metric other than the primary one against the primary one, with what each of the two would choose."""
    primary = data.info(data.study.metrics.primary)
    kinds, panels = kinds_of(data, trials), []
    for info in metrics:
        points = _both(trials, kinds, info, primary)
        arms = {point.arm for point in points if point.kind != BASELINE}
        if info.name == primary.name or not arms:
            continue
        both = [trial for trial in trials if trial.arm in arms]
        chosen = [best_trial(both, info), best_trial(both, primary) if primary.direction != "none" else None]
        marked = tuple(dict.fromkeys(trial.arm for trial in chosen if trial is not None))
        panels.append(PairPanel(info, primary, points, marked))
    return tuple(panels)


def shown_choices(data: StudyData, choices: Sequence[LabelFreeChoice]) -> tuple[tuple[str, PairPanel], ...]:
    """``choice_panels`` of agreement between seeds, and of the judge in the shared space where there is one."""
    judges = {choice.criterion for choice in choices if choice.criterion.endswith("/fixed_silhouette")}
    return choice_panels(data, choices, {*ARM_METRICS, *judges})


def choice_panels(
    data: StudyData, choices: Sequence[LabelFreeChoice], criteria: Collection[str]
) -> tuple[tuple[str, PairPanel], ...]:
    """Some criteria against the primary metric over the arms of each data set, with what each of the two would choose.

    Args:
        data: The study.
        choices: What label-free metrics choose.
        criteria: Names of those to show.

    Returns:
        The data set (empty if there is one) and the panel of each choice by one of the criteria.
    """
    shown = [choice for choice in choices if choice.criterion in criteria]
    if not shown:
        return ()
    primary, trials = data.info(data.study.metrics.primary), trials_of(data, ARM_METRICS)
    datasets = {arm.name: arm.dataset for arm in data.choosable}
    names = {arm.name: data.shown_name(arm) for arm in data.arms}
    found = []
    for choice in shown:
        own = [trial for trial in trials if datasets.get(trial.arm) == choice.dataset]
        kinds = {trial.arm: BEST if trial.arm == choice.best_arm else COMPLETE for trial in own}
        kinds |= {trial.arm: BASELINE for trial in own if trial.is_baseline}
        points = _both(own, kinds, data.info(choice.criterion), primary)
        marked = tuple(dict.fromkeys([choice.arm, choice.best_arm]))
        found.append((choice.dataset, PairPanel(data.info(choice.criterion), primary, points, marked, names)))
    return tuple(found)


def _both(
    trials: Sequence[Trial], kinds: Mapping[str, str], one: MetricInfo, two: MetricInfo
) -> tuple[TrialPoint, ...]:
    """The completed points that have both metrics."""
    valued = [(trial, trial.value(one.name), trial.value(two.name)) for trial in trials]
    return tuple(
        TrialPoint(trial, kinds[trial.arm], x, y) for trial, x, y in valued if math.isfinite(x) and math.isfinite(y)
    )


def solver_points(data: StudyData) -> tuple[SolverPoint, ...]:
    """Mean seconds per solve for every cell that ended and solved anything."""
    labels = {arm.name: arm.label for arm in data.arms}
    points = []
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None and result.solver is not None and result.solver.solves > 0:
            use = result.solver
            points.append(SolverPoint(cell.arm, labels[cell.arm], use.solver, cell.seed, use.seconds / use.solves))
    return tuple(points)
