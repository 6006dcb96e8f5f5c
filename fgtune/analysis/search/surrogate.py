"""A metric as a sum of functions of one and of two parameters, fitted to the finished points; every answer is linear.

The functions are those of the importances' finite basis, of the parameters and pairs that stood out from chance there.
So a curve, a step of a path and a Shapley value are each a weighted sum of coefficients, and have an interval from the
covariance of these, which allows for noise that differs between points (MacKinnon and White 1985, HC3). The choice of
what stands out is taken as given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.verdicts.statistics import Limits, cut
from fgtune.arrays import FloatArray

_WAVES = 3
_POINTS_PER_COLUMN = 4
_PAIRED = ((0, 0), (0, 1), (1, 0))
_INDEPENDENT = 1e-8


@dataclass(frozen=True)
class Effect:
    """A number with its interval.

    Attributes:
        value: The number.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def within(self, limits: Limits) -> Effect:
        """The same with an interval that ends where the number can be no further."""
        return Effect(self.value, *cut((self.low, self.high), self.value, limits))


@dataclass(frozen=True)
class Surrogate:
    """The fitted sum.

    Attributes:
        parameters: Of the points.
        subjects: Which of them, alone or in pairs, have functions.
        waves: Largest number of functions of a parameter with a scale.
        coefficients: (p,) the constant first.
        covariance: (p, p) of them.
        free: Points minus coefficients.
        level: Confidence level of intervals.
    """

    parameters: tuple[Parameter, ...]
    subjects: tuple[tuple[int, ...], ...]
    waves: int
    coefficients: FloatArray
    covariance: FloatArray
    free: int
    level: float

    @property
    def involved(self) -> tuple[int, ...]:
        """The parameters that it depends on, in their order."""
        return tuple(sorted({rank for subject in self.subjects for rank in subject}))

    @property
    def points(self) -> FloatArray:
        """(n, d) places of the points that it was fitted to; nan for inactive parameters."""
        return np.column_stack([each.places for each in self.parameters])

    def columns(self, places: FloatArray) -> FloatArray:
        """(m, p) what each coefficient is multiplied by at places (m, d) in [0, 1]; nan for inactive parameters."""
        return _columns(self.parameters, self.subjects, self.waves, places)

    def estimate(self, weights: FloatArray) -> Effect:
        """The sum of coefficients with weights (p,), and its interval."""
        value = float(weights @ self.coefficients)
        spread = float(np.sqrt(max(0.0, float(weights @ self.covariance @ weights))))
        half = self._quantile * spread
        return Effect(value, value - half, value + half)

    @cached_property
    def _quantile(self) -> float:
        return float(stats.t.ppf(0.5 + self.level / 2, self.free))


def fit_surrogate(
    parameters: Sequence[Parameter], subjects: Sequence[tuple[int, ...]], values: FloatArray, level: float
) -> Surrogate | None:
    """Fit the sum by least squares; None where there is nothing to fit, or too few points for it.

    Args:
        parameters: With n points each.
        subjects: Ranks of one parameter, or of two: what stood out. A pair brings its two parts.
        values: (n,) finite.
        level: Confidence level of intervals.
    """
    wanted = {(rank,) for subject in subjects for rank in subject if parameters[rank].varies}
    pairs = {tuple(sorted(subject)) for subject in subjects if len(subject) == 2}
    chosen = (*sorted(wanted), *sorted(pair for pair in pairs if {(rank,) for rank in pair} <= wanted))
    if not chosen:
        return None
    points = np.column_stack([each.places for each in parameters])
    for waves in range(_WAVES, 0, -1):
        matrix = _columns(parameters, chosen, waves, points)
        if matrix.shape[1] * _POINTS_PER_COLUMN <= len(values):
            return _fitted(tuple(parameters), chosen, waves, matrix, values, level)
    return None


def _fitted(
    parameters: tuple[Parameter, ...],
    subjects: tuple[tuple[int, ...], ...],
    waves: int,
    matrix: FloatArray,
    values: FloatArray,
    level: float,
) -> Surrogate:
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    kept = sizes > _INDEPENDENT * sizes[0]
    inverse = (right[kept].T / sizes[kept]) @ left[:, kept].T  # (p, n)
    coefficients: FloatArray = inverse @ values
    leverage = np.square(left[:, kept]).sum(axis=1)
    residuals = (values - matrix @ coefficients) / np.maximum(1.0 - leverage, 1e-6)
    covariance: FloatArray = (inverse * np.square(residuals)) @ inverse.T
    free = len(values) - int(kept.sum())
    return Surrogate(parameters, subjects, waves, coefficients, covariance, free, level)


def _columns(
    parameters: Sequence[Parameter], subjects: Sequence[tuple[int, ...]], waves: int, places: FloatArray
) -> FloatArray:
    """(m, p) functions at places, each with mean 0 over the points at which its parameters are active, 0 elsewhere."""
    found = [np.ones((len(places), 1))]
    for subject in subjects:
        own = [_functions(parameters[rank], places[:, rank], waves) for rank in subject]
        if len(own) == 1:
            found.append(own[0])
            continue
        known = [_functions(parameters[rank], parameters[rank].places, waves) for rank in subject]
        both = parameters[subject[0]].active & parameters[subject[1]].active
        there = ~np.isnan(places[:, subject[0]]) & ~np.isnan(places[:, subject[1]])
        centre = _products(parameters, subject, known)[both].mean(axis=0) if both.any() else 0.0
        found.append((_products(parameters, subject, own) - centre) * there[:, None])
    return np.concatenate(found, axis=1)


def _products(parameters: Sequence[Parameter], subject: tuple[int, ...], own: Sequence[FloatArray]) -> FloatArray:
    """(m, q) products of the functions of two parameters: all of levels, few of scales."""
    one, two = own
    ends = [each.shape[1] if parameters[rank].levels else 2 for rank, each in zip(subject, own, strict=True)]
    scales = not any(parameters[rank].levels for rank in subject)
    ranks = [
        (i, j)
        for i in range(min(ends[0], one.shape[1]))
        for j in range(min(ends[1], two.shape[1]))
        if not scales or (i, j) in _PAIRED
    ]
    return np.column_stack([one[:, i] * two[:, j] for i, j in ranks])


def _functions(parameter: Parameter, places: FloatArray, waves: int) -> FloatArray:
    """(m, q) functions of one parameter at places (m,), centred on the points; 0 where it is inactive."""
    active = ~np.isnan(places)

    def raw(at: FloatArray) -> FloatArray:
        if parameter.levels:
            codes = np.minimum((at * parameter.levels).astype(np.int64), parameter.levels - 1)
            used = np.unique(parameter.codes[parameter.active])[1:]  # the first one is what the others differ from
            same: FloatArray = (codes[:, None] == used).astype(np.float64)
            return same
        ranks = np.arange(1, min(waves, parameter.distinct - 1) + 1)
        waved: FloatArray = np.cos(np.pi * ranks * at[:, None])
        return waved

    centre = raw(parameter.places[parameter.active]).mean(axis=0)
    found = np.zeros((len(places), len(centre)))
    found[active] = raw(places[active]) - centre
    return found
