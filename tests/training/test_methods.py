"""Every preset trains on the same backbone and data order, is measured by the same evaluator, and resumes exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics.cluster import contingency_matrix
from support.methods import METHODS

from fgtune.catalog import METRICS
from fgtune.errors import TrialError
from fgtune.metrics.evaluate import evaluate_counts, evaluate_within
from fgtune.streams import derive_seed
from fgtune.training.checkpoint import load_checkpoint, save_checkpoint

COMPARED = {
    "clustering_accuracy",
    "within_coarse_accuracy",
    "within_coarse_ari",
    "ari",
    "nmi",
    "ged",
    "coarse_accuracy",
    "coarse_top1",
    "silhouette",
}


def curve(trainer):
    return [dict(entry.metrics) for entry in trainer]


@pytest.mark.slow_except("falcon", "base", "fierce-teacher")
@pytest.mark.parametrize("changes", METHODS)
def test_every_method_is_measured_alike_and_resumes_exactly(make_trainer, tmp_path, changes):
    trainer = make_trainer(changes)
    expected = curve(trainer)
    assert {f"test/{name}" for name in COMPARED} <= set(expected[-1])
    for name, value in expected[-1].items():
        spec = METRICS[name.split("/")[1]]
        assert spec.low - 1e-6 <= value <= spec.high + 1e-6, name
    cut = make_trainer(changes)
    next(cut)
    next(cut)
    save_checkpoint(tmp_path / "cell.pt", cut.state_dict())
    resumed = make_trainer(changes)
    resumed.load_state_dict(load_checkpoint(tmp_path / "cell.pt"))
    curve(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == expected
    stored = trainer.outcome().relations
    for name, value in evaluate_counts(stored.fine_counts, stored.fine_to_coarse, stored.true_fine_to_coarse).items():
        assert expected[-1][f"test/{name}"] == value, name
    for name, value in evaluate_within(stored.within_counts).items():
        assert expected[-1][f"test/{name}"] == value, name
    again = resumed.outcome().relations
    np.testing.assert_array_equal(again.fine_counts, stored.fine_counts)
    np.testing.assert_array_equal(again.within_counts, stored.within_counts)


@pytest.mark.slow_except("falcon", "scan", "falcon_warm")
@pytest.mark.parametrize("changes", [p for p in METHODS if p.id != "fine"])
def test_no_method_but_the_upper_bound_reads_fine_labels(make_trainer, scramble_fine, changes):
    honest, scrambled = make_trainer(changes), make_trainer(changes, change_data=scramble_fine)
    for ours, theirs in zip(honest, scrambled, strict=True):
        for name in ours.metrics:
            if not METRICS[name.split("/")[1]].oracle:
                assert ours.metrics[name] == theirs.metrics[name], name
    np.testing.assert_array_equal(honest.relations.fine_to_coarse, scrambled.relations.fine_to_coarse)


def test_upper_bound_reads_fine_labels_and_refuses_to_run_without(make_trainer):
    easy = {"objective.preset": "fine", "epochs": 20, "data.num_samples": 600}
    trainer = make_trainer(easy)
    assert curve(trainer)[-1]["test/clustering_accuracy"] > 0.85
    assert "val/loss_fine" not in trainer.history[-1].metrics
    with pytest.raises(TrialError, match="lambda_fine reads fine labels, and the data have none"):
        make_trainer({"objective.preset": "fine"}, change_data=lambda data: replace(data, fine=None, num_fine=None))


def test_methods_share_the_initial_backbone_and_its_data(make_trainer):
    falcon, indi = make_trainer(), make_trainer({"objective.preset": "indi"})
    for ours, theirs in zip(
        falcon.networks.model.backbone.parameters(), indi.networks.model.backbone.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    np.testing.assert_array_equal(falcon.view.train, indi.view.train)


def test_a_method_without_a_fine_head_trains_none_and_an_untrained_one_trains_nothing(make_trainer):
    base = make_trainer({"objective.preset": "base"})
    before = [p.clone() for p in base.networks.model.head.parameters()]
    curve(base)
    assert all(torch.equal(a, b) for a, b in zip(before, base.networks.model.head.parameters(), strict=True))
    untrained = make_trainer({"objective.preset": "untrained"})
    before = [p.clone() for p in untrained.networks.model.parameters()]
    metrics = curve(untrained)
    assert untrained.step == 0
    assert not [name for name in metrics[-1] if name.startswith("train/") or "loss" in name]
    assert all(torch.equal(a, b) for a, b in zip(before, untrained.networks.model.parameters(), strict=True))


def test_oracle_relations_without_a_fine_head_are_refused(make_trainer):
    with pytest.raises(TrialError, match="oracle needs an objective with a fine head"):
        make_trainer({"objective.preset": "base", "relations.mode": "oracle"})


def test_clusters_on_separated_data_are_the_fine_classes(make_trainer):
    easy = {
        "data.separation": 12.0,
        "data.coarse_separation": 24.0,
        "model.backbone": {"kind": "identity"},
        "epochs": 1,
    }
    for scope in ("coarse", "global"):
        metrics = curve(make_trainer({"objective.preset": "untrained", "clustering.scope": scope, **easy}))[-1]
        assert metrics["test/clustering_accuracy"] > 0.97
        assert metrics["test/ged"] == 0


def test_kmeans_within_coarse_classes_finds_the_partition_that_scikit_learn_finds_in_each_class(make_trainer):
    changes = {"objective.preset": "untrained", "model.backbone": {"kind": "identity"}, "epochs": 1}
    trainer = make_trainer({**changes, "data.split.transductive": True, "data.separation": 1.0})
    metrics = curve(trainer)[-1]
    inputs, coarse = np.asarray(trainer.view.inputs), trainer.evaluator._view.coarse[:, 0]
    seed = derive_seed(trainer.seed, "clusters", 1) % 2**32
    labels = np.full(len(inputs), -1)
    for group in np.unique(coarse):
        own = np.flatnonzero(coarse == group)
        labels[own] = 10 * group + KMeans(3, n_init=10, random_state=seed).fit_predict(inputs[own])
    counts = contingency_matrix(trainer.evaluator._view.fine, labels)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    for split in ("val", "test"):  # all samples, and so all of them training samples
        assert metrics[f"{split}/clustering_accuracy"] == matched / len(inputs)
        assert metrics[f"{split}/within_coarse_accuracy"] == matched / len(inputs)
        assert metrics[f"{split}/coarse_accuracy"] == 1.0
        assert metrics[f"{split}/size_distance"] == 0.0


def test_every_term_of_a_combination_contributes(make_trainer):
    last = curve(make_trainer({"objective.preset": "falcon_entropic", "objective.lambda_instance": 0.1}))[-1]
    assert {f"train/loss_{name}" for name in ("coarse", "nn", "conf", "reg", "instance", "entropic")} <= set(last)
    assert math.isfinite(last["train/loss"])
