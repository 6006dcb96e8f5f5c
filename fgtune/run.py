"""``python -m fgtune.run STUDY``: from the study file to the report; the place that puts the adapters together."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from fgtune.analysis.summary import StudySummary, summarise
from fgtune.analysis.table import write_tables
from fgtune.config.plan import Cell, Plan
from fgtune.config.search import SearchDesign
from fgtune.config.study import Study
from fgtune.errors import ConfigError, TrackingError
from fgtune.metrics import spec_of
from fgtune.plugins import permitting
from fgtune.progress import ProgressDisplay, Tally
from fgtune.recorder import Recorder
from fgtune.results.folder import StudyFolder
from fgtune.results.provenance import collect_provenance
from fgtune.results.records import CellResult, CellState, EpochMetrics
from fgtune.study import OpenedStudy, open_study
from fgtune.tracking import StudyEnd, Tracker, open_tracker

if TYPE_CHECKING:
    from fgtune.tuning.stopping import StopFlag

EXIT_CODES = {StudyEnd.COMPLETE: 0, StudyEnd.FAILED_CELLS: 3, StudyEnd.INTERRUPTED: 130}


@dataclass(frozen=True)
class RunOptions:
    """What the command line asks for.

    Attributes:
        study: The study file.
        overrides: ``--set`` options.
        smoke: Shrink the study.
        out: Parent of the study folder.
        tracking_uri: MLflow store; None looks at the environment, ``none`` turns tracking off.
        retry_failed: Run failed cells again.
        plugins: Packages that may be imported because the study names parts in them, besides ``FGTUNE_PLUGINS``.
    """

    study: Path
    overrides: tuple[str, ...] = ()
    smoke: bool = False
    out: Path = Path("reports")
    tracking_uri: str | None = None
    retry_failed: bool = False
    plugins: tuple[str, ...] = ()

    def command(self) -> str:
        """The command line that continues this run."""
        parts = ["python", "-m", "fgtune.run", str(self.study)]
        parts += [part for override in self.overrides for part in ("--set", override)]
        parts += ["--smoke"] * self.smoke
        parts += [part for package in self.plugins for part in ("--plugins", package)]
        parts += ["--out", str(self.out)] * (self.out != Path("reports"))
        parts += ["--tracking-uri", self.tracking_uri] if self.tracking_uri else []
        return shlex.join(parts)


def run_study(options: RunOptions, console: Console | None = None) -> int:
    """Run what is left of a study and write its report.

    Returns:
        The exit code: 0 every planned cell complete, 3 finished with failed cells, 130 interrupted.

    Raises:
        ConfigError: The study, the data, the folder or the store is wrong; nothing was started.
    """
    with permitting(options.plugins):
        return _run_study(options, console or _plain_console())


def _run_study(options: RunOptions, console: Console) -> int:
    opened = open_study(options.study, options.overrides, options.smoke)
    plan = opened.plan
    _check_runs(plan.study)
    folder = StudyFolder(options.out / plan.study.study)
    settled = settled_cells(folder, plan, options.retry_failed) if folder.check(plan) else {}
    _check_machine(plan)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    with ThreadPoolExecutor(1) as background, ExitStack() as stack:
        opening = background.submit(open_tracker, options.tracking_uri)  # seconds of imports, while Ray starts
        flag = None
        if len(settled) < len(plan.cells):
            flag = _start_ray(plan, stack)
        tracker = opening.result()
        stack.enter_context(folder.lock())
        folder.create_or_check(plan, opened.loaded, collect_provenance(plan, shlex.split(options.command())))
        return _Run(options, opened, folder, tracker, console, flag).execute()


def settled_cells(folder: StudyFolder, plan: Plan, retry_failed: bool) -> dict[str, CellResult]:
    """Planned cells that need no run: they have a result, and not one that is to be tried again."""
    planned = {cell.cell_id for cell in plan.cells}
    return {
        result.cell_id: result
        for result in folder.ledger.read()
        if result.cell_id in planned and not (retry_failed and result.state is CellState.FAIL)
    }


def _start_ray(plan: Plan, stack: ExitStack) -> StopFlag:
    """Open a Ray session that ends with ``stack``; Ctrl-C from now on stops in order."""
    from fgtune.tuning.session import check_resources, ray_session
    from fgtune.tuning.stopping import StopFlag

    flag = StopFlag()
    stack.enter_context(flag.on_signals())
    stack.enter_context(ray_session())
    check_resources(plan.study.execution)
    return flag


def report(root: Path) -> Path:
    """Rebuild tables and report of a study folder from its files alone; returns the report."""
    from fgtune.reporting.html import write_report

    folder = StudyFolder(root)
    write_tables(folder)
    return write_report(folder)


@dataclass
class _Run:
    """One call on a study, its folder locked."""

    options: RunOptions
    opened: OpenedStudy
    folder: StudyFolder
    tracker: Tracker
    console: Console
    flag: StopFlag | None
    display: ProgressDisplay = field(init=False)
    recorder: Recorder = field(init=False)

    def execute(self) -> int:
        plan, study = self.opened.plan, self.opened.plan.study
        cells = {cell.cell_id: cell for cell in plan.cells}
        kept = settled_cells(self.folder, plan, self.options.retry_failed)
        pending = [cell for cell in plan.cells if cell.cell_id not in kept]
        tally = Tally(
            cells,
            study.metrics.primary,
            maximize=spec_of(study.metrics.primary).direction != "minimize",
            finished=kept,
            resumed=len(kept),
        )
        display = self.display = ProgressDisplay(tally, self.console)
        self.recorder = Recorder(self.folder, cells, self.tracker, display)
        self._tracked(lambda: self.tracker.start(plan, self.folder.root, commit=self._commit()))
        self._tracked(self._sync_tracking)
        display.say(f"{study.study}: {len(plan.arms)} arms x {len(study.seed_list)} seeds = {len(cells)} cells")
        if pending and self.flag is not None:
            display.open()
            try:
                self._train(pending, self.flag)
            finally:
                display.close()
        else:
            display.say(f"all {len(cells)} cells are finished already; nothing is run")
        return self._conclude(interrupted=self.flag is not None and self.flag.is_set)

    def _train(self, pending: Sequence[Cell], flag: StopFlag) -> None:
        """Run cells until all are recorded or the flag is set."""
        from fgtune.training.prepared import dataset_key, preparation_key, prepare_split
        from fgtune.tuning.runner import run_cells

        datasets = self.opened.datasets
        prepared = {}
        for cell in pending:
            key = preparation_key(cell.config, cell.seed)
            if key not in prepared:
                dataset = datasets[dataset_key(cell.config)]
                prepared[key] = prepare_split(dataset, cell.config, cell.seed, threads=os.cpu_count() or 1)
        run_cells(
            pending,
            self.opened.plan.study.execution,
            datasets,
            prepared,
            scratch=self.folder.scratch_dir,
            checkpoints=self.folder.checkpoints_dir,
            observer=self.recorder,
            flag=flag,
        )

    def _conclude(self, interrupted: bool) -> int:
        """Tables, report, tracking, and the last words."""
        plan, folder = self.opened.plan, self.folder
        results = [each for each in folder.ledger.read() if each.cell_id in {cell.cell_id for cell in plan.cells}]
        failed = sum(each.state is CellState.FAIL for each in results)
        missing = len(plan.cells) - len(results)
        if missing and not interrupted:
            raise RuntimeError(f"{missing} cells ended without a result; run the same command again to continue")
        end = StudyEnd.INTERRUPTED if missing else StudyEnd.FAILED_CELLS if failed else StudyEnd.COMPLETE
        if not missing:
            folder.gather_curves()
        path = report(folder.root)
        summary = summarise(folder)
        self._track_end(end, summary)
        say = self.display.say
        if missing:
            say(f"interrupted: {len(results)} of {len(plan.cells)} cells are finished and saved in {folder.root}")
            say(f"continue with: {self.options.command()}")
        else:
            say(summary.answer)
            if failed:
                say(f"{failed} of {len(plan.cells)} cells failed; run them again with --retry-failed")
        say(f"report: {path}")
        return EXIT_CODES[end]

    # --- tracking never stops a study --------------------------------------------------------------------------

    def _tracked(self, action: Callable[[], object]) -> None:
        try:
            action()
        except TrackingError as error:
            self.recorder.tracking_lost(error)

    def _sync_tracking(self) -> None:
        results = self.folder.ledger.read()
        if results:
            curves = self.folder.read_curves()
            self.tracker.sync(results, lambda cell_id: curve_of(curves, cell_id))

    def _track_end(self, end: StudyEnd, summary: StudySummary) -> None:
        folder = self.folder
        artifacts = [folder.report_file, folder.resolved_file, folder.results_csv, folder.plan_file]
        if self.recorder.tracking_failed:
            self._tracked(self._sync_tracking)
        self._tracked(lambda: self.tracker.log_summary(arm_statistics(summary), summary.answer))
        self._tracked(lambda: self.tracker.finish(end, artifacts))

    def _commit(self) -> str | None:
        git = self.folder.read_provenance().get("git")
        return git.get("commit") if isinstance(git, dict) else None


def curve_of(curves: pd.DataFrame, cell_id: str) -> list[EpochMetrics]:
    """The stored curve of a cell; empty where none was stored."""
    rows = curves[curves["cell_id"] == cell_id].sort_values("epoch")
    metrics = [column for column in rows.columns if "/" in column]
    return [
        EpochMetrics(
            int(row["epoch"]),
            int(row["step"]),
            {name: float(row[name]) for name in metrics if pd.notna(row[name])},
            float(row["seconds"]),
        )
        for row in rows.to_dict("records")
    ]


def arm_statistics(summary: StudySummary) -> dict[str, dict[str, dict[str, float | None]]]:
    """Per arm and metric: mean, sd, n and the interval, as tracking stores them."""
    return {
        arm.arm: {
            name: {"mean": each.mean, "sd": each.sd, "n": each.n, "ci_lo": each.low, "ci_hi": each.high}
            for name, each in arm.estimates.items()
        }
        for arm in summary.arms
    }


def _check_runs(study: Study) -> None:
    """Refuse what this version can check and plan but not run."""
    if isinstance(study.design, SearchDesign):
        rule, fix = "can be validated and planned, but this version cannot run it yet", "use an enumerated design"
        raise ConfigError(rule, path="design.kind", value=study.design.kind, fix=fix)
    if study.scheduler.kind != "none":
        rule, fix = "can be validated, but this version cannot stop trials early yet", "leave the scheduler out"
        raise ConfigError(rule, path="scheduler.kind", value=study.scheduler.kind, fix=fix)


def _check_machine(plan: Plan) -> None:
    """Refuse a trial that this machine cannot hold, before Ray starts; a cluster is asked once it is there."""
    cores = os.cpu_count() or 1
    if "RAY_ADDRESS" not in os.environ and plan.study.execution.cpus > cores:
        raise ConfigError(
            f"must be at most the {cores} cores of this machine",
            path="execution.cpus",
            value=plan.study.execution.cpus,
            fix=f"lower it, e.g. --set execution.cpus={cores}",
        )


def _plain_console() -> Console:
    """Standard output: as wide as it is in a terminal, never wrapped elsewhere."""
    return Console() if sys.stdout.isatty() else Console(width=500, highlight=False)


if __name__ == "__main__":
    from fgtune.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
