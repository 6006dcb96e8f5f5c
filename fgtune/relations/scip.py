"""The relations programme in its original form, convex quadratic in binary variables, solved by SCIP (PySCIPOpt).

It does not use the transportation structure, so this solver is an independent check of the others:

    minimise  -sum_ij A_ij x_ij + w e    subject to  sum_j x_ij = 1,  sum_i x_ij = q + d_j >= 1,  e >= sum_j d_j^2 - r,

with x binary, d and e integer, w = beta / K_C and K_F = q K_C + r; sum_j d_j^2 - r is the penalty of the sizes beyond
``forced_penalty``, in units of w.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyscipopt

from fgtune.config.schema.classes import ScipSolverConfig
from fgtune.errors import SolverError
from fgtune.relations.base import RawSolution, RelationsProblem, SolveStatus
from fgtune.relations.structure import balanced_size, forced_penalty, lagrangian_bound

STATUSES: dict[str, SolveStatus] = {
    "optimal": SolveStatus.OPTIMAL,
    "timelimit": SolveStatus.TIME_LIMIT,
}
"""SCIP statuses that may come with a usable solution; any other is an error."""


def solve_scip(problem: RelationsProblem, config: ScipSolverConfig) -> RawSolution:
    """Solve ``problem``, which is in normal form; deterministic unless the time limit is reached.

    The limit applies to SCIP, not to building the model (some 20 microseconds per variable).

    Raises:
        SolverError: No solution was found in time, or SCIP ended with a status not in ``STATUSES``.

    Example:
        >>> problem = RelationsProblem(np.array([[0.0, -0.5], [0.0, -0.1], [0.0, -0.6]]), beta=0.0)
        >>> solve_scip(problem, ScipSolverConfig()).fine_to_coarse.tolist()
        [0, 1, 0]
    """
    model, choices = _model(problem)
    model.setParam("limits/time", config.time_limit_s)
    model.optimize()
    status = read_status(model.getStatus(), model.getNSols(), config.time_limit_s)
    solution = model.getBestSol()
    values = np.array([[model.getSolVal(solution, choice) for choice in row] for row in choices])
    forced = forced_penalty(problem)
    bound = model.getDualbound() + forced if model.getDualbound() > -model.infinity() else -math.inf
    return RawSolution(
        fine_to_coarse=np.rint(values).argmax(axis=1),  # rounded first: SCIP's zeros may be 1e-9
        status=status,
        objective=model.getSolObjVal(solution) + forced,
        bound=max(bound, lagrangian_bound(problem, np.zeros(problem.affinity.shape[1]))),
    )


def read_status(native: str, num_solutions: int, time_limit_s: float) -> SolveStatus:
    """The solve status for SCIP's status.

    Args:
        native: ``Model.getStatus()``.
        num_solutions: Number of feasible solutions found.
        time_limit_s: The limit that was set, for the message.

    Raises:
        SolverError: There is no solution, or the status is not one of ``STATUSES``.
    """
    if native not in STATUSES:
        raise SolverError(f"scip: ended with status {native!r}, which gives no usable solution")
    if num_solutions == 0:
        raise SolverError(
            f"scip: no solution within the time limit of {time_limit_s:g} s (status {native!r}). "
            "Fix: raise relations.solver.time_limit_s, or use the flow solver"
        )
    return STATUSES[native]


def _model(problem: RelationsProblem) -> tuple[Any, list[list[Any]]]:
    """The SCIP model and its binary variables, one row per fine class."""
    num_fine, num_coarse = problem.affinity.shape
    quotient, remainder = balanced_size(problem)
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("misc/catchctrlc", False)  # an interrupt is Python's to handle, not a solver status
    choices = [[model.addVar(vtype="B", obj=-float(value)) for value in row] for row in problem.affinity]
    for row in choices:
        model.addCons(pyscipopt.quicksum(row) == 1)
    lowest, highest = 1 - quotient, num_fine - num_coarse + 1 - quotient
    extras = [model.addVar(vtype="I", lb=lowest, ub=highest) for _ in range(num_coarse)]
    for column, extra in enumerate(extras):
        model.addCons(pyscipopt.quicksum(row[column] for row in choices) - extra == quotient)
    excess = model.addVar(vtype="I", lb=0, obj=problem.beta / num_coarse)
    model.addCons(pyscipopt.quicksum(extra * extra for extra in extras) - remainder <= excess)
    return model, choices
