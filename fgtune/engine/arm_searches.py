"""Comparisons that search their arms first: the searches run one after the other, and their choices are planned.

A search is a study with its own folder (``tuning/ARM``), so that it is continued, tracked and reported like any
other. Its choice is written to the comparison's ``plan.csv`` before any cell of that arm runs, and never changes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgtune.analysis.inputs import read_study
from fgtune.analysis.trials import best_arm
from fgtune.config.arms.plan import ArmSearchPlan, Plan
from fgtune.engine.cell_storage import check_storage
from fgtune.engine.designs import grown_plan
from fgtune.engine.driver import Driver
from fgtune.engine.opening import Launch, OpenedStudy
from fgtune.engine.plan_growth import arm_search_folder, with_choice
from fgtune.reporting.html import write_up
from fgtune.results.folder import ARM_SEARCH, StudyFolder
from fgtune.results.provenance import collect_provenance
from fgtune.text import print_line
from fgtune.tracking import StudyEnd, open_tracker

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.tuning.cell_queue import Budget, StopFlag
    from fgtune.tuning.warm_workers import WarmWorkers


def check_arm_search_folders(plan: Plan, folder: StudyFolder) -> None:
    """Raise ``StudyFolderError`` if the folder of a search holds something else, or names a storage of others."""
    for each in plan.arm_searches:
        own = arm_search_folder(folder, each)
        own.check(each.plan)
        check_storage(own, each.plan.study.execution.storage)


@dataclass(frozen=True)
class ArmSearches:
    """Runs the searches of a comparison that have not made their choice yet.

    Attributes:
        launch: The launch of the comparison, its folder locked.
        console: Where progress is shown.
        flag: The stop flag of the open Ray session.
        budget: What the call may use.
        workers: Those that each search leaves to the next, and to the comparison.
    """

    launch: Launch
    console: Console
    flag: StopFlag | None
    budget: Budget
    workers: WarmWorkers

    def run(self) -> StudyEnd | None:
        """Run the searches, and plan what they choose.

        Returns:
            None when every arm has its settings; else how the call ended: interrupted, or out of budget.
        """
        plan, folder = self.launch.opened.plan, self.launch.folder
        for each in plan.pending_arm_searches:
            own = arm_search_folder(folder, each)
            try:
                with own.lock():
                    end = self._search(each, own)
            except Exception:
                with suppress(Exception):  # a failure here must not hide the error
                    write_up(folder)
                raise
            if end in {StudyEnd.INTERRUPTED, StudyEnd.BUDGET}:
                path, _ = write_up(folder)
                self._say(f"report: {path}")
                return end
            plan = self._with_choice(plan, each, own)
            folder.write_plan(plan)
        return None

    def _search(self, each: ArmSearchPlan, folder: StudyFolder) -> StudyEnd:
        """Run one search to its end, or until the call must stop."""
        self._say(f"search inside {each.search.arm}, in {folder.root}")
        plan, options = grown_plan(each.plan, folder), self.launch.options
        around = self.launch.opened
        opened = OpenedStudy(each.search.loaded, plan, around.datasets, around.prepared)
        record = {ARM_SEARCH: {"study": around.plan.study.study, "arm": each.search.arm}}
        provenance = collect_provenance(plan, options) | record
        folder.create_or_check(plan, opened.loaded, provenance, options.retry_failed)
        settled = folder.settled(plan, options.retry_failed)
        launch = Launch(opened, folder, plan.cells, settled, (), options, is_arm_search=True)
        tracker = open_tracker(options.tracking_uri)
        return Driver(launch, tracker, self.console, self.flag, self.budget, self.workers).execute()

    def _with_choice(self, plan: Plan, each: ArmSearchPlan, folder: StudyFolder) -> Plan:
        """The plan with the arm at its best settings, or at its own if no trial of the search has a value."""
        searched = grown_plan(each.plan, folder)
        name = best_arm(read_study(folder)) or searched.baseline.name
        larger = with_choice(plan, each, searched, name)
        self._say(f"{each.search.arm} runs with {'its own settings' if name == searched.baseline.name else name}")
        return larger

    def _say(self, text: str) -> None:
        print_line(self.console, text)
