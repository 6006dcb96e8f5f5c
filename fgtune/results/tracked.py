"""Which run of a tracking store holds each cell: ``tracking.jsonl`` in the study folder, on which no result hangs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fgtune.errors import FgtuneError, StudyFolderError
from fgtune.files import JsonLines
from fgtune.results.cell_files import CellFiles


@dataclass(frozen=True)
class TrackedRun:
    """The run of a cell.

    Attributes:
        cell_id: The cell.
        uri: The store, without passwords.
        experiment_id: Its experiment there.
        run_id: Its run there.
    """

    cell_id: str
    uri: str
    experiment_id: str
    run_id: str

    @property
    def link(self) -> str:
        """The page of the run, where the store is a server; else empty: a store on disk has no address of its own."""
        parts = urlsplit(self.uri)
        if parts.scheme not in {"http", "https"}:
            return ""
        root = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        return run_page(root, self.experiment_id, self.run_id)


def run_page(address: str, experiment: str, run: str) -> str:
    """The page of a run on a server of MLflow, in the model-training view."""
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"


class TrackedRuns:
    """The runs of a folder's cells, a line each; of several lines of a cell the last counts.

    Args:
        path: The file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        rule, fix = "is not the run of a cell", "remove the file: the next run of the study writes it anew"
        self._folder = path.parent
        self._known: dict[str, TrackedRun] | None = None
        self._lines: JsonLines[TrackedRun] = JsonLines(path, _parsed, rule=rule, fix=fix)

    def read(self) -> dict[str, TrackedRun]:
        """The run of each cell by its id.

        Raises:
            StudyFolderError: A line is none.
        """
        return {run.cell_id: run for run in self._lines.read()}

    def note(self, runs: Iterable[TrackedRun]) -> None:
        """Add those that the file does not have, for the one process that writes to the folder.

        What cannot be written is left out: nothing but links needs it.
        """
        if not self._folder.is_dir():
            return
        try:
            self._known = self.read() if self._known is None else self._known
            new = [run for run in runs if self._known.get(run.cell_id) != run]
            self._lines.extend(asdict(run) for run in new)
            self._known |= {run.cell_id: run for run in new}
        except (OSError, FgtuneError):
            return


def tracked_runs(folder: CellFiles) -> dict[str, TrackedRun]:
    """The run of each tracked cell of a study by its id; a damaged file costs the links, and is noted."""
    try:
        return TrackedRuns(folder.tracking_file).read()
    except StudyFolderError as error:
        folder.note_damage(folder.tracking_file, f"is damaged ({error.rule}), and the report names no runs of MLflow")
        return {}


def _parsed(line: dict[str, Any]) -> TrackedRun:
    urlsplit(str(line["uri"]))  # raises for what is no address
    return TrackedRun(*(str(line[key]) for key in ("cell_id", "uri", "experiment_id", "run_id")))
