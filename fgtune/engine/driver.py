"""One call on a study, its folder locked: runs what is left, keeps the record, says how it ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fgtune.catalog import spec_of
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.schema.scheduling import NoSchedulerConfig, PbtConfig
from fgtune.engine.opening import OpenedStudy
from fgtune.engine.plan_growth import grown
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.engine.recorder import Recorder
from fgtune.engine.safe_tracking import SafeTracking
from fgtune.engine.searching import most_arms, most_cells, open_search, size_text
from fgtune.reporting.html import write_up
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellResult, CellState
from fgtune.text import first_of
from fgtune.tracking import StudyEnd, Tracker

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.tuning.call_limits import Budget, StopFlag
    from fgtune.tuning.early_stopping.decisions import EarlyStopping
    from fgtune.tuning.early_stopping.population import ForkPool
    from fgtune.tuning.search.cell_queue import CellQueue
    from fgtune.tuning.search.search import Search
    from fgtune.tuning.search.suggestions import KnownTrial, Suggestion


@dataclass(frozen=True)
class Launch:
    """What one call begins with.

    Attributes:
        opened: The study; of a search, its plan has the trials proposed so far.
        folder: Locked, the study's own.
        selected: Cells that this call may run, settled ones included; of a search, all.
        settled: Results that count, by cell id, in the order in which cells ended.
        earlier: Trials of earlier studies that a search starts from.
        options: What the call is asked for.
        is_inside: Whether it is the search inside an arm of a comparison, which goes on when it is over.
    """

    opened: OpenedStudy
    folder: StudyFolder
    selected: tuple[Cell, ...]
    settled: Mapping[str, CellResult]
    earlier: Sequence[KnownTrial]
    options: RunOptions
    is_inside: bool = False

    @property
    def pending(self) -> list[Cell]:
        """Planned cells that are left to run."""
        left = {cell.cell_id: cell for cell in self.selected if cell.cell_id not in self.settled}
        return list(left.values())  # two arms whose searches chose the same settings share their cells

    @property
    def is_idle(self) -> bool:
        """Whether there is certainly nothing to run."""
        plan = self.opened.plan
        return not self.pending and not plan.unchosen and len(plan.arms) >= most_arms(plan)


def _followed(plan: Plan) -> tuple[str, bool]:
    """The metric that progress shows, and whether more of it is better: what a search optimises, else the primary."""
    name, mode = plan.study.ranking[0]
    if name.startswith("cost/"):
        name, mode = plan.study.metrics.primary, None
    return name, (mode or spec_of(name).direction) != "minimize"


@dataclass
class Driver:
    """Runs a study from its launch to its end.

    Attributes:
        launch: What there is to do.
        tracker: Where the study is tracked.
        console: Where progress is told.
        flag: Of the open Ray session; None where nothing is to be run.
        budget: What the call may use, shared with the other studies that it runs.
    """

    launch: Launch
    tracker: Tracker
    console: Console
    flag: StopFlag | None
    budget: Budget
    plan: Plan = field(init=False)

    def execute(self) -> StudyEnd:
        """Run, write tables and report, and say how it ended."""
        self.plan = plan = self.launch.opened.plan
        study, folder = plan.study, self.launch.folder
        self.cells = {cell.cell_id: cell for cell in plan.cells}
        metric, maximize = _followed(plan)
        self.tally = tally = Tally(
            self.cells,
            metric,
            maximize=maximize,
            finished=dict(self.launch.settled),
            resumed=len(self.launch.settled),
            total=most_cells(plan),
        )
        self.display = ProgressDisplay(tally, self.console)
        self.tracking = SafeTracking(self.tracker, folder, self.display.say)
        self.tracking.start(plan)
        self.display.say(f"{study.study}: {size_text(plan)}")
        queue = None
        if self.launch.is_idle or self.flag is None:
            self.display.say(f"all {len(self.cells)} cells are finished already; nothing is run")
        else:
            self.display.open()
            try:
                queue = self._train(self.flag)
            except Exception:
                self._save_what_there_is()
                raise
            finally:
                self.display.close()
        return self._conclude(queue)

    def _save_what_there_is(self) -> None:
        """After an error of the driver itself: the report of what is finished, and the study's end where it is tracked.

        Whatever fails here must not hide the error.
        """
        with contextlib.suppress(Exception):
            self.tracking.finish(StudyEnd.ERROR, write_up(self.launch.folder)[1])

    def _train(self, flag: StopFlag) -> CellQueue:
        """Run cells until none is left, a budget is used up, or the flag is set."""
        from fgtune.training.prepared import dataset_key, preparation_key, prepare_split
        from fgtune.tuning.runner import run_cells

        datasets, execution = self.launch.opened.datasets, self.plan.study.execution
        prepared = {}
        for cell in self._known_beforehand():
            key = preparation_key(cell.config, cell.seed)
            if key not in prepared:
                dataset = datasets[dataset_key(cell.config)]
                prepared[key] = prepare_split(dataset, cell.config, cell.seed, threads=os.cpu_count() or 1)
        queue, stopping = self._queue_and_stopping()
        run_cells(
            queue,
            execution,
            datasets,
            prepared,
            scratch=self.launch.folder.scratch_dir,
            checkpoints=self.launch.folder.checkpoints_dir,
            observer=Recorder(self.launch.folder, self.cells, self.tracking.log_cell, self.display, queue.on_result),
            flag=flag,
            stopping=stopping,
            budget=self.budget,
        )
        return queue

    def _known_beforehand(self) -> Sequence[Cell]:
        """Cells whose split and neighbours are prepared here, once, for all workers."""
        if self.plan.search is None:
            return self.launch.pending
        return [cell for cell in self.plan.cells if cell.arm == self.plan.baseline.name]

    def _queue_and_stopping(self) -> tuple[CellQueue, EarlyStopping | None]:
        """What hands out the cells, and what stops them early."""
        from fgtune.tuning.search.cell_queue import CellQueue
        from fgtune.tuning.search.objectives import stopping_objective

        plan, execution, scheduler = self.plan, self.plan.study.execution, self.plan.study.scheduler
        forks: ForkPool | None = None
        if plan.search is None:
            queue = CellQueue(self.launch.pending, execution.max_concurrent, self.budget)
        else:
            queue = search = self._search()
            if isinstance(scheduler, PbtConfig):
                from fgtune.tuning.early_stopping.population import ForkPool

                forks = ForkPool(search, plan.search, scheduler, self.cells)
        objective = stopping_objective(plan.study)
        if isinstance(scheduler, NoSchedulerConfig) or objective is None:  # nothing, or searches inside arms
            return queue, None
        from fgtune.tuning.early_stopping.decisions import EarlyStopping

        exempt = [arm.name for arm in plan.arms if arm.is_baseline]
        return queue, EarlyStopping(scheduler, objective, self.launch.folder.stopping_file, forks, exempt)

    def _search(self) -> Search:
        from fgtune.tuning.session import slots

        execution, launch = self.plan.study.execution, self.launch
        # A point is not proposed before it can run: it would know less.
        at_once = slots(execution) if execution.max_concurrent is None else execution.max_concurrent
        return open_search(
            self.plan,
            launch.folder,
            launch.settled,
            launch.earlier,
            announce=self._announce,
            warn=self.display.say,
            at_once=at_once,
            budget=self.budget,
        )

    def _announce(self, suggestion: Suggestion) -> None:
        """Write a suggestion down before it runs."""
        larger = grown(self.plan, suggestion)
        if larger is not self.plan:
            self.plan = larger
            self.launch.folder.write_plan(larger)
            self.tracking.grow(larger)
            self.tally.total = most_cells(larger)
        self.cells.update({cell.cell_id: cell for cell in suggestion.cells})

    # The end

    def _conclude(self, queue: CellQueue | None) -> StudyEnd:
        """Tables, report, tracking, and the last words."""
        folder, say = self.launch.folder, self.display.say
        results = [each for each in folder.ledger.read() if each.cell_id in self.cells]
        end = self._end(results, queue)
        for each in results:
            if each.state is not CellState.FAIL:  # a worker may have written one after its cell was stopped
                folder.checkpoint_file(each.cell_id).unlink(missing_ok=True)
        if end is StudyEnd.COMPLETE:  # until then a cell may yet go on from another one's milestone
            for state in folder.checkpoints_dir.glob("*.*.pt"):
                state.unlink(missing_ok=True)
        if len(results) == len(self.cells):
            folder.gather_curves()
        path, summary = write_up(folder)
        self.tracking.finish(end, summary)
        for line in self._last_words(end, results):
            say(line)
        if end in {StudyEnd.COMPLETE, StudyEnd.FAILED_CELLS}:
            say(summary.answer)
            if end is StudyEnd.FAILED_CELLS:
                failed = sum(each.state is CellState.FAIL for each in results)
                again = "" if self.launch.is_inside else "; run them again with --retry-failed"
                say(f"{failed} of {len(self.cells)} cells failed{again}")
        say(f"report: {path}")
        return end

    def _end(self, results: Sequence[CellResult], queue: CellQueue | None) -> StudyEnd:
        done = {each.cell_id for each in results}
        selected = {cell.cell_id for cell in self.launch.selected} if self.plan.search is None else set(self.cells)
        left = selected - done
        whole = len(self.plan.arms) >= most_arms(self.plan)  # of a search: all its trials were proposed
        if left or not (queue is None or queue.is_done or whole):
            if queue is not None and (queue.is_spent or (self.flag is not None and self.flag.spent)):
                return StudyEnd.BUDGET
            if self.flag is not None and self.flag.is_set:
                return StudyEnd.INTERRUPTED
            raise RuntimeError(f"{len(left)} cells ended without a result; run the same command again to continue")
        if any(each.state is CellState.FAIL for each in results if each.cell_id in selected):
            return StudyEnd.FAILED_CELLS
        complete = {each.cell_id for each in results if each.state is not CellState.FAIL}
        return StudyEnd.COMPLETE if complete >= self.cells.keys() else StudyEnd.PARTIAL

    def _last_words(self, end: StudyEnd, results: Sequence[CellResult]) -> list[str]:
        """What became of an unfinished study, and how to go on."""
        root, most = self.launch.folder.root, most_cells(self.plan)
        finished = f"{len(results)} of {most} cells are finished and saved in {root}"
        again = f"continue with: {self.launch.options.command()}"
        if end is StudyEnd.PARTIAL:
            return [f"every cell that --only selects is finished; {finished}"]
        if end is StudyEnd.INTERRUPTED:
            return [f"interrupted: {finished}", again]
        if end is not StudyEnd.BUDGET:
            return []
        spent = None if self.flag is None else self.flag.spent
        cells = self.plan.study.execution.budget.cells
        lost = [cell for cell in self.cells.values() if cell.cell_id not in {each.cell_id for each in results}]
        names = first_of([f"{cell.arm} seed {cell.seed}" for cell in lost], 5)
        missing = [f"missing: {names}"] if lost else []
        return [f"{spent or f'the budget of {cells} cells is used up'}: {finished}", *missing, again]
