"""A plan and its progress in the study folder: as a record, as printed tables, and the time for the rest."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from fgtune.analysis.formatting import setting_text
from fgtune.analysis.timing import TimeLeft, cells_at_once, counted_cells, machine, time_left
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.engine.designs import grown_plan, most_cells, size_text
from fgtune.engine.plan_growth import arm_search_folder
from fgtune.engine.seed_blocks import cells_to_come, later_cells
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState
from fgtune.text import print_line, table_row

if TYPE_CHECKING:
    import pandas as pd


_ENDED = {"complete": CellState.COMPLETE, "failed": CellState.FAIL, "pruned": CellState.PRUNED}


@dataclass(frozen=True)
class StudyPlan:
    """The cells of a study and their state in its folder; created by ``plan``.

    Attributes:
        plan: Arms and cells of the study; for a search, with what was proposed so far.
        folder: The study folder, which need not exist.
        finished: Results in the folder, by ``cell_id``.
        searches: The searches inside arms of a comparison, by arm.
        most: Largest number of cells of the study, without those of the searches inside arms.
    """

    plan: Plan
    folder: Path
    finished: dict[str, CellResult]
    searches: dict[str, StudyPlan]
    most: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but likely a mistake."""
        return self.plan.warnings

    @property
    def left(self) -> int:
        """Largest number of cells still to run, without those of the searches inside arms."""
        return self.most - len({cell.cell_id for cell in self.plan.cells} & self.finished.keys())

    @cached_property
    def left_in_searches(self) -> int:
        """Largest number of cells that the searches inside arms may still run, for arms without settings yet."""
        return sum(self.searches[each.search.arm].left for each in self.plan.pending_arm_searches)

    @property
    def time_left(self) -> TimeLeft | None:
        """An estimate of the time for the rest on this machine; None if nothing is left or nothing is finished."""
        cells = {cell.cell_id: cell.arm for cell in self.plan.cells}
        pending = [arm for cell_id, arm in cells.items() if cell_id not in self.finished]
        pending += [""] * (self.most - len(cells) + self.left_in_searches)
        known = [*self.finished.values()]
        known += [result for each in self.searches.values() for result in each.finished.values()]
        return time_left(pending, known, cells_at_once(self.plan.study.execution, *machine()))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per cell, in the order in which they run.

        Columns: ``cell_id, arm, seed``, one column per factor, ``num_fine`` (text if it is estimated; absent in
        a study of your own trainer) and ``state``,
        which is ``MISSING`` for a cell without a result.
        """
        import pandas as pd

        from fgtune.analysis.table import MISSING, factor_columns

        columns = factor_columns(self.plan.factors)
        rows = []
        for cell in self.plan.cells:
            row = {"cell_id": cell.cell_id, "arm": cell.arm, "seed": cell.seed}
            row |= {column: cell.levels[path] for path, column in columns.items()}
            result = self.finished.get(cell.cell_id)
            state = MISSING if result is None else result.state.value
            own = cell.config.discovery
            row |= {} if own is None else {"num_fine": own.classes.num_fine}
            rows.append(row | {"state": state})
        return pd.DataFrame(rows)

    @cached_property
    def arms(self) -> pd.DataFrame:
        """One row per arm, in the order of the plan.

        Columns: ``arm, is_baseline``, one column per factor, ``num_fine`` (absent in a study of your own trainer),
        ``cells, complete, failed, pruned``.
        """
        import pandas as pd

        from fgtune.analysis.table import factor_columns

        columns, by_arm = factor_columns(self.plan.factors), cells_by_arm(self.plan)
        classes = _with_classes(self.plan)
        rows = []
        for arm in self.plan.arms:
            cells = by_arm.get(arm.name, [])
            row = {"arm": arm.name, "is_baseline": arm.is_baseline}
            row |= {column: arm.levels[path] for path, column in columns.items()}
            row |= {"num_fine": _size(cells[0]) if cells else "searched"} if classes else {}
            states = Counter(self.finished[cell.cell_id].state for cell in cells if cell.cell_id in self.finished)
            row |= {"cells": len(cells)} | {name: states[state] for name, state in _ENDED.items()}
            rows.append(row)
        return pd.DataFrame(rows)

    def __len__(self) -> int:
        return len(self.plan.cells)

    def __repr__(self) -> str:
        done = sum(cell.cell_id in self.finished for cell in self.plan.cells)
        return f"StudyPlan({self.plan.study.study!r}, {len(self.plan.arms)} arms, {len(self)} cells, {done} finished)"

    def _repr_html_(self) -> str:
        from fgtune.app.notebooks.html import plan_html

        return plan_html(repr(self), self.arms, self.warnings)


def read_plan(plan: Plan, folder: StudyFolder) -> StudyPlan:
    """A plan with what its folder knows about it; writes nothing.

    Raises:
        StudyFolderError: The folder holds another study, or something that is not a study.
    """
    results = folder.ledger.read() if folder.check(plan) else []
    plan = grown_plan(plan, folder)
    searches = {}
    for each in plan.arm_searches:
        own = arm_search_folder(folder, each)
        searched = grown_plan(each.plan, own)
        searches[each.search.arm] = StudyPlan(searched, own.root, own.settled(searched), {}, most_cells(searched))
    most = most_cells(plan) - later_cells(plan) + cells_to_come(plan, folder)
    return StudyPlan(plan, folder.root, {result.cell_id: result for result in results}, searches, most)


def print_plan(made: StudyPlan, console: Console, *, cells: bool) -> None:
    """Print the plan: one row per arm, or one row per cell."""
    say, plan = partial(print_line, console), made.plan
    say(f"{plan.study.study}: {size_text(plan)}, study hash {plan.study_hash}")
    console.print(_cell_table(made) if cells else _arm_table(made))
    left = f"{'at most ' * (plan.study.adaptive_seeds is not None and made.left > 0)}{made.left}"
    more = f", and up to {counted_cells(made.left_in_searches)} in the searches" if made.left_in_searches else ""
    say(f"{left} of {made.most} cells to run{more}, in {made.folder}")
    pending = {each.search.arm for each in plan.pending_arm_searches}
    for arm, search in made.searches.items():
        ended = len(search.finished)
        far = f"{ended} of at most {counted_cells(search.most)} ended"
        say(f"search inside {arm}: {far if arm in pending else f'over after {counted_cells(ended)}'}")
    time = made.time_left
    if time is not None:
        say(f"time: {time.sentence()}")


def cells_by_arm(plan: Plan) -> dict[str, list[Cell]]:
    """The cells of each arm that has any, in the order in which they run."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in plan.cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    return by_arm


def _arm_table(made: StudyPlan) -> Table:
    """One row per arm: levels, K_F, and its cells by state."""
    plan, finished = made.plan, made.finished
    by_arm = cells_by_arm(plan)
    classes = _with_classes(plan)
    table = Table("arm", *plan.factors, *classes, "cells", *(("done", "failed", "pruned") if finished else ()))
    for arm in plan.arms:
        cells = by_arm.get(arm.name, [])
        count = Counter(finished[cell.cell_id].state for cell in cells if cell.cell_id in finished)
        row = [arm.name + " *" * arm.is_baseline, *(_shown(arm.levels[factor]) for factor in plan.factors)]
        size, number = "searched", len(plan.study.seed_list)
        if cells:
            size, number = _size(cells[0]), len(cells)
        row += [size, str(number)] if classes else [str(number)]
        row += [str(count[state]) for state in _ENDED.values() if finished]
        table.add_row(*table_row(*row))
    table.caption = "* the baseline"
    return table


def _cell_table(made: StudyPlan) -> Table:
    """One row per cell, in the order in which they run."""
    plan = made.plan
    classes = _with_classes(plan)
    table = Table("cell", "seed", "arm", *plan.factors, *classes, "state")
    for cell in plan.cells:
        levels = [_shown(cell.levels[factor]) for factor in plan.factors]
        result = made.finished.get(cell.cell_id)
        state = "to run" if result is None else result.state.value
        sizes = [_size(cell)] if classes else []
        table.add_row(*table_row(cell.cell_id, str(cell.seed), cell.arm, *levels, *sizes, state))
    return table


def _with_classes(plan: Plan) -> tuple[str, ...]:
    """The heading of the column of numbers of classes; none where trials have no classes."""
    return () if plan.study.trial.discovery is None else ("K_F",)


def _size(cell: Cell) -> str:
    """The number of fine classes of a cell, as a table shows it; empty where trials have none."""
    own = cell.config.discovery
    return "" if own is None else str(own.classes.num_fine)


def _shown(level: object) -> str:
    """A level as a table shows it."""
    if level is None:
        return "-"
    if isinstance(level, dict):
        return setting_text(level)
    return level if isinstance(level, str) else json.dumps(level)
