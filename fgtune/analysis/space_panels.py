"""The numbers behind figures of several settings of a space at once: parallel coordinates, and contours over two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.formatting import MetricInfo, around, level_text, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import TrialPoint
from fgtune.analysis.search.axes import Axis, axes_of, on_log_scale
from fgtune.analysis.search.importances import Importances
from fgtune.analysis.trials import BASELINE, NO_ENDS, STOPPED, Trial, kinds_of
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import sign_of

UNUSED = -0.12
"""Where a line crosses an axis whose parameter its point does not use."""
MOST_AXES = 12
"""Settings side by side in one figure."""
_FIFTHS = 5
_FEWEST_POINTS = 12  # a surface through fewer says nothing
_GRID = 25
_FEW_TICKS = 6


@dataclass(frozen=True)
class ParallelAxis:
    """One of several axes side by side, from 0 to 1.

    Attributes:
        title: Its name for readers.
        ticks: Positions and what stands there.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class ParallelLine:
    """A finished point across all axes.

    Attributes:
        arm: Its name in the plan.
        fifth: 0 for the best fifth of the finished points by the first criterion, to 4; -1 for the baseline.
        seeds: Number of its cells.
        places: Its position on every axis; ``UNUSED`` where it does not use the parameter.
        texts: What it has there, metrics with their intervals.
    """

    arm: str
    fifth: int
    seeds: int
    places: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ParallelPanel:
    """All settings and some metrics of every finished point.

    Attributes:
        metric: What the fifths are by.
        axes: The settings, then the metrics.
        lines: The baseline, then the points from the worst to the best fifth.
        left_out: Number of settings that are not among the axes.
    """

    metric: MetricInfo
    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]
    left_out: int


@dataclass(frozen=True)
class ContourPanel:
    """A metric over two numeric settings, linear between the finished points and nowhere else.

    Attributes:
        x: The setting on the horizontal axis.
        y: The setting on the vertical axis.
        metric: The metric.
        xs: (n,) levels of the grid.
        ys: (n,) levels of the grid.
        z: (n, n) values, a row for each of ``ys``; nan outside the points.
        points: The finished points, with their levels.
        values: Their values.
    """

    x: Axis
    y: Axis
    metric: MetricInfo
    xs: FloatArray
    ys: FloatArray
    z: FloatArray
    points: tuple[TrialPoint, ...]
    values: tuple[float, ...]


def parallel_panel(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> ParallelPanel | None:
    """The settings and metrics of every finished point; None for a single setting, or fewer than two points.

    Args:
        data: The study.
        trials: Its points.
        metrics: What stands beside the settings; the fifths are by the first one.
    """
    axes = axes_of(data)
    done = [each for each in trials if each.complete and all(info.name in each.means for info in metrics)]
    points = [each for each in done if not each.is_baseline]
    if len(axes) < 2 or len(points) < 2:
        return None
    first = metrics[0]
    ranked = sorted(points, key=lambda each: -sign_of(first.direction) * each.means[first.name])
    fifths = {each.arm: rank * _FIFTHS // len(ranked) for rank, each in enumerate(ranked)}
    scales = [_Scale.of(info, [each.means[info.name] for each in done]) for info in metrics]
    drawn, lines = axes[:MOST_AXES], []
    for trial in [*(each for each in done if each.is_baseline), *reversed(ranked)]:
        shares = [axis.share(trial.levels.get(axis.path)) for axis in drawn]
        places = [UNUSED if math.isnan(share) else share for share in shares]
        places += [scale.share(trial.means[scale.info.name]) for scale in scales]
        texts = [_level_text(trial, axis) for axis in drawn]
        texts += [number(trial.means[info.name]) + around(*trial.ends.get(info.name, NO_ENDS)) for info in metrics]
        lines.append(ParallelLine(trial.arm, fifths.get(trial.arm, -1), trial.seeds, tuple(places), tuple(texts)))
    shown = (*(_setting(axis) for axis in drawn), *(scale.axis for scale in scales))
    return ParallelPanel(first, shown, tuple(lines), len(axes) - len(drawn))


@dataclass(frozen=True)
class _Scale:
    """The axis of a metric from its smallest to its largest value, logarithmic for costs that span magnitudes."""

    info: MetricInfo
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, info: MetricInfo, values: Sequence[float]) -> _Scale:
        return cls(info, min(values), max(values), on_log_scale(info, values))

    def share(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @property
    def axis(self) -> ParallelAxis:
        ends = ((0.0, number(self.low)), (1.0, number(self.high)))
        return ParallelAxis(self.info.title, ends if self.high > self.low else ((0.5, number(self.low)),))


def _setting(axis: Axis) -> ParallelAxis:
    """The axis of a setting, with all its listed levels if they are few, else with its ends."""
    if axis.categories and (len(axis.categories) <= _FEW_TICKS or not axis.numeric):
        levels = axis.numbers if axis.numeric else axis.categories
        ticks = [(axis.share(level), text) for level, text in zip(levels, axis.categories, strict=True)]
    elif axis.categories:
        ends = ((axis.numbers[0], axis.categories[0]), (axis.numbers[-1], axis.categories[-1]))
        ticks = [(axis.share(level), text) for level, text in ends]
    else:
        ticks = [(0.0, f"{axis.low:g}"), (1.0, f"{axis.high:g}")]
    return ParallelAxis(axis.title, tuple(ticks))


def _level_text(trial: Trial, axis: Axis) -> str:
    level = trial.levels.get(axis.path)
    if axis.place(level) is None:
        return "not used"
    return f"{level:.4g}" if axis.numeric and isinstance(level, float) else level_text(level)


def contour_panels(
    data: StudyData, trials: Sequence[Trial], metric: MetricInfo, order: Iterable[str], most: int
) -> tuple[ContourPanel, ...]:
    """A metric over pairs of numeric settings, the first ones of an order; none for few points.

    Args:
        data: The study.
        trials: Its points.
        metric: The metric.
        order: Paths of settings, those that matter most first.
        most: The most pairs.
    """
    kinds = kinds_of(data, trials)
    ranges = {axis.path: axis for axis in axes_of(data) if axis.numeric and not axis.categories}
    axes = [ranges[path] for path in order if path in ranges]
    pairs = [(axes[one], axes[two]) for two in range(len(axes)) for one in range(two)][:most]
    usable = [each for each in trials if metric.name in each.means and kinds.get(each.arm, STOPPED) != STOPPED]
    found = (_contour(pair, metric, usable, kinds) for pair in pairs)
    return tuple(panel for panel in found if panel is not None)


def contours_that_matter(
    data: StudyData, trials: Sequence[Trial], metric: MetricInfo, found: Importances | None
) -> tuple[ContourPanel, ...]:
    """A metric over pairs of the settings that explain most of it; over one pair where fewer than two explain any.

    Args:
        data: The study.
        trials: Its points.
        metric: The metric.
        found: What explains it; None where that is not known.
    """
    matter = [] if found is None else [item.parameter for item in found.ranked if item.above_chance]
    paths = [axis.path for axis in axes_of(data)]
    most = 1 if len(set(matter) & set(paths)) < 2 else 3  # colours over settings that explain nothing mislead
    return contour_panels(data, trials, metric, dict.fromkeys([*matter, *paths]), most)


def _contour(
    pair: tuple[Axis, Axis], metric: MetricInfo, trials: Sequence[Trial], kinds: Mapping[str, str]
) -> ContourPanel | None:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    x, y = pair
    points: list[tuple[Trial, float, float]] = []
    for trial in trials:
        one, two = x.place(trial.levels.get(x.path)), y.place(trial.levels.get(y.path))
        if one is not None and two is not None:
            points.append((trial, one, two))
    if sum(kinds[trial.arm] != BASELINE for trial, _, _ in points) < _FEWEST_POINTS:
        return None
    shares = np.array([[axis.share(trial.levels[axis.path]) for axis in pair] for trial, _, _ in points])
    values = tuple(trial.means[metric.name] for trial, _, _ in points)
    steps = np.linspace(0.0, 1.0, _GRID)
    try:
        surface = LinearNDInterpolator(shares, np.array(values))
    except QhullError:  # all on one line
        return None
    z = surface(*np.meshgrid(steps, steps))
    marked = tuple(TrialPoint(trial, kinds[trial.arm], one, two) for trial, one, two in points)
    return ContourPanel(x, y, metric, _levels(x, steps), _levels(y, steps), z, marked, values)


def _levels(axis: Axis, shares: FloatArray) -> FloatArray:
    if axis.log:
        return axis.low * (axis.high / axis.low) ** shares
    return axis.low + (axis.high - axis.low) * shares
