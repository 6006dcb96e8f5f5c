"""The search of a study as its folder and earlier studies have left it.

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


def earlier_studies(plan: Plan) -> tuple[list[KnownTrial], list[str]]:
    """Trials of earlier studies that a search starts from, and a sentence on each study.

    Raises:
        ConfigError: One of its ``warm_start`` folders holds no ledger.
    """
    from fgtune.tuning.search.history import earlier_trials

    if plan.search is None:
        return [], []
    return earlier_trials(plan.search, plan.search.design.warm_start)


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
