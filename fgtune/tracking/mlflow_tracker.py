"""Tracks a study in MLflow through a client bound to one store; MLflow's global state is left alone.

Every run is looked up by its tags before it is created, and a run that holds an outcome completely is marked by a tag
that is set last. A call that failed half-way is therefore completed by the next one, in whichever process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from fgtune.config.arms.plan import Plan
from fgtune.errors import TrackingError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, EpochMetrics
from fgtune.tracking import layout
from fgtune.tracking.base import ArmStatistics, StudyEnd
from fgtune.tracking.layout import LOGGED
from fgtune.tracking.store import Store, brief_reason, quiet_mlflow
from fgtune.tracking.study_runs import Launch, StudyRuns, missing_points, refuse_deleted, write

FAULTS = (MlflowException, SQLAlchemyError, OSError, ImportError)
"""What mlflow, its database and its artifact stores raise; requests' own errors are OSErrors."""

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

    def start(self, plan: Plan, folder: Path, *, commit: str | None = None) -> None:
        """Find or create the study's own run, mark it as running, and make sure that files can be stored.

        Raises:
            ConfigError: The experiment of this name was deleted in MLflow.
            TrackingError: The store rejected it.
        """
        self._launch = Launch(plan, str(folder.resolve()), commit, StudyFolder(folder).former_hashes())
        self._runs = None
        with self._calling("the study"):
            self._refuse_deleted(plan.study.study)
        with self._study("the study") as runs:
            text = layout.plain_yaml(plan.study.to_plain())
            self._client.log_text(runs.parent, text, "study.resolved.yaml")

    def grow(self, plan: Plan) -> None:
        """Replace the plan; see ``Tracker.grow``."""
        self._launch = replace(self._started, plan=plan)

    def log_cell(self, result: CellResult, curve: Sequence[EpochMetrics]) -> None:
        """Store a finished cell; see ``Tracker.log_cell``."""
        with self._study(f"cell {result.cell_id}") as runs:
            if not _holds(runs, result):
                self._write_cell(runs, result, curve)

    def sync(self, results: Iterable[CellResult], read_curve: Callable[[str], Sequence[EpochMetrics]]) -> int:
        """Store every finished cell that is missing; see ``Tracker.sync``."""
        latest = {result.cell_id: result for result in results}
        with self._study("the ledger") as runs:
            missing = [result for result in latest.values() if not _holds(runs, result)]
        for result in missing:
            self.log_cell(result, read_curve(result.cell_id))
        return len(missing)

    def log_summary(self, arms: Mapping[str, ArmStatistics], answer: str) -> None:
        """Store a summary run per arm, and the answer in the parent's description."""
        with self._study("the summary") as runs:
            plan = self._started.plan
            for arm, summary in arms.items():
                self._write_summary(runs, arm, summary)
            self._client.set_tag(runs.parent, "mlflow.note.content", layout.study_note(plan.study, answer))

    def finish(self, end: StudyEnd, artifacts: Sequence[Path] = ()) -> None:
        """Attach files to the parent run, count the cells in its tags, and mark it as ended."""
        with self._study("the end of the study") as runs:
            for path in artifacts:
                self._client.log_artifact(runs.parent, str(path))
            cells = (run.tags for (role, _), run in runs.children.items() if role == "cell")
            states = [tags["fgtune.state"] for tags in cells if LOGGED in tags]
            tally = layout.tally(states, len(self._started.plan.cells))
            write(self._client, runs.parent, tags={"fgtune.state": end.value, "fgtune.cells": tally})
            self._client.set_terminated(runs.parent, _END_STATUS[end])

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
        finals = layout.final_points(result)
        points = finals + layout.curve_points(result, curve)
        _retire(runs, result, {point.key for point in finals})
        start, end = layout.time_span(result)
        run = runs.child("cell", result.cell_id, f"{result.arm} / seed {result.seed}", {}, start)
        tags = {key: value for key, value in layout.cell_tags(plan, result).items() if value or key in run.tags}
        if LOGGED in run.tags:
            tags["fgtune.retry"] = f"replaces {run.tags[LOGGED]}"
            points = missing_points(self._client, run.run_id, points)
        write(self._client, run.run_id, points, layout.cell_params(result), tags)
        dataset = layout.cell_dataset(plan, result.config)
        if dataset is not None:
            data = Dataset(dataset.name, dataset.digest, "code", dataset.source, profile=dataset.profile)
            self._client.log_inputs(run.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
        self._client.log_text(run.run_id, layout.plain_yaml(dict(result.config)), "config.yaml")
        self._client.set_terminated(run.run_id, layout.RUN_STATUS[result.state], end_time=end)
        self._client.set_tag(run.run_id, LOGGED, layout.outcome_key(result))
        run.tags.update(tags | {LOGGED: layout.outcome_key(result)})
        run.metrics.update({point.key: point.value for point in points})

    def _write_summary(self, runs: StudyRuns, arm: str, summary: ArmStatistics) -> None:
        """Write the changed values of an arm's summary into its run."""
        plan = self._started.plan
        now = layout.milliseconds(datetime.now(UTC))
        levels = next((known.levels for known in plan.arms if known.name == arm), {})
        tags = {"fgtune.contrast_role": layout.arm_role(plan, arm)}
        run = runs.child("arm_summary", arm, f"{arm} / all seeds", tags, now)
        points = [point for point in layout.summary_points(summary, now) if run.metrics.get(point.key) != point.value]
        write(self._client, run.run_id, points, layout.level_params(levels))
        self._client.set_terminated(run.run_id, "FINISHED", end_time=now)
        run.metrics.update({point.key: point.value for point in points})


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
