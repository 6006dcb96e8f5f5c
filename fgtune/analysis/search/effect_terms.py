"""What a metric may depend on, as groups of columns: each parameter alone, and each pair beyond its two parts.

A functional ANOVA (Hoeffding 1948; Sobol 1993) with a finite basis (Li et al. 2002, random sampling HDMR). A parameter
with a scale has cosines of one, two and three half waves as terms of their own: a trend, a hump, a step. One with
unordered levels has a single term, the levels' means; nothing about levels is ordered by the outcome. Where a parameter
is inactive, its columns are 0: it has no effect there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fgtune.arrays import BoolArray, FloatArray, IntArray

_WAVE_WEIGHTS = (0.6, 0.3, 0.1)  # of one, two and three half waves
_PAIRED_HALF_WAVES = {(1, 1): 0.5, (1, 2): 0.25, (2, 1): 0.25}
_POINTS_PER_COLUMN = 4  # a pair of parameters with more columns than a quarter of the points is left out
_KEPT = 0.1  # columns of which other terms leave less than this share of their length are not told apart from them


@dataclass(frozen=True)
class Parameter:
    """A varied setting at the points.

    Attributes:
        name: Dotted path.
        places: (n,) position in [0, 1]; nan where it is inactive.
        levels: Number of unordered levels, at the centres of equal parts of [0, 1]; 0 if it has a scale.
    """

    name: str
    places: FloatArray
    levels: int = 0

    @property
    def active(self) -> BoolArray:
        """(n,) whether it is active."""
        return ~np.isnan(self.places)

    @property
    def distinct(self) -> int:
        """At how many different places it is, where it is active."""
        return len(np.unique(self.places[self.active]))

    @property
    def varies(self) -> bool:
        """Whether it is not the same wherever it is active."""
        return self.distinct > 1

    @property
    def codes(self) -> IntArray:
        """(n,) rank of its level, for a parameter with levels; 0 where it is inactive."""
        ranks = (np.where(self.active, self.places, 0.0) * self.levels).astype(np.int64)
        return np.minimum(ranks, self.levels - 1)


@dataclass(frozen=True)
class Term:
    """One thing that the metric may depend on.

    Attributes:
        parameters: Positions of its one or two parameters.
        columns: (n, df) orthonormal, each with mean 0.
        weight: Its part in the error rate of the parameter, or of the pair; those of one parameter add up to 1 at most.
    """

    parameters: tuple[int, ...]
    columns: FloatArray
    weight: float

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return int(self.columns.shape[1])

    @property
    def is_pair(self) -> bool:
        """Whether it is what two parameters do together beyond each alone."""
        return len(self.parameters) == 2

    def beside(self, basis: FloatArray) -> Term | None:
        """The part of the term that is orthogonal to a basis (n, p); None if too little of it is."""
        rest = self.columns - basis @ (basis.T @ self.columns)
        columns = orthonormal(rest)
        return Term(self.parameters, columns, self.weight) if columns.shape[1] else None


def terms_of(parameters: Sequence[Parameter], paired: int | None = None) -> tuple[Term, ...]:
    """Every parameter alone, then every pair.

    Left out is what the points cannot show: parameters that do not vary, pairs that say the same as one of their parts,
    and pairs of listed levels with too many combinations for the number of points.

    Args:
        parameters: With the same number of points each.
        paired: How many of them, from the first, have pairs; all by default.
    """
    waves = [list(_waves(parameter)) for parameter in parameters]
    alone = [term for k, own in enumerate(waves) for term in _alone(k, own)]
    ranks = range(len(parameters))[:paired]
    pairs = [term for one, two in combinations(ranks, 2) for term in _pairs(waves, one, two)]
    return (*alone, *pairs)


def orthonormal(columns: FloatArray) -> FloatArray:
    """(n, r) orthonormal basis of the directions of ``columns`` (n, df) whose length is at least 0.1; r may be 0."""
    if columns.shape[1] == 1:
        length = float(np.linalg.norm(columns))
        return columns / length if length > _KEPT else columns[:, :0]
    left, lengths, _ = np.linalg.svd(columns, full_matrices=False)
    return np.ascontiguousarray(left[:, lengths > _KEPT])


def _waves(parameter: Parameter) -> Iterator[FloatArray]:
    """The columns (n, df) of each of a parameter's terms, of length 1, mean 0 over the points where it is active."""
    if not parameter.varies:
        return
    active = parameter.active
    if parameter.levels:
        codes = parameter.codes[active]
        found = [np.eye(parameter.levels)[codes][:, np.bincount(codes, minlength=parameter.levels) > 0]]
    else:
        ranks = range(1, min(len(_WAVE_WEIGHTS), parameter.distinct - 1) + 1)
        found = [np.cos(np.pi * rank * parameter.places[active])[:, None] for rank in ranks]
    for own in found:
        columns = np.zeros((len(active), own.shape[1]))
        columns[active] = own - own.mean(axis=0)
        lengths = np.linalg.norm(columns, axis=0)
        yield columns / np.where(lengths > 0, lengths, 1.0)


def _alone(rank: int, waves: Sequence[FloatArray]) -> Iterator[Term]:
    """The terms of one parameter."""
    weights = _WAVE_WEIGHTS[: len(waves)]
    for columns, weight in zip(waves, weights, strict=True):
        yield Term((rank,), orthonormal(columns), weight / sum(weights))


def _pairs(waves: Sequence[Sequence[FloatArray]], one: int, two: int) -> list[Term]:
    """The terms of a pair, without what either parameter does alone."""
    if not waves[one] or not waves[two]:
        return []
    alone, found = orthonormal(np.concatenate([*waves[one], *waves[two]], axis=1)), []
    for (first, second), weight in _PAIRED_HALF_WAVES.items():
        if first > len(waves[one]) or second > len(waves[two]):
            continue
        left, right = waves[one][first - 1], waves[two][second - 1]
        product = (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
        product = product - product.mean(axis=0)
        lengths = np.linalg.norm(product, axis=0)
        product = product[:, lengths > 0] / lengths[lengths > 0]
        columns = orthonormal(product - alone @ (alone.T @ product))
        if 0 < columns.shape[1] * _POINTS_PER_COLUMN <= len(left):
            found.append(Term((one, two), columns, weight))
    total = sum(term.weight for term in found)
    return [Term(term.parameters, term.columns, term.weight / total) for term in found]
