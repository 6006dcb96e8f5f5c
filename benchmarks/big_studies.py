"""What fgtune itself costs in a study of many cells: plan, status, resuming, tracking, an epoch in the driver, memory.

    python benchmarks/big_studies.py --cells 10000 --tracked 100

CPU seconds (user and system) on one core, without any training: the folder is written through the same functions as in
a run, with numbers from a known function. `resume` is everything that a call on a folder with one cell left does before
that cell may start, Ray's own start (about 8 s) apart. `driver` reports epochs of 100 trials at once to the recorder of
a run, as their workers would, and counts what one report costs. `memory` ends cells one after another, and compares the
process after a tenth of them with the process after all.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from many_cells import COMMAND, cpu_seconds, finished, study_text
from rich.console import Console

from fgtune.config.arms.records import Cell
from fgtune.engine.opening import OpenedStudy, open_study
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.engine.recorder import Recorder
from fgtune.engine.safe_tracking import SafeTracking
from fgtune.engine.storage import bytes_needed
from fgtune.results.folder import StudyFolder
from fgtune.results.live import RunningTrial
from fgtune.results.options import RunOptions
from fgtune.results.provenance import collect_provenance
from fgtune.results.records import CellResult, EpochMetrics, SolverUse, TrialOutcome

EPOCHS, AT_ONCE = 60, 100


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="What fgtune itself costs in a study of many cells.")
    parser.add_argument("--cells", type=int, default=10_000, help="cells of the plan (default: 10000)")
    parser.add_argument("--ended", type=int, default=2000, help="cells that end (default: 2000)")
    parser.add_argument("--tracked", type=int, default=100, help="cells that MLflow stores (default: 100)")
    arguments = parser.parse_args()
    if min(arguments.cells, arguments.ended, arguments.tracked) < 20 or arguments.ended > arguments.cells:
        parser.error("at least 20 cells are needed, and --ended must be <= --cells")
    return arguments


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of this process for ``work``."""
    before = time.process_time()
    work()
    return time.process_time() - before


def resident_mib() -> float:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def history(cell: Cell) -> tuple[EpochMetrics, ...]:
    """A curve: accuracy rises towards a level that depends on the seed."""
    level = 0.8 + 0.01 * cell.seed
    names = ("test/clustering_accuracy", "test/ari", "val/silhouette", "val/neighbor_agreement", "train/loss")
    return tuple(
        EpochMetrics(epoch, 5 * epoch, dict.fromkeys(names, level * epoch / (epoch + 5)), 0.1)
        for epoch in range(1, EPOCHS + 1)
    )


def result_of(cell: Cell, rank: int) -> CellResult:
    """The ledger's line of a finished cell."""
    return finished(cell, history(cell)[-1].metrics, EPOCHS, rank)


def new_folder(opened: OpenedStudy, options: RunOptions) -> StudyFolder:
    """An empty folder of the study."""
    folder = StudyFolder(options.out / opened.plan.study.study)
    with folder.lock():
        folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, options, None))
    return folder


def filled(folder: StudyFolder, opened: OpenedStudy) -> None:
    """All cells but the last are finished, with curves."""
    cells = opened.plan.cells[:-1]
    results = [result_of(cell, rank) for rank, cell in enumerate(cells)]
    folder.ledger.extend(results)
    folder.add_curves([(result, history(cell)) for result, cell in zip(results, cells, strict=True)])


def resume(options: RunOptions) -> None:
    """What a call does before the cell that is left may start."""
    opened = open_study(options.study)
    folder = StudyFolder(options.out / opened.plan.study.study)
    folder.check(opened.plan)
    with folder.lock():
        settled = folder.settled(opened.plan)
        pending = [cell for cell in opened.plan.cells if cell.cell_id not in settled]
        bytes_needed(opened.plan, pending, opened.datasets)
        folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, options, None))
    if len(pending) != 1:
        raise SystemExit(f"one cell should be left to run, got {len(pending)}")


def recorder_of(folder: StudyFolder, opened: OpenedStudy) -> Recorder:
    """The recorder of a run, without a tracking store, that shows its progress nowhere."""
    cells = {cell.cell_id: cell for cell in opened.plan.cells}
    display = ProgressDisplay(Tally(cells, "test/clustering_accuracy", True), Console(file=io.StringIO()))
    return Recorder(folder, cells, lambda *_: None, display)


def report_epochs(recorder: Recorder, cells: list[Cell]) -> int:
    """Report the epochs of so many trials in turns, as 100 workers would; the number of reports."""
    curves = [(cell.cell_id, history(cell)) for cell in cells]
    running = [RunningTrial(cell.cell_id, 1, 0.0, 0.0, 0.1, 60.0) for cell in cells]
    for epoch in range(EPOCHS):
        for cell_id, curve in curves:
            recorder.on_epochs(cell_id, curve[epoch : epoch + 1])
        recorder.on_tick(running)
    return EPOCHS * len(cells)


def end_cells(recorder: Recorder, cells: list[Cell]) -> None:
    """End cells one after another."""
    for cell in cells:
        curve = history(cell)
        recorder.on_epochs(cell.cell_id, curve)
        use = SolverUse("flow", 20, 0.02, {"optimal": 20}, 0.0)
        recorder.on_complete(cell.cell_id, TrialOutcome(curve, None, use, 3.0), 1)


def track(opened: OpenedStudy, options: RunOptions, number: int) -> tuple[float, float, float]:
    """CPU seconds a tracked cell, batches a cell besides one an arm, and CPU seconds of a start that finds all."""
    from mlflow import MlflowClient

    from fgtune.tracking import open_tracker

    calls: Counter[str] = Counter()
    original = MlflowClient.log_batch

    def counted(self: MlflowClient, *arguments: Any, **named: Any) -> None:
        calls["log_batch"] += 1
        original(self, *arguments, **named)

    folder = new_folder(opened, options)
    uri = f"sqlite:///{options.out}/mlflow.db"
    tracking = SafeTracking(open_tracker(uri), folder, print)
    tracking.start(opened.plan)
    MlflowClient.log_batch = counted
    cells = sorted(opened.plan.cells, key=lambda cell: cell.arm)[:number]
    results = [(result_of(cell, rank), history(cell)) for rank, cell in enumerate(cells)]
    before = time.process_time()
    for result, curve in results:
        tracking.log_cell(result, curve)
    tracking._thread.shutdown()
    seconds = (time.process_time() - before) / number
    MlflowClient.log_batch = original
    folder.ledger.extend(result for result, _ in results)
    folder.add_curves(results)
    again = SafeTracking(open_tracker(uri), folder, print)
    start = cpu_of(lambda: again.start(opened.plan))
    again._thread.shutdown()
    return seconds, (calls["log_batch"] - len({cell.arm for cell in cells})) / number, start


def main() -> int:
    """Print goal and figure of each, and fail where a figure is above its goal."""
    arguments = parse_arguments()
    missed: list[str] = []

    def report(what: str, figure: float, goal: float | None, unit: str) -> None:
        bound = "" if goal is None else f"{goal:g}"
        print(f"{what:<58} {figure:>9.3f} {bound:>7} {unit}", flush=True)
        if goal is not None and figure > goal:
            missed.append(what)

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        study = root / "large.yaml"
        study.write_text(study_text(arguments.cells), encoding="utf-8")
        print(f"{'what':<58} {'measured':>9} {'goal':>7}")
        report(
            f"fgtune plan, {arguments.cells:,} cells",
            cpu_seconds((*COMMAND, "plan", str(study), "--out", scratch), 3),
            5.0,
            "CPU s",
        )
        opened = open_study(study)
        options = RunOptions(study, out=root / "reports")
        folder = new_folder(opened, options)
        filled(folder, opened)
        report(
            "fgtune status, all cells but one finished",
            cpu_seconds((*COMMAND, "status", str(folder.root)), 3),
            2.0,
            "CPU s",
        )
        report("resume, up to the start of the cell that is left", cpu_of(lambda: resume(options)), 5.0, "CPU s")
        other = RunOptions(study, out=root / "driver")
        recorder = recorder_of(new_folder(opened, other), opened)
        running = list(opened.plan.cells[:AT_ONCE])
        before = time.process_time()
        reports = report_epochs(recorder, running)
        report(
            f"driver, a report of {AT_ONCE} trials at once",
            1e3 * (time.process_time() - before) / reports,
            5.0,
            "CPU ms",
        )
        recorder = recorder_of(new_folder(opened, RunOptions(study, out=root / "memory")), opened)
        ended = list(opened.plan.cells[: arguments.ended])
        end_cells(recorder, ended[: len(ended) // 10])
        early, before = resident_mib(), time.process_time()
        end_cells(recorder, ended[len(ended) // 10 :])
        rest = len(ended) - len(ended) // 10
        report("recording the end of a cell", 1e3 * (time.process_time() - before) / rest, None, "CPU ms")
        report(f"memory that {rest:,} further cells add", resident_mib() - early, 50.0, "MiB")
        cell, calls, start = track(opened, RunOptions(study, out=root / "tracked"), arguments.tracked)
        report("MLflow, a cell", 1e3 * cell, None, "CPU ms")
        report("MLflow, batches a cell, besides one an arm", calls, 1.0, "calls")
        report(f"MLflow, a start that finds {arguments.tracked} cells stored", start, None, "CPU s")
    if missed:
        print(f"FAILED: above the goal: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
