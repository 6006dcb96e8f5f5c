"""A plan for the eye: tables of its arms and cells with what the ledger has of them, and the time for the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from fgtune.analysis.timing import TimeLeft, cells_at_once, counted_cells, machine, time_left
from fgtune.config.arms.plan import Plan
from fgtune.engine.designs import grown_plan, most_cells
from fgtune.engine.plan_growth import arm_search_folder
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState


@dataclass(frozen=True)
class ArmSearchView:
    """How far the search inside an arm is.

    Attributes:
        arm: The arm.
        chosen: Whether it has chosen the arm's settings.
        ended: Its cells that have ended.
        most: How many it may have.
        results: What ended.
    """

    arm: str
    chosen: bool
    ended: int
    most: int
    results: Sequence[CellResult]

    @property
    def left(self) -> int:
        """Cells that it may yet run."""
        return 0 if self.chosen else self.most - self.ended

    @property
    def sentence(self) -> str:
        """How far it is, in words."""
        if self.chosen:
            return f"search inside {self.arm}: over after {counted_cells(self.ended)}"
        return f"search inside {self.arm}: {self.ended} of at most {counted_cells(self.most)} ended"


def arm_search_views(plan: Plan, folder: StudyFolder) -> list[ArmSearchView]:
    """The searches inside the arms of a grown plan."""
    pending = {each.search.arm for each in plan.pending_arm_searches}
    views = []
    for each in plan.arm_searches:
        own = arm_search_folder(folder, each)
        results = list(own.settled(searched := grown_plan(each.plan, own)).values())
        arm = each.search.arm
        views.append(ArmSearchView(arm, arm not in pending, len(results), most_cells(searched), results))
    return views


def plan_time_left(
    plan: Plan, results: Sequence[CellResult], searches: Sequence[ArmSearchView] = ()
) -> TimeLeft | None:
    """Estimate the time for what the plan has and the ledger has not; the points of a search are yet to be proposed."""
    ended = {result.cell_id for result in results}
    cells = {cell.cell_id: cell.arm for cell in plan.cells}
    pending = [arm for cell_id, arm in cells.items() if cell_id not in ended]
    pending += [""] * (most_cells(plan) - len(cells) + sum(each.left for each in searches))
    known = [*results, *(result for each in searches for result in each.results)]
    return time_left(pending, known, cells_at_once(plan.study.execution, *machine()))


def arm_table(plan: Plan, states: Mapping[str, CellState]) -> Table:
    """One row an arm: levels, K_F, and its cells by state."""
    table = Table("arm", *plan.factors, "K_F", "cells", *(("done", "failed", "pruned") if states else ()))
    for arm in plan.arms:
        cells = [cell for cell in plan.cells if cell.arm == arm.name]
        count = Counter(states[cell.cell_id] for cell in cells if cell.cell_id in states)
        row = [arm.name + " *" * arm.is_baseline, *(_shown(arm.levels[factor]) for factor in plan.factors)]
        size, number = "searched", len(plan.study.seed_list)
        if cells:
            size, number = str(cells[0].config.classes.num_fine), len(cells)
        row += [size, str(number)]
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
