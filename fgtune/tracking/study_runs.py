"""The runs of a study in an MLflow store: looked up by their tags before they are created, and written in batches."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from fgtune.config.arms.plan import Plan
from fgtune.errors import ConfigError
from fgtune.tracking import layout
from fgtune.tracking.layout import Point
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
    """

    plan: Plan
    folder: str
    commit: str | None
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Child:
    """A child run as last read from the store or written to it; the mappings are updated with every write."""

    run_id: str
    tags: dict[str, str]
    metrics: dict[str, float]


class StudyRuns:
    """The parent run of a study and its children, as last read from the store or written to it.

    Attributes:
        parent: Id of the study's own run.
        children: By role and identifier (cell id or arm).
    """

    def __init__(self, store: Store, launch: Launch) -> None:
        """Find or create the experiment and the parent run, and mark the parent as running."""
        self._client: MlflowClient = store.client
        self._plan = launch.plan
        self._experiment = experiment_id(store, launch.plan.study.study)
        for study_hash in launch.former:
            for run in list(self._search(study_hash)):
                self._client.set_tag(run.info.run_id, "fgtune.study_hash", self._plan.study_hash)
        self.children: dict[tuple[str, str], Child] = {}
        parents: list[Run] = []
        for run in self._search(self._plan.study_hash):
            role = run.data.tags.get("fgtune.role", "")
            if role == "study":
                parents.append(run)
            elif role in _NAME_TAG:
                self.children.setdefault((role, run.data.tags.get(_NAME_TAG[role], "")), _child(run))
        tags = layout.study_tags(launch.plan, launch.folder, launch.commit)
        self.parent = self._resume(parents[0], tags) if parents else self._create_parent(tags)
        for child in self.children.values():
            if child.tags.get(_PARENT) != self.parent:  # its parent was deleted
                self._client.set_tag(child.run_id, _PARENT, self.parent)

    def child(self, role: Role, ident: str, name: str, tags: Mapping[str, str], start_ms: int) -> Child:
        """The child run of ``role`` and ``ident``, created if it does not exist."""
        child = self.children.get((role, ident))
        if child is None:
            identity = {_PARENT: self.parent, "fgtune.role": role, _NAME_TAG[role]: ident}
            identity |= {"fgtune.study": self._plan.study.study, "fgtune.study_hash": self._plan.study_hash}
            child = self.children[role, ident] = _child(self._create(name, identity | dict(tags), start_ms))
        return child

    def discard(self, role: Role, ident: str) -> None:
        """Move a child run to MLflow's deleted runs, where it can be restored."""
        self._client.delete_run(self.children[role, ident].run_id)
        del self.children[role, ident]

    def _create_parent(self, tags: Mapping[str, str]) -> str:
        study = self._plan.study
        note = {"mlflow.note.content": layout.study_note(study)}
        run = self._create(f"{study.study} {self._plan.study_hash[:6]}", note | dict(tags), _now())
        return str(run.info.run_id)

    def _resume(self, run: Run, tags: Mapping[str, str]) -> str:
        """Mark the parent run of an earlier launch as running again."""
        parent = str(run.info.run_id)
        self._client.update_run(parent, status="RUNNING")
        write(self._client, parent, tags=tags)
        return parent

    def _create(self, name: str, tags: Mapping[str, str], start_ms: int) -> Run:
        origin = {"mlflow.user": _user(), "mlflow.source.name": "fgtune", "mlflow.source.type": "LOCAL"}
        return self._client.create_run(self._experiment, start_time=start_ms, tags=origin | dict(tags), run_name=name)

    def _search(self, study_hash: str) -> Iterator[Run]:
        """All active runs of the study with this hash, oldest first."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                filter_string=f"tags.`fgtune.study_hash` = '{study_hash}'",
                max_results=PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return


def _child(run: Run) -> Child:
    return Child(str(run.info.run_id), dict(run.data.tags), dict(run.data.metrics))


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


def _now() -> int:
    return layout.milliseconds(datetime.now(UTC))


def _user() -> str:
    """The user who runs the study; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
