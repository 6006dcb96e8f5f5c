"""Names and points as MLflow takes them, checked with MLflow's own validation."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from support.lazy import LazyModule

from fgtune.results.records import EpochMetrics
from fgtune.tracking import ArmFindings, Findings, layout
from fgtune.tracking.layout import MAX_KEY, plain_yaml, safe_key

validation = LazyModule("mlflow.utils.validation")


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=300) | st.text("ab./_ -[=", max_size=12))
@example("")
@example(".")
@example("../up")
@example("/root//a/")
@example("a" * 400)
@example("train/β[0]=x")
def test_every_name_becomes_one_that_mlflow_takes(name):
    key = safe_key(name)
    validation._validate_metric_name(key)
    assert 0 < len(key) <= MAX_KEY
    assert safe_key(key) == key


@pytest.mark.parametrize("name", ["test/clustering_accuracy", "relations.solver.kind", "arm/test/ged/ci_lo"])
def test_good_names_stay(name):
    assert safe_key(name) == name


def test_names_that_differ_stay_different():
    assert len({safe_key(name) for name in ("a[0]", "a(0)", "a_0_", "/a_0_")}) == 4


def test_long_text_says_that_it_was_cut():
    assert layout.shortened("abcdef", 6) == "abcdef"
    assert layout.shortened("abcdefg", 6) == "abcd …"


def test_values_of_levels_are_readable():
    levels = {"a.kind": "flow", "a.num": 0.5, "a.flag": True, "a.none": None, "a.list": [1, 2]}
    expected = {"a.kind": "flow", "a.num": "0.5", "a.flag": "true", "a.none": "null", "a.list": "[1, 2]"}
    assert layout.level_params(levels) == expected


def test_repeated_epoch_counts_once_with_its_last_values(plan, make_result):
    epochs = [EpochMetrics(epoch, 0, {"train/loss": loss}, 1.0) for epoch, loss in [(1, 3.0), (2, 2.0), (2, 1.0)]]
    points = layout.curve_points(make_result(plan.cells[0]), epochs, ["train/loss"])
    assert [(point.step, point.value) for point in points] == [(1, 3.0), (2, 1.0)]


def test_points_are_finite_and_lie_within_the_cell(plan, make_result):
    result = make_result(plan.cells[0], metrics={"test/ari": math.nan, "test/nmi": 0.5}, seconds=2.0)
    epochs = [EpochMetrics(e, 0, {"train/loss": math.inf, "test/nmi": 0.1}, 1.5) for e in range(1, 4)]
    start, end = layout.time_span(result)
    names = ["test/ari", "test/nmi", "train/loss"]
    points = layout.final_points(result, names) + layout.curve_points(result, epochs, names)
    assert {point.key for point in points} == {"test/nmi", "seconds", "solver/seconds", "curve/test/nmi"}
    assert all(math.isfinite(point.value) and start <= point.timestamp <= end for point in points)


def test_time_without_zone_is_utc(plan, make_result):
    spans = {
        layout.time_span(make_result(plan.cells[0], finished_at=moment))
        for moment in ("2026-11-21T10:00:12", "2026-11-21T10:00:12Z", "2026-11-21T12:00:12+02:00")
    }
    assert spans == {(1795255200000, 1795255212000)}


def test_columns_are_what_the_study_names_the_primary_metric_first(make_plan):
    plan = make_plan(also=["val/silhouette", "test/ari"])
    assert layout.headline(plan.study) == ("test/clustering_accuracy", "val/silhouette", "test/ari", "train/loss")


def test_names_of_arms_are_readable_as_metrics_and_stay_different():
    statistics = {"test/ari": {"mean": 0.5}}

    def keys(*names):
        findings = Findings("test/ari", {name: ArmFindings(statistics) for name in names})
        return [point.key for point in layout.study_points(findings, 0)]

    assert keys("baseline", "a.b=0.5,c=[1, 2]") == ["test/ari/baseline", keys("baseline", "a.b=0.5,c=[1, 2]")[1]]
    assert keys("k=1.5") == ["test/ari/k 1.5"]
    assert len(set(keys("k=1", "k 1"))) == 2
    for key in keys("k=1", "k 1", "a.b=0.5,c=[1, 2]", "x/y"):
        validation._validate_metric_name(key)


def test_the_study_holds_the_first_hundred_arms_of_a_long_search():
    arms = {f"trial-{place:04}": ArmFindings({"test/ari": {"mean": 0.5}}) for place in range(150)}
    points = layout.study_points(Findings("test/ari", arms), 0)
    assert [point.key for point in points] == [f"test/ari/{name}" for name in list(arms)[:100]]


def test_an_arm_is_finished_once_each_of_its_cells_has_ended():
    assert layout.arm_status(["COMPLETE"], 2) == "KILLED"
    assert layout.arm_status(["COMPLETE", "FAIL"], 2) == "FINISHED"
    assert layout.arm_status(["PRUNED", "FAIL"], 2) == "FINISHED"
    assert layout.arm_status(["FAIL", "FAIL"], 2) == "FAILED"


def test_file_of_a_user_is_listed_by_its_name(plan, make_plan, make_result):
    from dataclasses import replace

    from fgtune.config.schema.base import data_key

    data = {"kind": "arrays", "path": "data/mine.npz"}
    shaped = replace(plan, shapes={data_key(data): next(iter(plan.shapes.values()))})
    used = layout.cell_dataset(shaped, {"data": data})
    assert (used.name, used.digest) == ("mine.npz", "f00d" * 4)
    assert layout.cell_dataset(plan, {"data": data}) is None


def test_tally_names_states_that_occur():
    assert layout.tally(["COMPLETE", "FAIL", "COMPLETE"], 5) == "2 COMPLETE, 1 FAIL of 5 planned"
    assert layout.tally([], 5) == "none of 5 planned"


def test_settings_are_read_back_by_readers_of_either_version_of_yaml():
    words = ["off", "yes", "null", "~", "1e-3", "1.5", "010", "0o17", "0x1f", "1:30", "2001-01-01", ".inf", "<<", ""]
    words += ["é – λ", "a: b", "- c", "# d", "line\nbreak", " e ", "w " * 90, "&a", "*a", "!t", "%", "@", "`", "?"]
    plain = {"words": words, "numbers": [1e-05, 1e20, 1.0, 3, True, None], "nested": {"empty": {}, "none": []}}
    text = plain_yaml(plain)
    assert yaml.safe_load(text) == plain
    assert YAML(typ="safe", pure=True).load(text) == plain
