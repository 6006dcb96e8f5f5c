"""The relations programme and the contract of every solver.

Given an affinity A (K_F x K_C; larger is better) and a balance weight beta, choose a parent for every fine class:

    minimise  -sum_i A[i, parent(i)] + (beta / K_C) * sum_j n_j^2      subject to n_j >= 1 for every coarse class j,

with n_j the number of fine classes whose parent is j. FALCON (ICML 2024, eq. 8) adds the constant
-beta * (K_F / K_C)^2, which changes no minimiser; ``objective`` includes it, so that a balanced M has no penalty if K_C
divides K_F.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fgtune.arrays import FloatArray, IntArray


class SolveStatus(StrEnum):
    """How a solve ended. Without any solution a solver raises ``SolverError`` instead."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True)
class RelationsProblem:
    """An instance of the programme.

    Attributes:
        affinity: (num_fine, num_coarse) float64, finite, larger is better; num_fine >= num_coarse >= 1.
        beta: Weight of the balance penalty, >= 0.
        prices: (num_coarse,) finite prices of the columns at the end of an earlier solve of a similar problem
            (``RelationsSolution.prices``), which a solver may start from; None where there was none. They decide how
            long a solve takes, and which optimum is found where there are several.
    """

    affinity: FloatArray
    beta: float
    prices: FloatArray | None = None


@dataclass(frozen=True)
class RawSolution:
    """What a solver claims; ``fgtune.relations.solve`` checks every part of it.

    Attributes:
        fine_to_coarse: (num_fine,) int64, already rounded.
        status: ``OPTIMAL`` if the solver claims optimality, ``TIME_LIMIT`` for the best solution found in time.
        objective: Value of the programme according to the solver.
        bound: Lower bound on the optimum.
        prices: (num_coarse,) prices that the next solve may start from; None if the solver has none.
    """

    fine_to_coarse: IntArray
    status: SolveStatus
    objective: float
    bound: float
    prices: FloatArray | None = None


@dataclass(frozen=True)
class RelationsSolution:
    """A feasible choice of parents, and the evidence for it.

    Attributes:
        fine_to_coarse: (num_fine,) int64; every coarse class occurs.
        status: ``OPTIMAL``, or ``TIME_LIMIT`` for the best solution found in time.
        objective: Value of the programme at this solution, to be minimised.
        bound: Proven lower bound on the optimum; equal to ``objective`` (to tolerance) if optimal.
        seconds: Wall seconds of the solve, including building the model.
        solver: Name in ``SOLVERS``.
        prices: (num_coarse,) prices of the columns that a solve of the next, similar problem may start from; None if
            the solver has none.
    """

    fine_to_coarse: IntArray
    status: SolveStatus
    objective: float
    bound: float
    seconds: float
    solver: str
    prices: FloatArray | None = None

    @property
    def gap(self) -> float:
        """Relative gap (objective - bound) / max(1e-12, |objective|), >= 0."""
        return max(0.0, self.objective - self.bound) / max(1e-12, abs(self.objective))


def objective_value(problem: RelationsProblem, fine_to_coarse: IntArray) -> float:
    """The programme's value at ``fine_to_coarse``: (num_fine,) int64.

    The imbalance K_C * sum_j n_j^2 - K_F^2 is computed in integers, so that equal sizes cost exactly 0 for any beta.

    Example:
        >>> problem = RelationsProblem(np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]), beta=0.0)
        >>> round(objective_value(problem, np.array([0, 1, 0])), 6)
        -2.1
    """
    num_fine, num_coarse = problem.affinity.shape
    sizes = np.bincount(fine_to_coarse, minlength=num_coarse)
    imbalance = num_coarse * int(sizes @ sizes) - num_fine**2
    gained = float(problem.affinity[np.arange(num_fine), fine_to_coarse].sum())
    return float(problem.beta * (imbalance / num_coarse**2) - gained)
