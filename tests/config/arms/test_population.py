"""What population based training refuses to search, in one sentence each."""

from __future__ import annotations

import json

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import Cell, DataShape, Fork
from fgtune.config.arms.search import is_changeable
from fgtune.config.reading.load import load_study
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError

LR = {"optimizer.lr": {"kind": "log_uniform", "low": 0.01, "high": 1.0}}


def plan_of(folder, parameters, **changes):
    study = {
        "study": "s",
        "question": "q",
        "seeds": 1,
        "design": {"kind": "search", "trials": 3, "metric": "val/silhouette", "space": {"parameters": parameters}},
        "scheduler": {"kind": "pbt"},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }
    path = folder / "s.yaml"
    path.write_text(json.dumps(study | changes, indent=1))
    return expand(load_study(path), lambda _: DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d"))


def test_a_search_of_settings_that_can_change_is_planned(tmp_path):
    balance = {"relations.balance": {"kind": "quantized", "low": 0.5, "high": 2.0, "step": 0.5}}
    noise = {"augmentation.std": {"kind": "uniform", "low": 0.1, "high": 0.5}}
    trial = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "augmentation": {"kind": "noise"}}
    assert plan_of(tmp_path, LR | balance | noise, trial=trial).search.factors[0] == "optimizer.lr"


@pytest.mark.parametrize(
    ("path", "domain"),
    [
        ("classes.num_fine", {"kind": "int", "low": 4, "high": 12}),
        ("batch_size", {"kind": "choice", "values": [32, 64]}),
        ("epochs", {"kind": "int", "low": 4, "high": 12}),
        ("relations.mode", {"kind": "choice", "values": ["learned", "random_balanced"]}),
        ("optimizer.kind", {"kind": "choice", "values": ["sgd", "adamw"]}),
        ("objective.instance.kind", {"kind": "choice", "values": ["parametric", "queue"]}),
        ("objective.entropic.scale", {"kind": "uniform", "low": 0.5, "high": 2.0}),
    ],
)
def test_a_setting_that_is_fixed_once_a_training_has_begun_is_refused(tmp_path, path, domain):
    with pytest.raises(ConfigError, match=rf"s\.yaml:\d+: design\.space\.parameters\.{path}: is fixed once"):
        plan_of(tmp_path, LR | {path: domain})


def test_the_scale_of_images_is_no_strength():
    assert is_changeable("augmentation.std", noise=True)
    assert not is_changeable("augmentation.std", noise=False)


def test_several_seeds_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"s\.yaml:\d+: seeds: must be one seed for pbt.*got 2"):
        plan_of(tmp_path, LR, seeds=2)
    assert plan_of(tmp_path, LR, seeds=[7]).study.seed_list == (7,)


def test_an_unknown_setting_is_told_as_what_it_is(tmp_path):
    with pytest.raises(ConfigError, match="no such setting in trial") as caught:
        plan_of(tmp_path, {"optimizer.rate": LR["optimizer.lr"]})
    assert "fixed once" not in str(caught.value)


def test_a_fork_is_another_cell_and_any_other_cell_is_named_as_before():
    config = TrialConfig.from_plain({"data": {"kind": "digits"}, "classes": {"num_fine": 10}})
    plain = Cell("a", 0, config, {})
    forks = [Cell("a", 0, config, {}, Fork(donor, epoch)) for donor, epoch in (("d1", 5), ("d2", 5), ("d1", 10))]
    assert len({plain.cell_id, *(fork.cell_id for fork in forks)}) == 4
    assert {plain.config_hash} == {fork.config_hash for fork in forks}
    from fgtune.config.schema.base import HASH_SCHEME, stable_hash

    assert plain.cell_id == stable_hash({"config": config.identity(), "seed": 0, "hash": HASH_SCHEME})
    assert Fork.parse(forks[0].fork.text) == forks[0].fork
