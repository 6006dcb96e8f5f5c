"""A search as the driver runs it: how large it may become, and what it hands out.

What a driver killed at any moment had handed out is in ``plan.csv``: the search learns of finished trials anew,
unfinished ones are run first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.search import FORKED, SearchPlan, trial_number
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult

if TYPE_CHECKING:
    from fgtune.tuning.call_limits import Budget
    from fgtune.tuning.search.search import Search
    from fgtune.tuning.search.suggestions import KnownTrial, Suggestion


def size_text(plan: Plan) -> str:
    """The plan's size in words."""
    seeds = len(plan.study.seed_list)
    blocks = f"{seeds} seed{'s'[: seeds > 1]}"
    if plan.search is None:
        arms = len(plan.arms)
        text = f"{arms} arm{'s'[: arms > 1]} x {blocks} = {arms * seeds} cells"
        inside = [most_cells(each.plan) for each in plan.arm_searches]
        return text if not inside else f"{text}, after searches inside {len(inside)} of the arms, at most {sum(inside)}"
    trials = most_arms(plan) - 1 - _forks(plan)
    planned = f"the baseline and up to {trials} trial{'s'[: trials > 1]} x {blocks}"
    if plan.study.scheduler.forks:
        return f"{planned}, and a cell for each replacement ({_forks(plan)} so far)"
    return f"{planned}, at most {most_cells(plan)} cells"


def most_cells(plan: Plan) -> int:
    """How many cells a study has at most: a search need not use its whole budget of trials.

    Two arms whose searches chose the same settings share their cells. The cells of the searches themselves are not
    among these.
    """
    seeds = len(plan.study.seed_list)
    if plan.search is None:
        return len({cell.cell_id for cell in plan.cells}) + len(plan.unchosen) * seeds
    return most_arms(plan) * seeds


def most_arms(plan: Plan) -> int:
    """How many arms a study has at most, the baseline included; of a population, with the replacements so far."""
    if plan.search is None:
        return len(plan.arms)
    size, forks = plan.search.space.max_size, _forks(plan)
    limits = [each for each in (plan.search.design.trials, size) if each is not None]
    return max(1 + min(limits) + forks, len(plan.arms))


def _forks(plan: Plan) -> int:
    return sum(arm.role == FORKED for arm in plan.arms)


def earlier_studies(plan: Plan) -> tuple[list[KnownTrial], list[str]]:
    """Trials of earlier studies that a search starts from, and a sentence on each study.

    Raises:
        ConfigError: One of its ``warm_start`` folders holds no ledger.
    """
    from fgtune.tuning.search.history import earlier_trials
    from fgtune.tuning.search.objectives import objectives_of

    if plan.search is None:
        return [], []
    return earlier_trials(plan.search, objectives_of(plan.search.design), plan.search.design.warm_start)


def open_search(
    plan: Plan,
    folder: StudyFolder,
    finished: Mapping[str, CellResult],
    earlier: Sequence[KnownTrial],
    announce: Callable[[Suggestion], None],
    warn: Callable[[str], None],
    at_once: int | None,
    budget: Budget,
) -> Search:
    """The search of a study as its folder and earlier studies have left it.

    Args:
        plan: Grown.
        folder: Locked.
        finished: Results that count, by cell id, in the order in which they ended.
        earlier: From ``earlier_studies``.
        announce: Called with every suggestion before its first cell is handed out.
        warn: Called with what does not stop the study: an unwritable mirror, an early end.
        at_once: Largest number of cells under way; None for any number.
        budget: What the call may use.
    """
    from fgtune.tuning.search.history import ledger_trials
    from fgtune.tuning.search.search import Search

    if plan.search is None:
        raise TypeError(f"{plan.study.study} is no search")
    objective = plan.search.design.metrics[0]
    before = _curves(folder, objective)

    def curve(cell_id: str) -> Mapping[int, float]:
        return folder.read_metric(cell_id, objective) or before.get(cell_id, {})

    search = Search(
        plan,
        finished=finished,
        announce=announce,
        curve=curve,
        storage=folder.optuna_file,
        warn=warn,
        at_once=at_once,
        budget=budget,
    )
    proposed = [(arm.name, arm.levels) for arm in plan.arms if trial_number(arm.name) is not None]
    search.restore([*earlier, *ledger_trials(plan, finished.values(), proposed, curve)])
    for fork in _planned_forks(plan, plan.search):
        search.add_fork(fork)
    return search


def _planned_forks(plan: Plan, search: SearchPlan) -> Iterator[Suggestion]:
    """The replacements that the plan has."""
    from fgtune.tuning.search.suggestions import Suggestion

    for arm in plan.arms:
        number, point = trial_number(arm.name), search.point(dict(arm.levels))
        if arm.role == FORKED and number is not None and point is not None:
            yield Suggestion(number, point, arm, tuple(cell for cell in plan.cells if cell.arm == arm.name))


def _curves(folder: StudyFolder, metric: str) -> dict[str, dict[int, float]]:
    """A metric by cell and epoch, of the cells that ended in earlier calls."""
    curves = folder.read_curves()
    if metric not in curves.columns:
        return {}
    known = curves[curves[metric].notna()]
    return {
        str(cell_id): {int(epoch): float(value) for epoch, value in zip(own["epoch"], own[metric], strict=True)}
        for cell_id, own in known.groupby("cell_id")
    }
