from __future__ import annotations

import json
import math

import pytest

from fgtune.catalog import natural_mode
from fgtune.config.arms.plan_checks import check_metrics
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult, CellState, SolverUse
from fgtune.tuning.search.objectives import Objective, mean_values, objectives_of, stopping_objective

SPACE = {"parameters": {"optimizer.lr": {"kind": "uniform", "low": 0.1, "high": 0.9}}}


def study_with(tmp_path, scheduler=None, **design):
    design = {"kind": "search", "trials": 3, "space": SPACE, "metric": "val/silhouette", **design}
    if design["kind"] != "search":
        design = {"kind": "sensitivity", "factors": {"epochs": [3]}}
    study = {
        "study": "s", "question": "q", "design": design, "scheduler": scheduler or {"kind": "none"},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study, indent=1))
    return load_study(path)


def result(metrics, seconds=2.0, solver=None) -> CellResult:
    return CellResult("c", "a", 0, "h", CellState.COMPLETE, metrics, seconds, 3, {}, {}, solver)


def test_modes_come_from_the_catalogue_unless_stated(tmp_path):
    metric = ["val/silhouette", "val/loss", "cost/seconds"]
    design = study_with(tmp_path, metric=metric).study.design
    assert [each.mode for each in objectives_of(design)] == ["maximize", "minimize", "minimize"]
    design = study_with(tmp_path, metric="val/num_used_classes", mode="maximize").study.design
    assert objectives_of(design) == (Objective("val/num_used_classes", "maximize"),)


def test_values_are_means_over_seeds_and_nan_where_one_lacks_them():
    solver = SolverUse("flow", 3, 0.5, {}, 0.0)
    results = [result({"val/ari": 0.2}, 2.0, solver), result({"val/ari": 0.4}, 4.0)]
    objectives = [Objective("val/ari", "maximize"), Objective("cost/seconds", "minimize"),
                  Objective("cost/solver_seconds", "minimize")]  # fmt: skip
    assert mean_values(objectives, results) == pytest.approx([0.3, 3.0, 0.25])
    assert math.isnan(mean_values(objectives, [results[0], result({})])[0])


BAD = [
    ({"metric": "val/ari"}, None, "design.metric: reads fine labels, which selection must not, got 'val/ari'."),
    ({"metric": "test/silhouette"}, None, "design.metric: is of the test split, which selection must not look at"),
    ({"metric": "val/silhouete"}, None, "design.metric: unknown metric, got 'val/silhouete'. Fix: did you mean"),
    ({"metric": "val/num_used_classes"}, None, "design.metric: has no better or worse of its own"),
    ({"metric": ["val/silhouette", "val/ari"]}, None, "design.metric[1]: reads fine labels"),
    ({}, {"kind": "asha", "metric": "val/ari"}, "scheduler.metric: reads fine labels"),
    ({"kind": "enumerated"}, {"kind": "asha", "metric": "test/silhouette"}, "scheduler.metric: is of the test split"),
]


@pytest.mark.parametrize(("design", "scheduler", "message"), BAD, ids=[each[2][:50] for each in BAD])
def test_what_selection_must_not_see_is_told_at_its_place(tmp_path, design, scheduler, message):
    with pytest.raises(ConfigError) as caught:
        check_metrics(study_with(tmp_path, scheduler, **design))
    place, _, rest = str(caught.value).partition(": ")
    assert place.startswith(str(tmp_path / "s.yaml:"))
    assert rest.startswith(message)


def test_fine_labels_may_be_used_where_the_study_says_so(tmp_path):
    check_metrics(study_with(tmp_path, {"kind": "asha"}, metric="test/ari", oracle=True))
    check_metrics(study_with(tmp_path, metric=["val/silhouette", "cost/seconds"]))


def test_running_trials_are_judged_by_the_scheduler_or_the_search(tmp_path):
    assert stopping_objective(study_with(tmp_path).study) is None
    judged = stopping_objective(study_with(tmp_path, {"kind": "asha"}, metric="val/loss").study)
    assert judged == Objective("val/loss", "minimize")
    judged = stopping_objective(study_with(tmp_path, {"kind": "asha", "metric": "val/silhouette"}).study)
    assert judged == Objective("val/silhouette", "maximize")


def test_a_scheduler_judges_the_metric_of_the_search_the_way_the_search_does(tmp_path):
    scheduler = {"kind": "asha", "metric": "val/silhouette"}
    judged = stopping_objective(study_with(tmp_path, scheduler, metric="val/silhouette", mode="minimize").study)
    assert judged == Objective("val/silhouette", "minimize")


def test_an_unknown_direction_is_an_error():
    with pytest.raises(ConfigError, match="has no better or worse of its own, got 'val/effective_classes'"):
        natural_mode("val/effective_classes")
