"""The axes of a study's arms: the position of a level in a figure, and in the unit cube of a space."""

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

_NEAR_END = 0.02  # share of a range that counts as being at its end
_LOG_SPAN = 30.0  # numbers that span more than this factor are on a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """A varied setting, or the arms of a comparison.

    Attributes:
        path: Dotted path; empty for the arms.
        title: Its name for readers.
        numeric: Whether its levels are numbers on a scale.
        log: Whether that scale is logarithmic.
        low: Lower end of a numeric axis.
        high: Upper end.
        categories: Listed levels as text; empty for a range.
        numbers: Listed levels as numbers, on a numeric axis.
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
        """The position of a level on the axis: the number itself, or the rank of the category; None if it has none."""
        if level is None and "none" not in self.categories:
            return None
        if self.numeric:
            number = float(level) if _is_number(level) else math.nan
            return None if not math.isfinite(number) or (self.log and number <= 0) else number
        text = level_text(level)
        return float(self.categories.index(text)) if text in self.categories else None

    def share(self, level: Any) -> float:
        """The position of a level in [0, 1], linear in the axis's scale; nan if it is not on the axis.

        Listed levels are at the centres of equal parts.
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


def end_of(axis: Axis, level: Any) -> str:
    """The end of a range at which a level lies, ``lower`` or ``upper``, or empty; listed levels have no ends."""
    share = 0.5 if axis.categories else axis.share(level)
    return "lower" if share <= _NEAR_END else "upper" if share >= 1 - _NEAR_END else ""


def spans_magnitudes(values: Sequence[float]) -> bool:
    """Whether values span so much that a linear scale would show only the largest."""
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
    """The axis of listed levels: sorted numbers if all of them are numbers, else categories in order."""
    if all(_is_number(level) for level in levels):
        numbers = tuple(sorted(float(level) for level in levels))
        texts = tuple(map(level_text, sorted(levels)))
        return Axis(path, title, True, spans_magnitudes(numbers), numbers[0], numbers[-1], texts, numbers)
    return Axis(path, title, False, False, 0.0, float(len(levels) - 1), tuple(map(level_text, levels)))


def _is_number(level: Any) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def unit_places(axes: Sequence[Axis], trials: Sequence[Trial]) -> FloatArray:
    """(n, d) coordinates of the points in the unit cube; nan for inactive parameters."""
    places = [[axis.share(trial.levels[axis.path]) for axis in axes] for trial in trials]
    return np.array(places, dtype=np.float64).reshape(len(trials), len(axes))
