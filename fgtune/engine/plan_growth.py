"""Plans that grow while a study runs: what a search proposes, and what the searches inside arms choose.

Whatever is added stands in ``plan.csv`` before its first cell runs, so that a driver killed at any moment finds again
what it had decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fgtune.config.arms.plan import ArmSearchPlan, Plan
from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.arms.search import SearchPlan, trial_number
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.formats import FORK

if TYPE_CHECKING:
    from fgtune.tuning.search.suggestions import Suggestion


def arm_search_folder(folder: StudyFolder, each: ArmSearchPlan) -> StudyFolder:
    """The folder of the search inside an arm."""
    return StudyFolder(folder.tuning_dir / each.search.folder_name)


def with_choices(plan: Plan, folder: StudyFolder) -> Plan:
    """The plan with the settings that the searches inside its arms have chosen; a choice once made stays.

    Raises:
        StudyFolderError: ``plan.csv`` holds what no search can have chosen.
    """
    if not plan.arm_searches:
        return plan
    rows: dict[str, set[str]] = {}
    for row in folder.read_plan():
        rows.setdefault(row["arm"], set()).add(row["cell_id"])
    for each in plan.pending_arm_searches:
        ids = rows.get(each.search.arm)
        if ids:
            own = arm_search_folder(folder, each)
            if not own.plan_file.is_file():
                rule = f"the search that chose the settings of {each.search.arm} is missing"
                fix = "bring the folder back, or choose another with --out"
                raise StudyFolderError(rule, where=str(own.root), fix=fix)
            plan = _chosen_before(plan, each, with_proposals(each.plan, own), own, ids)
    return plan


def _chosen_before(plan: Plan, each: ArmSearchPlan, searched: Plan, folder: StudyFolder, ids: set[str]) -> Plan:
    """The plan with the choice that gave an arm the cells with these ids."""
    for arm in searched.arms:
        larger = with_choice(plan, each, searched, arm.name)
        if ids <= {cell.cell_id for cell in larger.cells if cell.arm == each.search.arm}:
            return larger
    rule = f"its cells of {each.search.arm} are none that the search in {folder.root} could choose"
    fix = "restore both from a copy, or choose another folder with --out"
    raise StudyFolderError(rule, where=str(folder.root.parent.parent / "plan.csv"), fix=fix)


def with_choice(plan: Plan, each: ArmSearchPlan, searched: Plan, name: str) -> Plan:
    """The plan with one arm of a search as the choice of the arm that it searches inside of."""
    found = next(arm for arm in searched.arms if arm.name == name)
    resolved = next(cell.config for cell in searched.cells if cell.arm == name)
    return plan.with_choice(each.search.arm, found, resolved)


def with_proposals(plan: Plan, folder: StudyFolder) -> Plan:
    """The plan with the trials that a search has proposed so far.

    Raises:
        StudyFolderError: ``plan.csv`` holds a trial that the search does not propose.
    """
    if plan.search is None:
        return plan
    exact = {result.arm: result.levels for result in folder.ledger.read()}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in folder.read_plan():
        rows.setdefault(row["arm"], []).append(row)
    arms, cells = list(plan.arms), list(plan.cells)
    for name, own in rows.items():
        number = trial_number(name)
        if number is not None:
            levels = exact.get(name) or {path: own[0][path] for path in plan.factors}
            made = _proposed(plan, plan.search, number, levels, own[0])
            if made is None or not {row["cell_id"] for row in own} <= {cell.cell_id for cell in made[1]}:
                rule = f"{name} is not a trial that this study proposes"
                fix = "restore plan.csv from a copy, or choose another folder with --out"
                raise StudyFolderError(rule, where=str(folder.plan_file), fix=fix)
            arms.append(made[0])
            cells += made[1]
    return replace(plan, arms=tuple(arms), cells=tuple(cells))


def _proposed(
    plan: Plan, search: SearchPlan, number: int, levels: Mapping[str, Any], row: Mapping[str, Any]
) -> tuple[Arm, tuple[Cell, ...]] | None:
    """A proposed arm from its levels in the plan file; None where they are no point of the space."""
    point = search.point(dict(levels))
    if point is None:
        return None
    if row.get(FORK):
        try:
            arm, cell = search.fork(number, point, row["seed"], Fork.parse(row[FORK]))
        except ValueError:
            return None
        return arm, (cell,)
    config = search.space.config(point)
    arm, resolved = search.arm(number, point, config), search.space.resolve(config)
    return arm, tuple(Cell(arm.name, seed, resolved, arm.levels) for seed in plan.study.seed_list)


def with_suggestion(plan: Plan, suggestion: Suggestion) -> Plan:
    """The plan with a suggestion; unchanged where it has it already."""
    if any(arm.name == suggestion.arm.name for arm in plan.arms):
        return plan
    return replace(plan, arms=(*plan.arms, suggestion.arm), cells=(*plan.cells, *suggestion.cells))
