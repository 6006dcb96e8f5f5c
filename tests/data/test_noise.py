"""Wrong coarse labels made on purpose: how many, which ones, and what knows the right ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgtune.config.schema.base import LabelNoiseConfig, data_key
from fgtune.config.schema.data import ArraysConfig, DiabetesConfig, DigitsConfig, HierarchyConfig
from fgtune.data.load import load_dataset
from fgtune.data.noise import drawn_by_rank, look_alikes
from fgtune.data.splits import split_dataset
from fgtune.data.views import evaluation_view, training_view
from fgtune.errors import DataError

KINDS = ("symmetric", "look_alike")


def noisy(kind: str, share: float, seed: int = 0, **data):
    return load_dataset(
        HierarchyConfig(num_samples=400, label_noise={"kind": kind, "share": share, "seed": seed}, **data)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
def test_exactly_the_share_of_labels_is_wrong_and_nothing_else_changes(kind, share):
    clean, found = load_dataset(HierarchyConfig(num_samples=400)), noisy(kind, share)
    assert (found.coarse != clean.coarse).sum() == round(share * 400)
    assert (found.true_coarse == clean.coarse).all()
    assert (found.inputs == clean.inputs).all()
    assert (found.fine == clean.fine).all()
    assert clean.true_coarse is None
    assert found.fingerprint != clean.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_share_keeps_the_wrong_labels_of_a_smaller_one_and_the_seed_changes_them(kind):
    few, many, other = noisy(kind, 0.1), noisy(kind, 0.3), noisy(kind, 0.1, seed=1)
    wrong = (few.coarse != few.true_coarse)[:, 0]
    assert (many.coarse[wrong] == few.coarse[wrong]).all()
    assert (other.coarse != few.coarse).any()
    assert (noisy(kind, 0.1).coarse == few.coarse).all()


def test_symmetric_wrong_labels_are_spread_over_samples_and_classes():
    data = load_dataset(HierarchyConfig(num_samples=6000, label_noise=LabelNoiseConfig(share=0.3)))
    true, given_labels = data.true_coarse[:, 0], data.coarse[:, 0]
    counts = np.zeros((4, 4))
    np.add.at(counts, (true, given_labels), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert np.diag(shares) == pytest.approx(np.full(4, 0.7), abs=0.04)
    assert shares[~np.eye(4, dtype=bool)] == pytest.approx(np.full(12, 0.1), abs=0.03)


def test_look_alike_labels_lie_where_classes_meet_and_name_the_class_that_is_near():
    """Two groups on a line that touch, and one far away, each of 100 samples."""
    places = np.concatenate([np.linspace(0, 1, 100), np.linspace(1.001, 2, 100), np.linspace(50, 51, 100)])
    labels = np.repeat([0, 1, 2], 100)
    margin, nearest = look_alikes(places[:, None].astype(np.float32), labels)
    assert (nearest[:100] == 1).all()
    assert (nearest[100:200] == 0).all()
    assert (nearest[200:] == 1).all()
    drawn = np.array(
        [np.isin(drawn_by_rank(margin, np.random.default_rng(seed))[:60], range(200)).mean() for seed in range(50)]
    )
    # The far group has ranks 200 .. 299 of 300, so 1/9 of the weight: of 60 draws some 54 are of the two that touch.
    assert drawn.mean() == pytest.approx(8 / 9, abs=0.03)


@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(2, 4))
def test_distances_to_look_alikes_are_those_of_a_plain_search(seed, number, classes):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((number, 3)).astype(np.float32)
    labels = np.append(np.arange(2), rng.integers(0, classes, number - 2))
    margin, nearest = look_alikes(points, labels)
    for row in range(number):
        gaps = np.linalg.norm(points[row].astype(float) - points.astype(float), axis=1)
        others = np.flatnonzero(labels != labels[row])
        own = [gaps[each] for each in range(number) if labels[each] == labels[row] and each != row]
        assert margin[row] == pytest.approx(gaps[others].min() - min(own, default=np.inf), abs=1e-6)
        assert nearest[row] == labels[others[gaps[others].argmin()]]


def test_ranks_are_drawn_by_their_weights():
    """Of three samples the first has weight 3, then 2 and 1: it comes first in half of all draws."""
    rng = np.random.default_rng(0)
    first = [int(drawn_by_rank(np.array([5.0, -1.0, 0.0]), rng)[0]) for _ in range(6000)]
    assert np.bincount(first, minlength=3) / 6000 == pytest.approx([1 / 6, 3 / 6, 2 / 6], abs=0.02)


def test_the_evaluator_knows_the_right_labels_and_training_does_not():
    data = noisy("symmetric", 0.4)
    splits = split_dataset(data, HierarchyConfig().split, 0)
    seen, judged = training_view(data, splits, None), evaluation_view(data, splits)
    assert (seen.train_coarse == data.coarse[splits.train]).all()
    assert not hasattr(seen, "true_coarse")
    assert (judged.true_coarse == data.true_coarse).all()
    clean = evaluation_view(load_dataset(HierarchyConfig(num_samples=400)), splits)
    assert (judged.true_fine_to_coarse == clean.true_fine_to_coarse).all()


def test_sources_are_confused_one_by_one_and_missing_labels_stay_missing(tmp_path):
    rng = np.random.default_rng(0)
    coarse = np.stack([np.arange(200) % 2, np.where(np.arange(200) < 50, -1, np.arange(200) % 3)], axis=1)
    np.savez(tmp_path / "two.npz", inputs=rng.standard_normal((200, 4)), coarse=coarse)
    data = load_dataset(ArraysConfig(path=str(tmp_path / "two.npz"), label_noise={"kind": "look_alike", "share": 0.2}))
    assert ((data.coarse != data.true_coarse).sum(axis=0) == [40, 30]).all()
    assert (data.coarse[:50, 1] == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_features_of_any_kind_can_be_confused(kind):
    noise = {"kind": kind, "share": 0.2}
    for config in (DigitsConfig(label_noise=noise), DiabetesConfig(label_noise=noise)):
        data = load_dataset(config)
        assert (data.coarse != data.true_coarse).mean() == pytest.approx(0.2, abs=0.002)


def test_one_coarse_class_cannot_be_confused():
    with pytest.raises(DataError, match=r"trial.data.label_noise: needs at least two coarse classes"):
        noisy("symmetric", 0.1, num_coarse=1)


def test_a_class_that_would_lose_all_its_samples_is_an_error(tmp_path):
    coarse = np.array([0] * 39 + [1])
    np.savez(tmp_path / "few.npz", inputs=np.arange(40.0)[:, None], coarse=coarse)
    found = []
    for seed in range(40):
        try:
            load_dataset(ArraysConfig(path=str(tmp_path / "few.npz"), label_noise={"share": 0.02, "seed": seed}))
        except DataError as error:
            found.append(str(error))
    assert found
    assert all("leaves no sample of coarse class 1" in each for each in found)


def test_data_without_noise_are_known_by_the_key_that_they_had_before():
    plain = DigitsConfig().to_plain()
    without = {name: value for name, value in plain.items() if name != "label_noise"}
    assert data_key(DigitsConfig()) == data_key(without)
    assert data_key(DigitsConfig(label_noise={"share": 0.1})) != data_key(without)
