"""Properties of the relations programme that its solvers share: normal form, possible sizes, optimality certificate.

Write K_F = q K_C + r with 0 <= r < K_C, n_j = q + d_j and w = beta / K_C. As sum_j d_j = r is fixed,

    w sum_j n_j^2 - beta (K_F / K_C)^2  =  w sum_j d_j (d_j - 1) + w r (1 - r / K_C).

The last term is the penalty that no choice avoids (``forced_penalty``). The first is convex and separable over the
columns: the member that brings a column to size q + d costs 2 w (d - 1). With one unit slot for each of these marginal
costs the programme is a transportation problem, which is polynomial although it looks like a quadratic integer
programme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.relations.base import RelationsProblem


@dataclass(frozen=True)
class NormalForm:
    """A problem with the same minimisers whose values are all near 1, and the way back.

    Attributes:
        problem: Row maxima of the affinity are 0, its largest row range is 0 or in [1/2, 1), and
            beta / num_coarse <= 1.
        exponent: One unit of the normal form is 2^exponent units of the original.
        offset: Value of the original where the normal form has the value 0.
    """

    problem: RelationsProblem
    exponent: int
    offset: float

    def restore(self, value: float) -> float:
        """A value or bound of the normal form in the units of the original."""
        return math.ldexp(value, self.exponent) + self.offset


def normal_form(problem: RelationsProblem) -> NormalForm:
    """Bring a valid problem into normal form.

    Shifting a row of the affinity adds a constant; dividing by a power of two is exact. A large beta may be reduced:
    once 2 w exceeds the largest row range, every optimum has sizes q and q + 1 only (see ``size_range``), the penalty
    is ``forced_penalty`` for all of them, and the remaining choice does not depend on beta. So no finite beta, however
    large, can drown out the affinity.

    Example:
        >>> normal_form(RelationsProblem(np.array([[4.0, 1.0], [2.0, 2.0]]), beta=0.0)).problem.affinity.tolist()
        [[0.0, -0.75], [0.0, 0.0]]
    """
    num_coarse = problem.affinity.shape[1]
    best = problem.affinity.max(axis=1, keepdims=True)
    _, exponent = math.frexp(float(np.ptp(problem.affinity, axis=1).max()))
    beta = min(problem.beta, math.ldexp(num_coarse, exponent))
    cut = RelationsProblem(problem.affinity, problem.beta - beta)
    prices = problem.prices
    if prices is not None:
        with np.errstate(over="ignore"):
            prices = np.ldexp(prices, -exponent)
        prices = prices if np.isfinite(prices).all() else None  # they are of a problem of another scale
    return NormalForm(
        problem=RelationsProblem(
            np.ldexp(problem.affinity - best, -exponent),
            math.ldexp(beta, -exponent),
            prices,
        ),
        exponent=exponent,
        offset=forced_penalty(cut) - float(best.sum()),
    )


def balanced_size(problem: RelationsProblem) -> tuple[int, int]:
    """(q, r): with equal sizes every coarse class gets q fine classes, and r fine classes are left over.

    Example:
        >>> balanced_size(RelationsProblem(np.zeros((7, 3)), beta=1.0))
        (2, 1)
    """
    num_fine, num_coarse = problem.affinity.shape
    return int(num_fine // num_coarse), int(num_fine % num_coarse)


def forced_penalty(problem: RelationsProblem) -> float:
    """The balance penalty of sizes as equal as possible, >= 0; 0 if num_coarse divides num_fine.

    Example:
        >>> forced_penalty(RelationsProblem(np.zeros((3, 2)), beta=1.0))
        0.25
    """
    num_coarse = int(problem.affinity.shape[1])
    _, remainder = balanced_size(problem)
    return problem.beta * (remainder * (num_coarse - remainder) / num_coarse**2)


def size_range(problem: RelationsProblem) -> tuple[int, int]:
    """Sizes (lowest, highest) between which every optimal column size n_j lies.

    Moving one fine class from column j to column k changes the penalty by -2 w (n_j - n_k - 1) and costs at most the
    largest row range R of the affinity. In an optimum therefore n_j - n_k <= D = 1 + floor(R / 2 w), and a largest
    column of size m leaves at least (K_C - 1) (m - D) to the others, which bounds m; likewise for the smallest. Such a
    move never empties a column, so the range is compatible with n_j >= 1.

    Example:
        >>> size_range(RelationsProblem(np.zeros((7, 3)), beta=1.0))
        (2, 3)
    """
    num_fine, num_coarse = problem.affinity.shape
    step = 2.0 * problem.beta / num_coarse
    largest = float(np.ptp(problem.affinity, axis=1).max()) * (1.0 + 1e-9)  # a wider range is never wrong
    difference = num_fine if largest >= num_fine * step else 1 + math.floor(largest / step)
    lowest = -(((num_coarse - 1) * difference - num_fine) // num_coarse)  # rounded up
    highest = (num_fine + (num_coarse - 1) * difference) // num_coarse
    return max(1, lowest), min(num_fine - num_coarse + 1, highest)


def lagrangian_bound(problem: RelationsProblem, prices: FloatArray) -> float:
    """A lower bound on the optimum, valid for any prices, so that the solver that found them need not be trusted.

    Charging p_j for a place in column j, and refunding it for every place that the sizes provide, relaxes
    sum_i M_ij = n_j. What remains separates into fine classes and columns:

        sum_i min_j (p_j - A_ij)  +  sum_j min_{n_j} (w d_j (d_j - 1) - p_j n_j)  +  w r (1 - r / K_C).

    The relaxation has no duality gap (the slots' constraint matrix is totally unimodular), so at optimal prices the
    bound equals the optimum up to rounding.

    Args:
        problem: A valid problem.
        prices: (num_coarse,) finite p_j.

    Returns:
        The bound, in the units of ``objective_value``.

    Example:
        >>> problem = RelationsProblem(np.array([[1.0, 0.0], [0.0, 1.0]]), beta=0.0)
        >>> lagrangian_bound(problem, np.zeros(2))
        -2.0
    """
    num_fine, num_coarse = problem.affinity.shape
    quotient, _ = balanced_size(problem)
    weight = problem.beta / num_coarse
    lowest, highest = 1 - quotient, num_fine - num_coarse + 1 - quotient
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        real = np.nan_to_num(prices / (2.0 * weight) + 0.5)  # minimiser over the reals; any size if w = p_j = 0
    extra = np.clip(np.stack([np.floor(real), np.ceil(real)]), lowest, highest)  # convex in d_j: adjacent integers
    columns = (weight * extra * (extra - 1.0) - prices * (extra + quotient)).min(axis=0)
    rows = (prices - problem.affinity).min(axis=1)
    return float(rows.sum() + columns.sum()) + forced_penalty(problem)
