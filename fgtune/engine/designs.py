"""What a call does under each kind of design: how large the study may become, what runs; one object per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.arms.search import FORKED
from fgtune.config.schema.tuning import PbtConfig
from fgtune.engine.opening import Launch
from fgtune.engine.plan_growth import open_search, with_choices, with_proposals
from fgtune.engine.seed_blocks import later_cells, with_blocks
from fgtune.results.folder import StudyFolder
from fgtune.text import count

if TYPE_CHECKING:
    from fgtune.tuning.cell_queue import Budget, CellQueue
    from fgtune.tuning.early_stopping.population import ForkPool
    from fgtune.tuning.search.suggestions import KnownTrial, Suggestion


class PlannedKind:
    """A design whose arms are all planned beforehand, and their cells unless seeds are adaptive; base of the others."""

    def size_text(self, plan: Plan) -> str:
        """The plan's size in words."""
        arms, adaptive = len(plan.arms), plan.study.adaptive_seeds
        if adaptive is not None:
            least, most = arms * adaptive.min, arms * adaptive.max
            return f"{count(arms, 'arm')} x {plan.study.seeds_text} = {least} to {most} cells"
        return f"{count(arms, 'arm')} x {plan.study.seeds_text} = {arms * len(plan.study.seed_list)} cells"

    def most_arms(self, plan: Plan) -> int:
        """Largest number of arms that the study may have, the baseline included."""
        return len(plan.arms)

    def most_cells(self, plan: Plan) -> int:
        """Largest number of cells of the study, without searches inside its arms; equal cells count once."""
        return len({cell.cell_id for cell in plan.cells}) + later_cells(plan)

    def cells_in_view(self, plan: Plan) -> int:
        """Number of cells that progress counts towards: the planned ones; a search knows how many may follow."""
        return len({cell.cell_id for cell in plan.cells})

    def grown_plan(self, plan: Plan, folder: StudyFolder) -> Plan:
        """The plan with what a folder with a ``plan.csv`` adds to the study file.

        Raises:
            StudyFolderError: ``plan.csv`` does not belong to this study.
        """
        return with_blocks(plan, folder)

    def earlier_studies(self, plan: Plan) -> tuple[list[KnownTrial], list[str]]:
        """Trials of earlier studies that the study starts from, and a sentence about each of these studies.

        Raises:
            ConfigError: A folder of an earlier study holds no ledger.
        """
        del plan
        return [], []

    def is_idle(self, launch: Launch) -> bool:
        """Whether there is certainly nothing to run."""
        return not launch.pending

    def prepared_cells(self, plan: Plan, launch: Launch) -> Sequence[Cell]:
        """Cells whose split and neighbours are prepared once for all workers."""
        del plan
        return launch.pending

    def required_cells(self, launch: Launch, cells: Mapping[str, Cell]) -> set[str]:
        """Ids of the cells that must have a result at the end of the call; ``cells`` are all that the plan has then."""
        del cells
        return {cell.cell_id for cell in launch.selected}

    def open_queue(
        self,
        plan: Plan,
        launch: Launch,
        cells: Mapping[str, Cell],
        announce: Callable[[Suggestion], None],
        warn: Callable[[str], None],
        budget: Budget,
    ) -> tuple[CellQueue, ForkPool | None]:
        """The queue of the call's cells, and the pool of forks where the scheduler makes new cells from running ones.

        Args:
            plan: The grown plan.
            launch: The launch of the call.
            cells: All cells by id; ``announce`` adds to them.
            announce: Called with every suggestion before its first cell is handed out.
            warn: Receives problems that do not stop the study.
            budget: What the call may use.
        """
        from fgtune.tuning.cell_queue import CellQueue

        del cells, announce, warn
        return CellQueue(launch.pending, plan.study.execution.max_concurrent, budget), None


class ComparisonKind(PlannedKind):
    """Named arms; one that is searched first has no cells before the search has chosen its settings."""

    def size_text(self, plan: Plan) -> str:
        """Its arms and cells, and how large the searches inside arms may become."""
        most = [most_cells(each.plan) for each in plan.arm_searches]
        text = super().size_text(plan)
        return f"{text}, after searches inside {len(most)} of the arms, at most {sum(most)}" if most else text

    def most_cells(self, plan: Plan) -> int:
        """The planned cells, and those of arms whose settings are still to be chosen."""
        return super().most_cells(plan) + len(plan.pending_arm_searches) * len(plan.study.possible_seeds)

    def grown_plan(self, plan: Plan, folder: StudyFolder) -> Plan:
        """The plan with what the searches inside arms have chosen."""
        return with_blocks(with_choices(plan, folder), folder)

    def is_idle(self, launch: Launch) -> bool:
        """Whether nothing is left to run, searches inside arms included."""
        return not launch.pending and not launch.opened.plan.pending_arm_searches


class SearchKind(PlannedKind):
    """Points of a space, proposed one after the other; only the baseline is planned beforehand."""

    def size_text(self, plan: Plan) -> str:
        """The most trials, and what population based training adds to them."""
        forks = _forks(plan)
        trials = self.most_arms(plan) - 1 - forks
        planned = f"the baseline and up to {trials} trial{'s'[: trials > 1]} x {plan.study.seeds_text}"
        if plan.study.scheduler.forks:
            return f"{planned}, and a cell for each replacement ({forks} so far)"
        return f"{planned}, at most {self.most_cells(plan)} cells"

    def most_arms(self, plan: Plan) -> int:
        """The smaller of trials and size of the space, plus the replacements of a population so far."""
        size = None if plan.search is None else plan.search.space.max_size
        limits = [each for each in (plan.study.design.most_points, size) if each is not None]
        return max(1 + min(limits) + _forks(plan), len(plan.arms))

    def most_cells(self, plan: Plan) -> int:
        """Every seed of every arm; the search need not use its whole budget of trials."""
        return self.most_arms(plan) * len(plan.study.seed_list)

    def cells_in_view(self, plan: Plan) -> int:
        """Those of trials that are not proposed yet, too."""
        return self.most_cells(plan)

    def grown_plan(self, plan: Plan, folder: StudyFolder) -> Plan:
        """The plan with the trials proposed so far."""
        return with_proposals(plan, folder)

    def earlier_studies(self, plan: Plan) -> tuple[list[KnownTrial], list[str]]:
        """The trials of the studies in ``warm_start``."""
        from fgtune.tuning.search.history import earlier_trials

        return ([], []) if plan.search is None else earlier_trials(plan.search, plan.search.design.warm_start)

    def is_idle(self, launch: Launch) -> bool:
        """Whether all trials were proposed and have ended."""
        plan = launch.opened.plan
        return not launch.pending and len(plan.arms) >= self.most_arms(plan)

    def prepared_cells(self, plan: Plan, launch: Launch) -> Sequence[Cell]:
        """Those of the baseline, whose data all trials share."""
        del launch
        return [cell for cell in plan.cells if cell.arm == plan.baseline.name]

    def required_cells(self, launch: Launch, cells: Mapping[str, Cell]) -> set[str]:
        """All cells that were proposed."""
        del launch
        return set(cells)

    def open_queue(
        self,
        plan: Plan,
        launch: Launch,
        cells: Mapping[str, Cell],
        announce: Callable[[Suggestion], None],
        warn: Callable[[str], None],
        budget: Budget,
    ) -> tuple[CellQueue, ForkPool | None]:
        """The search restored from its folder, and its forks in population based training."""
        from fgtune.tuning.session import slots

        execution, scheduler = plan.study.execution, plan.study.scheduler
        # A point is proposed only when it can run, so that it draws on as many results as possible.
        max_running = slots(execution) if execution.max_concurrent is None else execution.max_concurrent
        search = open_search(
            plan,
            launch,
            announce=announce,
            warn=warn,
            max_running=max_running,
            budget=budget,
        )
        if plan.search is None or not isinstance(scheduler, PbtConfig):
            return search, None
        from fgtune.tuning.early_stopping.population import ForkPool

        return search, ForkPool(search, plan.search, scheduler, cells)


DESIGNS: Mapping[str, PlannedKind] = {
    "sensitivity": PlannedKind(),
    "ablation": PlannedKind(),
    "comparison": ComparisonKind(),
    "search": SearchKind(),
    "variance": PlannedKind(),
    "imported": PlannedKind(),
}
"""Every kind of design that a study file may state."""


def _forks(plan: Plan) -> int:
    return sum(arm.role == FORKED for arm in plan.arms)


def size_text(plan: Plan) -> str:
    """The plan's size in words."""
    return DESIGNS[plan.study.design.kind].size_text(plan)


def most_cells(plan: Plan) -> int:
    """Largest number of cells of the study, without searches inside its arms; equal cells count once."""
    return DESIGNS[plan.study.design.kind].most_cells(plan)


def grown_plan(plan: Plan, folder: StudyFolder) -> Plan:
    """The plan with what its folder adds to the study file: proposed trials, chosen settings of arms, added seeds.

    Raises:
        StudyFolderError: ``plan.csv`` does not belong to this study.
    """
    has_grown = folder.plan_file.is_file() or (not plan.study.design.plans_cells and folder.ledger_file.is_file())
    return DESIGNS[plan.study.design.kind].grown_plan(plan, folder) if has_grown else plan
