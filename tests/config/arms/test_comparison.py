from __future__ import annotations

import itertools
import json

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

ARMS = [{"name": "falcon"}, {"name": "no_nn", "set": {"objective.lambda_nn": 0.0}}]
DATASETS = {"easy": {"kind": "hierarchy", "separation": 8.0}, "hard": {"kind": "hierarchy", "separation": 2.0}}


def plan_with(tmp_path, **design) -> Plan:
    study = {
        "study": "s", "question": "q", "seeds": 2, "design": {"kind": "comparison", **design},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine_ratio": 1.0}},
    }  # fmt: skip
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study, indent=1))
    return expand(load_study(path), lambda data: DataShape((2,), 12 if data.kind == "hierarchy" else 10, str(data)))


def test_arms_are_crossed_with_data_sets_and_seeds(tmp_path):
    plan = plan_with(tmp_path, arms=ARMS, datasets=DATASETS)
    names = ["falcon@easy", "no_nn@easy", "falcon@hard", "no_nn@hard"]
    assert [arm.name for arm in plan.arms] == names
    assert [(cell.seed, cell.arm) for cell in plan.cells] == list(itertools.product(range(2), names))
    assert plan.factors == ("dataset", "objective.lambda_nn")
    assert plan.arms[3].levels == {"dataset": "hard", "objective.lambda_nn": 0.0}
    assert [arm.config.data.separation for arm in plan.arms] == [8.0, 8.0, 2.0, 2.0]
    assert {cell.config.classes.num_fine for cell in plan.cells} == {12}
    assert len(plan.shapes) == 2


def test_every_data_set_has_its_own_baseline(tmp_path):
    plan = plan_with(tmp_path, arms=ARMS, datasets=DATASETS, baseline="no_nn")
    assert [arm.name for arm in plan.arms if arm.is_baseline] == ["no_nn@easy", "no_nn@hard"]
    assert [plan.baseline_of(arm).name for arm in plan.arms] == ["no_nn@easy"] * 2 + ["no_nn@hard"] * 2
    assert plan.baseline.name == plan.study.design.baseline_arm == "no_nn@easy"


def test_a_data_set_may_bring_settings_of_its_own(tmp_path):
    settings = {"hard": {"model.backbone": {"kind": "mlp", "hidden": [16]}, "epochs": 7}}
    plan = plan_with(tmp_path, arms=ARMS, datasets=DATASETS, dataset_settings=settings)
    assert [arm.config.epochs for arm in plan.arms] == [plan.study.trial.epochs] * 2 + [7] * 2
    assert [arm.config.model.backbone.hidden == (16,) for arm in plan.arms] == [False, False, True, True]
    assert plan.factors == ("dataset", "objective.lambda_nn")


def test_without_data_sets_the_trial_has_the_data(tmp_path):
    plan = plan_with(tmp_path, arms=ARMS)
    assert [arm.name for arm in plan.arms] == ["falcon", "no_nn"]
    assert plan.factors == ("objective.lambda_nn",)
    assert plan.arms[1].config.data.kind == "digits"
    assert plan.baseline_of(plan.arms[1]).name == "falcon"


WRONG = [
    ({"arms": ARMS, "datasets": {"a": {"kind": "digits"}, "b": {"kind": "digits"}}},
     "design.datasets.b: arms 'falcon@a' and 'falcon@b' are the same trial"),
    ({"arms": ARMS, "datasets": {"a": {"kind": "digts"}}},
     "design.datasets.a.kind: unknown kind, got 'digts'. Fix: did you mean 'digits'?"),
    ({"arms": ARMS, "datasets": {"a": {"kind": "hierarchy", "num_samples": 3}}},
     "design.datasets.a.num_samples: must be >= 10, got 3"),
    ({"arms": ARMS, "datasets": {"A B": {"kind": "digits"}}},
     "design.datasets.A B: must be lower-case letters, digits and '_' only, and begin with a letter"),
    ({"arms": [{"name": "x", "set": {"data.limit": 100}}], "datasets": DATASETS},
     "design.arms[0].set.data.limit: must not change the data, which design.datasets sets for every arm"),
    ({"arms": ARMS, "datasets": DATASETS, "dataset_settings": {"easier": {"epochs": 7}}},
     "design: dataset_settings must name data sets, one of ['easy', 'hard'], got 'easier'"),
    ({"arms": ARMS, "datasets": DATASETS, "dataset_settings": {"easy": {"data.limit": 100}}},
     "design.dataset_settings.easy.data.limit: must not change the data"),
    ({"arms": ARMS, "datasets": DATASETS, "dataset_settings": {"easy": {"objective": {"lambda_nn": 0.3}}}},
     "design.arms[1].set.objective.lambda_nn: must not change objective, which dataset_settings sets for easy"),
    ({"arms": ARMS, "datasets": DATASETS, "dataset_settings": {"easy": {"epochs": 0}}},
     "design.dataset_settings.easy.epochs: must be >= 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_a_wrong_data_set_is_told_at_its_place(tmp_path, design, message):
    with pytest.raises(ConfigError) as caught:
        plan_with(tmp_path, **design)
    place, _, rest = str(caught.value).splitlines()[0].partition(": ")
    assert place.startswith(str(tmp_path / "s.yaml:"))
    assert rest.startswith(message)


def test_an_error_in_one_crossed_arm_is_told_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        plan_with(tmp_path, arms=[ARMS[0], {"name": "x", "set": {"epochs": 0}}], datasets=DATASETS)
    assert len(str(caught.value).splitlines()) == 1
