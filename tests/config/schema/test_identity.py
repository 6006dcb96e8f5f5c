"""What a config hashes: the settings that differ from their defaults, and nothing that a later version may add."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from fgtune.config.arms.records import Cell, cell_id_of
from fgtune.config.reading.merge import patch
from fgtune.config.schema import objective
from fgtune.config.schema.base import HASH_SCHEME, Config
from fgtune.config.schema.designs import ComparisonDesign
from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import AdamConfig, SgdConfig, TrialConfig

PLAIN = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}}
DEFAULTS = Path(__file__).with_name("defaults.json")

CHOICES: dict[str, list[Any]] = {
    "data": [
        {"kind": "digits"},
        {"kind": "digits", "limit": 100},
        {"kind": "digits", "split": {"train": 0.6, "val": 0.2, "test": 0.2}},
        {"kind": "digits", "split": {"transductive": True}},
        {"kind": "hierarchy"},
        {"kind": "hierarchy", "fine_per_coarse": [3, 3, 3, 3]},
        {"kind": "hierarchy", "fine_per_coarse": 4},
        {"kind": "patches"},
        {"kind": "own.data:load"},
        {"kind": "own.data:load", "options": {"n": 1}},
        {"kind": "own.data:load", "options": {"n": 1.0}},
        {"kind": "own.data:load", "options": {"n": True}},
    ],
    "model.backbone": [
        {"kind": "mlp"},
        {"kind": "mlp", "hidden": [128]},
        {"kind": "linear"},
        {"kind": "identity"},
        {"kind": "resnet18"},
        {"kind": "resnet50", "stem": "cifar"},
    ],
    "model.head": [{"kind": "linear"}, {"kind": "cosine"}, {"kind": "cosine", "temperature": 0.1}],
    "classes": [
        {"num_fine": 10},
        {"num_fine": 1},
        {"num_fine_ratio": 1.0},
        {"num_fine": "estimate"},
        {"num_fine": "estimate", "estimator": {"kind": "pruning"}},
        {"num_fine": "estimate", "estimator": {"kind": "pruning", "axis_cost": None}},
        {"num_fine": "estimate", "estimator": {"kind": "deep_embedding"}},
        {"num_fine": "estimate", "estimator": {"kind": "deep_embedding", "scope": "all", "hidden": [64]}},
    ],
    "objective": [
        {},
        {"preset": "base"},
        {"preset": "untrained"},
        {"preset": "untrained", "lambda_base": 1.0},
        {"preset": "base", "lambda_base": 0.0},
        {"lambda_reg": 0.0},
        {"lambda_reg": 1.0},
        {"instance": {"kind": "queue"}},
        {"instance": {"kind": "queue", "temperature": 1.0}},
        {"prior": [1.0, 2.0]},
        {"extra": {"mine": {"kind": "own.terms:Term", "weight": 0.5}}},
    ],
    "relations.solver": [{"kind": "flow"}, {"kind": "scip"}, {"kind": "cvxpy"}],
    "augmentation": [{"kind": "none"}, {"kind": "noise"}, {"kind": "noise", "std": 0.2}, {"kind": "cifar"}],
    "optimizer": [{"kind": "sgd"}, {"kind": "sgd", "lr": 0.2}, {"kind": "adamw"}, {"kind": "adamw", "lr": 0.1}],
    "schedule": [{"kind": "multistep"}, {"kind": "constant"}, {"kind": "multistep", "milestones": [0.6]}],
    "epochs": [100, 1],
    "evaluation.few_shot": [None, {}, {"shots": [1]}],
    "evaluation.recall": [[], [1], [1, 2]],
}
"""Settings and some of their values; two values of one setting never mean the same."""


def trial(**changes: Any) -> TrialConfig:
    return TrialConfig.from_plain(patch(PLAIN, {path.replace("__", "."): each for path, each in changes.items()}))


chosen = st.fixed_dictionaries({path: st.integers(0, len(values) - 1) for path, values in CHOICES.items()})


def made(ranks: dict[str, int]) -> TrialConfig:
    return trial(**{path: CHOICES[path][rank] for path, rank in ranks.items()})


@settings(max_examples=150, deadline=None)
@given(chosen, chosen)
def test_trials_have_the_same_hash_exactly_where_no_setting_differs(one, two):
    first, second = made(one), made(two)
    assert (first.digest == second.digest) == (one == two) == (first == second)
    spelt_out = TrialConfig.from_plain(first.to_plain())
    assert (spelt_out.digest, spelt_out.identity()) == (first.digest, first.identity())


@pytest.mark.parametrize("path", CHOICES)
def test_one_setting_alone_changes_the_hash(path):
    configs = [trial(**{path: value}) for value in CHOICES[path]]
    assert all(one.digest != two.digest for one, two in combinations(configs, 2))


def test_a_setting_at_its_default_is_left_out_and_the_kind_of_another_part_stays():
    assert trial().identity() == PLAIN
    assert trial(optimizer={"kind": "adamw"}).identity() == PLAIN | {"optimizer": {"kind": "adamw"}}
    assert trial(epochs=100, batch_size=256, model={"backbone": {"kind": "mlp", "norm": "batch"}}).identity() == PLAIN
    assert trial(epochs=3).identity() == PLAIN | {"epochs": 3}


def test_cells_are_told_apart_by_their_config_and_seed():
    ids = {Cell("arm", seed, config, {}).cell_id for seed in (0, 1) for config in (trial(), trial(epochs=3))}
    assert len(ids) == 4
    assert Cell("other", 1, trial(epochs=100), {"epochs": 100}).cell_id == Cell("arm", 1, trial(), {}).cell_id


def test_another_scheme_makes_other_ids():
    identity = trial().identity()
    ids = {cell_id_of(identity, 0, scheme=scheme) for scheme in (1, HASH_SCHEME, HASH_SCHEME + 1)}
    assert len(ids) == 3
    assert Cell("arm", 0, trial(), {}).cell_id == cell_id_of(identity, 0)


@pytest.mark.parametrize("deep", [False, True])
def test_a_changed_copy_has_a_hash_of_its_own(deep):
    first = trial()
    before = first.digest
    assert first.model_copy(update={"epochs": 3}, deep=deep).digest == trial(epochs=3).digest != before
    assert "digest" not in first.to_plain()


def test_a_setting_added_later_changes_no_hash():
    class LaterSgd(SgdConfig):
        dampening: float = 0.0
        rule: SgdConfig | AdamConfig = AdamConfig()

    class LaterPart(Config):
        kind: Literal["none"] = "none"
        size: int = 3

    class LaterTrial(TrialConfig):
        optimizer: LaterSgd | AdamConfig = LaterSgd()
        extra: LaterPart = LaterPart()
        named: dict[str, int] = Field(default_factory=dict)

    for optimizer in ({}, {"lr": 0.1}, {"lr": 0.5}):
        plain = PLAIN | {"optimizer": {"kind": "sgd", **optimizer}}
        assert LaterTrial.from_plain(plain).digest == TrialConfig.from_plain(plain).digest
    changed = LaterTrial.from_plain(PLAIN | {"optimizer": {"kind": "sgd", "dampening": 0.1}})
    assert changed.digest != TrialConfig.from_plain(PLAIN).digest


def test_a_loss_weight_added_later_changes_no_hash(monkeypatch):
    before = [ObjectiveConfig.from_plain(plain) for plain in CHOICES["objective"]]
    monkeypatch.setattr(objective, "WEIGHTS", (*objective.WEIGHTS, "lambda_later"))

    class LaterObjective(ObjectiveConfig):
        implied: ClassVar = dict.fromkeys(objective.WEIGHTS, 0.0)
        lambda_later: float

    after = [LaterObjective.from_plain(plain) for plain in CHOICES["objective"]]
    assert [each.digest for each in after] == [each.digest for each in before]
    assert LaterObjective.from_plain({"lambda_later": 1.0}).digest not in {each.digest for each in before}


def test_a_study_hashes_neither_how_it_runs_nor_what_its_design_leaves_out():
    design = ComparisonDesign.from_plain({"kind": "comparison", "arms": [{"name": "a"}, {"name": "b", "set": {}}]})
    plain = {"study": "small", "question": "What?", "design": design.to_plain(), "trial": PLAIN}
    identity = Study.from_plain(plain | {"execution": {"cpus": 2.0}, "smoke": {"seeds": 1}}).identity()
    assert identity == plain | {"design": {"kind": "comparison", "arms": [{"name": "a"}, {"name": "b"}]}}


def config_classes() -> list[type[Config]]:
    """Every class that a study may be made of."""
    found: dict[type[Config], None] = {}

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Config) and annotation not in found:
            found[annotation] = None
            for field in annotation.model_fields.values():
                walk(field.annotation)
        for each in get_args(annotation):
            walk(each)

    walk(Study)
    return list(found)


def test_no_default_has_changed_without_a_new_scheme():
    """Hashes leave defaults out, so that another default would give other trials the ids of those that are finished.

    Where one must change, raise ``HASH_SCHEME`` in ``fgtune.config.schema.base``, and record the defaults anew.
    """
    now = {
        f"{config.__name__}.{name}": _plain_default(field)
        for config in config_classes()
        for name, field in config.model_fields.items()
        if not field.is_required()
    }
    recorded = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    changed = {name: (recorded[name], now[name]) for name in recorded.keys() & now if recorded[name] != now[name]}
    assert changed == {}


def _plain_default(field: Any) -> Any:
    """A section's default is what it sets; the defaults of its settings are recorded at its own class."""
    value = field.get_default(call_default_factory=True)
    return json.loads(json.dumps(value.identity() if isinstance(value, Config) else value))


def test_configs_between_which_a_setting_chooses_say_their_kind():
    """Two classes with the same settings would else have the same hash."""
    for config in config_classes():
        for name, field in config.model_fields.items():
            classes = [
                each for each in _leaves(field.annotation) if isinstance(each, type) and issubclass(each, Config)
            ]
            silent = [each for each in classes if "kind" not in each.model_fields]  # a trial without is fgtune's own
            assert len(classes) < 2 or len(silent) <= 1, f"{config.__name__}.{name}"


def _leaves(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return []
    inside = get_args(annotation)
    return [leaf for each in inside for leaf in _leaves(each)] if inside else [annotation]


def test_a_preset_says_the_kind_of_clustering_of_which_single_settings_are_given():
    changed = trial(objective={"preset": "scan_per_class"}, clustering={"lambda_reg": 3.0})
    assert (changed.clustering.kind, changed.clustering.lambda_reg) == ("scan", 3.0)
    spelt = trial(objective={"preset": "scan_per_class"}, clustering={"kind": "scan", "lambda_reg": 3.0})
    assert changed.digest == spelt.digest
    other = trial(objective={"preset": "george"}, clustering={"kind": "kmeans", "pca": 3})
    assert other.clustering.kind == "kmeans"
    assert trial(objective={"preset": "base"}, clustering={"pca": 3}).clustering.kind == "kmeans"
