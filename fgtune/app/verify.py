"""Checks a study folder against itself: what can be recomputed from stored data must come out the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgtune.analysis.inputs import StudyData, read_study
from fgtune.app.verification.arrays import check_attention, check_portraits, check_relations
from fgtune.app.verification.curves import check_curves
from fgtune.app.verification.derived import check_pages, check_tables
from fgtune.app.verification.files import check_claim, check_failures
from fgtune.app.verification.findings import DAMAGE, Finding, Subject, agree, described, guarded
from fgtune.app.verification.ledger import check_chain, check_lines
from fgtune.app.verification.looks import check_looks
from fgtune.app.verification.plan import check_again, check_rows
from fgtune.app.verification.predictions import check_labels, check_predictions
from fgtune.app.verification.rerun import Rerun, chosen_cells, load_data, rerun
from fgtune.app.verification.searches import check_choices, check_mirror, check_stopping
from fgtune.app.verification.study import check_study, replan
from fgtune.config.arms.plan import ArmSearchPlan, Plan
from fgtune.errors import StudyFolderError
from fgtune.plugins import permitting
from fgtune.results.folder import ARM_SEARCH, GIVEN, StudyFolder
from fgtune.results.options import last_call
from fgtune.results.records import CellResult
from fgtune.text import count

Say = Callable[[str], None]

CHECKS: tuple[tuple[str, Callable[[Subject], Iterator[Finding]]], ...] = (
    ("study", check_study),
    ("looks", check_looks),
    ("plan", check_rows),
    ("ledger", check_chain),
    ("ledger", check_lines),
    ("ledger", check_failures),
    ("curves", check_curves),
    ("relations", check_relations),
    ("predictions", check_predictions),
    ("attention", check_attention),
    ("portraits", check_portraits),
    ("early stopping", check_stopping),
    ("search", check_mirror),
    ("search", check_choices),
    ("tables", check_tables),
    ("report", check_pages),
)
"""What is checked of every study folder, and the group under which it is counted."""


@dataclass
class Verification:
    """The outcome of ``verify``.

    Attributes:
        counts: Number of values compared, by group.
        problems: A line for each value that does not agree, with its file and cell.
        notes: What could not be compared, and why.
        head: The hash that stands for the whole ledger; empty where it cannot be read.
        lines: Number of lines of the ledger.
        reruns: The cells that were run again.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    head: str = ""
    lines: int = 0
    reruns: list[Rerun] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Number of values compared."""
        return sum(self.counts.values())

    def add(self, group: str, finding: Finding) -> None:
        """Count a finding."""
        self.counts[group] = self.counts.get(group, 0) + finding.compared
        self.problems += [finding.problem] if finding.problem else []
        self.notes += [finding.note] if finding.note else []


def verify(
    root: Path, *, data: bool = True, plugins: Sequence[str] = (), reruns: int = 0, seed: int = 0
) -> Verification:
    """Recompute what can be recomputed from the folder's files.

    Study, plan, ledger, curves, relations, tables and report are checked against one another, in the folder and in
    those of the searches inside its arms; the study's data are read, where they can be, and it is planned once more.

    Args:
        root: The study folder.
        data: Whether to read the data.
        plugins: Packages that may be imported because the study names parts in them.
        reruns: How many complete cells to run again, at most all of them.
        seed: Seed of the draw of these cells.

    Raises:
        ConfigError: It is not a study folder; or cells are to be run again, and there is none, or its data or plugins
            are not there. Nothing was started.
    """
    folder, outcome = StudyFolder(root), Verification()
    claimed = (folder.resolved_file, folder.plan_file, folder.provenance_file, folder.ledger_file)
    if not any(path.is_file() for path in claimed):
        fix = "name the folder of a study that was started"
        raise StudyFolderError("is no study folder", where=str(root), fix=fix)
    if (holder := folder.holder()) is not None:
        outcome.notes.append(f"{holder} is writing to the folder: what it just writes may not agree yet")
    for finding in check_claim(folder):
        outcome.add("study", finding)
    subject = _read(folder, outcome)
    if subject is not None:
        with permitting(plugins, beside=_study_file(subject)):
            _verify(subject, outcome, data, reruns, seed)
    return outcome


def _study_file(subject: Subject) -> Path | None:
    """Where the study file was, beside which a module of the user's own may lie; None where it is not known."""
    options = last_call(subject.record).options if subject.record else None
    return None if options is None else (options.directory(subject.folder.root) or Path()) / options.study


def _verify(subject: Subject, outcome: Verification, data: bool, reruns: int, seed: int) -> None:
    datasets: dict[str, Any] = {}
    cells = list[CellResult]()
    if reruns:
        cells, forked = chosen_cells(subject, reruns, seed)
        load_data(subject, cells, datasets)
        if forked:
            outcome.notes.append(f"{forked} cells continue another's training and cannot be run again alone")
    _check(subject, outcome, _planned(subject, outcome, datasets) if data else None, datasets)
    for cell in cells:
        try:
            outcome.reruns.append(rerun(subject, cell, datasets))
        except DAMAGE as error:
            outcome.add("rerun", Finding(1, f"{subject.cell(cell)}: cannot be compared: {described(error)}"))


def _read(folder: StudyFolder, outcome: Verification) -> Subject | None:
    """The folder's content; None where it cannot be read, which is a problem of its own."""
    record = _record(folder, folder.provenance_file.name, outcome)
    try:
        lines = tuple(folder.ledger.lines())
        outcome.head, outcome.lines = folder.ledger.head, len(lines)
        return Subject(read_study(folder), folder.root, lines, record)
    except DAMAGE as error:
        outcome.add("study", Finding(1, f"{described(error)}; nothing else can be checked"))
        return None


def _record(folder: StudyFolder, name: str, outcome: Verification) -> dict[str, Any]:
    """What ``provenance.json`` holds; nothing if it is missing, which ``check_claim`` reports, or unreadable."""
    try:
        return folder.read_provenance() if folder.provenance_file.is_file() else {}
    except DAMAGE as error:
        outcome.add("study", Finding(1, f"{name}: cannot be read: {described(error)}"))
        return {}


def _check(subject: Subject, outcome: Verification, again: Plan | None, datasets: Mapping[str, Any]) -> None:
    """All checks of one folder, and of those below it; ``again`` is its study planned once more."""
    for group, check in CHECKS:
        for finding in guarded(check(subject), f"{subject.where}{group}"):
            outcome.add(group, finding)
    if again is not None:
        for finding in guarded(check_again(subject, again), subject.name(subject.folder.plan_file)):
            outcome.add("plan", finding)
    for finding in check_labels(subject, datasets):
        outcome.add("predictions", finding)
    planned = {} if again is None else {each.search.arm: each for each in again.arm_searches}
    for arm, search in subject.data.arm_searches.items():
        if search is not None:
            own = _arm_search(subject, search, outcome)
            _belongs(subject, own, arm, planned.get(arm), outcome)
            _check(own, outcome, None if arm not in planned else planned[arm].plan, datasets)


def _planned(subject: Subject, outcome: Verification, datasets: dict[str, Any]) -> Plan | None:
    """The study planned once more; None where it cannot be."""
    try:
        again, findings = replan(subject, datasets)
    except DAMAGE as error:
        again, findings = None, [Finding(1, f"{subject.name(subject.folder.provenance_file)}: {described(error)}")]
    for finding in findings:
        outcome.add("data", finding)
    return again


def _arm_search(subject: Subject, search: StudyData, outcome: Verification) -> Subject:
    """The search inside an arm, under verification itself."""
    folder = search.folder
    for finding in check_claim(folder):
        problem = f"{subject.name(folder.root)}/{finding.problem}" if finding.problem else ""
        outcome.add("study", Finding(finding.compared, problem))
    record = _record(folder, subject.name(folder.provenance_file), outcome)
    return Subject(search, subject.top, tuple(folder.ledger.lines()), record)


def _belongs(subject: Subject, own: Subject, arm: str, planned: ArmSearchPlan | None, outcome: Verification) -> None:
    """The search inside an arm is the one that the comparison makes of it."""
    if planned is None or not own.record:
        return
    name, owner = subject.name(own.folder.provenance_file), {"study": subject.data.study.study, "arm": arm}
    outcome.add("study", agree(own.record.get(ARM_SEARCH) == owner, f"{name}: does not belong to {owner}"))
    same = own.record.get(GIVEN) == dict(planned.search.loaded.raw)
    outcome.add("study", agree(same, f"{name}: holds another study than the comparison gives"))


def drawn_seed() -> int:
    """A seed that nobody who changed a folder could know."""
    return secrets.randbelow(2**31)


def exit_code(outcome: Verification) -> int:
    """0 where all agrees, 1 where the folder does not agree with itself, 3 where only cells that ran again differ."""
    if outcome.problems:
        return 1
    return 3 if any(each.differences for each in outcome.reruns) else 0


def print_verification(outcome: Verification, say: Say, warn: Say) -> None:
    """Print what was compared, what could not be, each problem, and the verdict.

    Args:
        outcome: What was found.
        say: Receives a line for standard output.
        warn: Receives a line for standard error.
    """
    say("compared: " + ", ".join(f"{group} {number:,}" for group, number in outcome.counts.items() if number))
    if outcome.head:
        say(f"ledger: {count(outcome.lines, 'line')}, head {outcome.head}")
    for note in outcome.notes:
        say(f"note: {note}")
    for problem in outcome.problems:
        warn(problem)
    for each in outcome.reruns:
        (warn if each.differences else say)(each.text)
    differing = sum(bool(each.differences) for each in outcome.reruns)
    again = f"; {len(outcome.reruns)} cells run again, {differing} differ" if outcome.reruns else ""
    say(f"{outcome.compared} values compared, {len(outcome.problems)} do not agree{again}")
