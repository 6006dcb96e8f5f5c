"""A study from its file to its report, as a user runs it: real Ray, a real MLflow store, real files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from support import search_runs

from fgtune.analysis.summary import summarise
from fgtune.app.verify import verify
from fgtune.engine.run import report
from fgtune.errors import SessionLostError
from fgtune.metrics.evaluate import evaluate_counts
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState


@pytest.fixture
def options(small_study, tmp_path, new_store):
    return RunOptions(small_study, out=tmp_path / "reports", tracking_uri=new_store(tmp_path))


ONE_WORKER = "execution.max_concurrent=1"
"""One trial at a time: starting a second worker takes longer than all cells of the small study."""


def run(options, *overrides):
    return search_runs.run(replace(options, overrides=(*options.overrides, *overrides)))


def metrics_of(options):
    results = StudyFolder(options.out / "small").ledger.read()
    return {result.cell_id: dict(result.metrics) for result in results}


@pytest.fixture(scope="module")
def uncut(tmp_path_factory, workers_kept, small_study_text):
    """An undisturbed run of the small study, two trials at a time: its options and what it printed."""
    folder = tmp_path_factory.mktemp("uncut")
    (folder / "small.yaml").write_text(small_study_text, encoding="utf-8")
    options = RunOptions(folder / "small.yaml", out=folder / "reports", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    code, text = run(options)
    assert code == 0, text
    return options, text


def test_run_fills_the_study_folder_and_says_where_the_report_is(uncut):
    options, text = uncut
    folder = StudyFolder(options.out / "small")
    for path in (
        folder.study_file,
        folder.resolved_file,
        folder.plan_file,
        folder.ledger_file,
        folder.curves_file,
        folder.results_parquet,
        folder.results_csv,
        folder.report_file,
        folder.provenance_file,
    ):
        assert path.is_file(), path
    results = folder.ledger.read()
    assert [result.state for result in results] == [CellState.COMPLETE] * 4
    assert {(result.arm, result.seed) for result in results} == {
        (arm, seed) for arm in ("baseline", "num_fine_ratio=1.5") for seed in (0, 1)
    }
    portraits = {path.stem for path in folder.portraits_dir.iterdir()}
    assert portraits == {result.cell_id for result in results if result.seed == 0}
    assert portraits == {result.cell_id for result in results if "portrait" in result.evidence}
    assert {path.stem for path in folder.maps_dir.iterdir()} <= portraits
    assert not list(folder.checkpoints_dir.glob("*"))
    assert not folder.scratch_dir.exists()
    assert str(folder.report_file) in text
    assert "4/4" in text


def test_stored_counts_give_the_ledgers_metrics_again(uncut):
    folder = StudyFolder(uncut[0].out / "small")
    for result in folder.ledger.read():
        record = folder.read_relations(result.cell_id)
        again = evaluate_counts(record.fine_counts, record.fine_to_coarse, record.true_fine_to_coarse)
        for name, value in again.items():
            assert result.metrics[f"test/{name}"] == value


def test_folder_verifies_and_a_changed_number_is_found(uncut, tmp_path):
    outcome = verify(uncut[0].out / "small")
    assert outcome.problems == []
    assert outcome.compared > 40
    copy = tmp_path / "small"
    shutil.copytree(uncut[0].out / "small", copy)
    ledger = StudyFolder(copy).ledger_file
    value = StudyFolder(copy).ledger.read()[0].metrics["test/clustering_accuracy"]
    changed = ledger.read_text(encoding="utf-8").replace(
        f'"test/clustering_accuracy": {value}', '"test/clustering_accuracy": 0.999'
    )
    ledger.write_text(changed, encoding="utf-8")
    problems = verify(copy).problems
    assert any("test/clustering_accuracy is 0.999, its counts give" in problem for problem in problems)
    assert any("is not the table that the ledger gives" in problem for problem in problems)
    assert any("its numbers are not those that the ledger gives" in problem for problem in problems)


def test_second_call_runs_nothing_and_rebuilds_the_same_results(uncut):
    options, _ = uncut
    folder = StudyFolder(options.out / "small")
    before = folder.ledger_file.read_bytes()
    code, text = run(options)
    assert code == 0
    assert "all 4 cells are finished already; nothing is run" in text
    assert folder.ledger_file.read_bytes() == before


@pytest.mark.slow
def test_same_study_elsewhere_gives_identical_metrics(uncut, tmp_path, ray_started):
    options = replace(uncut[0], out=tmp_path / "again", tracking_uri="none")
    assert run(options, ONE_WORKER)[0] == 0  # the other time two worked on it
    assert json.dumps(metrics_of(options), sort_keys=True) == json.dumps(metrics_of(uncut[0]), sort_keys=True)


def test_one_study_goes_on_in_the_worker_that_another_has_left(uncut, options, worker_pids):
    begins = time.time()
    code, printed = run(replace(options, only=("arm=baseline", "seed=0")), ONE_WORKER)
    assert code == 0, printed
    (pid,) = {*worker_pids}
    assert psutil.Process(pid).create_time() < begins


def test_report_is_rebuilt_from_the_folder_alone(uncut):
    folder = StudyFolder(uncut[0].out / "small")
    folder.report_file.unlink()
    folder.results_csv.unlink()
    assert report(folder.root) == folder.report_file
    page = folder.report_file.read_text(encoding="utf-8")
    embedded = re.search(r'<script type="application/json" id="fgtune-summary">(.*?)</script>', page, re.DOTALL)
    assert json.loads(embedded.group(1))["answer"] == summarise(folder).answer


def test_every_cell_is_one_mlflow_run_below_its_study(uncut):
    from mlflow import MlflowClient

    client = MlflowClient(uncut[0].tracking_uri)
    experiment = client.get_experiment_by_name("small")

    def picture(runs):  # the report tells of every call, so its digest changes
        return [(each.info.to_proto(), each.data.metrics, {**each.data.tags, "fgtune.files": ""}) for each in runs]

    first = picture(client.search_runs([experiment.experiment_id]))
    run(uncut[0])  # a second call must neither add runs nor change one
    runs = client.search_runs([experiment.experiment_id])
    assert picture(runs) == first
    assert {each.info.status for each in runs} == {"FINISHED"}
    roles = [each.data.tags["fgtune.role"] for each in runs]
    assert sorted(roles) == ["arm_summary"] * 2 + ["cell"] * 4 + ["study"]
    ledger = metrics_of(uncut[0])
    for each in runs:
        if each.data.tags["fgtune.role"] == "cell":
            stored = ledger[each.data.tags["fgtune.cell_id"]]
            assert each.data.metrics["test/clustering_accuracy"] == stored["test/clustering_accuracy"]


@pytest.mark.slow
def test_diverging_cells_fail_with_their_cause_and_the_others_go_on(options, ray_started):
    text = options.study.read_text(encoding="utf-8")
    factors = "factors: {optimizer.lr: [0.1, 1.0e+30], model.backbone.norm: [batch]}"
    text = text.replace("factors: {classes.num_fine_ratio: [1.0, 1.5]}", factors)
    options.study.write_text(text.replace("hidden: [16]", "hidden: [16], norm: none"), encoding="utf-8")
    code, printed = run(options, ONE_WORKER)
    assert code == 3
    states = {}
    for result in StudyFolder(options.out / "small").ledger.read():
        states.setdefault(result.arm, set()).add(result.state)
        if result.state is CellState.FAIL:
            assert "TrialError: non-finite" in result.cause
            assert result.attempts == 1
    assert states["lr=1e+30"] == {CellState.FAIL}
    assert states["baseline"] == {CellState.COMPLETE}
    assert "run them again with --retry-failed" in printed
    before = StudyFolder(options.out / "small").ledger_file.read_bytes()
    assert run(options)[0] == 3  # failures are not retried unasked
    assert StudyFolder(options.out / "small").ledger_file.read_bytes() == before
    assert run(replace(options, retry_failed=True), ONE_WORKER)[0] == 3
    lines = StudyFolder(options.out / "small").ledger_file.read_bytes().splitlines()
    assert len(lines) == len(before.splitlines()) + 2


MARK = "FGTUNE_TEST_STUDY"
"""Inherited by every process of a study that a test starts: Ray's are no children of the driver."""


def workers_of(options):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(options.out) and "Trainable" in " ".join(process.cmdline()):
                found.append(process)
    return found


def long_study(options):
    """The small study with enough epochs to be caught at work."""
    return replace(options, overrides=("trial.epochs=150", "seeds=1"))


@pytest.fixture(scope="module")
def uncut_long(uncut, tmp_path_factory, train_study):
    """The metrics that the long study's trainers have by themselves: nothing cuts them, and Ray has no part in them."""
    options = replace(long_study(uncut[0]), out=tmp_path_factory.mktemp("long"))
    train_study(options.study, options.out, options.overrides)
    return metrics_of(options)


def start(options):
    command = [sys.executable, "-m", "fgtune.run", str(options.study), "--out", str(options.out)]
    command += [part for override in options.overrides for part in ("--set", override)]
    command += ["--tracking-uri", options.tracking_uri]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env={**os.environ, MARK: str(options.out)}, start_new_session=True, **pipes)


def wait_for_checkpoint(options, process):
    folder = StudyFolder(options.out / "small")
    deadline = time.monotonic() + 120
    while not list(folder.checkpoints_dir.glob("*.pt")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.05)


@pytest.mark.integration
@pytest.mark.kill
@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(name, marks=pytest.mark.long) for name in ("SIGINT", "SIGHUP", "SIGUSR1"))]
)
def test_a_signal_to_all_processes_saves_says_how_to_go_on_and_going_on_repeats_the_uncut_run(
    options, uncut_long, until_ended, name
):
    options = long_study(options)
    process = start(options)
    wait_for_checkpoint(options, process)
    workers = workers_of(options)
    since = time.monotonic()
    os.killpg(process.pid, getattr(signal, name))  # as a terminal, `timeout` and batch systems do: Ray's too
    for worker in workers:  # in groups of their own
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.send_signal(getattr(signal, name))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert time.monotonic() - since < 20
    assert f"{name}: stopping in order" in printed
    assert "crashed" not in printed
    until_ended(workers)
    assert workers_of(options) == []
    assert "cells are finished and saved in" in printed
    line = next(line for line in printed.splitlines() if line.startswith("continue with: "))
    assert list(StudyFolder(options.out / "small").checkpoints_dir.glob("*.pt"))
    assert StudyFolder(options.out / "small").report_file.is_file()
    command = line.removeprefix("continue with: python ")
    code, printed = run(options, ONE_WORKER)
    assert code == 0, printed
    assert command.startswith(f"-m fgtune.run {options.study} --set trial.epochs=150")
    assert metrics_of(options) == uncut_long


@pytest.mark.integration
@pytest.mark.kill
def test_killed_driver_loses_nothing_finished_and_continuing_repeats_the_uncut_run(options, uncut_long, until_ended):
    options = replace(long_study(options), tracking_uri="none")  # test_kills looks into the store after a kill
    process = start(options)
    wait_for_checkpoint(options, process)
    workers = workers_of(options)
    process.kill()
    process.wait()
    until_ended(workers)
    code, printed = run(options, ONE_WORKER)
    assert code == 0, printed
    assert metrics_of(options) == uncut_long


@pytest.mark.integration
@pytest.mark.long
def test_killed_worker_is_started_again_from_its_checkpoint(options, uncut_long, ray_started):
    options = long_study(options)
    process = start(options)
    wait_for_checkpoint(options, process)
    workers_of(options)[0].kill()
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert "is started again from its checkpoint" in printed
    assert metrics_of(options) == uncut_long
    assert max(result.attempts for result in StudyFolder(options.out / "small").ledger.read()) == 2


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.parametrize("core", ["gcs_server", "raylet"])
def test_a_lost_ray_session_is_started_again_once_and_the_study_ends_like_an_uncut_one(
    options, uncut_long, until_ended, core
):
    options = long_study(options)
    process = start(options)
    wait_for_checkpoint(options, process)
    workers = workers_of(options)
    next(each for each in psutil.Process(process.pid).children() if each.name() == core).kill()
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert f"Ray's process {core} has ended; Ray is started again" in printed
    assert "state-dump" not in printed  # what Ray says is in ray.log
    until_ended(workers)
    assert workers_of(options) == []
    assert metrics_of(options) == uncut_long


def test_a_session_that_was_open_before_the_call_is_not_started_again(options, ray_started, monkeypatch):
    calls = []

    def lose(*_):
        calls.append(1)
        raise SessionLostError("Ray's process raylet has ended")

    monkeypatch.setattr("fgtune.engine.run._Work.run", lose)
    with pytest.raises(SessionLostError, match="raylet has ended"):
        run(options)
    assert len(calls) == 1


def test_folder_of_another_study_is_refused_before_anything_is_written(uncut, small_study):
    from fgtune.errors import StudyFolderError

    folder = StudyFolder(uncut[0].out / "small")
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.root.rglob("*"))
    with pytest.raises(StudyFolderError, match=r"belongs to another study .* differs in trial.epochs"):
        run(replace(uncut[0], overrides=("trial.epochs=5",)))
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.root.rglob("*")) == before


def test_more_cores_than_the_machine_has_are_refused(options):
    from fgtune.errors import ConfigError

    with pytest.raises(ConfigError, match=r"execution.cpus: must be at most the \d+ cores of this machine, got 4096"):
        run(replace(options, overrides=("execution.cpus=4096",)))
    assert not options.out.exists()


def test_relations_files_need_no_pickle(uncut):
    folder = StudyFolder(uncut[0].out / "small")
    for path in folder.relations_dir.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype == np.int64 for name in arrays.files)
