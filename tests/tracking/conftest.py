"""One migrated SQLite store, copied for every test, and the records of a study of two arms and two seeds."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Arm, Cell, DataShape
from fgtune.config.schema.base import data_key, stable_hash
from fgtune.config.schema.study import Study
from fgtune.results.records import CellResult, CellState, EpochMetrics, SolverUse
from fgtune.tracking import Tracker, open_tracker


@pytest.fixture(scope="session", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Let SQLite skip its fsyncs; the stores here need not outlive a power cut."""

    def relax(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture
def store_file(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "mlflow.db"))


@pytest.fixture
def open_again(store_file: Path) -> Callable[[], Tracker]:
    """Opens the test's store as a new process would."""
    return lambda: open_tracker(f"sqlite:///{store_file}")


def build_plan(
    num_fine: Sequence[int] = (10, 12),
    seeds: Sequence[int] = (0, 1),
    name: str = "kf_small",
    also: Sequence[str] = ("test/ari", "test/ged"),
) -> Plan:
    study = Study.from_plain(
        {
            "study": name,
            "question": "How far may K_F be from the truth?",
            "expectation": "Best at the truth.",
            "design": {"kind": "sensitivity", "factors": {"classes.num_fine": list(num_fine)}},
            "seeds": list(seeds),
            "metrics": {"primary": "test/clustering_accuracy", "also": list(also)},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": num_fine[0]}},
        }
    )
    arms = []
    for number in num_fine:
        config = type(study.trial).from_plain(study.trial.to_plain() | {"classes": {"num_fine": number}})
        name = "baseline" if number == num_fine[0] else f"num_fine={number}"
        arms.append(Arm(name, {"classes.num_fine": number}, config, is_baseline=number == num_fine[0]))
    cells = [Cell(arm.name, seed, arm.config, arm.levels) for seed in seeds for arm in arms]
    data = study.trial.data.to_plain()
    return Plan(
        study=study,
        study_hash=stable_hash(study.identity()),
        factors=("classes.num_fine",),
        arms=tuple(arms),
        cells=tuple(cells),
        shapes={data_key(data): DataShape((2,), 10, "f00d" * 4)},
    )


def build_result(cell: Cell, **changes: object) -> CellResult:
    result = CellResult(
        cell_id=cell.cell_id,
        arm=cell.arm,
        seed=cell.seed,
        config_hash=cell.config_hash,
        state=CellState.COMPLETE,
        metrics={"test/clustering_accuracy": 0.5 + cell.seed / 10, "test/ari": 0.25, "train/loss": 1.5},
        seconds=12.0,
        epochs=3,
        levels=cell.levels,
        config=cell.config.to_plain(),
        solver=SolverUse("flow", 4, 0.125, {"optimal": 4}, 0.0),
        finished_at="2026-11-21T10:00:12+00:00",
        host="node",
    )
    return replace(result, **changes)


def build_curve(
    epochs: int = 3, names: Sequence[str] = ("train/loss", "test/clustering_accuracy")
) -> list[EpochMetrics]:
    return [
        EpochMetrics(epoch, 5 * epoch, {name: 1.0 / (epoch + i) for i, name in enumerate(names)}, 4.0)
        for epoch in range(1, epochs + 1)
    ]


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., Plan]:
    return build_plan


@pytest.fixture(scope="session")
def make_result() -> Callable[..., CellResult]:
    return build_result


@pytest.fixture(scope="session")
def make_curve() -> Callable[..., list[EpochMetrics]]:
    return build_curve


@pytest.fixture(scope="session")
def plan() -> Plan:
    return build_plan()


@pytest.fixture(scope="session")
def results(plan: Plan) -> list[CellResult]:
    return [build_result(cell) for cell in plan.cells]


@pytest.fixture(scope="session")
def curve() -> list[EpochMetrics]:
    return build_curve()
