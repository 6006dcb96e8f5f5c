"""``fgtune status DIR``: how far a study is, read from its folder, quickly, without Ray or torch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import Counts, StudyData, read_study
from fgtune.analysis.timing import TimeLeft, cells_at_once, counted_cells, machine, time_left
from fgtune.analysis.trials import arm_means, best_arm, criteria_of
from fgtune.engine.cell_storage import kept_elsewhere
from fgtune.errors import ConfigError
from fgtune.files import read_text
from fgtune.results.extension import other_version
from fgtune.results.folder import ARM_SEARCH, StudyFolder
from fgtune.results.live import STALE_AFTER_S, Running, read_running, silence_text
from fgtune.results.locking import Holder
from fgtune.results.options import LastCall, last_call
from fgtune.results.rebuilding import MOST_TABLE
from fgtune.results.records import CellResult, CellState
from fgtune.text import duration, first_of, print_damage, print_line, table_row


@dataclass(frozen=True)
class ArmStatus:
    """One arm: its planned cells by state.

    Attributes:
        arm: Its name.
        counts: Numbers of its cells by state.
        seconds: Trainer seconds of those that ended.
        score: Mean of the metric that arms are ranked by, over COMPLETE cells that have it; nan without any.
        scored: Number of those cells.
    """

    arm: str
    counts: Counts
    seconds: float
    score: float
    scored: int


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        data: What its folder holds.
        holder: Who writes to the folder now; None when the study is not running.
        proposed: For a search, points proposed so far and how many there will be (None for no fixed number). None for
            any other design.
        planned: Cells in the plan, and those of points not proposed yet where their number is known.
        failures: Results of failed cells, in the order of the plan.
        under_way: Cells without a result that run, or have a checkpoint: running or interrupted.
        arms: In the order of the plan.
        left: Estimate of the remaining time, searches inside arms included.
        last: How it was last run.
        arm_searches: Status of each search inside an arm of a comparison that has started, by arm.
        is_arm_search: Whether it is itself a search inside an arm, run by its comparison.
        open_arms: Labels of the arms whose contrasts are not decided and which get more seeds; None where seeds are
            fixed, or before the first look.
        open_checks: Name and status of the health checks that failed or warn, as the last report made them.
        running: What runs now, as the driver last wrote it; None while nothing does.
        other_version: ``an earlier`` or ``a later`` where that version of fgtune wrote the folder and has to run it on.
    """

    data: StudyData
    holder: Holder | None
    proposed: tuple[int, int | None] | None
    planned: int
    failures: tuple[CellResult, ...]
    under_way: int
    arms: tuple[ArmStatus, ...]
    left: TimeLeft | None
    last: LastCall
    arm_searches: Mapping[str, StudyStatus]
    is_arm_search: bool
    open_arms: tuple[str, ...] | None
    open_checks: tuple[tuple[str, str], ...]
    running: Running | None
    other_version: str | None

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The results; a cell that two arms share counts once."""
        return tuple(self.data.results.values())

    @property
    def ended(self) -> int:
        """Number of cells that have a result."""
        return len(self.data.results)

    def count(self, state: CellState) -> int:
        """Number of cells that ended in this state."""
        return sum(each.state is state for each in self.results)

    @property
    def seconds(self) -> float:
        """Trainer seconds of all ended cells, searches inside arms included."""
        return math.fsum([_seconds(self.results), *(each.seconds for each in self.arm_searches.values())])

    @property
    def criterion(self) -> MetricInfo:
        """What arms are ranked by."""
        return criteria_of(self.data)[0]

    @property
    def best(self) -> ArmStatus | None:
        """The best arm among those with the most finished cells; None before any has a value."""
        best = best_arm(self.data)
        return next((arm for arm in self.arms if arm.arm == best), None)


def read_status(root: Path) -> StudyStatus:
    """Read how far the study in a folder is; writes nothing.

    Raises:
        StudyFolderError: The folder holds no study, or one of its files cannot be read.
    """
    folder = StudyFolder(root, lenient=True)
    folder.require_study()
    return _status(read_study(folder))


def _status(data: StudyData) -> StudyStatus:
    folder, study, results = data.folder, data.study, data.results
    searches = {arm: _status(own) for arm, own in data.arm_searches.items() if own is not None}
    proposed = _proposed(data)
    coming = 0 if proposed is None or proposed[1] is None else max(0, proposed[1] - proposed[0])
    arm_of = {cell.cell_id: cell.arm for cell in data.planned}  # one that two arms share counts once
    pending = [arm for cell_id, arm in arm_of.items() if cell_id not in results]
    pending += [""] * coming * len(study.seed_list)
    pending += [arm for arm in data.pending_arms for _ in study.seed_list]
    searched = sum(_left_in_search(data, searches.get(arm)) for arm in data.pending_arms)
    ended = [*results.values(), *(each for search in searches.values() for each in search.results)]
    failed = [cell_id for cell_id in arm_of if cell_id in results and results[cell_id].state is CellState.FAIL]
    record = data.provenance
    holder, running = folder.holder(), read_running(folder.running_file)
    started = {path.stem for path in folder.checkpoints_dir.glob("*.pt")}
    started |= {trial.cell_id for trial in (running.trials if running is not None and holder is not None else ())}
    return StudyStatus(
        data=data,
        holder=holder,
        proposed=proposed,
        planned=len(results) + len(pending),
        failures=tuple(results[cell_id] for cell_id in failed),
        under_way=len((started - results.keys()) & arm_of.keys()),
        arms=_arms(data),
        left=time_left(pending + [""] * searched, ended, cells_at_once(study.execution, *_machine_of(record))),
        last=last_call(record),
        arm_searches=searches,
        is_arm_search=ARM_SEARCH in record,
        open_arms=_open_arms(data),
        open_checks=_open_checks(folder),
        running=running,
        other_version=other_version(record),
    )


def _open_arms(data: StudyData) -> tuple[str, ...] | None:
    """With adaptive seeds, the arms that are not decided: by the last look, or by the one that is due now."""
    adaptive = data.study.adaptive_seeds
    if adaptive is None or not data.planned:
        return None
    if data.count().missing == 0:
        from fgtune.analysis.judging import planned_contrasts  # SciPy, which nothing else here needs

        contrasts = planned_contrasts(data, data.info(data.study.metrics.primary))
        return tuple(contrast.label for contrast in contrasts if not contrast.is_decided)
    if len(data.looks) == 1:
        return None
    largest = max(len(data.cells(arm.name)) for arm in data.arms)
    return tuple(arm.label for arm in data.arms if not arm.is_baseline and len(data.cells(arm.name)) == largest)


def _open_checks(folder: StudyFolder) -> tuple[tuple[str, str], ...]:
    """The checks in ``verdicts.json`` that did not pass; none where there is no such file, or it is damaged.

    To make them anew takes the statistics, and with them seconds.
    """
    try:
        checks = json.loads(read_text(folder.verdicts_file, MOST_TABLE))["checks"]
        return tuple((str(each["name"]), str(each["status"])) for each in checks if each["status"] != "PASS")
    except (ConfigError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def _arms(data: StudyData) -> tuple[ArmStatus, ...]:
    """How far each arm is; one whose settings are not chosen yet will have one cell per seed."""
    means, waiting, found = arm_means(data), data.pending_arms, []
    later = Counts(len(data.study.seed_list), 0, 0, 0, len(data.study.seed_list))
    for arm in data.arms:
        ended = data.ended(arm.name)
        counts = later if arm.name in waiting else data.count(arm.name)
        found.append(ArmStatus(arm.name, counts, _seconds(ended), *means.get(arm.name, (math.nan, 0))))
    return tuple(found)


def _seconds(results: Iterable[CellResult]) -> float:
    return math.fsum(each.seconds for each in results if math.isfinite(each.seconds))


def _left_in_search(data: StudyData, search: StudyStatus | None) -> int:
    """Largest number of cells that the search inside an arm may still run."""
    if search is not None:
        return search.planned - search.ended
    own = data.study.design.arm_search
    return 0 if own is None or own.trials is None else (1 + own.trials) * len(own.seed_list)


def _proposed(data: StudyData) -> tuple[int, int | None] | None:
    """Points proposed so far and in total, without replacements of a population; None if the design is not a search."""
    design = data.study.design
    if design.plans_cells:
        return None
    return len({cell.arm for cell in data.planned if not cell.is_forked} - {design.baseline_arm}), design.most_points


def _machine_of(record: Mapping[str, Any]) -> tuple[int, int | None]:
    """Cores and GPUs of the machine that last ran the study, or of this one if the record does not say."""
    here = machine()
    runs = [record, *record.get("continued", [])]
    cores = (runs[-1].get("host") or {}).get("cpus")
    return (cores if isinstance(cores, int) and cores > 0 else here[0]), here[1]


def print_status(status: StudyStatus, console: Console) -> None:
    """Print the status."""
    say, study = partial(print_line, console), status.data.study
    print_damage(status.data.folder.damage.values())
    say(f"{study.study} ({study.design.kind}), in {status.data.folder.root}")
    say(f"question: {study.question}")
    running = "not running" if status.holder is None else f"running ({status.holder})"
    say(f"{running}: {_progress(status)}")
    if status.proposed is not None:
        done, all_ = status.proposed
        say(f"search: {done} points proposed" + ("" if all_ is None else f" of {all_}"))
    if status.open_arms is not None:
        say(f"seeds: {len(status.data.looks[-1])} of at most {study.possible_seeds[-1] + 1}, {_open_text(status)}")
    for arm, search in status.arm_searches.items():
        so_far = _progress(search) if arm in status.data.pending_arms else f"over after {counted_cells(search.ended)}"
        say(f"search inside {arm}: {so_far}")
    console.print(_table(status))
    for result in status.failures:
        say(f"failed: {result.arm}, seed {result.seed}: {result.cause}")
    for line in _now(status):
        say(line)
    say(f"used: {duration(status.seconds)} in trials")
    for line in _rest(status):
        say(line)


def _now(status: StudyStatus) -> Iterator[str]:
    """Which trials are silent, and whether the process that runs the study is; none while no process does."""
    if status.holder is None:
        return
    now = time.time()
    for each in (status, *status.arm_searches.values()):
        cells, running = {cell.cell_id: cell for cell in each.data.planned}, each.running
        if running is None:
            continue
        if now - running.written >= STALE_AFTER_S:
            yield f"the process that runs it has noted nothing for {duration(now - running.written)}: is it stuck?"
        for trial in running.trials:
            if trial.cell_id in cells and now - trial.heard >= trial.silent_after_s:
                cell = cells[trial.cell_id]
                text = silence_text(now - trial.heard, trial.epoch, trial.usual_s)
                yield f"silent: {cell.arm}, seed {cell.seed}: {text}"


def _open_text(status: StudyStatus) -> str:
    """Which contrasts are still open, with adaptive seeds."""
    return f"not decided yet: {first_of(status.open_arms)}" if status.open_arms else "every contrast is decided"


def _progress(status: StudyStatus) -> str:
    parts = [f"{status.ended} of {counted_cells(status.planned)} ended"]
    for state, word in ((CellState.FAIL, "failed"), (CellState.PRUNED, "stopped early")):
        parts += [f"{status.count(state)} {word}"] * (status.count(state) > 0)
    parts += [f"{status.under_way} under way"] * (status.under_way > 0)
    return ", ".join(parts)


def _rest(status: StudyStatus) -> Iterator[str]:
    """The estimate, the best arm, and how to continue."""
    if status.ended < status.planned and status.data.study.trial.runs_here:
        yield f"left: {status.left.sentence()}" if status.left else "left: unknown until a cell is finished"
    elsewhere = kept_elsewhere(status.data.folder)
    if elsewhere is not None:
        yield f"checkpoints: in {elsewhere}, which is not counted here"
    if status.open_checks:
        found = [f"{state} {name.lower()}" for name, state in status.open_checks]
        yield f"checks of the last report: {', '.join(found)}; fgtune report {status.data.folder.root} says what to do"
    best = status.best
    if best is not None:
        mean = f"{status.criterion.name} {best.score:.4f} (mean of {counted_cells(best.scored)})"
        yield f"best so far: {best.arm}, {mean}"
    retry = " --retry-failed" if status.ended == status.planned and status.failures and not status.is_arm_search else ""
    last = status.last
    if not status.data.study.trial.runs_here and status.ended < status.planned:
        yield "runs that are left come from elsewhere: `fgtune import` the table again when it has them"
    if last.command and status.holder is None and (status.ended < status.planned or retry):
        folder = None if last.options is None else last.options.directory(status.data.folder.root)
        place = f" (in {folder})" if folder is not None and folder != Path.cwd() else ""
        what = "run failed cells again with" if retry else "continue with"
        if status.other_version is not None:
            what = f"{status.other_version} version of fgtune wrote this folder; with that version, {what}"
        yield f"{what}: {last.line}{retry}{place}"


_MOST_ROWS = 20


def _table(status: StudyStatus) -> Table:
    """One row per arm; of a long search, only the best."""
    mean = f"{status.criterion.name} (mean)"
    table = Table("arm", "planned", "complete", "failed", "stopped early", "left", "seconds per cell", mean)
    arms = list(status.arms)
    if len(arms) > _MOST_ROWS:
        sign = 1.0 if status.criterion.direction == "minimize" else -1.0
        # Those with most scored cells first: the seeds that early stopping leaves an arm are the ones that went well.
        arms.sort(key=lambda arm: (-arm.scored, sign * arm.score if arm.scored else 0.0))
        table.caption = f"the best {_MOST_ROWS} of {len(arms)} arms"
    for arm in arms[:_MOST_ROWS]:
        counts = arm.counts
        ended = counts.planned - counts.missing
        score = f"{arm.score:.4f}" if arm.scored else "-"
        seconds = f"{arm.seconds / ended:.1f}" if ended else "-"
        shown = (counts.planned, counts.complete, counts.failed, counts.pruned, counts.missing)
        table.add_row(*table_row(arm.arm, *map(str, shown), seconds, score))
    return table
