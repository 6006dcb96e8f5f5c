"""Cleaning of coarse labels: the rule by hand, what training then sees, and what it never reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgtune.config.schema.cleaning import CleaningConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.cleaning import confident_labels, folds_of
from fgtune.training.prepared import prepare_split, views

NOISY = {"kind": "hierarchy", "num_samples": 400, "label_noise": {"share": 0.2}}


def trial(cleaning=None, data=NOISY, **changes):
    plain = {
        "data": data,
        "model": {"backbone": {"kind": "mlp", "hidden": [32]}},
        "classes": {"num_fine": 12},
        "epochs": 30,
        "cleaning": cleaning,
        "evaluation": {"splits": ["test"]},
    }
    return TrialConfig.from_plain(plain | changes)


def trainer_of(config, scramble=False):
    dataset = load_dataset(config.data)
    if scramble:
        rng = np.random.default_rng(0)
        changed = {"fine": rng.permutation(dataset.fine), "true_coarse": rng.permutation(dataset.true_coarse)}
        dataset = replace(dataset, **changed)
    prepared = prepare_split(dataset, config, 0, 1)
    return dataset, prepared, build_trainer(config, *views(dataset, prepared), prepared, 0)


def told(trainer):
    return {name: value for name, value in list(trainer)[-1].metrics.items() if "clean" in name or "wrong" in name}


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(2, 4))
def test_the_rule_is_that_of_confident_learning(seed, number, classes):
    """Northcutt et al. (2021), equations 1 and 2, sample by sample."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), number).astype(np.float32)
    labels = rng.integers(-1, classes, number)
    found = confident_labels(probs, labels)
    for row in range(number):
        if labels[row] < 0:
            assert found[row] == -1
            continue
        best, expected = -1.0, labels[row]
        for label in range(classes):
            carried = [float(probs[i, label]) for i in range(number) if labels[i] == label]
            reaches = bool(carried) and float(probs[row, label]) >= sum(carried) / len(carried) - 1e-9
            if reaches and probs[row, label] > best:
                best, expected = probs[row, label], label
        assert found[row] == expected


def test_folds_are_even_within_coarse_classes():
    coarse = np.repeat([0, 1, 2], [40, 9, 3])[:, None]
    fold = folds_of(coarse, 4, 0)
    for label, fewest, most in ((0, 10, 10), (1, 2, 3), (2, 0, 1)):
        counts = np.bincount(fold[coarse[:, 0] == label], minlength=4)
        assert counts.min() == fewest
        assert counts.max() == most
    assert (folds_of(coarse, 4, 1) != fold).any()


def test_a_third_of_the_epochs_judges_labels_unless_said():
    assert [CleaningConfig().length(epochs) for epochs in (60, 4, 1)] == [20, 1, 1]
    assert CleaningConfig(epochs=7).length(60) == 7


def test_relabelling_finds_most_wrong_labels_and_training_sees_the_new_ones():
    dataset, prepared, trainer = trainer_of(trial({"action": "relabel"}))
    rows, seen = prepared.splits.train, trainer.view.train_coarse
    right, came = dataset.true_coarse[rows], dataset.coarse[rows]
    assert (trainer.view.train == rows).all()
    assert trainer.view.neighbors is not None
    groups = seen[trainer.view.neighbors[trainer.view.neighbors >= 0], 0]
    assert (groups == np.repeat(seen[:, 0], (trainer.view.neighbors >= 0).sum(axis=1))).all()
    metrics = told(trainer)
    doubted, wrong = seen != came, came != right
    assert metrics == {
        "train/cleaned_labels": pytest.approx(doubted.mean()),
        "train/wrong_labels": pytest.approx((seen != right).mean()),
        "train/cleaning_precision": pytest.approx((doubted & wrong).sum() / doubted.sum()),
        "train/cleaning_recall": pytest.approx((doubted & wrong).sum() / wrong.sum()),
    }
    assert metrics["train/cleaning_recall"] > 0.8
    assert metrics["train/cleaning_precision"] > 0.8


def test_dropping_leaves_the_same_samples_out_that_relabelling_changes():
    _, prepared, relabelled = trainer_of(trial({"action": "relabel"}))
    dataset, _, dropped = trainer_of(trial({"action": "drop"}))
    rows = prepared.splits.train
    doubted = (relabelled.view.train_coarse != dataset.coarse[rows])[:, 0]
    assert (dropped.view.train == rows[~doubted]).all()
    assert (dropped.view.train_coarse == dataset.coarse[rows[~doubted]]).all()
    metrics = told(dropped)
    assert metrics["train/wrong_labels"] == pytest.approx(
        (dataset.coarse != dataset.true_coarse)[rows[~doubted]].mean()
    )


def test_without_cleaning_the_share_of_wrong_labels_is_told():
    dataset, prepared, trainer = trainer_of(trial(epochs=2))
    rows = prepared.splits.train
    wrong = (dataset.coarse != dataset.true_coarse)[rows].mean()
    assert told(trainer) == {"train/wrong_labels": pytest.approx(wrong)}
    assert told(trainer_of(trial(data={"kind": "hierarchy", "num_samples": 400}, epochs=2))[2]) == {}


@pytest.mark.parametrize("action", ["relabel", "drop"])
def test_neither_fine_nor_right_labels_reach_cleaning(action):
    config = trial({"action": action}, epochs=6)
    (_, _, one), (_, _, other) = trainer_of(config), trainer_of(config, scramble=True)
    assert (one.view.train == other.view.train).all()
    assert (one.view.train_coarse == other.view.train_coarse).all()


def test_labels_of_every_source_are_judged_and_missing_ones_stay_missing(tmp_path):
    data = load_dataset(TrialConfig.from_plain(trial().to_plain()).data)
    second = np.where(np.arange(400) % 3 == 0, -1, data.true_coarse[:, 0] // 2)
    second[1::50] = 1 - second[1::50]  # some wrong ones
    second[second > 1] = 0
    coarse = np.stack([data.coarse[:, 0], second], axis=1)
    np.savez(tmp_path / "two.npz", inputs=data.inputs, coarse=coarse, fine=data.fine)
    config = trial({"folds": 2}, data={"kind": "arrays", "path": str(tmp_path / "two.npz")})
    _, prepared, trainer = trainer_of(config)
    came, seen = coarse[prepared.splits.train], trainer.view.train_coarse
    assert ((seen < 0) == (came < 0)).all()
    assert ((seen != came).sum(axis=0) > 0).all()


def test_a_cell_with_cleaning_repeats_itself():
    config = trial({"action": "relabel"}, epochs=4)
    first, again = (list(trainer_of(config)[2])[-1].metrics for _ in range(2))
    assert first == again


def test_the_network_that_judges_may_be_another_one():
    """k-means has no network of its own worth asking; the same judges find the same labels for every method."""
    mlp = {"kind": "mlp", "hidden": [32]}
    cleaning = {"action": "relabel", "epochs": 10, "backbone": mlp}
    kmeans = {"objective": {"preset": "untrained"}, "model": {"backbone": {"kind": "identity"}}, "epochs": 1}
    _, _, one = trainer_of(trial(cleaning, **kmeans))
    _, _, other = trainer_of(trial({"action": "relabel", "epochs": 10}, epochs=2))
    assert (one.view.train_coarse == other.view.train_coarse).all()


@pytest.mark.slow
def test_every_kind_of_method_trains_on_cleaned_labels():
    for changes in (
        {"objective": {"preset": "scan"}},
        {"objective": {"preset": "falcon_warm"}},
        {"objective": {"preset": "untrained"}, "model": {"backbone": {"kind": "identity"}}, "epochs": 1},
    ):
        _, _, trainer = trainer_of(trial({"action": "drop", "epochs": 8}, **{"epochs": 3} | changes))
        assert told(trainer)["train/cleaned_labels"] > 0.05
