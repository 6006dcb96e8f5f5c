"""Training on sets of coarse labels: the loss by hand, what relations start from and learn, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.metrics.coarse import set_accuracy, set_f1
from fgtune.objectives.base import StepOutputs
from fgtune.objectives.falcon import CoarseTerm
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

SETS = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]])  # of six fine classes


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Six Gaussian fine classes with four different sets of two labels."""
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(6), 40)
    centres = 4.0 * rng.standard_normal((6, 8))
    path = tmp_path_factory.mktemp("sets") / "sets.npz"
    np.savez(path, inputs=centres[fine] + rng.standard_normal((240, 8)), coarse=SETS[fine], fine=fine)
    return str(path)


def trainer_of(file, **changes):
    plain = {
        "data": {"kind": "arrays", "path": file, "coarse_sets": {}},
        "model": {"backbone": {"kind": "mlp", "hidden": [32]}},
        "classes": {"num_fine": 6},
        "relations": {"every_steps": 5},
        "epochs": 30,
        "batch_size": 60,
        "evaluation": {"splits": ["test"]},
    }
    config = TrialConfig.from_plain(plain | changes)
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, 0, 1)
    return build_trainer(config, *views(dataset, prepared), prepared, 0)


def test_the_coarse_term_is_the_mean_binary_cross_entropy_of_the_labels():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(6), 5)
    labels = rng.integers(0, 2, (5, 2))
    labels[4] = -1
    outputs = StepOutputs(
        coarse=torch.tensor(labels),
        log_probs=torch.tensor(probs).log(),
        fine_to_coarse=torch.tensor(SETS.T.copy()),
    )
    having = probs @ SETS  # probability of each label
    expected = -np.log(np.where(labels == 1, having, 1 - having))[:4].mean()
    assert float(CoarseTerm()(outputs)) == pytest.approx(expected)


@pytest.mark.parametrize("preset", ["falcon", "falcon_warm"])
def test_fine_classes_start_with_sets_that_occur(file, preset):
    trainer = trainer_of(file, objective={"preset": preset})
    started = {tuple(each) for each in trainer.relations.fine_to_coarse.T.tolist()}
    assert started == {tuple(each) for each in SETS.tolist()}


def test_a_warm_start_puts_samples_into_classes_of_their_own_set(file):
    trainer = trainer_of(file, objective={"preset": "falcon_warm"})
    labels, parents = trainer.start.labels.numpy(), trainer.relations.fine_to_coarse
    assert (trainer.view.train_coarse == parents[:, labels].T).all()


def test_relations_and_classes_are_found(file):
    metrics = list(trainer_of(file, objective={"preset": "falcon_warm"}))[-1].metrics
    assert metrics["test/coarse_set_accuracy"] > 0.9
    assert metrics["test/coarse_set_f1"] > 0.9
    assert metrics["test/clustering_accuracy"] > 0.9
    assert metrics["test/ged"] == 0


def test_clusters_are_found_within_sets(file):
    kmeans = {"objective": {"preset": "untrained"}, "model": {"backbone": {"kind": "identity"}}, "epochs": 1}
    trainer = trainer_of(file, clustering={"kind": "kmeans", "sizes": "variance"}, **kmeans)
    metrics = next(iter(trainer)).metrics
    owners = trainer.networks.clusters.groups
    assert np.bincount(owners).tolist() == [2, 1, 2, 1]  # sets in order: {}, {1}, {0}, {0, 1}
    assert metrics["test/clustering_accuracy"] > 0.9
    assert metrics["test/coarse_set_accuracy"] > 0.9


@pytest.mark.slow
def test_fewer_classes_than_sets_start_with_the_most_frequent_ones(file):
    trainer = trainer_of(file, classes={"num_fine": 2}, objective={"preset": "falcon_warm"})
    list(trainer)
    assert all(set(row.tolist()) == {0, 1} for row in trainer.relations.fine_to_coarse)


@pytest.mark.parametrize("objective", [{"preset": "scan"}, {"preset": "base"}, {"preset": "falcon_instance"}])
def test_other_methods_train_on_sets_too(file, objective):
    metrics = list(trainer_of(file, objective=objective, epochs=3))[-1].metrics
    assert 0 <= metrics["test/coarse_set_accuracy"] <= 1


def test_a_set_is_no_metric_of_data_without_sets():
    config = TrialConfig.from_plain({"data": {"kind": "digits", "limit": 100}, "classes": {"num_fine": 4}, "epochs": 1})
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, 0, 1)
    metrics = next(iter(build_trainer(config, *views(dataset, prepared), prepared, 0))).metrics
    assert not any("coarse_set" in name for name in metrics)


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 4))
def test_sets_are_compared_as_scikit_learn_does(seed, number, labels):
    from sklearn.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(seed)
    relations, true = rng.integers(0, 2, (labels, 5)), rng.integers(0, 2, (number, labels))
    preds = rng.integers(0, 5, number)
    predicted = relations[:, preds].T
    assert set_accuracy(preds, relations, true) == pytest.approx((predicted == true).all(axis=1).mean())
    if predicted.sum() + true.sum():
        if labels > 1:
            assert accuracy_score(true, predicted) == pytest.approx(set_accuracy(preds, relations, true))
            assert set_f1(preds, relations, true) == pytest.approx(f1_score(true, predicted, average="micro"))
    else:
        assert np.isnan(set_f1(preds, relations, true))
