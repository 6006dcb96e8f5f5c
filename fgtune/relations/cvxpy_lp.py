"""The relations programme as a linear programme over unit slots, solved by HiGHS through CVXPY.

Column j has unit slots, and the one that brings it to size k costs 2 w (k - 1 - q) (``fgtune.relations.structure``):

    minimise  -sum_ij A_ij x_ij + sum_jk 2 w (k - 1 - q) s_jk
    subject to  sum_j x_ij = 1,   sum_i x_ij = lowest + sum_k s_jk,   x >= 0,   0 <= s <= 1.

Slot costs rise with k, so an optimum fills the cheap slots first and pays the convex penalty. All variables are
continuous: the constraints are those of a transportation problem, the incidence matrix of a directed bipartite graph
(fine classes to columns to slots). Such a matrix is totally unimodular, so every vertex of the relaxation is integral
(Hoffman and Kruskal, 1956), and HiGHS returns a vertex. The solver checks this and rejects anything else; the same
model with boolean variables needs branch and bound and is far slower.

The model is rebuilt for each problem: CVXPY's parametrised form (DPP) saves little in later builds, while the first one
takes seconds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import CvxpySolverConfig
from fgtune.errors import SolverError
from fgtune.relations.base import RawSolution, RelationsProblem, SolveStatus, objective_value
from fgtune.relations.structure import balanced_size, forced_penalty, lagrangian_bound, size_range

INTEGRALITY_TOLERANCE = 1e-6
"""Largest distance from 0 or 1 at which a value counts as integral."""

DUAL_TOLERANCE = 1e-10
"""The smallest that HiGHS accepts; it may miss improvements below this."""

STATUSES: dict[str, SolveStatus] = {
    cp.OPTIMAL: SolveStatus.OPTIMAL,
    cp.USER_LIMIT: SolveStatus.TIME_LIMIT,
}
"""CVXPY statuses that may come with a usable solution; any other is an error."""


def solve_cvxpy(problem: RelationsProblem, config: CvxpySolverConfig) -> RawSolution:
    """Solve ``problem``, which is in normal form; deterministic unless the time limit is reached.

    The limit applies to HiGHS, not to building the model.

    Raises:
        SolverError: HiGHS ended with a status not in ``STATUSES``, or its values are not integral.

    Example:
        >>> problem = RelationsProblem(np.array([[0.0, -0.5], [0.0, -0.1], [0.0, -0.6]]), beta=0.0)
        >>> solve_cvxpy(problem, CvxpySolverConfig()).fine_to_coarse.tolist()
        [0, 1, 0]
    """
    program = _program(problem)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate" repeats the status, checked below
            program.lp.solve(solver=cp.HIGHS, time_limit=config.time_limit_s, dual_feasibility_tolerance=DUAL_TOLERANCE)
    except cp.SolverError as error:
        raise SolverError(f"cvxpy: HiGHS failed ({error})") from error
    status, parents = read_outcome(program.lp.status, program.choice.value, config.time_limit_s)
    bound = lagrangian_bound(problem, np.zeros(problem.affinity.shape[1]))
    if program.link.dual_value is not None:
        bound = max(bound, lagrangian_bound(problem, np.asarray(program.link.dual_value)))
    proven = status is SolveStatus.OPTIMAL
    objective = float(program.lp.value) + program.constant if proven else objective_value(problem, parents)
    return RawSolution(fine_to_coarse=parents, status=status, objective=objective, bound=bound)


def read_outcome(native: str, values: FloatArray | None, time_limit_s: float) -> tuple[SolveStatus, IntArray]:
    """The solve status for CVXPY's status, and the parents given by the values of x.

    At the time limit the simplex method may leave an infeasible point: it counts as a solution only if it gives every
    fine class one parent and every coarse class at least one member.

    Args:
        native: ``Problem.status``.
        values: (num_fine, num_coarse) values of x, or None.
        time_limit_s: The limit that was set, for the message.

    Returns:
        Status, and (num_fine,) int64 parents.

    Raises:
        SolverError: The status is not in ``STATUSES``, no solution was found in time, or an optimum of the relaxation
            is not integral.
    """
    if native not in STATUSES:
        raise SolverError(f"cvxpy: HiGHS ended with status {native!r}, which gives no usable solution")
    status = STATUSES[native]
    rounded = None if values is None else np.rint(values)
    deviation = np.inf if values is None or rounded is None else float(np.abs(values - rounded).max())
    if status is SolveStatus.OPTIMAL and not deviation <= INTEGRALITY_TOLERANCE:
        raise SolverError(
            f"cvxpy: the optimum of the relaxation must be integral to {INTEGRALITY_TOLERANCE:g}, "
            f"got a deviation of {deviation:g}. Fix: use the flow solver"
        )
    if rounded is None or not (deviation <= INTEGRALITY_TOLERANCE and _is_choice(rounded)):
        raise SolverError(
            f"cvxpy: no solution within the time limit of {time_limit_s:g} s (status {native!r}). "
            "Fix: raise relations.solver.time_limit_s, or use the flow solver"
        )
    return status, rounded.argmax(axis=1)


@dataclass(frozen=True)
class _Program:
    lp: Any  # cvxpy.Problem
    choice: Any  # cvxpy.Variable x, (num_fine, num_coarse)
    link: Any  # the constraint that ties column sums to slots; its duals are the prices of the columns
    constant: float  # objective_value minus the value of the linear programme


def _program(problem: RelationsProblem) -> _Program:
    num_fine, num_coarse = problem.affinity.shape
    quotient, _ = balanced_size(problem)
    weight = problem.beta / num_coarse
    lowest, highest = size_range(problem)
    # One more slot at either end of the optimal sizes: its cost bounds the prices, so that they prove optimality.
    lowest, highest = max(1, lowest - 1), min(num_fine - num_coarse + 1, highest + 1)
    sizes = np.arange(lowest + 1, highest + 1)
    choice = cp.Variable((num_fine, num_coarse), nonneg=True)
    cost = -cp.sum(cp.multiply(problem.affinity, choice))
    members = lowest
    if sizes.size:
        slots = cp.Variable((num_coarse, sizes.size), bounds=[0, 1])
        cost = cost + cp.sum(slots @ (2.0 * weight * (sizes - 1 - quotient)))
        members = lowest + cp.sum(slots, axis=1)
    link = cp.sum(choice, axis=0) == members
    first = lowest - quotient
    return _Program(
        lp=cp.Problem(cp.Minimize(cost), [cp.sum(choice, axis=1) == 1, link]),
        choice=choice,
        link=link,
        constant=num_coarse * weight * first * (first - 1) + forced_penalty(problem),
    )


def _is_choice(rounded: FloatArray) -> bool:
    """Whether every row of the 0/1 matrix has exactly one 1 and every column at least one."""
    return bool(
        np.isin(rounded, (0.0, 1.0)).all() and (rounded.sum(axis=1) == 1).all() and (rounded.sum(axis=0) >= 1).all()
    )
