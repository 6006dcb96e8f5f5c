"""Agreement of subsamples: the curve against a slow one by scikit-learn, its corrections, and the number it yields."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from fgtune.config.schema.classes import AgreementEstimatorConfig
from fgtune.training.estimation.agreement import (
    agreement_curve,
    most_reproducible,
    relative_to_expected,
    reproducible_clusters,
    unexplained,
)

CONFIG = AgreementEstimatorConfig(max_per_coarse=4, restarts=1, repeats=3, references=2)


def blobs(classes: int, gap: float, each: int = 40, seed: int = 0) -> np.ndarray:
    corners = np.eye(classes, 4) * gap
    points = corners[np.repeat(np.arange(classes), each)] + np.random.default_rng(seed).standard_normal(
        (classes * each, 4)
    )
    centred = points - points.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2].T


def slow_agreement(points, numbers, config, rng) -> list[float]:
    """The same draws in the same order, with scikit-learn's index."""
    parts = [
        rng.choice(len(points), size=round(config.share * len(points)), replace=False) for _ in range(config.repeats)
    ]
    found = []
    for k in numbers:
        fits = [
            KMeans(k, n_init=config.restarts, random_state=int(rng.integers(2**32))).fit(points[part]) for part in parts
        ]
        pairs = itertools.combinations([fit.predict(points) for fit in fits], 2)
        found.append(np.mean([adjusted_rand_score(one, two) for one, two in pairs]))
    return found


def references(points: np.ndarray, number: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(points.shape) * points.std(axis=0) for _ in range(number)]


def test_the_curve_is_the_room_above_the_references_that_the_adjusted_rand_index_reaches():
    points = blobs(3, gap=4.0)
    drawn = references(points, 2, 9)
    curve = agreement_curve(points, drawn, CONFIG, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    own, *others = (np.array(slow_agreement(each, (2, 3, 4), CONFIG, rng)) for each in (points, *drawn))
    expected = np.mean(others, axis=0)
    assert list(curve) == [2, 3, 4]
    np.testing.assert_allclose(list(curve.values()), (own - expected) / (1 - expected), rtol=1e-9)


@pytest.mark.slow
def test_a_stretched_gaussian_is_split_reproducibly_and_yet_counts_as_one_class():
    config = CONFIG.model_copy(update={"references": 4})
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        stretched = rng.standard_normal((150, 3)) * np.array([6.0, 1.0, 1.0])
        assert slow_agreement(stretched, (2,), CONFIG, rng)[0] > 0.5
        found.append(reproducible_clusters(stretched, config, rng))
    assert found.count(1) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4])
def test_planted_classes_are_found_also_where_they_overlap(classes):
    config = CONFIG.model_copy(update={"max_per_coarse": 6, "restarts": 2, "repeats": 4})
    points = blobs(classes, 4.5, 60, seed=classes)
    assert reproducible_clusters(points, config, np.random.default_rng(0)) == classes


@pytest.mark.slow
def test_clusters_that_are_no_tighter_than_in_a_gaussian_are_not_counted(monkeypatch):
    monkeypatch.setattr("fgtune.training.estimation.agreement.most_reproducible", lambda *_: 3)
    gaussian = np.random.default_rng(3).standard_normal((200, 4))
    many = CONFIG.model_copy(update={"references": 8})
    assert reproducible_clusters(gaussian, many, np.random.default_rng(0)) == 1
    assert reproducible_clusters(blobs(3, 6.0), many, np.random.default_rng(0)) == 3


def test_what_clusters_leave_unexplained_is_the_share_of_the_sum_of_squares_within_them():
    points = np.array([[0.0], [2.0], [10.0], [12.0]])  # 4 of 104
    assert unexplained(points, 2, 3, np.random.default_rng(0)) == pytest.approx(4 / 104)


def test_classes_within_groups_are_preferred_to_the_groups_where_both_are_as_reproducible():
    groups = np.array([[0.0, 0.0], [0.0, 10.0], [60.0, 0.0], [60.0, 10.0]])
    points = groups[np.repeat(np.arange(4), 40)] + np.random.default_rng(0).standard_normal((160, 2))
    curve = agreement_curve(points, references(points, 2, 0), CONFIG, np.random.default_rng(0))
    assert curve[2] == curve[4] == 1.0
    assert most_reproducible(curve, 0.05, 0.25) == 4


def test_a_number_that_leaves_fewer_than_ten_samples_a_cluster_is_not_tried():
    points = blobs(2, 9.0, each=17)
    assert list(agreement_curve(points, [points], CONFIG, np.random.default_rng(0))) == [2, 3]
    assert agreement_curve(points[:19], [points], CONFIG, np.random.default_rng(0)) == {}
    assert most_reproducible({}, 0.05, 0.25) == 1


def test_perfect_agreement_counts_whatever_was_expected_and_less_than_expected_counts_against():
    np.testing.assert_allclose(relative_to_expected(np.array([1.0, 0.5]), np.array([1.0, 0.75])), [1.0, -1.0])
