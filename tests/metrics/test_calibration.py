"""Calibration, information and stability of probabilities, against formulas written out and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import mutual_info_score

from fgtune.metrics.calibration import information, reliability, share_error, stability
from fgtune.metrics.spread import feature_entropy

RNG = np.random.default_rng(0)


def drawn(n: int = 500, classes: int = 4, sharpness: float = 2.0):
    scores = RNG.normal(size=(n, classes)) * sharpness
    probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return probs, RNG.integers(0, classes, n)


def test_errors_are_those_of_the_definition():
    probs, labels = drawn()
    labels[::5] = -1
    found = reliability(probs, labels)
    known = labels >= 0
    confidence, right = probs[known].max(axis=1), probs[known].argmax(axis=1) == labels[known]
    gaps, weights = [], []
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - right[inside].mean()))
            weights.append(inside.sum())
    assert found.counts.sum() == known.sum()
    assert found.expected_error == pytest.approx(np.average(gaps, weights=weights))
    assert found.largest_error == pytest.approx(max(gaps))


def test_bins_are_those_of_scikit_learn():
    probs, labels = drawn()
    found = reliability(probs, labels)
    right = probs.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probs.max(axis=1), n_bins=10)
    used = found.counts > 0
    assert found.accuracy[used] == pytest.approx(accuracy)
    assert found.confidence[used] == pytest.approx(confidence)


def test_predictions_drawn_from_their_own_probabilities_are_calibrated():
    probs, _ = drawn(20_000)
    labels = np.array([np.searchsorted(np.cumsum(row), RNG.uniform()) for row in probs]).clip(max=3)
    assert reliability(probs, labels).expected_error < 0.02


@pytest.mark.parametrize("probs", [np.zeros((0, 3)), np.full((4, 3), 1 / 3)])
def test_without_labelled_samples_there_is_no_error(probs):
    found = reliability(probs, np.full(len(probs), -1))
    assert math.isnan(found.expected_error)
    assert math.isnan(found.largest_error)


def test_certain_predictions_have_the_information_of_their_table():
    classes = RNG.integers(0, 3, 200)
    samples = np.arange(200)
    expected = mutual_info_score(samples, classes) / math.log(2)  # each sample determines its class
    assert information(np.eye(3)[classes]) == pytest.approx(expected)


def test_information_is_a_difference_of_entropies():
    probs, _ = drawn()
    expected = stats.entropy(probs.mean(axis=0), base=2) - stats.entropy(probs, base=2, axis=1).mean()
    assert information(probs) == pytest.approx(expected)
    assert math.isnan(information(np.zeros((0, 2))))


def test_stability_is_one_minus_the_mean_deviation():
    probs, _ = drawn()
    assert stability(probs) == pytest.approx(1 - np.mean([np.std(column, ddof=1) for column in probs.T]))
    assert math.isnan(stability(probs[:1]))


def test_shares_that_are_predicted_have_no_error():
    probs, _ = drawn()
    assert share_error(probs, probs) == 0.0
    shifted = np.roll(probs, 1, axis=1)
    assert share_error(probs, shifted) == pytest.approx(((probs - shifted) ** 2).sum() / len(probs))
    with pytest.raises(ValueError, match="one shape"):
        share_error(probs, probs[:, :2])


def test_features_that_collapse_have_no_entropy_and_spread_ones_nearly_all():
    one = np.tile(RNG.normal(size=16), (100, 1)) * RNG.uniform(0.5, 2, (100, 1))
    assert feature_entropy(one) == 0.0
    assert 0.85 * math.log2(100) < feature_entropy(RNG.normal(size=(5000, 8))) <= math.log2(100)


def test_a_single_feature_has_the_entropy_of_its_histogram():
    column = RNG.normal(size=(1000, 1))
    counts, _ = np.histogram(column, bins=100)
    assert feature_entropy(column) == pytest.approx(stats.entropy(counts, base=2))
    assert feature_entropy(np.ones((5, 1))) == 0.0
    assert math.isnan(feature_entropy(np.zeros((0, 3))))


def test_the_scale_of_features_does_not_matter():
    features = RNG.normal(size=(300, 5))
    assert feature_entropy(features) == feature_entropy(1000 * features)
