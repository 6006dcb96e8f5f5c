"""Whole studies in a real SQLite store: the shape of the runs, and that nothing is ever stored twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from support.lazy import LazyModule

from fgtune.errors import ConfigError, TrackingError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState, EpochMetrics
from fgtune.results.tracked import TrackedRuns
from fgtune.tracking import ArmFindings, Findings, StudyEnd

mlflow = LazyModule("mlflow")

PRIMARY = "test/clustering_accuracy"
MORE = ("ari", "nmi", "ged", "silhouette", "v_measure", "homogeneity", "completeness", "macro_accuracy")
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
    difference = {"difference": 0.02, "diff_lo": -0.01, "diff_hi": 0.05}
    found = ArmFindings({PRIMARY: statistics}, difference, "undecided")
    arms = {arm.name: ArmFindings(found.statistics) if arm.is_baseline else found for arm in plan.arms}
    return Findings(PRIMARY, arms, "At 120 % accuracy is **equivalent**.")


@pytest.fixture
def run_study(open_again, plan, curve):
    def run(results):
        tracker = open_again()
        tracker.start(plan, Path("reports/kf_small"), commit="abc123")
        for result in results:
            tracker.log_cell(result, curve)
        return tracker

    return run


def test_the_folder_learns_which_run_holds_each_cell_also_of_those_that_the_store_had(
    open_again, plan, curve, results, store, tmp_path
):
    tracker = open_again()
    tracker.start(plan, tmp_path)
    for result in results[:2]:
        tracker.log_cell(result, curve)
    noted = TrackedRuns(tmp_path / "tracking.jsonl")
    held = {run.data.tags["fgtune.cell_id"]: run.info.run_id for run in store.runs("cell")}
    assert {cell: run.run_id for cell, run in noted.read().items()} == held
    (tmp_path / "tracking.jsonl").unlink()
    again = open_again()
    again.start(plan, tmp_path)
    again.sync(results, lambda _: curve)
    held = {run.data.tags["fgtune.cell_id"]: run.info.run_id for run in store.runs("cell")}
    found = noted.read()
    assert {cell: run.run_id for cell, run in found.items()} == held
    assert len(held) == len(results)
    assert {run.uri for run in found.values()} == {again.uri}


def test_study_is_an_experiment_with_a_run_of_its_own_below_it_arms_and_below_these_cells(
    run_study, store, plan, results
):
    run_study(results).finish(StudyEnd.COMPLETE)
    parent = store.only("study")
    children = store.runs("cell")
    assert [e.name for e in store.client.search_experiments() if e.name != "Default"] == ["kf_small"]
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == f"kf_small {plan.study_hash[:6]}"
    assert parent.data.tags["mlflow.source.git.commit"] == "abc123"
    assert parent.data.tags["fgtune.cells"] == "4 COMPLETE of 4 planned"
    assert "How far may K_F be from the truth?" in parent.data.tags["mlflow.note.content"]
    arms = {run.info.run_id: run for run in store.runs("arm_summary")}
    assert {run.data.tags["mlflow.parentRunId"] for run in arms.values()} == {parent.info.run_id}
    assert {run.info.status for run in arms.values()} == {"FINISHED"}
    for run in children:
        assert arms[run.data.tags["mlflow.parentRunId"]].data.tags["fgtune.arm"] == run.data.tags["fgtune.arm"]
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
    assert reported == dict(result.metrics) | {"seconds": 12.0, "solver/seconds": 0.125}
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
    values = {"test/ged": math.nan, "test/ari": math.inf, "test/clustering_accuracy": 0.5}
    run_study([]).log_cell(
        make_result(plan.cells[0], metrics=values, solver=None),
        [EpochMetrics(1, 5, {"test/ged": math.nan, "train/loss": 2.0}, 1.0)],
    )
    run = store.only("cell")
    assert run.data.metrics == {"test/clustering_accuracy": 0.5, "seconds": 12.0, "curve/train/loss": 2.0}
    assert run.data.tags["fgtune.non_finite"] == "test/ari, test/ged"


def test_more_points_and_parameters_than_one_call_takes(run_study, store, plan, make_result, make_curve):
    levels = {f"model.part_{i}": "x" * 7000 if i == 0 else i for i in range(150)}
    names = ["test/clustering_accuracy", "test/ari", "test/ged", "train/loss"]
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


@pytest.mark.slow
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


def test_runs_of_arms_carry_statistics_and_the_verdict_and_the_study_the_answer(run_study, store, results, summary):
    tracker = run_study(results)
    for _ in range(2):
        tracker.log_summary(summary)
    tracker.finish(StudyEnd.COMPLETE)
    runs = {run.info.run_name: run for run in store.runs("arm_summary")}
    assert set(runs) == {"baseline / all seeds", "num_fine=12 / all seeds"}
    run = runs["num_fine=12 / all seeds"]
    statistics = {f"arm/{PRIMARY}/mean": 0.55, f"arm/{PRIMARY}/sd": 0.07, f"arm/{PRIMARY}/n": 2.0}
    statistics |= {"arm/mean": 0.55, "arm/sd": 0.07, "arm/n": 2.0}
    assert run.data.metrics == statistics | {"arm/difference": 0.02, "arm/diff_lo": -0.01, "arm/diff_hi": 0.05}
    assert run.data.params == {"classes.num_fine": "12"}
    assert run.data.tags["fgtune.verdict"] == "undecided"
    assert runs["baseline / all seeds"].data.metrics == statistics
    assert "fgtune.verdict" not in runs["baseline / all seeds"].data.tags
    assert store.history(run, f"arm/{PRIMARY}/mean") == [(0, 0.55)]
    study = store.only("study")
    assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert study.data.metrics == {f"{PRIMARY}/baseline": 0.55, f"{PRIMARY}/num_fine 12": 0.55}
    note = study.data.tags["mlflow.note.content"]
    assert note.startswith(
        "**Answer.** At 120 % accuracy is **equivalent**.\n\n`test/clustering_accuracy` over the seeds"
    )
    assert "| `num_fine=12` | 0.550 | – | 2 | +0.020 | −0.010 to +0.050 | undecided |" in note


def test_an_arm_that_a_search_proposed_later_has_its_parameters(run_study, store, make_plan, make_result, curve):
    tracker, larger = run_study([]), make_plan(num_fine=(10, 12, 15))
    tracker.grow(larger)
    tracker.log_cell(make_result(next(cell for cell in larger.cells if cell.arm == "num_fine=15")), curve)
    assert store.only("arm_summary").data.params == {"classes.num_fine": "15"}


def test_an_arm_without_a_finished_cell_has_no_run(run_study, store, results, summary):
    tracker = run_study([result for result in results if result.arm == "baseline"])
    tracker.log_summary(summary)
    assert store.only("arm_summary").data.tags["fgtune.arm"] == "baseline"


def test_the_run_of_an_arm_spans_its_cells_and_is_killed_while_cells_are_missing(run_study, store, plan, make_result):
    late = make_result(plan.cells[2], finished_at=LATER)
    run_study([make_result(plan.cells[0]), make_result(plan.cells[1]), late]).finish(StudyEnd.INTERRUPTED)
    runs = {run.data.tags["fgtune.arm"]: run.info for run in store.runs("arm_summary")}
    assert (runs["baseline"].status, runs["num_fine=12"].status) == ("FINISHED", "KILLED")
    assert (runs["baseline"].start_time, runs["baseline"].end_time) == (1795255200000, 1795341600000)


def test_a_call_with_nothing_to_run_changes_nothing(
    run_study, open_again, store, plan, results, curve, summary, tmp_path
):
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")

    def picture():
        return [run.to_dictionary() for role in ("study", "arm_summary", "cell") for run in store.runs(role)]

    def end(tracker):
        tracker.sync(results, lambda _: curve)
        tracker.log_summary(summary)
        tracker.finish(StudyEnd.COMPLETE, [report])

    end(run_study(results))
    before, experiment = picture(), store.client.get_experiment_by_name("kf_small").tags
    (stored,) = (tmp_path / "mlruns").rglob("report.html")
    written = stored.stat().st_mtime_ns
    tracker = open_again()
    tracker.start(plan, Path("reports/moved"), commit="def456", idle=True)
    end(tracker)
    assert picture() == before
    assert store.client.get_experiment_by_name("kf_small").tags == experiment
    assert stored.stat().st_mtime_ns == written
    report.write_text("<p>another</p>")
    end(tracker)
    assert stored.read_text() == "<p>another</p>"


@pytest.mark.slow
def test_a_finished_study_that_is_stored_later_has_the_times_of_its_cells(
    open_again, store, plan, results, curve, tmp_path
):
    folder = StudyFolder(tmp_path / "kf_small")
    folder.root.mkdir()
    for result in results:
        folder.ledger.append(result)
    tracker = open_again()
    tracker.start(plan, folder.root, idle=True)
    tracker.sync(results, lambda _: curve)
    tracker.finish(StudyEnd.COMPLETE)
    info = store.only("study").info
    assert (info.status, info.start_time, info.end_time) == ("FINISHED", 1795255200000, 1795255212000)


@pytest.mark.slow
def test_runs_of_an_earlier_version_join_their_arms_and_none_is_stored_twice(
    run_study, store, plan, results, curve, summary
):
    run_study(results).finish(StudyEnd.INTERRUPTED)
    study = store.only("study").info.run_id
    for run in store.runs("arm_summary"):
        store.client.delete_run(run.info.run_id)
    cells = {run.info.run_id for run in store.runs("cell")}
    for cell in cells:  # as that version left them: below the study, with every metric a column
        store.client.set_tag(cell, "mlflow.parentRunId", study)
        store.client.log_metric(cell, "val/silhouette", 0.5, step=0)
    tracker = run_study(results)
    assert tracker.sync(results, lambda _: curve) == 0
    tracker.log_summary(summary)
    tracker.finish(StudyEnd.COMPLETE)
    arms = {run.info.run_id: run for run in store.runs("arm_summary")}
    assert {run.info.run_id for run in store.runs("cell")} == cells
    assert {run.data.tags["mlflow.parentRunId"] for run in store.runs("cell")} == set(arms)
    assert {run.info.status for run in arms.values()} == {"FINISHED"}


def test_a_cell_has_twenty_columns_at_most_and_the_rest_in_files(run_study, store, make_plan, make_result, make_curve):
    names = [f"{split}/{name}" for split in ("test", "val") for name in ("clustering_accuracy", *MORE)]
    plan = make_plan(also=names[1:])
    metrics = dict.fromkeys([*names, "train/loss", "train/loss_reg"], 0.5)
    curve = make_curve(2, list(metrics))
    tracker = run_study([])
    tracker.start(plan, Path("x"))
    tracker.log_cell(make_result(plan.cells[0], metrics=metrics), curve)
    run = store.only("cell")
    assert len(run.data.metrics) == 20
    assert {PRIMARY, f"curve/{PRIMARY}", "train/loss", "curve/train/loss", "seconds"} <= set(run.data.metrics)
    assert store.files(run) == {"config.yaml", "metrics.json", "curves.csv"}
    stored = json.loads(Path(store.client.download_artifacts(run.info.run_id, "metrics.json")).read_text())
    assert stored["metrics"] == metrics
    table = pd.read_csv(store.client.download_artifacts(run.info.run_id, "curves.csv"))
    assert set(metrics) < set(table.columns)
    assert list(table["train/loss_reg"]) == [each.metrics["train/loss_reg"] for each in curve]


def test_the_saved_view_shows_arms_with_their_parameters_and_means(run_study, store, results, summary):
    run_study(results).log_summary(summary)
    study = store.only("study").info
    tags = store.client.get_experiment(study.experiment_id).tags
    state = json.loads(tags[f"mlflow.sharedViewState.fgtune-{study.run_id[:12]}"])
    assert {"params.`classes.num_fine`", "metrics.`arm/mean`", "tags.`fgtune.verdict`"} < set(state["selectedColumns"])
    shown = state["columnOrder"]
    assert shown[:3] == ["attributes.`Run Name`", "metrics.`arm/mean`", "metrics.`arm/difference`"]
    assert shown.index("metrics.`arm/n`") < shown.index("params.`classes.num_fine`")  # settings push no number out
    found = store.client.search_runs(
        [study.experiment_id], state["searchFilter"], order_by=[f"{state['orderByKey']} ASC"]
    )
    assert {run.info.run_name for run in found} == {"baseline / all seeds", "num_fine=12 / all seeds"}
    parallel = next(chart for chart in state["compareRunCharts"] if chart["type"] == "PARALLEL")
    held = found[0].data
    assert set(parallel["selectedParams"]) <= set(held.params)
    assert set(parallel["selectedMetrics"]) <= set(held.metrics)
    sections = {section["uuid"]: section["columns"] for section in state["compareRunSections"]}
    assert sections[parallel["metricSectionId"]] == 1  # so wide that the names of its axes can be read
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == set(sections)


@pytest.mark.slow
def test_arms_that_share_their_cells_are_all_there(store, run_study, plan, results, summary):
    """A tuned arm that keeps the baseline's settings has the baseline's cells, which are stored once."""
    twin = replace(plan.arms[0], name="tuned", is_baseline=False)
    shared = tuple(replace(cell, arm="tuned") for cell in plan.cells if cell.arm == "baseline")
    whole = replace(plan, arms=(*plan.arms, twin), cells=(*plan.cells, *shared))
    findings = replace(summary, arms={**summary.arms, "tuned": summary.arms["baseline"]})
    tracker = run_study(results)
    tracker.grow(whole)
    tracker.log_summary(findings)
    tracker.finish(StudyEnd.COMPLETE)
    runs = {run.data.tags["fgtune.arm"]: run for run in store.runs("arm_summary")}
    assert set(runs) == {"baseline", "num_fine=12", "tuned"}
    assert runs["tuned"].data.metrics["arm/mean"] == runs["baseline"].data.metrics["arm/mean"]
    assert runs["tuned"].data.tags["fgtune.cells_in"] == "baseline"
    assert "fgtune.cells_in" not in runs["baseline"].data.tags
    assert runs["tuned"].info.status == "FINISHED"
    assert runs["tuned"].info.end_time == runs["baseline"].info.end_time
    ended = [run for run in store.runs("cell") if run.data.tags["fgtune.state"] == "COMPLETE"]
    more = len(shared)
    assert store.only("study").data.tags["fgtune.cells"].startswith(f"{len(ended) + more} COMPLETE")


def test_summary_follows_the_study_as_seeds_are_added(run_study, store, results, summary):
    tracker = run_study(results)
    tracker.log_summary(summary)
    tracker.log_summary(Findings(PRIMARY, {"baseline": ArmFindings({PRIMARY: {"mean": 0.4, "n": 3}})}))
    (run,) = [run for run in store.runs("arm_summary") if run.info.run_name.startswith("baseline")]
    assert run.data.metrics[f"arm/{PRIMARY}/mean"] == 0.4
    assert run.data.metrics[f"arm/{PRIMARY}/n"] == 3.0


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


@pytest.mark.slow
def test_children_of_a_deleted_parent_join_the_new_one(run_study, store, results):
    run_study(results[:2])
    old = store.only("study").info.run_id
    store.client.delete_run(old)
    run_study([])
    new = store.only("study").info.run_id
    assert new != old
    arms = {run.info.run_id: run.data.tags["mlflow.parentRunId"] for run in store.runs("arm_summary")}
    assert set(arms.values()) == {new}
    assert {run.data.tags["mlflow.parentRunId"] for run in store.runs("cell")} == set(arms)


def test_use_before_start_is_refused(open_again, results, curve):
    with pytest.raises(TrackingError, match="tracking was not started for any study"):
        open_again().log_cell(results[0], curve)


def test_result_without_a_finish_time_is_refused(run_study, plan, make_result):
    with pytest.raises(TrackingError, match="has no readable finish time: ''"):
        run_study([]).log_cell(make_result(plan.cells[0], finished_at=""), [])
