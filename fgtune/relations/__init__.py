"""Relations between fine and coarse classes: the programme, its exact solvers, and initial relations.

``SOLVERS`` lists every solver; ``fgtune.relations.solve.solve`` imports the chosen one at its first use, so importing
this package loads neither SCIP nor CVXPY. All solve the same programme (FALCON, ICML 2024, eq. 8; see
``fgtune.relations.base``) to proven optimality and return the same evidence.
"""

from __future__ import annotations

SOLVERS: dict[str, str] = {
    "flow": "fgtune.relations.flow:solve_flow",
    "scip": "fgtune.relations.scip:solve_scip",
    "cvxpy": "fgtune.relations.cvxpy_lp:solve_cvxpy",
}
"""Solver name (the ``kind`` of its config) -> ``module:function``.

The function maps a problem in normal form (``fgtune.relations.structure``) and its config to a ``RawSolution``.
"""
