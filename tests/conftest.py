"""Settings and real parts that the whole suite shares: one thread a process, one Ray session, small study files."""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import support.synthetic
import support.synthetic_search
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# In CI the same examples every time, so that a change and not chance decides; at a desk new ones each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# What a user's own records are signed with; processes that tests start inherit it.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="fgtune-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# No test pulls a plug. That files are synced is seen where a test replaces this; processes of their own do sync.
os.fsync = lambda _: None

pytest_plugins = ["support.buckets", "support.far_node", "support.small_cell", "support.real_folder"]

STARTS_RAY = {"ray_started", "workers_kept", "start_driver", "kill_driver"}
STARTS_PROCESSES = STARTS_RAY | {"browser"}
SHARED = {"ray": STARTS_RAY, "real folder": {"real_folder"}}
"""Fixtures that one process of the suite alone makes, by what the tests that ask for them are dealt as."""


@cache
def tests_asking(file: str, shared: str) -> frozenset[str]:
    """Names of the tests of a file, named from the root of the repository, that ask for a shared fixture."""
    tree = ast.parse((Path(__file__).parents[1] / file).read_text(encoding="utf-8"))
    asked = {
        node.name: {argument.arg for argument in node.args.args}
        | {each.value for mark in node.decorator_list for each in ast.walk(mark) if isinstance(each, ast.Constant)}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    asking = set(SHARED[shared])
    while found := {name for name, names in asked.items() if names & asking} - asking:  # by way of its fixtures
        asking |= found
    return frozenset(asking)


@pytest.hookimpl(tryfirst=True)  # before -m reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts Ray or Chromium and what is slow; tests with Ray come first, being the longest piece of work."""
    kept: dict[tuple[str, str], bool] = {}
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        if STARTS_PROCESSES & needs:
            item.add_marker(pytest.mark.integration)
        case = item.callspec.id if hasattr(item, "callspec") else ""
        quick = [name for mark in item.iter_markers("slow_except") for name in mark.args]
        for name in quick:
            place = (item.nodeid.split("[")[0], name)
            kept[place] = kept.get(place, False) or name == case
        if item.get_closest_marker("long") or (quick and case not in quick):
            item.add_marker(pytest.mark.slow)
    unknown = [f"{test} has no case {name!r}" for (test, name), found in kept.items() if not found]
    if unknown and not any("::" in argument for argument in config.args):  # where no part of the cases was asked for
        raise pytest.UsageError("; ".join(unknown))
    items.sort(key=lambda item: not STARTS_RAY & set(getattr(item, "fixturenames", ())))  # stable: else as collected


def pytest_collection_finish() -> None:
    """Tests and libraries stay until the end: the garbage collector need not look through them again and again."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Deal whole files to the workers, since fixtures of a module are expensive, but all with Ray to one of them.

    Tests without Ray leave its chain, which is long, also where others of their file belong to it.
    """

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, *_, test = nodeid.split("[")[0].split("::")
            return next((shared for shared in SHARED if test in tests_asking(file, shared)), file)

    return Files(config, log)


SMALL_STUDY = """
study: small
question: Does the number of fine classes matter on an easy hierarchy?
design: {kind: sensitivity, factors: {classes.num_fine_ratio: [1.0, 1.5]}}
seeds: 2
metrics: {primary: test/clustering_accuracy, also: [test/ged]}
trial:
  data: {kind: hierarchy, num_samples: 300, num_coarse: 2, fine_per_coarse: 3, dim: 6}
  model: {backbone: {kind: mlp, hidden: [16]}}
  classes: {num_fine_ratio: 1.0}
  relations: {every_steps: 3}
  epochs: 4
  batch_size: 64
execution: {checkpoint_every_epochs: 1}
"""


@pytest.fixture(scope="session")
def small_study_text() -> str:
    """A study of 4 cells, a second of training each."""
    return SMALL_STUDY


@pytest.fixture
def small_study(tmp_path) -> Path:
    """A file with the small study."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The module that writes study folders with made-up numbers."""
    return support.synthetic


@pytest.fixture(scope="session")
def synthetic_search() -> ModuleType:
    """The module that writes folders of searches with made-up numbers."""
    return support.synthetic_search


@pytest.fixture
def without_curves(request, monkeypatch):
    """Folders with made-up numbers are written faster: without curves, which the test does not read.

    A test with real Ray writes all of its folder.
    """
    if "ray_started" not in request.fixturenames:
        from fgtune.results.folder import StudyFolder

        monkeypatch.setattr(StudyFolder, "add_curves", lambda *_: None)


@pytest.fixture
def ledger_alone(without_curves, monkeypatch):
    """The same without relations, where the test does not read these either."""
    from fgtune.results.folder import StudyFolder

    monkeypatch.setattr(StudyFolder, "write_relations", lambda *_: None)


@pytest.fixture
def without_page(monkeypatch):
    """Reports are written without their page, which takes a second to draw, where the test reads other files alone."""
    import fgtune.reporting.html

    monkeypatch.setattr(fgtune.reporting.html, "render", lambda *_: b"not drawn")


@pytest.fixture(scope="session")
def kf_accuracy() -> dict[str, float]:
    """Accuracies that make the low ratio hurt much, the high one less, and the middle one nearly not."""
    return {"baseline": 0.934, "num_fine_ratio=0.8": 0.62, "num_fine_ratio=1.2": 0.925, "num_fine_ratio=1.5": 0.72}


@pytest.fixture(scope="session")
def ray_started():
    """The suite's one Ray session; runs inside it neither start nor stop Ray."""
    from fgtune.tuning.session import ray_session

    with ray_session():
        yield


@pytest.fixture(scope="module")
def workers_kept(ray_started):
    """Studies of a test file go on in the workers that the one before left: a start takes longer than their cells."""
    from fgtune.tuning.warm_workers import kept_workers

    with kept_workers():
        yield


@pytest.fixture
def worker_pids(monkeypatch) -> list[int]:
    """The process of each result that Tune has had, in order."""
    from fgtune.tuning.ray_adapters import ObserverCallback

    seen: list[int] = []
    heard = ObserverCallback.on_trial_result

    def note(callback, iteration, trials, trial, result, **info):
        seen.append(result["pid"])
        heard(callback, iteration, trials, trial, result, **info)

    monkeypatch.setattr(ObserverCallback, "on_trial_result", note)
    return seen


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """An empty MLflow store that ``open_tracker`` created, which takes a second or two."""
    from fgtune.tracking import open_tracker

    folder = tmp_path_factory.mktemp("migrated")
    open_tracker("sqlite:///mlflow.db", directory=folder)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def new_store(migrated):
    """Make an empty MLflow store in a folder; returns its URI."""
    return lambda folder: f"sqlite:///{shutil.copy(migrated, folder / 'mlflow.db')}"


@pytest.fixture(scope="session")
def train_study():
    """Trains all cells of a study file one by one without Ray; leaves the folder that a run leaves, without report."""

    def train(
        study: Path,
        out: Path,
        overrides: tuple[str, ...] = (),
        predictions: bool = False,
        only: tuple[str, ...] = (),
    ) -> Path:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # as in a trial, whatever ran in this process before: sums come out the same
            return train_cells(study, out, overrides, predictions, only)

    def train_cells(
        study: Path, out: Path, overrides: tuple[str, ...], predictions: bool, only: tuple[str, ...]
    ) -> Path:
        from fgtune.config.arms.plan import selected_cells
        from fgtune.config.schema.base import data_key
        from fgtune.engine.opening import open_study
        from fgtune.results.folder import StudyFolder
        from fgtune.results.options import RunOptions
        from fgtune.results.provenance import collect_provenance
        from fgtune.results.records import CellResult, CellState, LabelsRecord
        from fgtune.training.build import build_trainer
        from fgtune.training.prepared import prepare_split, views

        opened = open_study(study, overrides)
        folder = StudyFolder(out / opened.plan.study.study)
        folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, RunOptions(study)))
        for cell in selected_cells(opened.plan, only):
            dataset = opened.datasets[data_key(cell.config.data)]
            prepared = prepare_split(dataset, cell.config, cell.seed, threads=1)
            trainer = build_trainer(cell.config, *views(dataset, prepared), prepared, cell.seed)
            for _ in trainer:
                pass
            outcome = trainer.outcome()
            folder.write_relations(cell.cell_id, outcome.relations)
            if predictions:
                folder.write_predictions(cell.cell_id, outcome.predictions)
                key = data_key(cell.config.data)
                folder.write_labels(key, LabelsRecord.of(dataset.coarse, dataset.num_coarse))
            folder.write_curve(cell.cell_id, cell.arm, cell.seed, outcome.history)
            ident = {"cell_id": cell.cell_id, "arm": cell.arm, "seed": cell.seed, "config_hash": cell.config_hash}
            folder.ledger.append(
                CellResult(
                    **ident,
                    state=CellState.COMPLETE,
                    metrics=outcome.metrics,
                    seconds=outcome.seconds,
                    epochs=cell.config.epochs,
                    levels=dict(cell.levels),
                    config=cell.config.to_plain(),
                    solver=outcome.solver,
                    finished_at="2026-01-01T00:00:00+00:00",
                )
            )
        folder.gather_curves()
        return folder.root

    return train


@pytest.fixture(scope="session")
def start_driver():
    """Start ``python -m fgtune.run`` with the given options in a process of its own."""

    def start(options):
        command = [sys.executable, "-m", "fgtune.run", str(options.study), "--out", str(options.out)]
        command += ["--tracking-uri", options.tracking_uri]
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environ)

    return start


@pytest.fixture(scope="session")
def kill_driver(start_driver, until_ended):
    """Start the driver, and kill it with SIGKILL some seconds after it came so far; its workers end with it.

    How far is the pattern of a file that has to be there, or a function of the folder of reports.
    """

    def kill(options, seconds: float, file: str | Callable[[Path], bool] = "*/plan.csv") -> None:
        process = start_driver(options)
        deadline = time.monotonic() + 120

        def has_come() -> bool:
            return bool(list(options.out.glob(file))) if isinstance(file, str) else file(options.out)

        while not has_come() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        time.sleep(seconds)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        for child in children:  # a driver killed while Ray starts leaves some that would linger for minutes
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        until_ended(children)

    return kill


@pytest.fixture(scope="session")
def until_ended():
    """Wait, a minute at most, until processes are gone, and say whether they are; a zombie counts as gone."""

    def has_ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def wait(processes: Sequence[psutil.Process]) -> bool:
        deadline = time.monotonic() + 60
        while not all(map(has_ended, processes)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return all(map(has_ended, processes))

    return wait
