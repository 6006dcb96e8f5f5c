"""A plan for the eye: tables of its arms and cells with what the ledger has of them, and the time for the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from fgtune.analysis.timing import TimeLeft, cells_at_once, machine, time_left
from fgtune.config.plan import Plan
from fgtune.results.records import CellResult, CellState
from fgtune.searching import most_cells


def plan_time_left(plan: Plan, results: Sequence[CellResult]) -> TimeLeft | None:
    """Estimate the time for what the plan has and the ledger has not; the points of a search are yet to be proposed."""
    ended = {result.cell_id for result in results}
    pending = [cell.arm for cell in plan.cells if cell.cell_id not in ended]
    pending += [""] * (most_cells(plan) - len(plan.cells))
    return time_left(pending, results, cells_at_once(plan.study.execution, *machine()))


def arm_table(plan: Plan, states: Mapping[str, CellState]) -> Table:
    """One row an arm: levels, K_F, and its cells by state."""
    table = Table("arm", *plan.factors, "K_F", "cells", *(("done", "failed", "pruned") if states else ()))
    for arm in plan.arms:
        cells = [cell for cell in plan.cells if cell.arm == arm.name]
        count = Counter(states[cell.cell_id] for cell in cells if cell.cell_id in states)
        row = [arm.name + " *" * arm.is_baseline, *(_shown(arm.levels[factor]) for factor in plan.factors)]
        row += [str(cells[0].config.classes.num_fine), str(len(cells))]
        row += [str(count[state]) for state in (CellState.COMPLETE, CellState.FAIL, CellState.PRUNED) if states]
        table.add_row(*row)
    table.caption = "* the baseline"
    return table


def cell_table(plan: Plan, states: Mapping[str, CellState]) -> Table:
    """One row a cell, in the order in which they run."""
    table = Table("cell", "seed", "arm", *plan.factors, "K_F", "state")
    for cell in plan.cells:
        levels = [_shown(cell.levels[factor]) for factor in plan.factors]
        state = states.get(cell.cell_id)
        shown = "to run" if state is None else state.value
        table.add_row(cell.cell_id, str(cell.seed), cell.arm, *levels, str(cell.config.classes.num_fine), shown)
    return table


def _shown(level: object) -> str:
    """A level in a table."""
    if level is None:
        return "-"
    return level if isinstance(level, str) else json.dumps(level)
