"""Starting from clusters: what the fine head learns first, and what the relations and the prior start with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import TrialError
from fgtune.streams import derive_seed
from fgtune.training.clustering import fits, memo
from fgtune.training.warm_start import starting_classes

WARM = {"objective.preset": "falcon_warm"}
UNEQUAL = {**WARM, "data.fine_per_coarse": [1, 5], "data.separation": 8.0, "classes.num_fine": 6, "epochs": 20}


def kmeans():
    plain = {"data": {"kind": "digits"}, "classes": {"num_fine": 4}}
    return TrialConfig.from_plain(plain).clustering


def test_starting_classes_are_kmeans_within_coarse_classes_numbered_by_the_relations():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 3)).astype(np.float32)
    coarse = np.repeat([0, 1, -1], [30, 40, 10])
    parents = np.array([1, 0, 1, 1, 0])
    found = starting_classes(kmeans(), features, coarse, parents, seed=5)
    state = derive_seed(5, "start") % 2**32
    for label, classes in ((0, [1, 4]), (1, [0, 2, 3])):
        own = features[coarse == label]
        expected = KMeans(len(classes), n_init=10, random_state=state).fit(own)
        assert found.labels[coarse == label].tolist() == np.array(classes)[expected.labels_].tolist()
    assert set(parents[found.labels[coarse >= 0]] - coarse[coarse >= 0]) == {0}
    np.testing.assert_allclose(found.shares, np.bincount(found.labels, minlength=5) / 80)


def test_a_coarse_class_without_training_samples_is_refused():
    features, coarse = np.zeros((4, 2), dtype=np.float32), np.zeros(4, dtype=np.int64)
    with pytest.raises(TrialError, match="coarse class 1 has 0 for 1 fine classes"):
        starting_classes(kmeans(), features, coarse, np.array([0, 1, 0]), seed=0)


@pytest.mark.slow
def test_the_warm_preset_finds_groups_of_unequal_number_that_the_published_one_misses(make_trainer):
    def sizes(changes):
        trainer = make_trainer({**UNEQUAL, **changes})
        *_, last = trainer
        return np.bincount(trainer.relations.fine_to_coarse[0]).tolist(), last.metrics["test/clustering_accuracy"]

    warm, accuracy = sizes({})
    assert warm == [1, 5]
    assert accuracy > 0.9
    published, other = sizes({"objective.preset": "falcon"})
    assert published != [1, 5]
    assert other < accuracy - 0.1


@pytest.mark.slow
def test_the_first_epochs_learn_the_clusters_and_nothing_else(make_trainer):
    trainer = make_trainer({**WARM, "warm_start.fraction": 0.5, "epochs": 20})
    curve = list(trainer)
    assert "train/loss_nn" not in curve[9].metrics
    assert "train/loss_nn" in curve[10].metrics
    assert trainer.relations.use().resolves == (curve[-1].step - curve[9].step) // 3
    warm = make_trainer({**WARM, "warm_start.fraction": 1.0, "epochs": 20, "augmentation": {"kind": "none"}})
    for _ in warm:
        pass
    fine = warm.networks.predict(warm.networks.model, warm.view.train).fine
    assert (fine == warm.start.labels.numpy()).mean() > 0.95


def test_parts_of_the_preset_can_be_set_alone_and_switched_off():
    def config(changes):
        plain = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, **changes}
        return TrialConfig.from_plain(plain)

    warm = config({"objective": {"preset": "falcon_warm"}, "relations": {"every_steps": 5}})
    assert (warm.relations.sizes, warm.relations.every_steps, warm.objective.prior) == ("variance", 5, "clusters")
    assert warm.warm_start.fraction > 0
    assert TrialConfig.from_plain(warm.to_plain()) == warm
    assert TrialConfig.from_plain(warm.to_plain()).digest == warm.digest
    parts = {"relations": {"sizes": "balanced"}, "warm_start": {"fraction": 0.0}}
    off = config({"objective": {"preset": "falcon_warm", "prior": None}, **parts})
    assert (off.relations.sizes, off.warm_start.fraction, off.objective.prior) == ("balanced", 0.0, None)
    assert config({}).relations.sizes == "balanced"


def test_starting_from_clusters_reads_no_fine_label(make_trainer, scramble_fine):
    plain, scrambled = (make_trainer(WARM, change_data=change) for change in (lambda each: each, scramble_fine))
    for one, other in zip(plain, scrambled, strict=True):
        assert one.metrics["train/loss"] == other.metrics["train/loss"]
    assert torch.equal(plain.start.labels, scrambled.start.labels)
    assert np.array_equal(plain.relations.fine_to_coarse, scrambled.relations.fine_to_coarse)


def test_with_two_sources_the_second_ones_relations_follow_the_clusters(make_trainer):
    def two_sources(dataset):
        fine = np.asarray(dataset.fine)
        second = np.isin(fine, [0, 3, 4]).astype(np.int64)  # another grouping of the same classes
        even = np.arange(len(fine)) % 2 == 0
        coarse = np.column_stack([np.where(even, dataset.coarse[:, 0], -1), np.where(even, -1, second)])
        return replace(dataset, coarse=coarse, num_coarse=(2, 2))

    changes = {**WARM, "data.separation": 12.0, "data.num_samples": 600}
    trainer = make_trainer(changes, change_data=two_sources)
    labels, parents = trainer.start.labels.numpy(), trainer.relations.fine_to_coarse
    coarse = trainer.view.train_coarse
    for source in range(2):
        known = coarse[:, source] >= 0
        assert (parents[source][labels[known]] == coarse[known, source]).mean() > 0.9


def test_without_a_fine_head_nothing_is_started(make_trainer):
    trainer = make_trainer({"objective.preset": "base", "warm_start.fraction": 0.5, "relations.sizes": "coarse_shares"})
    assert trainer.start.labels is None
    assert all("train/loss_base" in epoch.metrics for epoch in trainer)


def test_inputs_that_are_not_finite_are_named(make_trainer):
    def broken(dataset):
        inputs = dataset.inputs.copy()
        inputs[:, 0] = np.nan
        return replace(dataset, inputs=inputs)

    with pytest.raises(TrialError, match="not finite"):
        make_trainer({**WARM, "objective.lambda_nn": 0.0}, change_data=broken)


def test_features_of_the_initial_backbone_can_be_clustered(make_trainer):
    by_inputs, by_features = (make_trainer({**WARM, "warm_start.features": each}) for each in ("inputs", "initial"))
    model, view = by_features.networks.model, by_features.view
    features = by_features.networks.predict(model, view.train).features
    parents = by_features.relations.fine_to_coarse[0]
    expected = starting_classes(kmeans(), features, view.train_coarse[:, 0], parents, by_features.seed)
    assert by_features.start.labels.tolist() == expected.labels.tolist()
    assert not torch.equal(by_inputs.start.labels, by_features.start.labels)


def test_remembered_predictions_of_neighbours_are_the_teachers_after_the_warm_start(make_trainer):
    trainer = make_trainer({**WARM, "warm_start.fraction": 0.5, "epochs": 4})
    seen = []
    remember = trainer.networks.end_warm_start

    def noticed():
        remember()
        expected = trainer.networks.predict(trainer.networks.teacher.model, trainer.view.train).log_probs
        seen.append((trainer.epoch, np.abs(trainer.networks.neighbors.memory.numpy() - expected).max()))

    trainer.networks.end_warm_start = noticed
    for _ in trainer:
        pass
    ((epoch, difference),) = seen
    assert epoch == 2
    assert difference < 1e-4


def test_a_short_training_still_starts_from_its_clusters(make_trainer):
    first = next(make_trainer({**WARM, "epochs": 2}))
    assert "train/loss_nn" not in first.metrics


@pytest.mark.parametrize("mode", ["random_balanced", "oracle"])
@pytest.mark.parametrize("start", [{}, {"warm_start.fraction": 0.0, "objective.prior": None}], ids=["warm", "random"])
def test_relations_that_are_not_learned_keep_their_own_sizes(make_trainer, mode, start):
    trainer = make_trainer({**UNEQUAL, **start, "relations.mode": mode, "epochs": 1})
    parents = trainer.relations.fine_to_coarse[0]
    assert np.bincount(parents).tolist() == ([3, 3] if mode == "random_balanced" else [1, 5])
    if not start:
        assert (parents[trainer.start.labels.numpy()] == trainer.view.train_coarse[:, 0]).all()
    next(trainer)


def test_sizes_by_variance_do_not_concern_a_trial_without_a_fine_head(make_trainer):
    plain, sized = (
        make_trainer({"objective.preset": "base", "relations.sizes": each}) for each in ("balanced", "variance")
    )
    for one, other in zip(plain, sized, strict=True):
        assert one.metrics == other.metrics


def test_arms_of_a_block_start_from_clusters_that_are_found_once(make_trainer, monkeypatch):
    fitted, kmeans_of = [], fits.kmeans_of

    def count(points, *rest):
        fitted.append(len(points))
        return kmeans_of(points, *rest)

    monkeypatch.setattr(fits, "kmeans_of", count)
    monkeypatch.setattr(memo, "_FOUND", {})
    first = make_trainer(UNEQUAL)
    needed = len(fitted)
    assert needed > 0
    arm = make_trainer({**UNEQUAL, "objective.lambda_reg": 0.5, "optimizer.lr": 0.03})
    assert len(fitted) == needed
    assert torch.equal(arm.start.labels, first.start.labels)
    assert arm.start.labels.data_ptr() != first.start.labels.data_ptr()
    make_trainer({**UNEQUAL, "clustering": {"kind": "kmeans", "restarts": 2}})
    assert len(fitted) > needed  # other clusters
    needed = len(fitted)
    monkeypatch.setattr(memo, "KEPT", 1)
    make_trainer({**UNEQUAL, "data.separation": 7.0})
    assert len(fitted) > needed
    assert len(memo._FOUND) == 1


@pytest.mark.parametrize("preset", ["scgm", "falcon_instance"])
def test_terms_with_weights_of_their_own_are_trained_after_a_warm_start(make_trainer, preset):
    trainer = make_trainer({"objective.preset": preset, "warm_start.fraction": 0.5, "epochs": 4})
    own = {name: each.clone() for name, each in trainer.objective.named_parameters()}
    assert own
    same = [all(torch.equal(each, own[name]) for name, each in trainer.objective.named_parameters()) for _ in trainer]
    assert same == [True, True, False, False]
