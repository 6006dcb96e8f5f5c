"""How a metric depends on parameters that matter, and what leads from the baseline to the best point.

Partial dependence (Friedman 2001) of each parameter; the path from the baseline to the best point that changes one
parameter at a time, the one that gains most first (Fawcett and Hoos 2016; with a surrogate Biedenkapp et al. 2017); and
what each change is worth in the mean over all orders, with the interactions of pairs (Shapley 1953; the ablation game
of HyperSHAP, Wever et al. 2025). All are computed on the sum of functions in ``surrogate``, so that each has an
interval; parameters within chance are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from fgtune.analysis.formatting import MetricInfo, level_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import Axis, axes_of, on_log_scale, unit_places
from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.search.importances import Importances
from fgtune.analysis.search.surrogate import Effect, Surrogate, fit_surrogate
from fgtune.analysis.trials import Trial, best_trial, criteria_of
from fgtune.analysis.verdicts.statistics import Limits
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import sign_of

_GRID = 21
MOST_CHANGED = 10
"""Parameters that a path may change: all their subsets are gone through."""


@dataclass(frozen=True)
class DependenceCurve:
    """The mean of a metric over the points, had they all this level.

    Attributes:
        path: Dotted path of the parameter.
        axis: Its axis.
        levels: Positions on the axis.
        texts: The levels in words.
        effects: The mean at each, with a pointwise interval.
        mean: What the metric is in the mean, and would be at every level without an effect.
    """

    path: str
    axis: Axis
    levels: tuple[float, ...]
    texts: tuple[str, ...]
    effects: tuple[Effect, ...]
    mean: float


@dataclass(frozen=True)
class Change:
    """A parameter on the way from the baseline to the best point.

    Attributes:
        path: Dotted path of the parameter.
        title: Its name for readers.
        before: Its level in the baseline, in words.
        after: Its level in the best point.
        step: What the metric changes by when this parameter is changed, after those before it.
        share: Its Shapley value: the mean of that over all orders.
    """

    path: str
    title: str
    before: str
    after: str
    step: Effect
    share: Effect


@dataclass(frozen=True)
class Together:
    """What two changes do together beyond each alone.

    Attributes:
        titles: Names of the two parameters.
        effect: Their interaction.
    """

    titles: tuple[str, str]
    effect: Effect


@dataclass(frozen=True)
class AblationPath:
    """From the baseline to the best point.

    Attributes:
        arm: The best point.
        criterion: What it is the best by.
        changes: In the order of the path.
        interactions: Of pairs that stood out.
        total: What all changes come to, by the fit.
        measured: The point's value minus the baseline's; nan where one has none.
        unchanged: Names of further parameters in which the two differ, which are within chance.
    """

    arm: str
    criterion: MetricInfo
    changes: tuple[Change, ...]
    interactions: tuple[Together, ...]
    total: Effect
    measured: float
    unchanged: tuple[str, ...]


@dataclass(frozen=True)
class Dependence:
    """What is known about one metric.

    Attributes:
        metric: The metric.
        logged: Whether it is its logarithm.
        level: Confidence level of intervals.
        n: Points that the fit is based on.
        curves: Of the parameters that matter, those that explain most first.
        path: None without a baseline or best point that differ in a parameter that matters.
    """

    metric: MetricInfo
    logged: bool
    level: float
    n: int
    curves: tuple[DependenceCurve, ...]
    path: AblationPath | None


def dependence_of(data: StudyData, trials: Sequence[Trial], info: MetricInfo, found: Importances) -> Dependence | None:
    """How a metric depends on what stands out from chance in it; None where nothing does, or points are too few.

    Args:
        data: The study.
        trials: Its points and the baseline.
        info: The metric.
        found: Its importances.
    """
    axes = axes_of(data)
    ranks = {axis.path: rank for rank, axis in enumerate(axes)}
    matter = [item.parameter for item in found.ranked if item.above_chance and item.parameter in ranks]
    subjects: list[tuple[int, ...]] = [
        (ranks[item.parameter],) for item in found.items if item.stands_out and item.parameter in ranks
    ]
    subjects += [(ranks[one], ranks[two]) for one, two in (pair.parameters for pair in found.interactions)]
    judged = [trial for trial in trials if not trial.is_baseline and math.isfinite(trial.value(info.name))]
    values = np.array([trial.value(info.name) for trial in judged])
    logged = on_log_scale(info, values.tolist())
    shares = unit_places(axes, judged)
    parameters = [
        Parameter(axis.path, shares[:, rank], 0 if axis.numeric else len(axis.categories))
        for rank, axis in enumerate(axes)
    ]
    fit = fit_surrogate(parameters, subjects, np.log10(values) if logged else values, data.level)
    if fit is None:
        return None
    limits = _limits(info, logged=logged)
    curves = tuple(
        _curve(fit, axes[ranks[path]], ranks[path], limits) for path in matter if ranks[path] in fit.involved
    )
    return Dependence(
        info, logged, data.level, len(values), curves, _path(data, trials, info, fit, axes, logged=logged)
    )


def _limits(info: MetricInfo, *, logged: bool) -> Limits:
    """The smallest and the largest mean of a metric, or of its logarithm."""
    if not logged:
        return info.limits
    low, high = (math.log10(end) if 0 < end < math.inf else None for end in info.limits)
    return -math.inf if low is None else low, math.inf if high is None else high


def _curve(fit: Surrogate, axis: Axis, rank: int, limits: Limits) -> DependenceCurve:
    points = fit.points[~np.isnan(fit.points[:, rank])]
    if axis.categories:
        shares = (np.arange(len(axis.categories)) + 0.5) / len(axis.categories)
        used = [bool(np.isclose(points[:, rank], share).any()) for share in shares]
        places = np.flatnonzero(used).tolist()
        shares, texts = shares[places], tuple(axis.categories[place] for place in places)
        numbers = [axis.numbers[place] if axis.numeric else float(place) for place in places]
    else:
        shares = np.linspace(points[:, rank].min(), points[:, rank].max(), _GRID)
        numbers = [_level(axis, share) for share in shares.tolist()]
        texts = tuple(f"{number:.3g}" for number in numbers)
    effects = []
    for share in shares.tolist():
        moved = points.copy()
        moved[:, rank] = share
        effects.append(fit.estimate(fit.columns(moved).mean(axis=0)).within(limits))
    mean = fit.estimate(fit.columns(points).mean(axis=0)).value
    return DependenceCurve(axis.path, axis, tuple(numbers), texts, tuple(effects), mean)


def _level(axis: Axis, share: float) -> float:
    if axis.log:
        return float(axis.low * (axis.high / axis.low) ** share)
    return axis.low + share * (axis.high - axis.low)


def _path(
    data: StudyData, trials: Sequence[Trial], info: MetricInfo, fit: Surrogate, axes: Sequence[Axis], *, logged: bool
) -> AblationPath | None:
    criterion = criteria_of(data)[0]
    best = best_trial([trial for trial in trials if not trial.is_baseline], criterion)
    baseline = next((trial for trial in trials if trial.is_baseline), None)
    if best is None or baseline is None:
        return None
    first, last = unit_places(axes, [baseline, best])
    texts = [[level_text(trial.levels[axis.path]) for axis in axes] for trial in (baseline, best)]
    differ = [rank for rank in range(len(axes)) if texts[0][rank] != texts[1][rank]]
    changed = [rank for rank in differ if rank in fit.involved]
    placed = all(not math.isnan(first[rank]) or baseline.levels[axes[rank].path] is None for rank in changed)
    if not changed or len(changed) > MOST_CHANGED or not placed:
        return None
    games = _games(fit, first, last, changed)
    low, high = _limits(info, logged=logged)
    reach = low - high, high - low
    changes = []
    order = _greedy(fit, games, changed, sign_of(info.direction))
    for place, rank in enumerate(order):
        before = frozenset(order[:place])
        step = fit.estimate(games[before | {rank}] - games[before]).within(reach)
        share = fit.estimate(_shapley(games, rank, [other for other in changed if other != rank])).within(reach)
        changes.append(Change(axes[rank].path, axes[rank].title, texts[0][rank], texts[1][rank], step, share))
    pairs = [subject for subject in fit.subjects if len(subject) == 2 and {*subject} <= {*changed}]
    together = [
        Together(
            (axes[one].title, axes[two].title),
            fit.estimate(
                games[frozenset((one, two))]
                - games[frozenset((one,))]
                - games[frozenset((two,))]
                + games[frozenset[int]()]
            ).within((2 * reach[0], 2 * reach[1])),
        )
        for one, two in pairs
    ]
    ends = [
        math.log10(each) if logged and each > 0 else each for each in (best.value(info.name), baseline.value(info.name))
    ]
    unchanged = tuple(axes[rank].title for rank in differ if rank not in changed)
    total = fit.estimate(games[frozenset(changed)] - games[frozenset[int]()]).within(reach)
    return AblationPath(best.arm, criterion, tuple(changes), tuple(together), total, ends[0] - ends[1], unchanged)


def _games(
    fit: Surrogate, first: FloatArray, last: FloatArray, changed: Sequence[int]
) -> dict[frozenset[int], FloatArray]:
    """For every subset of the changed parameters, the columns (p,) of the baseline with those changed."""
    subsets = list(chain.from_iterable(combinations(changed, size) for size in range(len(changed) + 1)))
    places = np.tile(first, (len(subsets), 1))
    for line, subset in enumerate(subsets):
        places[line, list(subset)] = last[list(subset)]
    return {frozenset(subset): columns for subset, columns in zip(subsets, fit.columns(places), strict=True)}


def _greedy(fit: Surrogate, games: dict[frozenset[int], FloatArray], changed: Sequence[int], sign: float) -> list[int]:
    """The changed parameters in the order of the path: always the one that gains most next."""
    order: list[int] = []
    done = frozenset[int]()
    while len(order) < len(changed):
        left = [rank for rank in changed if rank not in done]
        gains = {rank: sign * float((games[done | {rank}] - games[done]) @ fit.coefficients) for rank in left}
        order.append(max(left, key=lambda rank: (gains[rank], -rank)))
        done |= {order[-1]}
    return order


def _shapley(games: dict[frozenset[int], FloatArray], rank: int, others: Sequence[int]) -> FloatArray:
    """The weights of coefficients in a parameter's Shapley value."""
    count, total = len(others) + 1, np.zeros_like(games[frozenset[int]()])
    for subset in chain.from_iterable(combinations(others, size) for size in range(count)):
        weight = math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) / math.factorial(count)
        total = total + weight * (games[frozenset((*subset, rank))] - games[frozenset(subset)])
    return total
