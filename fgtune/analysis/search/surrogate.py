"""A metric as a sum of functions of one and of two parameters, fitted to the finished points; every answer is linear.

A parameter with a scale has a line and a smooth function beside it, as smooth as the points say; one with levels has
their means, and a pair the few products of the importances' finite basis. So a curve, a step of a path and a Shapley
value are each a weighted sum of coefficients. Their covariance has two parts: noise, which may differ between points
(MacKinnon and White 1985, HC3), and what smoothing may have taken away (Wahba 1983; Nychka 1988): the smooth function
is taken for a draw of a normal distribution whose scale the likelihood says. The choice of what stands out is taken as
given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.verdicts.statistics import Limits, cut, t_quantile
from fgtune.arrays import FloatArray

_WAVES = 16
"""Cosines of a smooth function, of one half wave, of two, and so on."""
_POINTS_PER_COLUMN = 4
_ORDERS = (1, 2)
"""How fast the standard deviations of the cosines fall: as 1 / k (a function of steps and corners) or as 1 / k^2."""
_SCALES = tuple(10.0**power for power in range(-3, 9))
"""Variance of the first cosine's coefficient, in variances of the noise."""
_SWEEPS = 3
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
        coefficients: (p,) the constant first.
        covariance: (p, p) of them.
        free: Points minus what the fit takes of them.
        level: Confidence level of intervals.
    """

    parameters: tuple[Parameter, ...]
    subjects: tuple[tuple[int, ...], ...]
    coefficients: FloatArray
    covariance: FloatArray
    free: float
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
        return _columns(self.parameters, self.subjects, places)

    def estimate(self, weights: FloatArray) -> Effect:
        """The sum of coefficients with weights (p,), and its interval."""
        value = float(weights @ self.coefficients)
        spread = float(np.sqrt(max(0.0, float(weights @ self.covariance @ weights))))
        half = self._quantile * spread
        return Effect(value, value - half, value + half)

    @cached_property
    def _quantile(self) -> float:
        return t_quantile(0.5 + self.level / 2, self.free)


def fit_surrogate(
    parameters: Sequence[Parameter], subjects: Sequence[tuple[int, ...]], values: FloatArray, level: float
) -> Surrogate | None:
    """Fit the sum; None where there is nothing to fit, or too few points for it.

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
    matrix = _columns(parameters, chosen, np.column_stack([each.places for each in parameters]))
    smooth = _smooth_parts(parameters, chosen)
    free_columns = matrix.shape[1] - sum(part.stop - part.start for part in smooth)
    if free_columns * _POINTS_PER_COLUMN > len(values):
        return None
    return _fitted(tuple(parameters), chosen, smooth, matrix, values, level)


def _fitted(
    parameters: tuple[Parameter, ...],
    subjects: tuple[tuple[int, ...], ...],
    smooth: Sequence[slice],
    matrix: FloatArray,
    values: FloatArray,
    level: float,
) -> Surrogate:
    number, columns = matrix.shape
    prior, noise = _prior(matrix, smooth, values)  # of the coefficients, 0 for those that nothing is known of
    weights = np.sqrt(np.divide(1.0, prior, out=np.zeros(columns), where=prior > 0))
    inverse = _pseudo_inverse(np.concatenate([matrix, np.diag(weights)[prior > 0]]))[:, :number]  # (p, n)
    coefficients: FloatArray = inverse @ values
    hat = (matrix * inverse.T).sum(axis=1)
    residuals = (values - matrix @ coefficients) / np.maximum(1.0 - hat, 1e-6)
    taken = np.eye(columns) - inverse @ matrix
    covariance: FloatArray = (inverse * np.square(residuals)) @ inverse.T + (taken * (noise * prior)) @ taken.T
    return Surrogate(parameters, subjects, coefficients, covariance, max(1.0, number - float(hat.sum())), level)


def _pseudo_inverse(matrix: FloatArray) -> FloatArray:
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    kept = sizes > _INDEPENDENT * sizes[0]
    found: FloatArray = (right[kept].T / sizes[kept]) @ left[:, kept].T
    return found


def _prior(matrix: FloatArray, smooth: Sequence[slice], values: FloatArray) -> tuple[FloatArray, float]:
    """(p,) variances of the coefficients of smooth functions in units of the noise's, which is returned beside it.

    The restricted likelihood (Patterson and Thompson 1971) weighs all candidates of a function, given the likeliest
    ones of the others, and the variances are means over them: the likeliest is often none at all, and would say that
    nothing can have been taken away.
    """
    prior = np.zeros(matrix.shape[1])
    rough = np.zeros(matrix.shape[1], dtype=bool)
    for part in smooth:
        rough[part] = True
    basis, sizes, _ = np.linalg.svd(matrix[:, ~rough], full_matrices=False)
    basis = basis[:, sizes > _INDEPENDENT * sizes[0]]
    rest, left = matrix - basis @ (basis.T @ matrix), values - basis @ (basis.T @ values)
    gram, cross, total = rest.T @ rest, rest.T @ left, float(left @ left)
    free = len(values) - basis.shape[1]

    def judged(variances: FloatArray) -> tuple[float, float]:
        """The logarithm of the likelihood, and the noise's variance."""
        root = np.sqrt(variances[rough])
        inner = np.eye(len(root)) + root[:, None] * gram[np.ix_(rough, rough)] * root
        factor = np.linalg.cholesky(inner)
        explained = np.linalg.solve(factor, root * cross[rough])
        squares = max(total - float(explained @ explained), 1e-12 * total, 1e-300)
        return -float(np.log(np.diagonal(factor)).sum()) - free / 2 * math.log(squares), squares / free

    best, means = prior.copy(), prior.copy()
    for part in smooth:
        best[part] = _candidates(part)[0]
    for _ in range(_SWEEPS if len(smooth) > 1 else 1):
        for part in smooth:
            candidates, likelihoods = _candidates(part), []
            for candidate in candidates:
                tried = best.copy()
                tried[part] = candidate
                likelihoods.append(judged(tried)[0])
            weights = np.exp(np.array(likelihoods) - max(likelihoods))
            best[part] = candidates[int(np.argmax(likelihoods))]
            means[part] = (weights / weights.sum()) @ np.array(candidates)
    return means, judged(means)[1]


def _candidates(part: slice) -> list[FloatArray]:
    """Variances of the cosines of a function, of every order and scale."""
    ranks = np.arange(1, part.stop - part.start + 1, dtype=np.float64)
    return [scale * ranks ** (-2.0 * order) for order in _ORDERS for scale in _SCALES]


def _smooth_parts(parameters: Sequence[Parameter], subjects: Sequence[tuple[int, ...]]) -> list[slice]:
    """Which of the columns are the cosines of each parameter with a scale."""
    found, start = [], 1
    for subject in subjects:
        if len(subject) == 1:
            parameter = parameters[subject[0]]
            functions = _functions(parameter, parameter.places).shape[1]
            if not parameter.levels and functions > 1:
                found.append(slice(start, start + functions - 1))
            start += functions
    return found


def _columns(parameters: Sequence[Parameter], subjects: Sequence[tuple[int, ...]], places: FloatArray) -> FloatArray:
    """(m, p) functions at places, each with mean 0 over the points at which its parameters are active, 0 elsewhere."""
    found = [np.ones((len(places), 1))]
    for subject in subjects:
        own = [_functions(parameters[rank], places[:, rank]) for rank in subject]
        if len(own) == 1:
            found.append(own[0])
            continue
        known = [_functions(parameters[rank], parameters[rank].places) for rank in subject]
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


def _functions(parameter: Parameter, places: FloatArray) -> FloatArray:
    """(m, q) functions of one parameter at places (m,), centred on the points; 0 where it is inactive.

    Of a parameter with a scale: cosines, and a line as the last.
    """
    active = ~np.isnan(places)

    def raw(at: FloatArray) -> FloatArray:
        if parameter.levels:
            codes = np.minimum((at * parameter.levels).astype(np.int64), parameter.levels - 1)
            used = np.unique(parameter.codes[parameter.active])[1:]  # the first one is what the others differ from
            same: FloatArray = (codes[:, None] == used).astype(np.float64)
            return same
        if parameter.distinct == 2:
            return at[:, None]
        ranks = np.arange(1, min(_WAVES, parameter.distinct - 1) + 1)
        return np.column_stack([np.cos(np.pi * ranks * at[:, None]), at])

    centre = raw(parameter.places[parameter.active]).mean(axis=0)
    found = np.zeros((len(places), len(centre)))
    found[active] = raw(places[active]) - centre
    return found
