"""The runs of a study in an MLflow store: looked up by their tags before they are created, and written in batches."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from fgtune.config.arms.plan import Plan
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult
from fgtune.tracking import layout
from fgtune.tracking.layout import Point
from fgtune.tracking.note import study_note
from fgtune.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_ALL, BATCH_KEYS, PAGE = 1000, 100, 1000
"""MLflow's limits: entries per call, parameters and tags (each) among them, and runs per response."""

Role = Literal["cell", "arm_summary"]
_NAME_TAG = {"cell": "fgtune.cell_id", "arm_summary": "fgtune.arm"}
_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Launch:
    """A launch of a study.

    Attributes:
        plan: The study and its cells.
        folder: The study folder.
        commit: Git commit that the study runs from, if known.
        former: Hashes that the study had before seeds were added; its existing runs are tagged with them.
        idle: Whether nothing is left to run.
        began: Tells when its first cell began, in milliseconds; None before any has ended.
    """

    plan: Plan
    folder: str
    commit: str | None
    former: tuple[str, ...] = ()
    idle: bool = False
    began: Callable[[], int | None] = lambda: None


@dataclass
class StoredRun:
    """A run as last read from the store or written to it; kept up to date with every write."""

    run_id: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    status: str
    start: int
    end: int | None

    @classmethod
    def of(cls, run: Run) -> StoredRun:
        """From what MLflow answers."""
        info, data = run.info, run.data
        end = None if info.end_time is None else int(info.end_time)
        found = (dict(data.tags), dict(data.params), dict(data.metrics))
        return cls(str(info.run_id), *found, str(info.status), int(info.start_time), end)


class StudyRuns:
    """The runs of a study: its own, below it one of each arm, and below that one of each cell.

    They are as last read from the store or written to it.

    Attributes:
        plan: The study and its cells; a search replaces it as it grows.
        own: The study's own run.
        children: By role and identifier (cell id or arm).
        experiment: Id of the study's experiment.
    """

    def __init__(self, store: Store, launch: Launch) -> None:
        """Find or create the experiment and the study's own run, and mark that as running unless nothing is run."""
        self._client: MlflowClient = store.client
        self.plan = launch.plan
        self._levels_of: tuple[Plan, Mapping[str, Mapping[str, Any]]] | None = None
        self.experiment = experiment_id(store, launch.plan.study.study)
        for study_hash in launch.former:
            for run in list(self._search(study_hash)):
                self._client.set_tag(run.info.run_id, "fgtune.study_hash", self.plan.study_hash)
        self.children: dict[tuple[str, str], StoredRun] = {}
        found: list[Run] = []
        for run in self._search(self.plan.study_hash):
            role = run.data.tags.get("fgtune.role", "")
            if role == "study":
                found.append(run)
            elif role in _NAME_TAG:
                self.children.setdefault((role, run.data.tags.get(_NAME_TAG[role], "")), StoredRun.of(run))
        self.own = StoredRun.of(found[0]) if found else self._create_own(launch)
        if found and not launch.idle:
            self._client.update_run(self.own.run_id, status="RUNNING")
            self.own.status = "RUNNING"
            self.update(self.own, tags=layout.study_tags(launch.plan, launch.folder, launch.commit))
        self._adopt()

    def _adopt(self) -> None:
        """Put each arm below the study and each cell below its arm, as after a parent was deleted.

        An earlier version put cells below the study itself.
        """
        for (role, ident), run in list(self.children.items()):
            if role == "arm_summary":
                self.update(run, tags={_PARENT: self.own.run_id})
            else:
                arm = run.tags.get("fgtune.arm") or self._arm_of(ident)
                parent = self.arm(arm, run.start) if arm else self.own
                self.update(run, tags={_PARENT: parent.run_id})

    def _arm_of(self, cell_id: str) -> str:
        """The arm of a cell whose run was cut off before it bore the arm's name."""
        return next((cell.arm for cell in self.plan.cells if cell.cell_id == cell_id), "")

    def arm(self, name: str, start_ms: int) -> StoredRun:
        """The run of an arm, created if it does not exist."""
        run = self.children.get(("arm_summary", name))
        if run is None:
            tags = {"fgtune.arm": name, "fgtune.contrast_role": layout.arm_role(self.plan, name)}
            run = self._child("arm_summary", name, f"{name} / all seeds", self.own.run_id, tags, start_ms)
        self.update(run, params=layout.level_params(self._levels().get(name, {})))
        return run

    def _levels(self) -> Mapping[str, Mapping[str, Any]]:
        """The levels of every arm of the present plan."""
        if self._levels_of is None or self._levels_of[0] is not self.plan:
            self._levels_of = self.plan, {arm.name: arm.levels for arm in self.plan.arms}
        return self._levels_of[1]

    def cell(self, result: CellResult, start_ms: int) -> StoredRun:
        """The run of a cell, created below its arm's if it does not exist."""
        run = self.children.get(("cell", result.cell_id))
        if run is not None:
            return run
        parent = self.arm(result.arm, start_ms)
        name, tags = f"{result.arm} / seed {result.seed}", {"fgtune.arm": result.arm}
        return self._child("cell", result.cell_id, name, parent.run_id, tags, start_ms)

    def ended_cells(self) -> dict[str, list[StoredRun]]:
        """The runs of cells that hold an outcome completely, by arm; a cell that arms share is among those of each."""
        found: dict[str, list[StoredRun]] = {}
        for (role, _), run in self.children.items():
            if role == "cell" and layout.LOGGED in run.tags:
                found.setdefault(run.tags.get("fgtune.arm", ""), []).append(run)
        for cell in self.plan.cells:
            shared = self.children.get(("cell", cell.cell_id))
            if shared is not None and layout.LOGGED in shared.tags and shared.tags.get("fgtune.arm") != cell.arm:
                found.setdefault(cell.arm, []).append(shared)
        return found

    def update(
        self,
        run: StoredRun,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write what the run does not hold yet; of metrics only the last values are compared."""
        points = [point for point in points if run.metrics.get(point.key) != point.value]
        new = {key: value for key, value in (params or {}).items() if run.params.get(key) != value}
        changed = {key: value for key, value in (tags or {}).items() if run.tags.get(key) != value}
        write(self._client, run.run_id, points, new, changed)
        run.metrics.update({point.key: point.value for point in points})
        run.params.update(new)
        run.tags.update(changed)

    def end(self, run: StoredRun, status: str, end_ms: int) -> None:
        """Mark a run as ended, unless it ended like this."""
        if (run.status, run.end) != (status, end_ms):
            self._client.set_terminated(run.run_id, status, end_time=end_ms)
            run.status, run.end = status, end_ms

    def _child(
        self, role: Role, ident: str, name: str, parent: str, tags: Mapping[str, str], start_ms: int
    ) -> StoredRun:
        identity = {_PARENT: parent, "fgtune.role": role, _NAME_TAG[role]: ident}
        identity |= {"fgtune.study": self.plan.study.study, "fgtune.study_hash": self.plan.study_hash}
        run = self.children[role, ident] = StoredRun.of(self._create(name, identity | dict(tags), start_ms))
        return run

    def discard(self, role: Role, ident: str) -> None:
        """Move a child run to MLflow's deleted runs, where it can be restored."""
        self._client.delete_run(self.children[role, ident].run_id)
        del self.children[role, ident]

    def _create_own(self, launch: Launch) -> StoredRun:
        study = self.plan.study
        tags = layout.study_tags(launch.plan, launch.folder, launch.commit)
        note = {"mlflow.note.content": study_note(study)}
        began = launch.began()
        start = now_ms() if began is None else began
        return StoredRun.of(self._create(f"{study.study} {self.plan.study_hash[:6]}", note | tags, start))

    def _create(self, name: str, tags: Mapping[str, str], start_ms: int) -> Run:
        origin = {"mlflow.user": _user(), "mlflow.source.name": "fgtune", "mlflow.source.type": "LOCAL"}
        return self._client.create_run(self.experiment, start_time=start_ms, tags=origin | dict(tags), run_name=name)

    def _search(self, study_hash: str) -> Iterator[Run]:
        """All active runs of the study with this hash, oldest first."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment],
                filter_string=f"tags.`fgtune.study_hash` = '{study_hash}'",
                max_results=PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return


def experiment_id(store: Store, name: str) -> str:
    """The id of the experiment ``name``, created if it does not exist."""
    found = store.client.get_experiment_by_name(name)
    if found is None:
        location = None if store.artifact_root is None else Path(store.artifact_root, name).as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the page opens on runs instead of traces
        try:
            return str(store.client.create_experiment(name, artifact_location=location, tags=kind))
        except MlflowException:
            found = store.client.get_experiment_by_name(name)  # another process was first
            if found is None:
                raise
    return str(found.experiment_id)


def refuse_deleted(client: MlflowClient, name: str, restore: str, otherwise: str) -> None:
    """Raise if the experiment was deleted: MLflow keeps its name and accepts no runs for it.

    Args:
        client: Bound to the store.
        name: Name of the study.
        restore: Command that restores an experiment, up to its id.
        otherwise: What else the user can do.

    Raises:
        ConfigError: The experiment was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        fix = f"run `{restore} {found.experiment_id}`, or {otherwise}"
        raise ConfigError("the MLflow experiment of this name was deleted", path="study", value=name, fix=fix)


def write(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log parameters, tags and metric points in as few calls as MLflow's limits allow."""
    run_params = [Param(key, value) for key, value in (params or {}).items()]
    run_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
    metrics = [Metric(point.key, point.value, point.timestamp, point.step) for point in points]
    while run_params or run_tags or metrics:
        some_params, run_params = run_params[:BATCH_KEYS], run_params[BATCH_KEYS:]
        some_tags, run_tags = run_tags[:BATCH_KEYS], run_tags[BATCH_KEYS:]
        room = BATCH_ALL - len(some_params) - len(some_tags)
        some_metrics, metrics = metrics[:room], metrics[room:]
        client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=some_tags)


def missing_points(client: MlflowClient, run_id: str, points: Sequence[Point]) -> list[Point]:
    """The points whose value the run does not already have at that step from an earlier outcome of its cell."""
    keys = sorted({point.key for point in points})
    stored = {
        (metric.key, metric.step): metric.value for key in keys for metric in client.get_metric_history(run_id, key)
    }
    return [point for point in points if stored.get((point.key, point.step)) != point.value]


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return layout.milliseconds(datetime.now(UTC))


def _user() -> str:
    """The user who runs the study; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
