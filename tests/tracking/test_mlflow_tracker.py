"""Whole studies in a real SQLite store: the shape of the runs, and that nothing is ever stored twice."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.lazy import LazyModule

from fgtune.errors import ConfigError, TrackingError
from fgtune.results.records import CellState, EpochMetrics
from fgtune.tracking import StudyEnd

mlflow = LazyModule("mlflow")

LATER = "2026-11-22T10:00:00+00:00"


class Store:
    """What another client of the same store sees."""

    def __init__(self, file):
        self.client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}")

    def runs(self, role):
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        found = self.client.search_runs(experiments, max_results=5000)
        return [run for run in found if run.data.tags["fgtune.role"] == role]

    def only(self, role):
        (run,) = self.runs(role)
        return run

    def history(self, run, key):
        return [(metric.step, metric.value) for metric in self.client.get_metric_history(run.info.run_id, key)]

    def files(self, run):
        return {item.path for item in self.client.list_artifacts(run.info.run_id)}


@pytest.fixture
def store(store_file):
    return Store(store_file)


@pytest.fixture
def summary(plan):
    statistics = {"mean": 0.55, "sd": 0.07, "n": 2, "ci_lo": None, "ci_hi": math.nan}
    return {arm.name: {"test/clustering_accuracy": statistics} for arm in plan.arms}


@pytest.fixture
def run_study(open_again, plan, curve):
    def run(results):
        tracker = open_again()
        tracker.start(plan, Path("reports/kf_small"), commit="abc123")
        for result in results:
            tracker.log_cell(result, curve)
        return tracker

    return run


def test_study_is_an_experiment_with_a_parent_and_one_child_a_cell(run_study, store, plan, results):
    run_study(results).finish(StudyEnd.COMPLETE)
    parent = store.only("study")
    children = store.runs("cell")
    assert [e.name for e in store.client.search_experiments() if e.name != "Default"] == ["kf_small"]
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == f"kf_small {plan.study_hash[:6]}"
    assert parent.data.tags["mlflow.source.git.commit"] == "abc123"
    assert parent.data.tags["fgtune.cells"] == "4 COMPLETE of 4 planned"
    assert "How far may K_F be from the truth?" in parent.data.tags["mlflow.note.content"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.info.run_name for run in children) == [
        "baseline / seed 0",
        "baseline / seed 1",
        "num_fine=12 / seed 0",
        "num_fine=12 / seed 1",
    ]


def test_child_holds_varied_parameters_tags_values_times_and_config(run_study, store, plan, results):
    result = next(result for result in results if (result.arm, result.seed) == ("num_fine=12", 1))
    run_study([result])
    run = store.only("cell")
    assert run.data.params == {"classes.num_fine": "12", "seed": "1", "num_fine": "12"}
    assert (run.info.start_time, run.info.end_time) == (1795255200000, 1795255212000)
    assert run.info.status == "FINISHED"
    assert {key: value for key, value in run.data.tags.items() if key.startswith("fgtune.")} == {
        "fgtune.role": "cell",
        "fgtune.study": "kf_small",
        "fgtune.study_hash": plan.study_hash,
        "fgtune.cell_id": result.cell_id,
        "fgtune.config_hash": result.config_hash,
        "fgtune.arm": "num_fine=12",
        "fgtune.contrast_role": "arm",
        "fgtune.seed": "1",
        "fgtune.block": "1",
        "fgtune.state": "COMPLETE",
        "fgtune.attempts": "1",
        "fgtune.host": "node",
        "fgtune.logged": "COMPLETE 2026-11-21T10:00:12+00:00",
    }
    reported = {key: value for key, value in run.data.metrics.items() if not key.startswith("curve/")}
    assert reported == dict(result.metrics) | {"solver/seconds": 0.125, "solver/solves": 4.0, "solver/max_gap": 0.0}
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits", "f00d" * 4)
    assert json.loads(used.dataset.profile) == {"num_coarse": [2], "num_fine": 10}
    path = store.client.download_artifacts(run.info.run_id, "config.yaml")
    assert YAML(typ="safe", pure=True).load(Path(path)) == result.config


def test_curves_lie_apart_from_reported_values_with_the_epoch_as_step(run_study, store, results, curve):
    run_study(results[:1])
    run = store.only("cell")
    key = "test/clustering_accuracy"
    points = store.client.get_metric_history(run.info.run_id, f"curve/{key}")
    assert [(point.step, point.value) for point in points] == [(e.epoch, e.metrics[key]) for e in curve]
    assert [point.timestamp - run.info.start_time for point in points] == [4000, 8000, 12000]
    assert store.history(run, key) == [(0, results[0].metrics[key])]


def test_files_lie_beside_the_database(run_study, results, tmp_path):
    run_study(results[:1])
    assert len(list((tmp_path / "mlruns").rglob("config.yaml"))) == 1


@pytest.mark.parametrize(("state", "status"), [(CellState.FAIL, "FAILED"), (CellState.PRUNED, "KILLED")])
def test_cell_that_did_not_complete_reports_no_value(run_study, store, plan, make_result, state, status):
    run_study([make_result(plan.cells[0], state=state, cause="loss is not finite in epoch 3", solver=None)])
    run = store.only("cell")
    assert run.info.status == status
    assert {key.split("/")[0] for key in run.data.metrics} == {"curve"}
    assert run.data.tags["fgtune.status_reason"] == "loss is not finite in epoch 3"


def test_values_that_are_not_finite_are_named_instead_of_stored(run_study, store, plan, make_result):
    values = {"test/ged": math.nan, "test/ari": math.inf, "test/nmi": 0.5}
    run_study([]).log_cell(
        make_result(plan.cells[0], metrics=values, solver=None),
        [EpochMetrics(1, 5, {"test/ged": math.nan, "train/loss": 2.0}, 1.0)],
    )
    run = store.only("cell")
    assert run.data.metrics == {"test/nmi": 0.5, "curve/train/loss": 2.0}
    assert run.data.tags["fgtune.non_finite"] == "test/ari, test/ged"


def test_more_points_and_parameters_than_one_call_takes(run_study, store, plan, make_result, make_curve):
    levels = {f"model.part_{i}": "x" * 7000 if i == 0 else i for i in range(150)}
    names = [f"train/term_{i}" for i in range(4)]
    run_study([]).log_cell(make_result(plan.cells[0], levels=levels), make_curve(300, names))
    run = store.only("cell")
    assert len(run.data.params) == 152
    assert run.data.params["model.part_0"].endswith("x …")
    assert [len(store.history(run, f"curve/{name}")) for name in names] == [300] * 4


def test_logging_twice_and_syncing_changes_nothing(run_study, store, results, curve):
    def picture():
        runs = store.runs("study") + store.runs("cell")
        points = [store.history(run, key) for run in runs for key in sorted(run.data.metrics)]
        return [run.to_dictionary() for run in runs], points

    run_study(results)
    before = picture()
    tracker = run_study(results)
    assert tracker.sync(results, lambda _: curve) == 0
    assert picture() == before


def test_sync_stores_only_what_is_missing(run_study, store, results, curve):
    tracker = run_study(results[:1])
    read = []

    def read_curve(cell_id):
        read.append(cell_id)
        return curve

    assert tracker.sync(results, read_curve) == 3
    assert read == [result.cell_id for result in results[1:]]
    assert len(store.runs("cell")) == 4


def test_continued_study_uses_its_parent_again(run_study, store, results, curve):
    run_study(results[:2]).finish(StudyEnd.INTERRUPTED)
    parent = store.only("study")
    assert (parent.info.status, parent.data.tags["fgtune.cells"]) == ("KILLED", "2 COMPLETE of 4 planned")
    tracker = run_study([])
    again = store.only("study")
    assert (again.info.run_id, again.info.status) == (parent.info.run_id, "RUNNING")
    tracker.sync(results, lambda _: curve)
    tracker.finish(StudyEnd.COMPLETE)
    ended = store.only("study")
    assert (ended.info.status, ended.data.tags["fgtune.cells"]) == ("FINISHED", "4 COMPLETE of 4 planned")


def test_edited_study_of_the_same_name_gets_its_own_parent(open_again, store, plan, make_plan):
    open_again().start(plan, Path("x"))
    open_again().start(make_plan(num_fine=(10, 15)), Path("x"))
    assert len({run.data.tags["fgtune.study_hash"] for run in store.runs("study")}) == 2
    assert len({run.info.experiment_id for run in store.runs("study")}) == 1


def test_retried_failure_updates_its_run(run_study, store, plan, make_result, curve):
    tracker = run_study([])
    failed = make_result(plan.cells[0], state=CellState.FAIL, metrics={}, solver=None, cause="worker died")
    tracker.log_cell(failed, curve[:2])
    later = make_result(plan.cells[0], attempts=2, finished_at=LATER)
    tracker.log_cell(later, curve)
    run = store.only("cell")
    assert run.info.status == "FINISHED"
    assert (run.data.tags["fgtune.state"], run.data.tags["fgtune.status_reason"]) == ("COMPLETE", "")
    assert run.data.tags["fgtune.retry"] == "replaces FAIL 2026-11-21T10:00:12+00:00"
    assert run.data.metrics["test/clustering_accuracy"] == later.metrics["test/clustering_accuracy"]
    assert [step for step, _ in store.history(run, "curve/train/loss")] == [1, 2, 3]


def test_cell_run_again_reports_its_new_value(run_study, store, plan, results, make_result, curve):
    tracker = run_study(results[:1])
    changed = dict(results[0].metrics) | {"test/clustering_accuracy": 0.1}
    tracker.log_cell(make_result(plan.cells[0], metrics=changed, finished_at=LATER), curve)
    run = store.only("cell")
    assert run.data.metrics["test/clustering_accuracy"] == 0.1
    assert store.history(run, "test/ari") == [(0, 0.25)]


def test_failure_after_a_success_leaves_no_reported_value(run_study, store, plan, results, make_result):
    tracker = run_study(results[:1])
    tracker.log_cell(make_result(plan.cells[0], state=CellState.FAIL, metrics={}, solver=None, finished_at=LATER), [])
    run = store.only("cell")
    assert (run.info.status, run.data.metrics) == ("FAILED", {})


def test_summary_runs_carry_statistics_and_the_parent_the_answer(run_study, store, results, summary):
    tracker = run_study(results)
    for _ in range(2):
        tracker.log_summary(summary, "At 120 % accuracy is **equivalent**.")
    runs = {run.info.run_name: run for run in store.runs("arm_summary")}
    assert set(runs) == {"baseline / all seeds", "num_fine=12 / all seeds"}
    run = runs["num_fine=12 / all seeds"]
    key = "arm/test/clustering_accuracy"
    assert run.data.metrics == {f"{key}/mean": 0.55, f"{key}/sd": 0.07, f"{key}/n": 2.0}
    assert run.data.params == {"classes.num_fine": "12"}
    assert store.history(run, f"{key}/mean") == [(0, 0.55)]
    assert run.data.tags["mlflow.parentRunId"] == store.only("study").info.run_id
    note = store.only("study").data.tags["mlflow.note.content"]
    assert note.startswith("**Answer.** At 120 % accuracy is **equivalent**.\n\n**Question.**")


def test_summary_follows_the_study_as_seeds_are_added(run_study, store, results, summary):
    tracker = run_study(results)
    tracker.log_summary(summary, "")
    tracker.log_summary({"baseline": {"test/clustering_accuracy": {"mean": 0.4, "n": 3}}}, "")
    (run,) = [run for run in store.runs("arm_summary") if run.info.run_name.startswith("baseline")]
    assert run.data.metrics["arm/test/clustering_accuracy/mean"] == 0.4
    assert run.data.metrics["arm/test/clustering_accuracy/n"] == 3.0


def test_finish_attaches_files_to_the_parent(run_study, store, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")
    run_study([]).finish(StudyEnd.FAILED_CELLS, [report])
    parent = store.only("study")
    assert store.files(parent) == {"report.html", "study.resolved.yaml"}
    assert parent.data.tags["fgtune.state"] == "FAILED_CELLS"


def test_missing_file_is_a_tracking_error(run_study, tmp_path):
    with pytest.raises(TrackingError, match=r"did not take the end of the study: .*no\.html"):
        run_study([]).finish(StudyEnd.COMPLETE, [tmp_path / "no.html"])


def test_deleted_experiment_is_explained(run_study, open_again, store, plan):
    run_study([])
    experiment = store.client.get_experiment_by_name("kf_small").experiment_id
    store.client.delete_experiment(experiment)
    with pytest.raises(ConfigError, match=rf"was deleted, got 'kf_small'.*restore --experiment-id {experiment}`"):
        open_again().start(plan, Path("x"))


def test_children_of_a_deleted_parent_join_the_new_one(run_study, store, results):
    run_study(results[:2])
    old = store.only("study").info.run_id
    store.client.delete_run(old)
    run_study([])
    new = store.only("study").info.run_id
    assert new != old
    assert [run.data.tags["mlflow.parentRunId"] for run in store.runs("cell")] == [new, new]


def test_use_before_start_is_refused(open_again, results, curve):
    with pytest.raises(TrackingError, match="tracking was not started for any study"):
        open_again().log_cell(results[0], curve)


def test_result_without_a_finish_time_is_refused(run_study, plan, make_result):
    with pytest.raises(TrackingError, match="has no readable finish time: ''"):
        run_study([]).log_cell(make_result(plan.cells[0], finished_at=""), [])
