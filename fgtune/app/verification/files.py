"""Which files a study folder must have, and the tracebacks of failed cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from fgtune.app.verification.findings import Finding, Subject, agree
from fgtune.results.evidence import FAILURE
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState


def check_claim(folder: StudyFolder) -> Iterator[Finding]:
    """The files that are there before the first cell runs, and the ledger once there is any other."""
    for path in (folder.study_file, folder.resolved_file, folder.plan_file, folder.provenance_file):
        yield agree(path.is_file(), f"{path.name}: is missing")
    traces = (
        folder.relations_dir,
        folder.predictions_dir,
        folder.curves_dir,
        folder.curves_file,
        folder.failures_dir,
        folder.report_file,
        folder.verdicts_file,
    )
    if any(path.exists() for path in traces):  # before the first cell ends there is no ledger
        yield agree(folder.ledger_file.is_file(), f"{folder.ledger_file.name}: is missing")


def check_failures(subject: Subject) -> Iterator[Finding]:
    """A traceback is of a cell that failed, once at least, and the one that was written then."""
    folder = subject.folder
    failed = {line.cell_id: line for line in subject.lines if line.state is CellState.FAIL}  # the last time that it did
    for line in failed.values():
        path, stated = folder.failures_dir / f"{line.cell_id}.txt", (line.evidence or {}).get(FAILURE)
        if stated is not None:
            same = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == stated
            rule = f"{subject.name(path)}: is not the traceback that was written when {subject.cell(line)} failed"
            yield agree(same, rule)
    for path in sorted(folder.failures_dir.iterdir()) if folder.failures_dir.is_dir() else ():
        if path.name.startswith("."):
            continue
        rule = "records a failure, the ledger has no line of this cell that failed: the line was removed or changed"
        yield agree(path.stem in failed, f"{subject.name(path)}: {rule}")
