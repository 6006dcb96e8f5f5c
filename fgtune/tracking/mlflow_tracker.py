"""Tracks a study in MLflow through a client bound to one store; MLflow's global state is left alone.

Every run is looked up by its tags before it is created, and a run that holds an outcome completely is marked by a tag
that is set last. A call that failed half-way is therefore completed by the next one, in whichever process.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from fgtune.config.arms.plan import Plan
from fgtune.errors import TrackingError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, EpochMetrics
from fgtune.results.tracked import TrackedRun, TrackedRuns
from fgtune.tracking import layout, view
from fgtune.tracking.base import Findings, StudyEnd
from fgtune.tracking.layout import LOGGED
from fgtune.tracking.note import study_note
from fgtune.tracking.store import Store, brief_reason, quiet_mlflow
from fgtune.tracking.study_runs import Launch, StudyRuns, missing_points, now_ms, refuse_deleted, write

FAULTS = (MlflowException, SQLAlchemyError, OSError, ImportError)
"""What mlflow, its database and its artifact stores raise; requests' own errors are OSErrors."""

_FILES = "fgtune.files"
"""The tag with a digest of the files that the study's own run holds."""

_END_STATUS = {
    StudyEnd.COMPLETE: "FINISHED",
    StudyEnd.FAILED_CELLS: "FINISHED",
    StudyEnd.BUDGET: "KILLED",
    StudyEnd.PARTIAL: "FINISHED",
    StudyEnd.INTERRUPTED: "KILLED",
    StudyEnd.ERROR: "FAILED",
}


class MlflowTracker:
    """A ``Tracker`` on MLflow. Created by ``open_tracker``; used from one thread of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._client = store.client
        self._launch: Launch | None = None
        self._runs: StudyRuns | None = None

    @property
    def uri(self) -> str:
        """The store, without passwords."""
        return self._store.uri

    def check(self, studies: Sequence[str]) -> None:
        """Raise ``ConfigError`` if an experiment of one of these names was deleted; see ``Tracker.check``."""
        with self._calling("the study"):
            for name in studies:
                self._refuse_deleted(name)

    def start(self, plan: Plan, folder: Path, *, commit: str | None = None, idle: bool = False) -> None:
        """Find or create the study's own run, mark it as running, and make sure that files can be stored.

        With ``idle``, a run that exists is left as it is; see ``Tracker.start``.

        Raises:
            ConfigError: The experiment of this name was deleted in MLflow.
            TrackingError: The store rejected it.
        """
        stored = StudyFolder(folder)
        self._noted = TrackedRuns(stored.tracking_file)

        def began() -> int | None:
            starts = [layout.time_span(result)[0] for result in stored.ledger.read() if result.finished_at]
            return min(starts, default=None)

        self._launch = Launch(plan, str(folder.resolve()), commit, stored.former_hashes(), idle, began)
        self._runs = None
        with self._calling("the study"):
            self._refuse_deleted(plan.study.study)
        with self._study("the study") as runs:
            name = "study.resolved.yaml"
            if not idle or name not in self._files(runs):
                self._client.log_text(runs.own.run_id, layout.plain_yaml(plan.study.to_plain()), name)

    def grow(self, plan: Plan) -> None:
        """Replace the plan; see ``Tracker.grow``."""
        self._launch = replace(self._started, plan=plan)
        if self._runs is not None:
            self._runs.plan = plan

    def log_cell(self, result: CellResult, curve: Sequence[EpochMetrics]) -> None:
        """Store a finished cell; see ``Tracker.log_cell``."""
        with self._study(f"cell {result.cell_id}") as runs:
            if not _holds(runs, result):
                self._write_cell(runs, result, curve)
            self._note(runs, [result.cell_id])

    def sync(self, results: Iterable[CellResult], read_curve: Callable[[str], Sequence[EpochMetrics]]) -> int:
        """Store every finished cell that is missing; see ``Tracker.sync``."""
        latest = {result.cell_id: result for result in results}
        with self._study("the ledger") as runs:
            missing = [result for result in latest.values() if not _holds(runs, result)]
            self._note(runs, latest.keys() - {result.cell_id for result in missing})
        for result in missing:
            self.log_cell(result, read_curve(result.cell_id))
        return len(missing)

    def _note(self, runs: StudyRuns, cell_ids: Iterable[str]) -> None:
        """Write down in the study folder which runs hold these cells."""
        held = [(cell_id, runs.children["cell", cell_id].run_id) for cell_id in sorted(cell_ids)]
        self._noted.note(TrackedRun(cell_id, self.uri, runs.experiment, run_id) for cell_id, run_id in held)

    def log_summary(self, findings: Findings) -> None:
        """Store the numbers of each arm in its run; in the study's own the primary metric of all, and the note."""
        with self._study("the summary") as runs:
            plan, now, ended = self._started.plan, now_ms(), runs.ended_cells()
            for name, arm in findings.arms.items():
                cells = ended.get(name, [])
                if not cells and ("arm_summary", name) not in runs.children:
                    continue  # none of its cells has ended
                run = runs.arm(name, min((cell.start for cell in cells), default=now))
                elsewhere = {cell.tags["fgtune.arm"] for cell in cells} - {name}
                tags = {"fgtune.verdict": arm.verdict} if arm.verdict or "fgtune.verdict" in run.tags else {}
                tags |= {"fgtune.cells_in": ", ".join(sorted(elsewhere))} if elsewhere else {}
                runs.update(run, layout.arm_points(arm, findings.primary, now), tags=tags)
            note = study_note(plan.study, findings)
            runs.update(runs.own, layout.study_points(findings, now), tags={"mlflow.note.content": note})
            self._save_view(runs, findings)

    def _save_view(self, runs: StudyRuns, findings: Findings) -> None:
        """Keep the view of the arms with the experiment, unless it is there."""
        key = view.TAG + view.view_key(runs.own.run_id)
        state = view.arms_view(self._started.plan, runs.own.run_id, findings)
        experiment = self._client.get_experiment(runs.experiment)
        if len(state) <= layout.MAX_TAG and experiment.tags.get(key) != state:
            self._client.set_experiment_tag(runs.experiment, key, state)

    def finish(self, end: StudyEnd, artifacts: Sequence[Path] = ()) -> None:
        """Attach files to the study's own run, count the cells in its tags, and mark it and the arms as ended."""
        with self._study("the end of the study") as runs:
            digest = _digest(artifacts)
            if runs.own.tags.get(_FILES) != digest or not {path.name for path in artifacts} <= self._files(runs):
                for path in artifacts:
                    self._client.log_artifact(runs.own.run_id, str(path))
            plan = self._started.plan
            planned = Counter(cell.arm for cell in plan.cells)
            states: list[str] = []
            ended = runs.ended_cells()
            for (role, name), run in list(runs.children.items()):
                if role == "arm_summary":
                    cells = ended.get(name, [])
                    states += [cell.tags["fgtune.state"] for cell in cells]
                    status = layout.arm_status([cell.tags["fgtune.state"] for cell in cells], planned[name])
                    runs.end(run, status, max([run.start, *(cell.end or cell.start for cell in cells)]))
            tally = layout.tally(states, len(plan.cells))
            runs.update(runs.own, tags={"fgtune.state": end.value, "fgtune.cells": tally, _FILES: digest})
            runs.end(runs.own, _END_STATUS[end], self._end_time(runs))

    def _end_time(self, runs: StudyRuns) -> int:
        """When the study ended: now, or when it ended before if nothing was run since."""
        if not self._started.idle:
            return now_ms()
        cells = [run.end for (role, _), run in runs.children.items() if role == "cell" and run.end is not None]
        return runs.own.end or max(cells, default=runs.own.start)

    def _files(self, runs: StudyRuns) -> set[str]:
        return {str(item.path) for item in self._client.list_artifacts(runs.own.run_id)}

    @property
    def _started(self) -> Launch:
        if self._launch is None:
            raise TrackingError("tracking was not started for any study")
        return self._launch

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        """Turn errors of the store into ``TrackingError``, and keep mlflow from printing them."""
        try:
            with quiet_mlflow():
                yield
        except BaseException as fault:  # an interrupt included
            self._runs = None  # read again before the next write: a failed call may still have taken effect
            if isinstance(fault, FAULTS):
                raise TrackingError(f"{self.uri} did not take {what}: {brief_reason(fault)}") from fault
            raise

    @contextmanager
    def _study(self, what: str) -> Iterator[StudyRuns]:
        """The study's runs, for writing ``what``."""
        launch = self._started
        with self._calling(what):
            if self._runs is None:
                self._runs = StudyRuns(self._store, launch)
            yield self._runs

    def _refuse_deleted(self, name: str) -> None:
        restore = f"MLFLOW_TRACKING_URI={self.uri} mlflow experiments restore --experiment-id"
        refuse_deleted(self._client, name, restore, "rename the study")

    def _write_cell(self, runs: StudyRuns, result: CellResult, curve: Sequence[EpochMetrics]) -> None:
        """Write a cell into its run; ``LOGGED`` comes last, and everything before it may be repeated."""
        plan = self._started.plan
        names = layout.headline(plan.study)
        finals = layout.final_points(result, names)
        points = finals + layout.curve_points(result, curve, names)
        _retire(runs, result, {point.key for point in finals})
        start, end = layout.time_span(result)
        run = runs.cell(result, start)
        tags = {key: value for key, value in layout.cell_tags(plan, result).items() if value or key in run.tags}
        if LOGGED in run.tags:
            tags["fgtune.retry"] = f"replaces {run.tags[LOGGED]}"
            points = missing_points(self._client, run.run_id, points)
        write(self._client, run.run_id, points, layout.cell_params(result), tags)
        dataset = layout.cell_dataset(plan, result.config)
        if dataset is not None:
            data = Dataset(dataset.name, dataset.digest, "code", dataset.source, profile=dataset.profile)
            self._client.log_inputs(run.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
        for name, text in layout.cell_files(result, curve).items():
            self._client.log_text(run.run_id, text, name)
        self._client.set_terminated(run.run_id, layout.RUN_STATUS[result.state], end_time=end)
        self._client.set_tag(run.run_id, LOGGED, layout.outcome_key(result))
        run.tags.update(tags | {LOGGED: layout.outcome_key(result)})
        run.metrics.update({point.key: point.value for point in points})
        run.status, run.end = layout.RUN_STATUS[result.state], end


def _digest(files: Sequence[Path]) -> str:
    """Identifies the content of files, in any order; one that does not exist counts as empty and fails when stored."""
    parts = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}" for path in files]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _holds(runs: StudyRuns, result: CellResult) -> bool:
    """Whether the store holds exactly this outcome, completely."""
    run = runs.children.get(("cell", result.cell_id))
    return run is not None and run.tags.get(LOGGED) == layout.outcome_key(result)


def _retire(runs: StudyRuns, result: CellResult, reported: set[str]) -> None:
    """Discard a cell's run if it reports metrics that this outcome lacks: MLflow cannot delete a metric.

    This happens when a failure replaces a success.
    """
    run = runs.children.get(("cell", result.cell_id))
    if run is not None and {key for key in run.metrics if not key.startswith("curve/")} - reported:
        runs.discard("cell", result.cell_id)
