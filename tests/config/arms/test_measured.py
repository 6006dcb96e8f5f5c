"""Metrics that no arm, or not every arm, would measure are refused with the setting that they need."""

from __future__ import annotations

import json
import re

import pytest

from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError

BY_DEFAULT = "is not measured by default"
MADE_WRONG = ("needs wrong coarse labels that were made on purpose", "set trial.data.label_noise")
NOISE = "label_noise: {kind: symmetric, share: 0.2}"
LACKING = {
    "train/wrong_labels": MADE_WRONG,
    "train/cleaning_recall": MADE_WRONG,
    "train/cleaned_labels": ("is not measured without cleaning", "set trial.cleaning, to {action: relabel} say"),
    "test/coarse_set_f1": ("needs coarse labels that form sets", "set trial.data.coarse_sets"),
    "train/ari": ("train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"),
    "test/attention_big": (BY_DEFAULT, "set trial.evaluation.attention_samples, to 32 say"),
    "val/recall_fine_16": (BY_DEFAULT, "add 16 to trial.evaluation.recall"),
    "test/knn_fine": (BY_DEFAULT, "add knn to trial.evaluation.probes"),
    "test/fewshot_5_low": (BY_DEFAULT, "add 5 to trial.evaluation.few_shot.shots"),
    "test/fewshot_5_best": (BY_DEFAULT, "add 5 to trial.evaluation.few_shot.shots"),
}


@pytest.fixture
def opened(write):
    """Opens a study of two arms with a metric besides, settings of its trial, and of its second arm."""

    def open_with(name, *, data="", trial="", second="epochs: 50"):
        text = f"""\
study: tiny
question: What happens?
design: {{kind: comparison, arms: [{{name: one}}, {{name: two, set: {{{second}}}}}]}}
seeds: 3
metrics: {{primary: test/nmi, also: [{name}]}}
trial:
  data: {{kind: digits, {data}}}
  classes: {{num_fine: 10}}
  {trial or "epochs: 60"}
"""
        return open_study(write(text=text)).plan

    return open_with


@pytest.mark.parametrize("name", LACKING)
def test_a_metric_that_nothing_measures_is_refused_with_what_to_set(opened, name):
    rule, fix = LACKING[name]
    with pytest.raises(ConfigError, match=re.escape(f"{rule}, got '{name}'. Fix: {fix}")) as caught:
        opened(name)
    assert str(caught.value).startswith("tiny.yaml:5: ")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("train/wrong_labels", {"data": NOISE}),
        ("train/cleaning_recall", {"data": NOISE, "trial": "cleaning: {action: relabel}"}),
        ("train/cleaned_labels", {"second": "cleaning: {action: relabel}"}),
        ("train/wrong_labels", {"second": "data.label_noise: {kind: symmetric, share: 0.2}"}),
        ("test/coarse_set_f1", {"data": "label_sets: {even: [0, 2, 4, 6, 8], loop: [0, 6, 8, 9]}"}),
        ("train/ari", {"trial": "evaluation: {splits: [train, val, test]}"}),
        ("train/loss", {}),
        ("val/recall_fine_16", {"trial": "evaluation: {recall: [16]}"}),
        ("test/knn_fine", {"trial": "evaluation: {probes: [knn]}"}),
        ("test/fewshot_5_low", {"trial": "evaluation: {few_shot: {}}"}),
        ("test/fewshot_5_best", {"trial": "evaluation: {few_shot: {by_epoch: true}}"}),
    ],
)
def test_with_its_setting_it_is_taken(opened, name, settings):
    assert opened(name, **settings).study.metrics.also == (name,)


@pytest.mark.parametrize(
    ("name", "second", "fix"),
    [
        ("test/knn_fine", "evaluation.probes: [knn]", "add knn to trial.evaluation.probes"),
        ("val/recall_fine_16", "evaluation.recall: [16]", "add 16 to trial.evaluation.recall"),
        ("test/fewshot_5_best", "evaluation.few_shot: {by_epoch: true}", "add 5 to trial.evaluation.few_shot.shots"),
    ],
)
def test_what_every_arm_is_to_measure_is_not_set_in_one_alone(opened, name, second, fix):
    with pytest.raises(ConfigError, match=re.escape(f"{BY_DEFAULT}, got '{name}'. Fix: {fix}")):
        opened(name, second=second)


def judged(metric, evaluation):
    """A search whose scheduler judges by ``metric``, which reads fine labels."""
    parameters = {"objective.lambda_nn": {"kind": "uniform", "low": 0.1, "high": 1.0}}
    space = json.dumps({"parameters": parameters})
    return f"""\
study: tiny
question: What happens?
design: {{kind: search, space: {space}, trials: 4, metric: {metric}, oracle: true}}
scheduler: {{kind: median, metric: {metric}}}
metrics: {{primary: test/nmi}}
trial:
  data: {{kind: digits}}
  classes: {{num_fine: 10}}
  epochs: 20
  evaluation: {json.dumps(evaluation)}
"""


CURVES = {
    "val/knn_fine": {"probes": ["knn"], "probes_by_epoch": True},
    "val/fewshot_5": {"few_shot": {"by_epoch": True}},
}


@pytest.mark.parametrize("metric", CURVES)
def test_a_scheduler_judges_by_what_its_setting_measures_at_every_evaluation(write, metric):
    assert open_study(write(text=judged(metric, CURVES[metric]))).plan.study.stopping.metric == metric


@pytest.mark.parametrize(
    ("metric", "evaluation", "fix"),
    [
        ("val/knn_fine", {"probes": ["knn"]}, "set trial.evaluation.probes_by_epoch: true"),
        ("val/fewshot_5", {"few_shot": {}}, "set trial.evaluation.few_shot.by_epoch: true"),
        ("test/fewshot_5_best", CURVES["val/fewshot_5"], "name one that is measured every epoch"),
    ],
)
def test_but_not_by_what_the_last_epoch_alone_has(write, metric, evaluation, fix):
    with pytest.raises(ConfigError) as caught:
        open_study(
            write(text=judged(metric, evaluation).replace(f"metric: {metric}, oracle", "metric: val/nmi, oracle"))
        )
    assert "scheduler" in str(caught.value)
    assert f"too late to stop a trial, got '{metric}'. Fix: {fix}" in str(caught.value)


def test_the_best_epoch_of_few_shot_episodes_needs_them_at_every_epoch(opened):
    fix = re.escape("Fix: set trial.evaluation.few_shot.by_epoch: true")
    with pytest.raises(ConfigError, match=fix):
        opened("test/fewshot_5_best", trial="evaluation: {few_shot: {}}")


def test_a_metric_that_a_user_s_trainer_declares_may_have_any_name(write, tmp_path, monkeypatch):
    monkeypatch.setenv("FGTUNE_PLUGINS", "measuredown")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "measuredown.py").write_text("def run(config, seed, report): pass\n", encoding="utf-8")
    text = """\
study: tiny
question: What happens?
design: {kind: sensitivity, factors: {config.gain: [0.0, 0.2]}}
seeds: 2
metrics: {primary: clean_accuracy}
trial:
  kind: function
  call: "measuredown:run"
  metrics: {clean_accuracy: {direction: maximize}}
  config: {gain: 0.1}
"""
    assert open_study(write(text=text)).plan.study.metrics.primary == "clean_accuracy"
