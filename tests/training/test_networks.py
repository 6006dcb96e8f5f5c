"""The networks of a trial: what is built and trained follows from the terms of its objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fgtune.training.key_encoder import batch_parts
from fgtune.training.prediction_cache import PredictionCache


@pytest.mark.parametrize(
    ("changes", "head", "neighbors"),
    [({}, True, True), ({"objective.lambda_nn": 0.0}, True, False), ({"objective.preset": "base"}, False, False)],
    ids=["all terms", "no neighbours", "no fine head"],
)
def test_only_what_a_term_needs_is_built_and_trained(make_trainer, changes, head, neighbors):
    networks = make_trainer(changes).networks
    trained = {id(parameter) for parameter in networks.trained()}
    assert networks.has_fine_head == head
    assert (networks.neighbors is not None) == neighbors
    assert all((id(parameter) in trained) == head for parameter in networks.model.head.parameters())
    assert all(id(parameter) in trained for parameter in networks.model.backbone.parameters())
    assert not any(id(parameter) in trained for parameter in networks.teacher.model.parameters())


def test_the_teacher_is_the_running_mean_of_the_student(make_trainer):
    networks = make_trainer({"teacher.decay": 0.75, "teacher.warmup": False}).networks
    before = [each.clone() for each in networks.teacher.model.parameters()]
    with torch.no_grad():
        for each in networks.model.parameters():
            each.add_(1.0)
    networks.follow_student()
    for old, new, student in zip(before, networks.teacher.model.parameters(), networks.model.parameters(), strict=True):
        assert torch.allclose(new, 0.75 * old + 0.25 * student, atol=1e-6)


def test_metrics_are_measured_on_the_weights_that_the_config_names(make_trainer):
    for weights in ("student", "teacher"):
        networks = make_trainer({"evaluation.weights": weights}).networks
        assert networks.evaluated is (networks.model if weights == "student" else networks.teacher.model)


def test_predictions_are_those_of_the_network_in_evaluation_mode_whose_mode_is_kept(make_trainer):
    networks = make_trainer().networks
    networks.start_epoch(1)
    rows = np.array([5, 3, 8])
    found = networks.predict(networks.model, rows)
    assert networks.model.training
    with torch.no_grad():
        expected = networks.model.eval()(torch.from_numpy(np.array(networks.view.inputs[rows]))).softmax(dim=1)
    np.testing.assert_allclose(found.probs, expected.numpy(), atol=1e-6)


def test_without_a_fine_head_classes_are_the_clusters_of_the_training_features(make_trainer):
    trainer = make_trainer({"objective.preset": "base"})
    networks, rows = trainer.networks, trainer.view.train
    features = networks.predict(networks.evaluated, rows).features
    probs = networks.cluster(1, features, is_last=True)
    centers, groups = networks.clusters.rule.centers, networks.clusters.groups
    assert len(centers) == networks.num_fine == 6
    squares = ((features[:, None, :] - centers[None]) ** 2).sum(axis=2)
    own = trainer.view.train_coarse[:, [0]] == groups
    assigned = np.where(own, squares, np.inf).argmin(axis=1)
    assert (assigned != squares.argmin(axis=1)).any()
    np.testing.assert_array_equal(probs.argmax(axis=1), assigned)
    read = networks.interpret(networks.predict(networks.evaluated, rows), rows)
    np.testing.assert_array_equal(read.fine, assigned)


def test_a_sample_that_was_held_out_belongs_to_the_nearest_centre_of_all(make_trainer):
    trainer = make_trainer({"objective.preset": "base"})
    networks, rows = trainer.networks, trainer.evaluator.rows("test")
    networks.cluster(1, networks.predict(networks.evaluated, trainer.view.train).features, is_last=True)
    outputs = networks.predict(networks.evaluated, rows)
    squares = ((outputs.features[:, None, :] - networks.clusters.rule.centers[None]) ** 2).sum(axis=2)
    read = networks.interpret(outputs, rows)
    np.testing.assert_array_equal(read.fine, squares.argmin(axis=1))
    coarse = trainer.evaluator._view.coarse[rows]
    own = coarse == networks.clusters.groups
    np.testing.assert_array_equal(
        read.within(networks.clusters.groups[None], coarse), np.where(own, squares, np.inf).argmin(axis=1)
    )


def test_a_state_restores_every_weight(make_trainer):
    first = make_trainer(seed=0)
    next(first)
    second = make_trainer(seed=1)
    second.networks.load_state_dict(first.networks.state_dict())
    for name in ("model", "teacher"):
        ours, theirs = (trainer.networks.state_dict()[name] for trainer in (first, second))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert second.networks.teacher.updates == first.networks.teacher.updates > 0


def test_a_prediction_is_made_once_for_the_same_model_and_rows(make_trainer, monkeypatch):
    networks = make_trainer().networks
    calls = []
    predict = networks.predict
    monkeypatch.setattr(networks, "predict", lambda model, rows: calls.append(len(rows)) or predict(model, rows))
    rows = np.arange(10)
    cache = PredictionCache(networks, predicted=[rows])
    assert cache.features(rows) is cache.outputs(networks.evaluated, rows.copy()).features
    cache.predict(rows)
    cache.outputs(networks.evaluated, rows[:4])
    assert calls == [10, 4]


def statistics_of(model):
    return [buffer.clone() for name, buffer in model.named_buffers() if "running" in name]


def test_keys_are_normalised_by_averaged_statistics_or_by_their_own_batch(make_trainer):
    queue = {"objective.preset": "coins", "objective.instance": {"kind": "queue", "size": 64}}
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    averaged, batch = (
        make_trainer({**queue, "objective.instance.key_statistics": kind}).networks for kind in ("averaged", "batch")
    )
    for networks in (averaged, batch):
        encoder, before = networks.key_encoder.model, statistics_of(networks.key_encoder.model)
        keys = networks.key_encoder.keys(inputs, networks.compute, {})
        moved = [not torch.equal(a, b) for a, b in zip(before, statistics_of(encoder), strict=True)]
        assert all(moved) if networks is batch else not any(moved)
        torch.testing.assert_close(keys, encoder.eval().features(inputs) if networks is averaged else keys)
    twin = batch.model.train()  # the momentum encoder starts as a copy of the student
    batch.key_encoder.model.train()
    torch.testing.assert_close(batch.key_encoder.keys(inputs, batch.compute, {}), twin.features(inputs))


def test_parts_of_a_batch_are_normalised_one_by_one_and_the_keys_in_another_order(make_trainer):
    changes = {"objective.preset": "coins_released", "objective.instance": {"kind": "queue", "size": 64}}
    networks = make_trainer({**changes, "objective.instance.batch_groups": 3}).networks
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    plain = networks.model.train()
    parts = torch.cat([plain.features(part) for part in inputs.split(4)])
    networks.views.student = lambda view, generator: view
    found, _ = networks.student_outputs(inputs, torch.Generator())
    torch.testing.assert_close(found, parts)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    expected = torch.empty_like(parts)
    expected[order] = torch.cat([plain.features(part) for part in inputs[order].split(4)])
    streams = {"shuffle": torch.Generator().manual_seed(5)}
    keys = networks.key_encoder.keys(inputs, networks.compute, streams)
    torch.testing.assert_close(keys, expected.detach())
    assert not torch.allclose(keys, parts)


@pytest.mark.parametrize(("groups", "samples", "parts"), [(8, 64, 8), (8, 7, 3), (1, 5, 1), (4, 1, 1)])
def test_a_part_has_two_samples_or_more(groups, samples, parts):
    assert len(batch_parts(torch.zeros(samples, 6), groups)) == parts
