"""``fgtune status DIR``: how far a study is, read from its folder alone, without Ray or torch, and fast."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fgtune.analysis.timing import TimeLeft, cells_at_once, counted_cells, machine, time_left
from fgtune.config.arms.arm_search import part_names
from fgtune.config.schema.study import Study
from fgtune.results.folder import INSIDE, StudyFolder
from fgtune.results.formats import FORK
from fgtune.results.options import last_call
from fgtune.results.records import CellResult, CellState, best_by_mean
from fgtune.text import duration
from fgtune.tuning.search.objectives import Objective, mean_values, ranking_of


@dataclass(frozen=True)
class ArmStatus:
    """One arm: its planned cells by what became of them.

    Attributes:
        score: Mean of what the arms are ranked by, over COMPLETE cells that have it; nan without any.
        scored: Number of those cells.
    """

    arm: str
    planned: int
    complete: int
    failed: int
    pruned: int
    seconds: float
    score: float
    scored: int

    @property
    def left(self) -> int:
        """Cells without a result."""
        return self.planned - self.complete - self.failed - self.pruned


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        holder: The process that writes to the folder now; None when the study is not running.
        proposed: Of a search: points proposed so far, and how many there are to be (None for no fixed number). None of
            any other design.
        planned: Cells that the plan has now, and those of points not proposed yet where their number is known.
        under_way: Cells without a result that have a checkpoint: running, or cut off.
        failures: Results of failed cells, in the order of the plan.
        seconds: Trainer seconds of everything that ended.
        objective: What arms are ranked by.
        best: The best arm by it among those with the most finished cells; None before any has a value.
        left: Estimate of the rest, with that of the searches inside arms.
        command: The command line that continues the study, and the folder to type it in where that is known.
        results: What has ended.
        searches: Of a comparison that searches inside its arms: how far each search is that has begun, by its arm.
        unchosen: Arms whose search has not chosen their settings yet.
        is_inside: Whether it is itself the search inside an arm, which is run by the comparison.
    """

    root: Path
    study: Study
    holder: str | None
    proposed: tuple[int, int | None] | None
    planned: int
    under_way: int
    arms: tuple[ArmStatus, ...]
    failures: tuple[CellResult, ...]
    seconds: float
    objective: Objective
    best: ArmStatus | None
    left: TimeLeft | None
    command: tuple[str, Path | None] | None
    results: tuple[CellResult, ...]
    searches: Mapping[str, StudyStatus]
    unchosen: tuple[str, ...]
    is_inside: bool

    def count(self, state: CellState) -> int:
        """Cells that ended in this state."""
        return sum(each.state is state for each in self.results)

    @property
    def ended(self) -> int:
        """Cells that have a result; one that two arms share counts once."""
        return len(self.results)


def read_status(root: Path) -> StudyStatus:
    """Read how far the study in a folder is; writes nothing.

    Raises:
        StudyFolderError: There is no study in it, or a file of it cannot be read.
    """
    folder = StudyFolder(root)
    folder.require_study()
    study, plan = folder.read_study(), folder.read_plan()
    known = {row["cell_id"] for row in plan}
    results = {each.cell_id: each for each in folder.ledger.read() if each.cell_id in known}
    objective = ranking_of(study)[0]
    by_arm = _by_arm(plan)
    searches = _searches(study, folder)
    unchosen = tuple(name for name in study.design.searched_arms if name not in by_arm)
    arms = tuple(_arm(name, rows, results, objective) for name, rows in by_arm.items())
    arms += tuple(ArmStatus(name, len(study.seed_list), 0, 0, 0, 0.0, math.nan, 0) for name in unchosen)
    proposed = _proposed(study, plan)
    coming = 0 if proposed is None or proposed[1] is None else max(0, proposed[1] - proposed[0])
    pending = [*{row["cell_id"]: row["arm"] for row in plan if row["cell_id"] not in results}.values()]
    pending += [""] * coming * len(study.seed_list)
    pending += [name for name in unchosen for _ in study.seed_list]
    inside = sum(_left_inside(study, searches.get(name)) for name in unchosen)
    ended = [*results.values(), *(each for search in searches.values() for each in search.results)]
    cut_off = {path.stem for path in folder.checkpoints_dir.glob("*.pt")} - results.keys()
    record = folder.read_provenance()
    best = best_by_mean({arm.arm: (arm.score, arm.scored) for arm in arms}, objective.mode)
    return StudyStatus(
        root=root,
        study=study,
        holder=folder.holder(),
        proposed=proposed,
        planned=len(results) + len(pending),
        under_way=len(cut_off & known),
        arms=arms,
        failures=tuple(
            results[cell_id]
            for cell_id in dict.fromkeys(row["cell_id"] for row in plan)
            if cell_id in results and results[cell_id].state is CellState.FAIL
        ),
        seconds=math.fsum(each.seconds for each in ended if math.isfinite(each.seconds)),
        objective=objective,
        best=next((arm for arm in arms if arm.arm == best), None),
        left=time_left(pending + [""] * inside, ended, cells_at_once(study.execution, *_machine_of(record))),
        command=_command(folder, record),
        results=tuple(results.values()),
        searches=searches,
        unchosen=unchosen,
        is_inside=INSIDE in record,
    )


def _searches(study: Study, folder: StudyFolder) -> dict[str, StudyStatus]:
    """How far the searches inside arms are, those that have begun."""
    folders = {arm: folder.tuning_dir / part for arm, part in part_names(study.design).items()}
    return {arm: read_status(own) for arm, own in folders.items() if StudyFolder(own).plan_file.is_file()}


def _left_inside(study: Study, search: StudyStatus | None) -> int:
    """Cells that the search inside an arm may yet run."""
    if search is not None:
        return search.planned - search.ended
    own = study.design.arm_search
    return 0 if own is None or own.trials is None else (1 + own.trials) * len(own.seed_list)


def _by_arm(plan: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in plan:
        grouped.setdefault(row["arm"], []).append(row)
    return grouped


def _arm(
    name: str, rows: Sequence[Mapping[str, Any]], results: Mapping[str, CellResult], objective: Objective
) -> ArmStatus:
    ended = [results[row["cell_id"]] for row in rows if row["cell_id"] in results]
    states = Counter(each.state for each in ended)
    complete = [each for each in ended if each.state is CellState.COMPLETE]
    scored = [each for each in complete if math.isfinite(objective.of_result(each))]
    return ArmStatus(
        arm=name,
        planned=len(rows),
        complete=states[CellState.COMPLETE],
        failed=states[CellState.FAIL],
        pruned=states[CellState.PRUNED],
        seconds=math.fsum(each.seconds for each in ended if math.isfinite(each.seconds)),
        score=mean_values([objective], scored)[0] if scored else math.nan,
        scored=len(scored),
    )


def _proposed(study: Study, plan: Sequence[Mapping[str, Any]]) -> tuple[int, int | None] | None:
    """Points proposed so far and in all, replacements of a population apart; None where the design is no search."""
    if study.design.plans_cells:
        return None
    proposed = {row["arm"] for row in plan if not row.get(FORK)} - {study.design.baseline_arm}
    return len(proposed), study.design.most_points


def _machine_of(record: Mapping[str, Any]) -> tuple[int, int | None]:
    """Cores and GPUs of the machine that ran the study last; of this one where the record does not tell."""
    here = machine()
    runs = [record, *record.get("continued", [])]
    cores = (runs[-1].get("host") or {}).get("cpus")
    return (cores if isinstance(cores, int) and cores > 0 else here[0]), here[1]


def _command(folder: StudyFolder, record: Mapping[str, Any]) -> tuple[str, Path | None] | None:
    """The line that continues the study, and where to type it; None where no command is recorded."""
    last = last_call(record)
    if not last.command:
        return None
    return last.line, None if last.options is None else last.options.directory(folder.root)


def print_status(status: StudyStatus, console: Console) -> None:
    """Tell it to a person."""
    say = _Teller(console)
    study = status.study
    say(f"{study.study} ({study.design.kind}), in {status.root}")
    say(f"question: {study.question}")
    running = "not running" if status.holder is None else f"running (process {status.holder})"
    say(f"{running}: {_progress(status)}")
    if status.proposed is not None:
        done, all_ = status.proposed
        say(f"search: {done} points proposed" + ("" if all_ is None else f" of {all_}"))
    for arm, search in status.searches.items():
        so_far = _progress(search) if arm in status.unchosen else f"over after {counted_cells(search.ended)}"
        say(f"search inside {arm}: {so_far}")
    console.print(_table(status))
    for result in status.failures:
        say(f"failed: {result.arm}, seed {result.seed}: {result.cause}")
    say(f"used: {duration(status.seconds)} in trials")
    _tell_rest(status, say)


def _progress(status: StudyStatus) -> str:
    parts = [f"{status.ended} of {counted_cells(status.planned)} ended"]
    for state, word in ((CellState.FAIL, "failed"), (CellState.PRUNED, "stopped early")):
        parts += [f"{status.count(state)} {word}"] * (status.count(state) > 0)
    parts += [f"{status.under_way} begun"] * (status.under_way > 0)
    return ", ".join(parts)


def _tell_rest(status: StudyStatus, say: _Teller) -> None:
    """The estimate, the best arm, and how to go on."""
    if status.ended < status.planned:
        say(f"left: {status.left.sentence()}" if status.left else "left: unknown until a cell is finished")
    if status.best is not None:
        best = status.best
        say(f"best so far: {best.arm}, {status.objective.name} {best.score:.4f} (mean of {counted_cells(best.scored)})")
    retry = " --retry-failed" if status.ended == status.planned and status.failures and not status.is_inside else ""
    if status.command is not None and status.holder is None and (status.ended < status.planned or retry):
        line, folder = status.command
        place = f" (in {folder})" if folder is not None and folder != Path.cwd() else ""
        say(f"{'run failed cells again' if retry else 'continue'} with: {line}{retry}{place}")


class _Teller:
    """Prints lines as they are."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


_MOST_ROWS = 20


def _table(status: StudyStatus) -> Table:
    """One row an arm, the best ones of a long search."""
    mean = f"{status.objective.name} (mean)"
    table = Table("arm", "planned", "complete", "failed", "stopped early", "left", "seconds a cell", mean)
    arms = list(status.arms)
    if len(arms) > _MOST_ROWS:
        sign = -1.0 if status.objective.mode == "maximize" else 1.0
        # Those with most scored cells first: the seeds that early stopping leaves an arm are the ones that went well.
        arms.sort(key=lambda arm: (-arm.scored, sign * arm.score if arm.scored else 0.0))
        table.caption = f"the best {_MOST_ROWS} of {len(arms)} arms"
    for arm in arms[:_MOST_ROWS]:
        ended = arm.planned - arm.left
        score = f"{arm.score:.4f}" if arm.scored else "-"
        seconds = f"{arm.seconds / ended:.1f}" if ended else "-"
        counts = (arm.planned, arm.complete, arm.failed, arm.pruned, arm.left)
        table.add_row(arm.arm, *map(str, counts), seconds, score)
    return table
