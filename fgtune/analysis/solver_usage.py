"""Which relations solver each arm used, how long it took, how its solves ended."""

from __future__ import annotations

import math
from collections import Counter

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import SolverRow
from fgtune.results.records import CellResult


def solver_rows(data: StudyData) -> tuple[SolverRow, ...]:
    """One row an arm and solver, in the order of the plan; empty where no relations were solved."""
    rows = []
    for arm in data.arms:
        by_solver: dict[str, list[CellResult]] = {}
        for cell in data.cells(arm.name):
            result = data.results.get(cell.cell_id)
            if result is not None and result.solver is not None:
                by_solver.setdefault(result.solver.solver, []).append(result)
        rows += [_row(arm.name, arm.label, solver, results) for solver, results in by_solver.items()]
    return tuple(rows)


def solver_rows_together(data: StudyData) -> tuple[SolverRow, ...]:
    """One row a solver over all arms together, for studies with more arms than a table should list."""
    by_solver: dict[str, list[CellResult]] = {}
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None and result.solver is not None:
            by_solver.setdefault(result.solver.solver, []).append(result)
    return tuple(_row("", "all arms", solver, results) for solver, results in by_solver.items())


def _row(arm: str, label: str, solver: str, results: list[CellResult]) -> SolverRow:
    uses = [result.solver for result in results if result.solver is not None]
    solves, seconds = sum(use.solves for use in uses), math.fsum(use.seconds for use in uses)
    trainer = math.fsum(result.seconds for result in results)
    statuses: Counter[str] = Counter()
    for use in uses:
        statuses.update(use.statuses)
    return SolverRow(
        arm=arm,
        label=label,
        solver=solver,
        cells=len(results),
        solves=solves,
        seconds=seconds,
        seconds_per_solve=seconds / solves if solves else math.nan,
        share=seconds / trainer if trainer > 0 else math.nan,
        statuses=dict(sorted(statuses.items())),
        max_gap=max(use.max_gap for use in uses),
    )
