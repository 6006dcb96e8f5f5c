"""Label-free metrics by hand, against scikit-learn, and at their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from fgtune.errors import TrialError
from fgtune.metrics.label_free import (
    effective_classes,
    mean_confidence,
    neighbor_agreement,
    num_used_classes,
    silhouette,
)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def test_neighbor_agreement_counts_valid_pairs_only():
    neighbors = np.array([[1, 2], [0, -1], [-1, -1]])
    assert neighbor_agreement([4, 4, 7], neighbors) == 2 / 3


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_neighbor_agreement_equals_a_loop_over_pairs(n, k, seed):
    rng = np.random.default_rng(seed)
    preds, neighbors = rng.integers(3, size=n), rng.integers(-1, n, size=(n, k))
    pairs = [preds[i] == preds[j] for i in range(n) for j in neighbors[i] if j >= 0]
    expected = sum(pairs) / len(pairs) if pairs else math.nan
    np.testing.assert_equal(neighbor_agreement(preds, neighbors), expected)


def test_neighbor_agreement_without_pairs_is_nan():
    assert math.isnan(neighbor_agreement([0, 1], np.full((2, 3), -1)))
    assert math.isnan(neighbor_agreement([], np.zeros((0, 5), dtype=int)))
    assert math.isnan(neighbor_agreement([0, 1], np.zeros((2, 0), dtype=int)))


@pytest.mark.parametrize(
    ("neighbors", "message"),
    [
        ([[2], [0]], r"neighbors must be in \[-1, 1\], got values from 0 to 2"),
        ([[-2], [0]], r"neighbors must be in \[-1, 1\], got values from -2 to 0"),
        ([[1]], r"preds and neighbors must have the same length, got 2 and 1"),
        ([1, 0], r"neighbors must have 2 dimension\(s\), got shape \(2,\)"),
    ],
)
def test_bad_neighbors_are_refused(neighbors, message):
    with pytest.raises(ValueError, match=message):
        neighbor_agreement([0, 1], neighbors)


def test_confidence_and_effective_classes_by_hand():
    probs = np.array([[0.7, 0.3], [0.2, 0.8]])
    assert mean_confidence(probs) == pytest.approx(0.75)
    mean = np.array([0.45, 0.55])
    assert effective_classes(probs) == pytest.approx(np.exp(-(mean * np.log(mean)).sum()))


@pytest.mark.parametrize("num_fine", [1, 2, 7, 100])
def test_effective_classes_reaches_its_bounds(num_fine):
    assert effective_classes(np.eye(num_fine)) == pytest.approx(num_fine)
    assert effective_classes(np.eye(num_fine)[[0] * 5]) == 1.0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20), st.integers(1, 6), st.floats(0.01, 50), st.integers(0, 2**32 - 1))
def test_soft_metrics_stay_in_range_and_ignore_class_numbering(n, num_fine, scale, seed):
    rng = np.random.default_rng(seed)
    probs = softmax(scale * rng.standard_normal((n, num_fine))).astype(np.float32)
    shuffled = probs[:, rng.permutation(num_fine)]
    assert 1 / num_fine - 1e-6 <= mean_confidence(probs) <= 1
    assert 1 <= effective_classes(probs) <= num_fine
    assert mean_confidence(shuffled) == pytest.approx(mean_confidence(probs))
    assert effective_classes(shuffled) == pytest.approx(effective_classes(probs))


@pytest.mark.parametrize("metric", [mean_confidence, effective_classes])
def test_soft_metrics_without_samples_are_nan_and_refuse_what_is_no_distribution(metric):
    assert math.isnan(metric(np.zeros((0, 4))))
    with pytest.raises(ValueError, match=r"rows of probs must be >= 0 and sum to 1, got sum 5 and minimum 2 in row 1"):
        metric(np.array([[0.5, 0.5], [2.0, 3.0]]))
    with pytest.raises(ValueError, match=r"got sum 1 and minimum -1 in row 0"):
        metric(np.array([[2.0, -1.0]]))
    with pytest.raises(ValueError, match=r"probs must be a matrix with at least one column, got shape \(2,\)"):
        metric(np.array([0.5, 0.5]))
    with pytest.raises(TrialError, match="probs must be finite, 1 of 2 rows hold NaN or infinity"):
        metric(np.array([[0.5, 0.5], [np.nan, 0.5]]))


def test_number_of_used_classes():
    assert num_used_classes([5, 5, 0, 2]) == 3
    assert num_used_classes([]) == 0


def blobs(n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return rng.standard_normal((n, 4)) + 6 * np.eye(classes, 4)[labels], labels


def test_silhouette_of_few_samples_is_scikit_learns_and_draws_nothing():
    features, labels = blobs()
    rng = np.random.default_rng(1)
    state = rng.bit_generator.state
    assert silhouette(features, labels, 60, rng) == pytest.approx(silhouette_score(features, labels))
    assert rng.bit_generator.state == state


def test_silhouette_of_many_samples_is_of_a_subsample_drawn_by_the_generator_alone():
    features, labels = blobs(400)
    np.random.seed(0)  # noqa: NPY002 (the global seed must not matter)
    first = silhouette(features, labels, 50, np.random.default_rng(3))
    np.random.seed(1)  # noqa: NPY002
    assert silhouette(features, labels, 50, np.random.default_rng(3)) == first
    assert silhouette(features, labels, 50, np.random.default_rng(4)) != first
    assert first == pytest.approx(silhouette(features, labels, 400, np.random.default_rng(0)), abs=0.1)


@pytest.mark.parametrize(
    "labels", [[0, 0, 0], [0, 1, 2], [], [0]], ids=["one class", "all alone", "none", "one sample"]
)
def test_silhouette_is_nan_where_it_is_undefined(labels):
    features = np.arange(len(labels) * 2, dtype=float).reshape(len(labels), 2)
    assert math.isnan(silhouette(features, labels, 10, np.random.default_rng(0)))


def test_silhouette_refuses_bad_input():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="max_samples must be >= 2, got 1"):
        silhouette(np.zeros((2, 1)), [0, 1], 1, rng)
    with pytest.raises(ValueError, match="features and preds must have the same length, got 3 and 2"):
        silhouette(np.zeros((3, 1)), [0, 1], 5, rng)
    with pytest.raises(TrialError, match="features must be finite, 1 of 3 rows hold NaN or infinity"):
        silhouette(np.array([[0.0], [np.inf], [1.0]]), [0, 1, 1], 5, rng)
