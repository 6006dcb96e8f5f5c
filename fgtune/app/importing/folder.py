"""The study folder of imported runs: written once, and again where the table has only grown since."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fgtune import __version__
from fgtune.app.importing.runs import Runs
from fgtune.app.importing.study import ImportedStudy
from fgtune.config.schema.study import Study
from fgtune.errors import StudyFolderError
from fgtune.results.extension import with_look
from fgtune.results.folder import IMPORTS, StudyFolder
from fgtune.results.records import CellResult
from fgtune.results.texts import differences
from fgtune.text import first_of

_MAY_GROW = ("design.arms", "seeds", "source", "trial.source")
"""Settings that may differ when the table of a study is imported again."""


def write_folder(folder: StudyFolder, made: ImportedStudy, runs: Runs, *, wait: bool = False) -> None:
    """Write the runs of a table as a study that is finished; what the folder has of it already stays.

    Args:
        folder: The study folder, which need not exist.
        made: The study of the table.
        runs: The table.
        wait: Wait until no other process writes to the folder.

    Raises:
        StudyFolderError: The folder holds another study, or runs that the table lacks or has with other values; another
            process writes to it. Nothing is written then.
    """
    with folder.lock(wait, print):
        stored = {result.cell_id: result for result in folder.ledger.read()}
        record = _entry(made, runs)
        if folder.provenance_file.exists():
            folder.require_study()
            before = folder.read_study()
            _check_same(folder, before, made.plan.study)
            _check_grown(folder, stored, made, runs)
            record = _grown_record(folder.read_provenance(), before, made, record, looked=bool(stored))
        folder.import_runs(made.plan, made.loaded, record)
        new = [(result, history) for result, history in made.results if result.cell_id not in stored]
        if runs.has_epochs:
            folder.add_curves([(result, history) for result, history in new if history])
        at = datetime.now(UTC).isoformat(timespec="seconds")
        folder.ledger.extend([_dated(result, at) for result, _ in new])


def _dated(result: CellResult, at: str) -> CellResult:
    return replace(result, finished_at=at)


def _entry(made: ImportedStudy, runs: Runs) -> dict[str, Any]:
    """The provenance of a first import."""
    states = [result.state for result, _ in made.results]
    imported = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": Path(runs.rows.name).name,
        "sha256": runs.rows.digest,
        "rows": len(runs.rows.cells),
        "runs": {state: states.count(state) for state in dict.fromkeys(states)},
        "fgtune": __version__,
    }
    return {
        "study": made.plan.study.study,
        "study_hash": made.plan.study_hash,
        "data": {},
        "started_at": imported["at"],
        "fgtune": __version__,
        "python": platform.python_version(),
        IMPORTS: [imported],
    }


def _check_same(folder: StudyFolder, before: Study, now: Study) -> None:
    """Raise if the folder's study is not one of imported runs that are judged in the same way."""
    where = str(folder.root)
    if before.trial.runs_here:
        raise StudyFolderError("holds a study that fgtune runs", where=where, fix="choose another folder with --out")
    found = list(differences(_fixed(before), _fixed(now)))
    if found:
        rule = f"holds runs that are judged otherwise: it differs in {first_of(found, 4)}"
        fix = "give the same options and columns as then, or choose another folder with --out"
        raise StudyFolderError(rule, where=where, fix=fix)


def _fixed(study: Study) -> dict[str, Any]:
    """What may not change."""
    plain = study.to_plain()
    for path in _MAY_GROW:
        section, _, leaf = path.rpartition(".")
        (plain[section] if section else plain).pop(leaf)
    return plain


def _check_grown(folder: StudyFolder, stored: Mapping[str, CellResult], made: ImportedStudy, runs: Runs) -> None:
    """Raise unless the table has every run of the folder as it was."""
    now = {result.cell_id: result for result, _ in made.results}
    fix = "import the table with all earlier rows as they were, or choose another folder with --out"
    for cell_id, result in stored.items():
        run = f"arm {result.arm!r}, seed {result.seed}"
        if cell_id not in now:
            rule = f"has a run that {runs.rows.name} lacks: {run}"
            raise StudyFolderError(rule, where=str(folder.root), fix=fix)
        if _outcome(now[cell_id]) != _outcome(result):
            rule = f"has a run that {runs.rows.name} has with other values: {run}"
            raise StudyFolderError(rule, where=str(folder.root), fix=fix)


def _outcome(result: CellResult) -> tuple[Any, ...]:
    """What a run of the table says."""
    return result.state, dict(result.metrics), result.epochs, result.seconds, result.cause, result.evidence


def _grown_record(
    record: Mapping[str, Any], before: Study, made: ImportedStudy, entry: Mapping[str, Any], *, looked: bool
) -> dict[str, Any]:
    """The provenance after a further import: what was there before has been looked at, which is recorded."""
    study, larger, known = made.plan.study, dict(record), record.get(IMPORTS, [])
    imported = entry[IMPORTS][0]
    if record["study_hash"] != made.plan.study_hash:
        step = {
            "at": imported["at"],
            "from": {"study_hash": record["study_hash"], "seeds": list(before.seed_list)},
            "to": {"study_hash": made.plan.study_hash, "seeds": list(study.seed_list)},
        }
        if looked:
            larger = with_look(record, before.seed_list, added=list(study.seed_list))
        larger |= {"study_hash": made.plan.study_hash, "extended": [*record.get("extended", []), step]}
    repeats = bool(known) and known[-1]["sha256"] == imported["sha256"]
    return larger if repeats else {**larger, IMPORTS: [*known, imported]}
