"""Plans that grow while a study runs, and the search that makes one grow, restored from the study folder.

What a search proposes, and what the searches inside arms choose, is in ``plan.csv`` before its first cell runs: a
driver killed at any moment finds its decisions there, learns from finished trials again, and runs unfinished ones
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fgtune.config.arms.plan import ArmSearchPlan, Plan
from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.arms.search import FORKED, SearchPlan, trial_number
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.texts import FORK

if TYPE_CHECKING:
    from fgtune.engine.opening import Launch
    from fgtune.tuning.cell_queue import Budget
    from fgtune.tuning.search.search import Search
    from fgtune.tuning.search.suggestions import Suggestion


def arm_search_folder(folder: StudyFolder, each: ArmSearchPlan) -> StudyFolder:
    """The folder of the search inside an arm."""
    return StudyFolder(folder.tuning_dir / each.search.folder_name)


def with_choices(plan: Plan, folder: StudyFolder) -> Plan:
    """The plan with the settings that the searches inside its arms have chosen; a choice never changes.

    Raises:
        StudyFolderError: ``plan.csv`` holds settings that no search can have chosen.
    """
    if not plan.arm_searches:
        return plan
    rows: dict[str, set[str]] = {}
    for row in folder.rows_so_far():
        if plan.study.adaptive_seeds is None or row["seed"] in plan.study.seed_list:  # later blocks follow the choice
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
    """The plan with arm ``name`` of a search as the choice for the arm that was searched."""
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
    for row in folder.rows_so_far():
        rows.setdefault(row["arm"], []).append(row)
    arms, cells = list(plan.arms), list(plan.cells)
    for name, own in rows.items():
        number = trial_number(name)
        if number is not None:
            made = _proven(plan, plan.search, number, exact.get(name), own)
            if made is None and folder.plan_file in folder.damage and name not in exact:
                continue  # a table tells less than a plan: without a finished cell, it is proposed anew
            if made is None:
                rule = f"{name} is not a trial that this study proposes"
                fix = "restore plan.csv from a copy, or choose another folder with --out"
                raise StudyFolderError(rule, where=str(folder.plan_file), fix=fix)
            arms.append(made[0])
            cells += made[1]
    return replace(plan, arms=tuple(arms), cells=tuple(cells))


def _proven(
    plan: Plan, search: SearchPlan, number: int, exact: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
) -> tuple[Arm, tuple[Cell, ...]] | None:
    """A proposed arm, by the first of its rows whose levels give the ids of all of them; None without such a row."""
    ids = {row["cell_id"] for row in rows}
    for row in rows:
        levels = exact or {path: row[path] for path in plan.factors if path in row}
        made = _proposed(plan, search, number, levels, row)
        if made is not None and ids <= {cell.cell_id for cell in made[1]}:
            return made
    return None


def _proposed(
    plan: Plan, search: SearchPlan, number: int, levels: Mapping[str, Any], row: Mapping[str, Any]
) -> tuple[Arm, tuple[Cell, ...]] | None:
    """A proposed arm from its levels in the plan file; None if they are not a point of the space."""
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
    """The plan with a suggestion; unchanged if it has it already."""
    if any(arm.name == suggestion.arm.name for arm in plan.arms):
        return plan
    return replace(plan, arms=(*plan.arms, suggestion.arm), cells=(*plan.cells, *suggestion.cells))


def open_search(
    plan: Plan,
    launch: Launch,
    announce: Callable[[Suggestion], None],
    warn: Callable[[str], None],
    max_running: int | None,
    budget: Budget,
) -> Search:
    """The search of a study, restored from its folder and from earlier studies.

    Args:
        plan: The grown plan.
        launch: What the call started with.
        announce: Called with every suggestion before its first cell is handed out.
        warn: Receives problems that do not stop the study: an unwritable mirror, an early end.
        max_running: Largest number of cells running at once; None for no limit.
        budget: What the call may use.
    """
    from fgtune.tuning.search.history import ledger_trials
    from fgtune.tuning.search.objectives import measure_in
    from fgtune.tuning.search.search import Search

    if plan.search is None:
        raise TypeError(f"{plan.study.study} is no search")
    objective = plan.search.design.metrics[0]
    before = _curves(launch.folder, objective)

    def curve(cell_id: str) -> Mapping[int, float]:
        return launch.folder.read_metric(cell_id, objective) or before.get(cell_id, {})

    measure = measure_in(launch.folder)
    search = Search(
        plan,
        finished=launch.settled,
        announce=announce,
        curve=curve,
        measure=measure,
        storage=launch.folder.optuna_file,
        warn=warn,
        max_running=max_running,
        budget=budget,
    )
    proposed = [(arm.name, arm.levels) for arm in plan.arms if trial_number(arm.name) is not None]
    search.restore([*launch.earlier, *ledger_trials(plan, launch.settled.values(), proposed, curve, measure)])
    for fork in _planned_forks(plan, plan.search):
        search.add_fork(fork)
    return search


def _planned_forks(plan: Plan, search: SearchPlan) -> Iterator[Suggestion]:
    """The replacements in the plan."""
    from fgtune.tuning.search.suggestions import Suggestion

    for arm in plan.arms:
        number, point = trial_number(arm.name), search.point(dict(arm.levels))
        if arm.role == FORKED and number is not None and point is not None:
            yield Suggestion(number, point, arm, tuple(cell for cell in plan.cells if cell.arm == arm.name))


def _curves(folder: StudyFolder, metric: str) -> dict[str, dict[int, float]]:
    """A metric by cell and epoch, for the cells that ended in earlier calls."""
    curves = folder.read_curves()
    if metric not in curves.columns:
        return {}
    known = curves[curves[metric].notna()]
    return {
        str(cell_id): {int(epoch): float(value) for epoch, value in zip(own["epoch"], own[metric], strict=True)}
        for cell_id, own in known.groupby("cell_id")
    }
