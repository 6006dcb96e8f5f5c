"""Study, plan, record and ledger of a study folder as they are read, and made again where a file is damaged."""

from __future__ import annotations

import csv
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fgtune.config.reading.source import parse_yaml
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, DamagedFileError, StudyFolderError
from fgtune.files import read_text, write_atomically
from fgtune.results.cell_files import CellFiles
from fgtune.results.ledger import Ledger
from fgtune.results.rebuilding import MOST_PLAN, check_record, rows_of_table, rows_so_far, study_of_record
from fgtune.results.texts import CELL_COLUMNS, parse_plan, plan_factors, resolved_text, rows_text


@lru_cache(maxsize=32)
def _json_of(text: str) -> str:
    """A resolved study as JSON: one call reads it several times, and YAML takes long to read."""
    return json.dumps(parse_yaml(text, "").data)


def _placed_json(text: str, where: str) -> str:
    """The same; an error says in which file it is.

    Raises:
        ConfigError: It is no YAML.
    """
    try:
        return _json_of(text)
    except ConfigError:
        return json.dumps(parse_yaml(text, where).data)


_MISSING = "this file of a study folder is missing"


class StoredStudy(CellFiles):
    """The folder at ``root`` as it is read."""

    @property
    def ledger(self) -> Ledger:
        """The ledger of finished cells."""
        return Ledger(self.ledger_file)

    @property
    def claims(self) -> tuple[Path, ...]:
        """The files of which each shows that a study was started here."""
        return (self.provenance_file, self.resolved_file, self.plan_file, self.ledger_file)

    def require_study(self) -> None:
        """Raise ``StudyFolderError`` unless the folder holds a study, whole or damaged."""
        if not any(path.is_file() for path in self.claims):
            lacking = next(path for path in self.claims if not path.is_file())
            rule, fix = f"is no study folder, it lacks {lacking.name}", "name the folder of a study that was started"
            raise StudyFolderError(rule, where=str(self.root), fix=fix)

    def read_study(self) -> Study:
        """The folder's study, every default filled in; made again from ``provenance.json`` where its file is damaged.

        Raises:
            StudyFolderError: The file is missing, or is not what this version writes, and the record does not prove it.
        """
        try:
            return self._stored_study()
        except StudyFolderError as error:
            made = study_of_record(self.record(), self.provenance_file)
            if made is None:
                raise
            what = f"{_short(error)}; the study was made again from {self.provenance_file.name}, with the same hash"
            self.note_damage(self.resolved_file, what)
            return made

    def _stored_study(self) -> Study:
        where = str(self.resolved_file)
        fix = "restore the file, or run the study again: finished cells are kept"
        text = self._text(self.resolved_file)
        try:
            return Study.from_plain(json.loads(_placed_json(text, where)))
        except ValidationError as error:
            rule = f"is not the resolved study that this version writes ({error.error_count()} problems)"
            raise DamagedFileError(rule, where=where, fix=fix) from error
        except StudyFolderError:
            raise
        except ConfigError as error:
            raise DamagedFileError(error.rule, where=error.where or where, path=error.path, fix=fix) from error

    def read_plan(self) -> list[dict[str, Any]]:
        """The planned cells: ``cell_id``, ``arm``, ``seed`` (int) and the level of each factor.

        There is at least one, except in a comparison all of whose arms are still being searched. Where the file is
        damaged, the rows are made again from ledger and table, if they have every arm.

        Raises:
            StudyFolderError: The file is missing, or a row is not a cell, and ledger and table do not say.
        """
        return self.read_planned()[0]

    def rows_so_far(self) -> list[dict[str, Any]]:
        """The rows of a plan that grows; of one that is lost, those that ledger and table know, which is noted."""
        try:
            return self.read_plan()
        except StudyFolderError as error:
            rows = rows_so_far(self.results_csv, self.ledger.read())
            lost = f"a trial without a finished cell that {self.results_csv.name} does not have is proposed anew"
            what = f"{_short(error)}; the plan was made again from {self.results_csv.name} and the ledger: {lost}"
            self.note_damage(self.plan_file, what)
            return rows

    def read_planned(self) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """The rows of ``read_plan``, and the factors that are columns of the plan; raises like it."""
        try:
            return self._stored_plan()
        except StudyFolderError as error:
            rows = rows_of_table(self.results_csv, self.ledger.read())
            if not rows:
                raise
            what = f"{_short(error)}; the plan was made again from {self.results_csv.name} and the ledger"
            self.note_damage(self.plan_file, what)
            return rows, tuple(name for name in rows[0] if name not in CELL_COLUMNS)

    def _stored_plan(self) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        text, where = self._text(self.plan_file), str(self.plan_file)
        fix = "restore the file, or run the study again, which plans it anew: finished cells are kept"
        try:
            rows, factors = parse_plan(text), plan_factors(text)
        except (KeyError, TypeError, ValueError, RecursionError, csv.Error) as error:
            rule = f"every row must hold {', '.join(CELL_COLUMNS)}"
            raise DamagedFileError(rule, where=where, fix=fix) from error
        if not rows and self.ledger.read():
            raise DamagedFileError("holds no cell, and the ledger has some", where=where, fix=fix)
        return rows, factors

    def _text(self, path: Path) -> str:
        """The text of a file of the folder.

        Raises:
            StudyFolderError: It is missing, or no text.
        """
        if not os.path.lexists(path):
            fix = "name the folder of a study that was started, or run the study again: finished cells are kept"
            raise StudyFolderError(_MISSING, where=str(path), fix=fix)
        try:
            return read_text(path, MOST_PLAN)
        except ConfigError as error:
            fix = "restore the file, or run the study again: finished cells are kept"
            raise DamagedFileError(error.rule, where=error.where, fix=fix) from error

    def rebuild(self) -> None:
        """Write again what ``read_study`` and ``read_plan`` had to make again; what was there is set aside."""
        stated = self.record().get("study_hash")
        if self.resolved_file in self.damage and stated:
            study = self.read_study()
            self.set_aside(self.resolved_file)
            write_atomically(self.resolved_file, resolved_text(study, stated).encode())
        if self.plan_file in self.damage:
            rows = self.read_plan()
            self.set_aside(self.plan_file)
            write_atomically(self.plan_file, rows_text(rows).encode())

    def record(self) -> dict[str, Any]:
        """What ``provenance.json`` holds; nothing where it is missing or damaged, which is noted in ``damage``."""
        try:
            return self.read_provenance()
        except StudyFolderError as error:
            if any(path.is_file() for path in self.claims):
                lost = "versions, earlier calls and looks are not known, and the next run writes it anew"
                self.note_damage(self.provenance_file, f"{_short(error)}: {lost}")
            return {}

    def read_provenance(self) -> dict[str, Any]:
        """What ``provenance.json`` holds.

        Raises:
            StudyFolderError: It is missing, not JSON, or not what fgtune writes.
        """
        try:
            record: dict[str, Any] = json.loads(self._text(self.provenance_file))
            if not isinstance(record, dict):
                raise TypeError("no mapping")
            check_record(record)
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            fix = "restore it from a copy, or run the study again, which writes it anew"
            what = "is not JSON" if isinstance(error, json.JSONDecodeError) else f"is not a provenance ({error})"
            raise DamagedFileError(what, where=str(self.provenance_file), fix=fix) from error
        return record


def _short(error: StudyFolderError) -> str:
    """What is wrong, after the file's name."""
    return "is missing" if error.rule == _MISSING else f"is damaged ({error.rule})"
