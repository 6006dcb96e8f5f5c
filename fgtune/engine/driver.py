"""One call on a study whose folder is locked: runs what is left, records it, and reports how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.analysis.summary import StudySummary
from fgtune.catalog import is_of_cells
from fgtune.config.arms.plan import Plan
from fgtune.engine.cell_storage import CellStorage
from fgtune.engine.cluster import weights_files
from fgtune.engine.designs import DESIGNS, PlannedKind
from fgtune.engine.opening import Launch
from fgtune.engine.patience import Patience
from fgtune.engine.plan_growth import with_suggestion
from fgtune.engine.portraits import Portraits
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.engine.recorder import Recorder, record_labels
from fgtune.engine.safe_tracking import SafeTracking
from fgtune.engine.trial_kinds import TRIAL_KINDS
from fgtune.reporting.html import write_up
from fgtune.results.records import CellResult, CellState
from fgtune.signals import deferring
from fgtune.text import first_of, print_damage
from fgtune.tracking import StudyEnd, Tracker

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.tuning.cell_queue import Budget, CellQueue, StopFlag
    from fgtune.tuning.early_stopping.decisions import EarlyStopping
    from fgtune.tuning.search.suggestions import Suggestion
    from fgtune.tuning.warm_workers import WarmWorkers


def _displayed_metric(plan: Plan) -> tuple[str, bool]:
    """The metric that progress shows, and whether larger is better: what a search optimises, else the primary one."""
    name, mode = plan.study.ranking[0]
    if not is_of_cells(name):
        name, mode = plan.study.metrics.primary, None
    return name, (mode or plan.study.trial.book.spec_of(name).direction) != "minimize"


@dataclass
class Driver:
    """Runs a study from its launch to the end.

    Attributes:
        launch: What the call starts with.
        tracker: Where the study is tracked.
        console: Where progress is shown.
        flag: The stop flag of the open Ray session; None if there is nothing to run.
        budget: What the call may use, shared with the other studies that it runs.
        workers: Those of what ran before in the call or the session, which go on with these cells; None where nothing
            is run.
    """

    launch: Launch
    tracker: Tracker
    console: Console
    flag: StopFlag | None
    budget: Budget
    workers: WarmWorkers | None = None
    plan: Plan = field(init=False)
    kind: PlannedKind = field(init=False)
    storage: CellStorage = field(init=False)

    def execute(self) -> StudyEnd:
        """Run, write tables and report, and return how it ended."""
        self.plan = plan = self.launch.opened.plan
        self.kind = DESIGNS[plan.study.design.kind]
        study, folder = plan.study, self.launch.folder
        self.cells = {cell.cell_id: cell for cell in plan.cells}
        metric, maximize = _displayed_metric(plan)
        self.tally = tally = Tally(
            self.cells,
            metric,
            maximize=maximize,
            finished=dict(self.launch.settled),
            resumed=len(self.launch.settled),
            total=self.kind.cells_in_view(plan),
        )
        self.display = ProgressDisplay(tally, self.console)
        self.patience = Patience(self.display.say, lambda: self.flag is not None and self.flag.is_set)
        self.tracking = SafeTracking(self.tracker, folder, self.display.say)
        is_idle = self.kind.is_idle(self.launch) or self.flag is None
        self.storage = CellStorage(
            folder,
            study.study,
            study.execution.storage,
            self.display.say,
            may_be_missing=not is_idle and self._is_cluster(),
            is_idle=is_idle,
        )
        self.tracking.start(plan, idle=is_idle)
        self.display.say(f"{study.study}: {self.kind.size_text(plan)}")
        queue = None
        if is_idle or self.flag is None:
            self.display.say(f"all {len(self.cells)} cells are finished already; nothing is run")
        else:
            self.display.open()
            try:
                queue = self._train(self.flag)
            except KeyboardInterrupt:  # before the trials: while data were prepared
                self.flag.set()
            except Exception:
                self._report_after_error()
                raise
            finally:
                self.display.close()
                self.launch.folder.running_file.unlink(missing_ok=True)
        with deferring(
            self.flag.set if self.flag is not None else lambda: None
        ):  # a report that was started is finished
            return self._conclude(queue)

    @staticmethod
    def _is_cluster() -> bool:
        """Whether trials may run on machines that do not see the study folder."""
        from fgtune.tuning.session import is_ours

        return not is_ours()

    def _report_after_error(self) -> None:
        """After an error of the driver itself, report what is finished, and end the tracked study."""
        with contextlib.suppress(Exception):  # a failure here must not hide the error
            self._write_up(StudyEnd.ERROR)

    def _write_up(self, end: StudyEnd) -> tuple[Path, StudySummary]:
        """Write tables and report, and end the tracked study, whose runs the report then knows; as ``write_up``."""
        self.tracking.settle()
        written = write_up(self.launch.folder)
        if self.tracking.finish(end, written[1]):
            write_up(self.launch.folder)
        return written

    def _train(self, flag: StopFlag) -> CellQueue:
        """Run cells until none is left, a budget is used up, or the flag is set."""
        from fgtune.training.prepared import PreparedSplit
        from fgtune.tuning.runner import run_cells

        datasets, execution = self.launch.opened.datasets, self.plan.study.execution
        record_labels(self.launch.folder, self.plan, datasets)
        prepared: dict[str, PreparedSplit] = {}
        for cell in self.kind.prepared_cells(self.plan, self.launch):
            if flag.is_set:  # by a signal that came while something else was written
                raise KeyboardInterrupt
            prepared |= TRIAL_KINDS[cell.config.trial_kind].prepare(cell, datasets, self.launch.opened.prepared)
        queue, stopping = self._queue_and_stopping()
        folder, storage = self.launch.folder, self.storage
        portraits = Portraits(self.plan, self.launch.settled.values())
        recorder = Recorder(
            folder,
            self.cells,
            self.tracking.log_cell,
            self.display,
            queue.on_result,
            self.patience,
            storage.forget,
            portraits.keeps,
        )
        with deferring(flag.set):
            run_cells(
                queue,
                execution,
                datasets,
                prepared,
                scratch=folder.scratch_dir,
                checkpoints=storage.checkpoints,
                observer=recorder,
                flag=flag,
                stopping=stopping,
                budget=self.budget,
                encoders=storage.encoders,
                weights=weights_files(self.plan),
                portrait_of=portraits.of,
                workers=self.workers,
                leaves_workers=self._leaves_workers(),
            )
        return queue

    def _leaves_workers(self) -> bool:
        """Whether more may follow: further searches and their comparison, a block of seeds, another study."""
        from fgtune.tuning.warm_workers import WarmWorkers

        is_adaptive = self.plan.study.adaptive_seeds is not None
        return self.launch.is_arm_search or is_adaptive or WarmWorkers.kept is not None

    def _queue_and_stopping(self) -> tuple[CellQueue, EarlyStopping | None]:
        """The queue of cells, and the rule that stops them early."""
        from fgtune.tuning.search.objectives import stopping_objective

        plan, say = self.plan, self.display.say
        queue, forks = self.kind.open_queue(plan, self.launch, self.cells, self._announce, say, self.budget)
        scheduler, objective = plan.study.stopping, stopping_objective(plan.study)
        if scheduler is None or objective is None:
            return queue, None
        from fgtune.tuning.early_stopping.decisions import EarlyStopping

        exempt = [arm.name for arm in plan.arms if arm.is_baseline]
        # Seeds wait for each other by leaving their worker; a user's function may have no checkpoint to go on from.
        together = plan.search is not None and plan.study.trial.discovery is not None
        return queue, EarlyStopping(
            scheduler,
            objective,
            self.launch.folder.stopping_file,
            forks,
            exempt,
            seeds=plan.study.seed_list if together else (),
            ended=self.launch.settled.values(),
            queue=queue,
            keep=lambda write: self.patience(write, "a decision", self.launch.folder.root),
        )

    def _announce(self, suggestion: Suggestion) -> None:
        """Record a suggestion before it runs."""
        larger = with_suggestion(self.plan, suggestion)
        if larger is not self.plan:
            self.plan, folder = larger, self.launch.folder
            self.patience(lambda: folder.write_plan(larger), "the plan", folder.root)
            self.tracking.grow(larger)
            self.tally.total = self.kind.cells_in_view(larger)
        self.cells.update({cell.cell_id: cell for cell in suggestion.cells})

    # The end

    def _conclude(self, queue: CellQueue | None) -> StudyEnd:
        """Tables, report, tracking, and the closing lines."""
        folder, say = self.launch.folder, self.display.say
        results = [each for each in folder.ledger.read() if each.cell_id in self.cells]
        end = self._end(results, queue)
        finished = {each.cell_id for each in results if each.state is not CellState.FAIL}
        self.storage.conclude(finished, complete=end is StudyEnd.COMPLETE)
        if len(results) == len(self.cells):
            folder.gather_curves()
            print_damage(folder.damage.values())
            folder.damage.clear()
        path, summary = self._write_up(end)
        for line in self._closing_lines(end, results):
            say(line)
        if end in {StudyEnd.COMPLETE, StudyEnd.FAILED_CELLS}:
            say(summary.answer)
            if end is StudyEnd.FAILED_CELLS:
                failed = sum(each.state is CellState.FAIL for each in results)
                again = "" if self.launch.is_arm_search else "; run them again with --retry-failed"
                say(f"{failed} of {len(self.cells)} cells failed{again}")
        say(f"report: {path}")
        return end

    def _end(self, results: Sequence[CellResult], queue: CellQueue | None) -> StudyEnd:
        done = {each.cell_id for each in results}
        required = self.kind.required_cells(self.launch, self.cells)
        left = required - done
        whole = len(self.plan.arms) >= self.kind.most_arms(self.plan)  # a search has proposed all its trials
        if left or not (queue is None or queue.is_done or whole):
            if queue is not None and (queue.is_spent or (self.flag is not None and self.flag.spent)):
                return StudyEnd.BUDGET
            if self.flag is not None and self.flag.is_set:
                return StudyEnd.INTERRUPTED
            raise RuntimeError(f"{len(left)} cells ended without a result; run the same command again to continue")
        if any(each.state is CellState.FAIL for each in results if each.cell_id in required):
            return StudyEnd.FAILED_CELLS
        complete = {each.cell_id for each in results if each.state is not CellState.FAIL}
        return StudyEnd.COMPLETE if complete >= self.cells.keys() else StudyEnd.PARTIAL

    def _closing_lines(self, end: StudyEnd, results: Sequence[CellResult]) -> list[str]:
        """How an unfinished study ended, and how to continue."""
        root, most = self.launch.folder.root, self.kind.cells_in_view(self.plan)
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
