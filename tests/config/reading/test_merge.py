from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.reading.merge import locate, patch
from fgtune.config.schema.paths import value_at
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import TrialConfig

TRIAL = {
    "data": {"kind": "digits"},
    "classes": {"num_fine_ratio": 1.0},
    "optimizer": {"kind": "sgd", "lr": 0.5, "nesterov": True},
    "objective": {"preset": "falcon", "lambda_reg": 3.0},
}


def test_a_value_replaces_the_one_at_its_path():
    assert patch(TRIAL, {"optimizer.lr": 0.1})["optimizer"] == {"kind": "sgd", "lr": 0.1, "nesterov": True}


def test_another_kind_starts_the_section_afresh():
    assert patch(TRIAL, {"optimizer.kind": "adamw"})["optimizer"] == {"kind": "adamw"}


def test_the_same_kind_keeps_the_section():
    assert patch(TRIAL, {"optimizer.kind": "sgd"}) == TRIAL


@pytest.mark.parametrize("order", [("optimizer.kind", "optimizer.lr"), ("optimizer.lr", "optimizer.kind")])
def test_siblings_patched_beside_a_new_kind_are_kept(order):
    changes = {"optimizer.kind": "adamw", "optimizer.lr": 0.01}
    assert patch(TRIAL, {key: changes[key] for key in order})["optimizer"] == {"kind": "adamw", "lr": 0.01}


def test_a_mapping_with_a_kind_replaces_the_section():
    assert patch(TRIAL, {"optimizer": {"kind": "sgd", "lr": 1.0}})["optimizer"] == {"kind": "sgd", "lr": 1.0}


def test_a_mapping_without_a_kind_is_merged():
    merged = patch(TRIAL, {"objective": {"lambda_nn": 0.0, "pseudo_labels": {"hardening": "none"}}})["objective"]
    assert merged == {
        "preset": "falcon", "lambda_reg": 3.0, "lambda_nn": 0.0, "pseudo_labels": {"hardening": "none"}
    }  # fmt: skip


def test_explicit_weights_stay_when_the_preset_changes():
    assert patch(TRIAL, {"objective.preset": "other"})["objective"] == {"preset": "other", "lambda_reg": 3.0}


def test_setting_one_way_to_count_fine_classes_drops_the_other():
    assert patch(TRIAL, {"classes.num_fine": 7})["classes"] == {"num_fine": 7}
    assert patch({"classes": {"num_fine": 7}}, {"classes": {"num_fine_ratio": 1.2}})["classes"] == {
        "num_fine_ratio": 1.2
    }


def test_setting_both_ways_to_count_fine_classes_is_left_for_validation_to_refuse():
    both = patch(TRIAL, {"classes.num_fine": 7, "classes.num_fine_ratio": 1.0})["classes"]
    assert both == {"num_fine": 7, "num_fine_ratio": 1.0}


def test_sections_that_are_not_there_are_made():
    assert patch({}, {"a.b.c": 1}) == {"a": {"b": {"c": 1}}}
    assert patch({"a": 3}, {"a.b": 1}) == {"a": {"b": 1}}


def test_a_section_left_out_begins_with_the_kind_of_its_default():
    bare = {key: TRIAL[key] for key in ("data", "classes")}
    assert patch(bare, {"optimizer.lr": 0.2}, TrialConfig)["optimizer"] == {"kind": "sgd", "lr": 0.2}
    assert patch(bare, {"optimizer.kind": "adamw"}, TrialConfig)["optimizer"] == {"kind": "adamw"}
    assert patch(bare, {"model.backbone.norm": "none"}, TrialConfig)["model"] == {
        "backbone": {"kind": "mlp", "norm": "none"}
    }
    assert patch({"trial": bare}, {"trial.optimizer.lr": 0.2}, Study)["trial"]["optimizer"] == {
        "kind": "sgd",
        "lr": 0.2,
    }


@pytest.mark.parametrize(("preset", "kind"), [("coins", "queue"), ("coins_released", "queue"), ("indi", "parametric")])
@pytest.mark.parametrize("below", ["", "trial."])
def test_a_missing_section_starts_with_the_kind_of_the_preset(preset, kind, below):
    bare = {"data": {"kind": "digits"}, "classes": {"num_fine": 4}}
    changes = {f"{below}objective.instance.temperature": 0.3, f"{below}objective.preset": preset}
    patched = patch({"trial": bare} if below else bare, changes, Study if below else TrialConfig)
    trial = patched["trial"] if below else patched
    instance = TrialConfig.from_plain(trial).objective.instance
    assert (instance.kind, instance.temperature) == (kind, 0.3)


@pytest.mark.parametrize("below", ["", "trial."])
@pytest.mark.parametrize("change", [{"model.backbone": {"kind": "identity"}}, {"model.backbone.kind": "identity"}])
@pytest.mark.parametrize("start", [{"pretrain": {"kind": "scarf"}}, {"weights": {"path": "encoder.pt"}}])
def test_a_backbone_without_parameters_drops_what_sets_them(below, change, start):
    trial = {"model": {"backbone": {"kind": "mlp"}, **start, "freeze_backbone": False}}
    data = {"trial": trial} if below else trial
    patched = patch(data, {f"{below}{path}": value for path, value in change.items()})
    model = value_at(patched, f"{below}model")
    assert model == {"backbone": {"kind": "identity"}, "freeze_backbone": False}


def test_it_keeps_what_the_same_patch_names_and_other_backbones_keep_all():
    start = {"kind": "scarf"}
    trial = {"model": {"backbone": {"kind": "mlp"}, "pretrain": start}}
    identity = {"kind": "identity"}
    named = patch(trial, {"model.backbone": identity, "model.pretrain.epochs": 5})
    assert named["model"] == {"backbone": identity, "pretrain": {"kind": "scarf", "epochs": 5}}
    assert patch(trial, {"model": {"backbone": identity, "pretrain": start}})["model"]["pretrain"] == start
    assert patch(trial, {"model.backbone": {"kind": "linear"}})["model"]["pretrain"] == start
    assert patch({"model": {"pretrain": start}}, {"model.head.kind": "identity"})["model"]["pretrain"] == start


def test_keys_of_factors_keep_their_dots():
    assert locate("design.factors.classes.num_fine") == ("design", "factors", "classes.num_fine")
    assert locate("smoke.trial.epochs") == ("smoke", "trial.epochs")
    assert locate("trial.epochs") == ("trial", "epochs")
    study = {"design": {"kind": "sensitivity", "factors": {"classes.num_fine": [5, 6]}}}
    patched = patch(study, {"design.factors.classes.num_fine": [7]})
    assert patched["design"]["factors"] == {"classes.num_fine": [7]}


LEAVES = st.integers() | st.text("ab", max_size=2) | st.lists(st.integers(), max_size=2)
TREES = st.recursive(LEAVES, lambda below: st.dictionaries(st.sampled_from("pqrs"), below, max_size=3), max_leaves=10)
PATHS = st.lists(st.sampled_from("pqrs"), min_size=1, max_size=3).map(".".join)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from("pqrs"), TREES, max_size=4), PATHS, LEAVES)
def test_only_the_patched_path_changes_and_nothing_is_mutated(data, path, value):
    before = copy.deepcopy(data)
    patched = patch(data, {path: value})
    assert data == before
    assert value_at(patched, path) == value
    assert patch(patched, {path: value}) == patched
    top = path.split(".", maxsplit=1)[0]
    assert {key: patched[key] for key in patched if key != top} == {key: data[key] for key in data if key != top}


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from("pqrs"), TREES, max_size=3), PATHS)
def test_nothing_is_shared_with_the_patch(data, path):
    value = [1]
    patched = patch(data, {path: value})
    value.append(2)
    assert value_at(patched, path) == [1]
