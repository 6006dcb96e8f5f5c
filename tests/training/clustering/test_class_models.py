"""One SCAN model a coarse class: what each sees, what they say together, and one network that learns it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fgtune.config.schema.clustering import ScanClusteringConfig
from fgtune.errors import ConfigError, TrialError
from fgtune.exporting.train import train_on_all
from fgtune.training.input_checks import check_inputs

EASY = {"data.separation": 12.0, "data.coarse_separation": 24.0, "epochs": 40}
PER_CLASS, DISTILLED = {"objective.preset": "scan_per_class"}, {"objective.preset": "scan_distilled"}


def finished(trainer):
    metrics = [entry.metrics for entry in trainer][-1]
    return metrics, trainer


@pytest.mark.slow
def test_separated_classes_are_found_by_the_models_and_by_the_network_that_learns_from_them(make_trainer):
    for changes in (PER_CLASS, DISTILLED):
        metrics, _ = finished(make_trainer({**EASY, **changes}))
        assert metrics["test/within_coarse_accuracy"] > 0.95, changes
        assert metrics["test/clustering_accuracy"] > 0.95, changes
        assert metrics["test/ged"] == 0, changes


def test_a_model_sees_the_samples_of_its_coarse_class_alone(make_trainer):
    def other_class_is_noise(dataset):
        inputs = np.array(dataset.inputs)
        other = dataset.coarse[:, 0] == 1
        inputs[other] = np.random.default_rng(1).normal(size=inputs[other].shape)
        return replace(dataset, inputs=inputs)

    (_, plain), (_, changed) = (
        finished(make_trainer(PER_CLASS, change_data=change)) for change in (lambda data: data, other_class_is_noise)
    )
    view = plain.view
    of_class = view.train[view.train_coarse[:, 0] == 0]
    ours, theirs = (trainer.networks.class_models for trainer in (plain, changed))
    assert ours.owners.tolist() == [0, 0, 0, 1, 1, 1]
    first = ours.owners == 0
    np.testing.assert_array_equal(ours.log_shares(of_class)[:, first], theirs.log_shares(of_class)[:, first])
    assert not np.array_equal(ours.log_shares(of_class)[:, ~first], theirs.log_shares(of_class)[:, ~first])


def test_a_held_out_sample_gets_the_probability_of_its_coarse_class_times_that_within_it(make_trainer):
    _, trainer = finished(make_trainer({**PER_CLASS, "classes.num_fine": 5, "clustering": {"kind": "scan"}}))
    networks = trainer.networks
    owners = networks.class_models.owners
    assert sorted(np.bincount(owners).tolist()) == [2, 3]
    for rows, is_known in ((trainer.evaluator.rows("test"), False), (trainer.view.train, True)):
        found = networks.interpret(networks.predict(networks.evaluated, rows), rows)
        shares = np.exp(networks.class_models.log_shares(rows))
        for sample, probs in enumerate(found.probs):
            expected = np.array([found.coarse_probs[0][sample, c] * shares[sample, z] for z, c in enumerate(owners)])
            if is_known:
                expected[owners != trainer.view.train_coarse[sample, 0]] = 0.0
                expected /= expected.sum()
            np.testing.assert_allclose(probs, expected, atol=1e-5)
    np.testing.assert_array_equal(trainer.relations.fine_to_coarse[0], owners)


@pytest.mark.slow
def test_the_distilled_network_learns_the_labels_of_the_models_and_nothing_else(make_trainer):
    metrics, trainer = finished(make_trainer({**EASY, **DISTILLED}))
    labels = trainer.start.labels.numpy()
    parents = trainer.relations.fine_to_coarse[0]
    np.testing.assert_array_equal(parents[labels], trainer.view.train_coarse[:, 0])
    learned = trainer.fine_probs(trainer.view.train).argmax(axis=1)
    assert (learned == labels).mean() > 0.95
    assert trainer.start.warm_epochs == 40
    assert not [name for name in metrics if name.startswith("train/loss_")]  # no term of the objective has acted


def test_the_labels_to_learn_are_those_of_models_trained_to_the_end(make_trainer):
    (_, teachers), distilled = finished(make_trainer(PER_CLASS)), make_trainer(DISTILLED)
    view = distilled.view
    members = teachers.networks.class_models.members(view.train, view.train_coarse[:, 0])
    pairs = {*zip(members.tolist(), distilled.start.labels.tolist(), strict=True)}
    assert len(pairs) == len({*members.tolist()}) == len({pair[1] for pair in pairs})  # the same classes, renumbered


def test_a_coarse_class_of_one_fine_class_has_no_model(make_trainer):
    uneven = {"classes.num_fine": 3, "clustering": {"kind": "scan", "sizes": "variance"}, "data.coarse_separation": 20}
    _, trainer = finished(make_trainer({**PER_CLASS, **uneven}))
    states = trainer.networks.class_models.state_dict()["models"]
    assert sorted(state is None for state in states) == [False, True]


def test_sets_of_labels_are_classes_whose_probability_is_that_of_every_label(make_trainer):
    sets = np.array([[1, 0], [0, 1]])

    def as_sets(dataset):
        return replace(dataset, coarse=sets[dataset.coarse[:, 0]], num_coarse=(2, 2), label_sets=True)

    _, trainer = finished(make_trainer(PER_CLASS, change_data=as_sets))
    networks, rows = trainer.networks, trainer.evaluator.rows("test")
    found = networks.interpret(networks.predict(networks.evaluated, rows), rows)
    owners, numbered = networks.class_models.owners, networks._sets
    first, second = found.coarse_probs
    of_set = np.stack([first[:, has[0]] * second[:, has[1]] for has in numbered], axis=1)
    expected = of_set[:, owners] * np.exp(networks.class_models.log_shares(rows))
    np.testing.assert_allclose(found.probs, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_models_without_a_coarse_head_are_refused_before_anything_runs(make_config, make_trainer):
    wrong = {"objective.preset": "untrained", "clustering": {"kind": "scan"}}
    with pytest.raises(ConfigError, match="needs a coarse head") as caught:
        check_inputs(make_config(wrong), (6,))
    assert caught.value.path == "trial.clustering.kind"
    with pytest.raises(TrialError, match="lambda_base"):
        make_trainer(wrong)
    for right in (PER_CLASS, DISTILLED, {"objective.preset": "ancor", "clustering": {"kind": "scan"}}):
        check_inputs(make_config(right), (6,))


def test_more_classes_than_samples_are_refused(make_trainer):
    with pytest.raises(TrialError, match="need as many training samples"):
        make_trainer({**PER_CLASS, "data.num_samples": 40, "classes.num_fine": 39})


def test_one_model_a_coarse_class_is_not_kept_as_a_model(make_config):
    with pytest.raises(ConfigError, match="one model can be kept") as caught:
        train_on_all(make_config(PER_CLASS), None, 0, 1, print)
    assert "scan_distilled" in caught.value.fix


def test_presets_set_the_clustering_and_a_study_may_change_it(make_config):
    assert make_config(PER_CLASS).clustering == make_config(DISTILLED).clustering == ScanClusteringConfig()
    assert make_config(DISTILLED).warm_start.fraction == 1.0
    changed = make_config({**DISTILLED, "warm_start.fraction": 0.5, "clustering": {"kind": "scan", "lambda_reg": 2.0}})
    assert (changed.warm_start.fraction, changed.clustering.lambda_reg) == (0.5, 2.0)
