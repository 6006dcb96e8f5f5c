from __future__ import annotations

import json

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

QUEUE = {"objective.instance": {"kind": "queue", "size": 1000}}
SPACE = {
    "parameters": {
        "objective.instance.kind": {"kind": "choice", "values": ["parametric", "queue"]},
        "objective.lambda_instance": {"kind": "uniform", "low": 0.1, "high": 1.0},
    }
}


def warnings_of(tmp_path, design, samples=600, trial=(), shape=None):
    base = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "objective": {"preset": "base_indi"}}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps({"study": "s", "question": "q", "design": design, "trial": {**base, **dict(trial)}}))
    return expand(load_study(path), lambda _: shape or DataShape((2,), 10, "f", num_samples=samples)).warnings


def arms(**changes):
    return {"kind": "comparison", "arms": [{"name": "one"}, {"name": "two", "set": changes}]}


@pytest.mark.parametrize(("samples", "told"), [(600, True), (1000, False), (None, False)])
def test_a_queue_longer_than_the_data_is_warned_of(tmp_path, samples, told):
    found = warnings_of(tmp_path, arms(**QUEUE), samples)
    assert [each.startswith("arm two: a queue of 1000 keys") for each in found] == [True] * told


def test_a_queue_that_nothing_uses_is_no_mistake(tmp_path):
    assert not warnings_of(tmp_path, arms(**QUEUE, **{"objective.lambda_instance": 0.0}))


def test_queues_of_ancor_are_compared_with_the_samples_of_a_coarse_class(tmp_path):
    (told,) = warnings_of(tmp_path, arms(**{"objective.preset": "ancor", "objective.ancor.size": 400}))
    assert told.startswith("arm two: a queue of 400 keys holds each of 300 samples of a coarse class about 1 times")
    assert told.endswith("set objective.ancor.size below 300")
    assert not warnings_of(tmp_path, arms(**{"objective.preset": "ancor", "objective.ancor.size": 300}))


def test_points_of_a_space_are_looked_at_too_and_told_once(tmp_path):
    design = {"kind": "search", "space": SPACE, "trials": 3, "metric": "val/silhouette"}
    (told,) = warnings_of(tmp_path, design)
    assert told.startswith("points of the search: a queue of 65536 keys holds each of 600 samples about 109 times")


def test_so_are_those_of_searches_inside_arms(tmp_path):
    design = {"kind": "comparison", "arms": [{"name": "tuned", "space": SPACE}, {"name": "own"}]}
    design["search"] = {"metric": "val/silhouette", "trials": 3}
    (told,) = warnings_of(tmp_path, design)
    assert told.startswith("points of tuned: a queue")


VALUES, BLIND = DataShape((2,), 10, "f", num_values=1), DataShape((2,), None, "f")


@pytest.mark.parametrize(
    ("changes", "shape", "told"),
    [
        ({"evaluation.probes": ["knn"]}, None, None),
        ({"evaluation.probes": ["ridge", "linear"]}, None, None),
        ({"evaluation.probes": ["gradient"]}, VALUES, None),
        ({"evaluation.probes": ["ridge", "gradient"]}, None, "the data lack the fine targets of ridge, gradient: knn"),
        ({"evaluation.probes": ["knn"]}, BLIND, "the data lack the fine targets of knn: knn"),
        ({"evaluation.probes": ["knn"], "data.split.transductive": True}, None, "all samples are training samples"),
    ],
)
def test_probes_without_a_value_are_warned_of_where_they_are_to_have_curves(tmp_path, changes, shape, told):
    found = warnings_of(tmp_path, arms(**changes, **{"evaluation.probes_by_epoch": True}), shape=shape)
    start = f"arm two: evaluation.probes_by_epoch does nothing, since {told}"
    assert [each.startswith(start) for each in found] == [True] * (told is not None)
    assert not warnings_of(tmp_path, arms(**changes), shape=shape)


@pytest.mark.parametrize(("rate", "told"), [(0.1, True), (0.001, False)])
def test_a_learning_rate_of_sgd_in_adamw_is_warned_of(tmp_path, rate, told):
    found = warnings_of(tmp_path, arms(**{"optimizer": {"kind": "adamw", "lr": rate}}))
    assert [each.startswith("arm two: optimizer.lr 0.1 suits sgd; adamw usually") for each in found] == [True] * told


@pytest.mark.parametrize(("kinds", "told"), [(["sgd", "adamw"], True), (["sgd"], False)])
def test_so_are_points_of_a_space_that_reach_one(tmp_path, kinds, told):
    parameters = {"optimizer.kind": {"kind": "choice", "values": kinds}} | {
        "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 0.5}
    }
    space = {"parameters": parameters}
    design = {"kind": "search", "space": space, "trials": 3, "metric": "val/silhouette"}
    found = warnings_of(tmp_path, design)
    assert [each.startswith("points of the search: optimizer.lr 0.") for each in found] == [True] * told


def test_doubts_about_the_data_are_warnings_of_the_plan(tmp_path):
    path = tmp_path / "s.yaml"
    trial = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}}
    path.write_text(json.dumps({"study": "s", "question": "q", "design": arms(epochs=3), "trial": trial}))
    shape = DataShape((2,), 10, "f", notes=("column x is left out",))
    assert expand(load_study(path), lambda _: shape).warnings == ("column x is left out",)


def study_with_gpus(tmp_path, gpus, **trial):
    """Two arms on digits, whose trials hold so many GPUs."""
    trial = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, **trial}
    plain = {"study": "s", "question": "q", "design": arms(epochs=3), "trial": trial, "execution": {"gpus": gpus}}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(plain))
    return load_study(path)


@pytest.mark.parametrize(("gpus", "allowed"), [(0, True), (0.5, True), (1, True), (1.5, False), (2, False)])
def test_a_trial_of_fgtunes_trainer_uses_one_device(tmp_path, gpus, allowed):
    study = study_with_gpus(tmp_path, gpus)
    if allowed:
        assert expand(study, lambda _: DataShape((2,), 10, "f")).cells
        return
    with pytest.raises(ConfigError, match=r"execution.gpus: must be at most 1: a trial trains on one device"):
        expand(study, lambda _: DataShape((2,), 10, "f"))


@pytest.mark.parametrize(("setting", "value"), [("device", "cuda"), ("precision", "fp16"), ("cuda_graph", True)])
@pytest.mark.parametrize("gpus", [0, 0.5])
def test_what_needs_a_gpu_is_refused_where_trials_hold_none(tmp_path, setting, value, gpus):
    study = study_with_gpus(tmp_path, gpus, **{setting: value})
    if gpus:
        assert expand(study, lambda _: DataShape((2,), 10, "f")).cells
        return
    with pytest.raises(ConfigError, match=f"trial.{setting}: needs a GPU, and trials hold none, got {value!r}. Fix: "):
        expand(study, lambda _: DataShape((2,), 10, "f"))


def test_a_trainer_of_ones_own_may_ask_for_several_gpus(tmp_path):
    trial = {
        "kind": "function",
        "call": "mine:run",
        "metrics": {"accuracy": {"direction": "maximize"}},
        "config": {"a": 1},
    }
    design = {"kind": "comparison", "arms": [{"name": "one"}, {"name": "two", "set": {"config.a": 2}}]}
    plain = {"study": "s", "question": "q", "design": design, "trial": trial, "execution": {"gpus": 4}}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(plain | {"metrics": {"primary": "accuracy"}}))
    assert expand(load_study(path), lambda _: DataShape((2,), 10, "f")).cells
