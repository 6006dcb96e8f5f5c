"""The axes on which the arms of a study lie: where a level is on a figure, and in the unit cube of a space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.formatting import MetricInfo, factor_name, level_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.trials import Trial
from fgtune.arrays import FloatArray
from fgtune.catalog import COST
from fgtune.config.schema.designs import RangeConfig
from fgtune.config.schema.domains import ChoiceDomain, Domain, IntDomain, LogUniformDomain

_LOG_SPAN = 30.0  # numbers that span more than this factor lie on a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """One varied setting, or the arms of a comparison.

    Attributes:
        path: Dotted path; empty where the axis is the arms.
        title: Its name for readers.
        numeric: Whether its levels are numbers on a scale.
        log: Whether that scale is logarithmic.
        low: Lower end of a numeric axis.
        high: Upper end.
        categories: The levels in words, where they are listed; empty for a range.
        numbers: The same as numbers, on a numeric axis.
    """

    path: str
    title: str
    numeric: bool
    log: bool
    low: float
    high: float
    categories: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()

    def place(self, level: Any) -> float | None:
        """Where a level lies on the axis: the number itself, or the rank of the category; None where it has none."""
        if level is None and "none" not in self.categories:
            return None
        if self.numeric:
            number = float(level) if _is_number(level) else math.nan
            return None if not math.isfinite(number) or (self.log and number <= 0) else number
        text = level_text(level)
        return float(self.categories.index(text)) if text in self.categories else None

    def share(self, level: Any) -> float:
        """Where a level lies in [0, 1], evenly by the scale it is drawn on; nan where it does not lie on the axis.

        Listed levels own equal parts of it.
        """
        place = self.place(level)
        if place is None:
            return math.nan
        if self.categories:
            rank = self.numbers.index(place) if place in self.numbers else int(place) if not self.numeric else -1
            return (rank + 0.5) / len(self.categories) if rank >= 0 else math.nan
        if self.high <= self.low:
            return 0.5
        if self.log:
            share = math.log(place / self.low) / math.log(self.high / self.low)
        else:
            share = (place - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)


def spans_magnitudes(values: Sequence[float]) -> bool:
    """Whether values span so much that a linear scale would show the largest alone."""
    return len(values) > 0 and min(values) > 0 and max(values) / min(values) > _LOG_SPAN


def on_log_scale(info: MetricInfo, values: Sequence[float]) -> bool:
    """Whether values of a metric are costs that span magnitudes."""
    return info.name.startswith(COST) and spans_magnitudes(values)


def axes_of(data: StudyData) -> tuple[Axis, ...]:
    """The axes of a search's space, or of the factors of random or Sobol points, in the order of the plan."""
    factors, domains = data.factors, data.study.design.domains
    return tuple(_axis(path, factor_name(path, factors), domains[path]) for path in factors if path in domains)


def _axis(path: str, title: str, domain: Domain | RangeConfig | tuple[Any, ...]) -> Axis:
    if isinstance(domain, ChoiceDomain):
        return listed_axis(path, title, domain.values)
    if isinstance(domain, Sequence):
        return listed_axis(path, title, domain)
    log = isinstance(domain, LogUniformDomain)
    log = log or (isinstance(domain, IntDomain) and domain.log)
    log = log or (isinstance(domain, RangeConfig) and domain.scale == "log")
    return Axis(path, title, numeric=True, log=log, low=float(domain.low), high=float(domain.high))


def listed_axis(path: str, title: str, levels: Sequence[Any]) -> Axis:
    """The axis of listed levels: numbers by size where all of them are, else categories in their order."""
    if all(_is_number(level) for level in levels):
        numbers = tuple(sorted(float(level) for level in levels))
        words = tuple(level_text(each) for each in sorted(levels))
        return Axis(path, title, True, spans_magnitudes(numbers), numbers[0], numbers[-1], words, numbers)
    return Axis(path, title, False, False, 0.0, float(len(levels) - 1), tuple(map(level_text, levels)))


def _is_number(level: Any) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def unit_places(axes: Sequence[Axis], trials: Sequence[Trial]) -> FloatArray:
    """(n, d) places of the points in the unit cube; nan where a parameter is inactive."""
    places = [[axis.share(trial.levels[axis.path]) for axis in axes] for trial in trials]
    return np.array(places, dtype=np.float64).reshape(len(trials), len(axes))


def by_mean(axis: Axis, trials: Sequence[Trial], metric: str) -> Axis:
    """The axis with its categories in the order of the metric's mean, so that a tree splits them as well as it can.

    Categories that no point has go last; a numeric axis stays as it is.
    """
    if axis.numeric:
        return axis
    sums = {text: [0.0, 0] for text in axis.categories}
    for trial in trials:
        text = level_text(trial.levels[axis.path])
        if text in sums and math.isfinite(trial.value(metric)):
            sums[text] = [sums[text][0] + trial.value(metric), sums[text][1] + 1]
    means = {text: total / n if n else math.inf for text, (total, n) in sums.items()}
    ordered = tuple(sorted(axis.categories, key=lambda text: means[text]))
    return Axis(axis.path, axis.title, False, False, axis.low, axis.high, ordered)
