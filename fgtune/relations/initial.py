"""Initial relations: the balance weight, random balanced relations, and a random affinity.

Source: FALCON (ICML 2024), section 4, and its released code, which starts from the solution for a random affinity.
"""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.errors import SolverError


def beta_from_balance(balance: float, num_fine: int, num_coarse: int) -> float:
    """The weight beta = balance * K_C / (2 K_F).

    Moving one fine class away from a balanced layout costs 2 beta / K_C and, for an affinity whose entries sum to 1,
    gains about 1 / K_F; at ``balance = 1`` the two are equal and balance becomes nearly a hard constraint.

    Args:
        balance: Dimensionless weight b >= 0.
        num_fine: K_F >= K_C.
        num_coarse: K_C >= 1.

    Returns:
        ``RelationsProblem.beta``.

    Raises:
        SolverError: num_fine >= num_coarse >= 1 does not hold, or balance is not a finite number >= 0.

    Example:
        >>> beta_from_balance(balance=1.0, num_fine=10, num_coarse=2)
        0.1
    """
    _check_counts(num_fine, num_coarse)
    if not (np.isfinite(balance) and balance >= 0.0):
        raise SolverError(f"relations: balance must be finite and >= 0, got {balance}")
    return float(balance) * num_coarse / (2 * num_fine)


def towards(affinity: FloatArray, beta: float, sizes: IntArray) -> FloatArray:
    """The affinity for which the balance pulls to ``sizes`` instead of equal ones.

    beta / K_C * sum_j (n_j - t_j)^2 differs from beta / K_C * sum_j n_j^2 by a constant and by -2 beta / K_C * sum_j
    t_j n_j, which rewards every fine class of column j by 2 beta t_j / K_C: a shift of the column. So every solver
    solves this programme too.

    Args:
        affinity: (num_fine, num_coarse).
        beta: Weight of the balance.
        sizes: (num_coarse,) wanted numbers of fine classes t_j.

    Example:
        >>> towards(np.zeros((3, 2)), beta=1.0, sizes=np.array([2, 1]))[0].tolist()
        [2.0, 1.0]
    """
    shifted: FloatArray = affinity + 2.0 * beta / affinity.shape[1] * sizes
    return shifted


def random_balanced(num_fine: int, num_coarse: int, rng: np.random.Generator) -> IntArray:
    """Random relations with column sizes equal to within one; which columns are larger is also random.

    Returns:
        ``fine_to_coarse``: (num_fine,) int64, every coarse class occurs.

    Raises:
        SolverError: num_fine >= num_coarse >= 1 does not hold.

    Example:
        >>> parents = random_balanced(7, 3, np.random.default_rng(0))
        >>> sorted(np.bincount(parents).tolist())
        [2, 2, 3]
    """
    _check_counts(num_fine, num_coarse)
    parents: IntArray = rng.permutation(num_coarse)[np.arange(num_fine) % num_coarse].astype(np.int64)
    return rng.permutation(parents)


def random_sized(sizes: IntArray, rng: np.random.Generator) -> IntArray:
    """Random relations with given column sizes.

    Args:
        sizes: (num_coarse,) numbers of fine classes, at least 1 each.
        rng: Draws which fine class goes where.

    Returns:
        ``fine_to_coarse``: (sizes.sum(),) int64.

    Example:
        >>> np.bincount(random_sized(np.array([1, 3]), np.random.default_rng(0))).tolist()
        [1, 3]
    """
    return rng.permutation(np.repeat(np.arange(len(sizes), dtype=np.int64), sizes))


def initial_affinity(num_fine: int, num_coarse: int, rng: np.random.Generator) -> FloatArray:
    """The row-wise softmax of standard normal values; its solution gives the relations before the first update.

    Rows sum to 1, so beta has K_F times less weight here than with a learned affinity, as in the reference code.

    Returns:
        (num_fine, num_coarse) float64, positive.

    Raises:
        SolverError: num_fine >= num_coarse >= 1 does not hold.

    Example:
        >>> initial_affinity(4, 2, np.random.default_rng(0)).sum(axis=1).round(6).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    _check_counts(num_fine, num_coarse)
    weights = np.exp(rng.standard_normal((num_fine, num_coarse)))
    affinity: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return affinity


def _check_counts(num_fine: int, num_coarse: int) -> None:
    if not num_fine >= num_coarse >= 1:
        raise SolverError(f"relations: num_fine >= num_coarse >= 1 must hold, got {num_fine} x {num_coarse}")
