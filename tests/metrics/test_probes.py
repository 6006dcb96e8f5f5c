"""Probes of fine classes against scikit-learn, votes against a loop, and what a probe must not depend on."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.neighbors import KNeighborsClassifier

from fgtune.errors import TrialError
from fgtune.metrics.probes import Standardizer, _majority, accuracy, fit_linear, knn_predict


def blobs(seed, n, classes=4, dim=5, spread=1.0):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal((classes, dim)) * 3
    labels = rng.integers(0, classes, n)
    return (centers[labels] + spread * rng.standard_normal((n, dim))).astype(np.float32), labels


def test_nearest_neighbor_vote_equals_scikit_learn_where_no_vote_is_tied():
    train, labels = blobs(0, 300, spread=3.0)
    test, truth = blobs(1, 200, spread=3.0)
    for k in (1, 5, 20):
        model = KNeighborsClassifier(k, metric="cosine").fit(train, labels)
        votes = np.sort(labels[model.kneighbors(test, return_distance=False)], axis=1)
        counts = np.sort([np.bincount(row, minlength=4) for row in votes], axis=1)
        clear = counts[:, -1] > counts[:, -2]
        assert clear.mean() > 0.8
        preds = knn_predict(train, labels, test, k)
        np.testing.assert_array_equal(preds[clear], model.predict(test)[clear])
        assert 0.5 < accuracy(preds, truth) < 1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 5))
def test_the_most_frequent_class_wins_and_of_equals_the_nearest(seed, k, classes):
    votes = np.random.default_rng(seed).integers(0, classes, (6, k)) * 1000
    for row, winner in zip(votes.tolist(), _majority(votes), strict=True):
        counts = Counter(row)
        assert winner == next(label for label in row if counts[label] == max(counts.values()))


def test_more_votes_than_training_samples_count_all():
    train, labels = np.eye(3), np.array([7, 7, 2])
    assert knn_predict(train, labels, np.ones((2, 3)), 50).tolist() == [7, 7]


def test_renumbering_classes_renumbers_predictions():
    train, labels = blobs(2, 120, spread=3.0)
    test, _ = blobs(3, 60, spread=3.0)
    names = np.array([5, 0, 9, 3])
    np.testing.assert_array_equal(
        names[knn_predict(train, labels, test, 6)], knn_predict(train, names[labels], test, 6)
    )
    np.testing.assert_array_equal(
        names[fit_linear(train, labels).predict(test)], fit_linear(train, names[labels]).predict(test)
    )


def test_linear_probe_minimises_its_objective():
    """The same convex objective written out and minimised by another optimiser gives the same probabilities."""
    train, labels = blobs(4, 80, classes=3, dim=3, spread=3.0)
    probe = fit_linear(train, labels)
    values = (train - train.mean(axis=0, dtype=float)) / train.std(axis=0, dtype=float)
    onehot = np.eye(3)[labels]

    def objective(flat):
        weights, intercept = flat[:9].reshape(3, 3), flat[9:]
        logits = values @ weights + intercept
        log_norm = np.log(np.exp(logits).sum(axis=1))
        shares = np.exp(logits - log_norm[:, None]) - onehot
        gradient = np.concatenate([(values.T @ shares + weights).ravel(), shares.sum(axis=0)])
        return (log_norm - (logits * onehot).sum(axis=1)).sum() + 0.5 * (weights**2).sum(), gradient

    best = minimize(objective, np.zeros(12), jac=True, method="BFGS", options={"gtol": 1e-8})
    logits = values @ best.x[:9].reshape(3, 3) + best.x[9:]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probe.model.predict_proba(values), expected, atol=2e-3)
    np.testing.assert_array_equal(probe.predict(train), logits.argmax(axis=1))


def test_units_offsets_and_constant_features_do_not_matter_to_the_linear_probe():
    train, labels = blobs(5, 150)
    test, truth = blobs(6, 100)
    scale, offset = np.array([1e-3, 1, 1e3, 7, 0.1]), np.array([5, -1, 1e3, 0, 2])
    plain = fit_linear(train, labels).predict(test)
    moved = fit_linear(train * scale + offset, labels).predict(test * scale + offset)
    assert (plain == moved).mean() >= 0.99
    padded = [np.column_stack([each, np.full(len(each), fill)]) for each, fill in ((train, 0.1), (test, 1e6))]
    np.testing.assert_array_equal(fit_linear(padded[0], labels).predict(padded[1]), plain)
    assert accuracy(plain, truth) > 0.9


def test_the_linear_probe_repeats_exactly():
    train, labels = blobs(7, 100)
    first, second = (fit_linear(train, labels).model.coef_ for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_single_training_class_is_predicted_for_all():
    probe = fit_linear(np.eye(4), np.full(4, 3))
    assert probe.predict(np.ones((2, 4))).tolist() == [3, 3]
    assert probe.predict(np.ones((0, 4))).tolist() == []


def test_a_class_unseen_in_training_is_missed():
    train, labels = blobs(8, 60)
    assert accuracy(knn_predict(train, labels, train[:5], 1), np.full(5, 17)) == 0.0


def test_standardised_features_have_mean_zero_and_deviation_one_but_constant_ones_vanish():
    values = np.random.default_rng(0).standard_normal((50, 3)) * [1, 100, 0] + [0, 1e3, 0.1]
    scaled = Standardizer.fit(values)(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0])
    assert Standardizer.fit(values)([[0.0, 0.0, 9.0]])[0, 2] == 0.0  # though it varies elsewhere


def test_accuracy_without_samples_is_nan():
    assert math.isnan(accuracy([], []))
    assert accuracy([1, 2, 3, 3], [1, 2, 2, 2]) == 0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: knn_predict(np.ones((0, 2)), [], np.ones((1, 2)), 1), ValueError, "at least one training sample"),
        (
            lambda: knn_predict(np.ones((2, 2)), [0, 1], np.ones((1, 3)), 1),
            ValueError,
            "must have 2 columns as in training, got 3",
        ),
        (lambda: knn_predict(np.ones((2, 2)), [0, 1], np.ones((1, 2)), 0), ValueError, "k must be >= 1, got 0"),
        (lambda: knn_predict(np.ones((2, 2)), [0], np.ones((1, 2)), 1), ValueError, "same length, got 2 and 1"),
        (lambda: knn_predict(np.ones((2, 2)), [0, -1], np.ones((1, 2)), 1), ValueError, "train_labels must be >= 0"),
        (lambda: fit_linear(np.ones((0, 2)), []), ValueError, "at least one training sample"),
        (lambda: fit_linear([[math.nan]], [0]), TrialError, "train features must be finite, 1 of 1 rows"),
        (
            lambda: fit_linear(np.eye(2), [0, 1]).predict(np.eye(3)),
            ValueError,
            "must have 2 columns as in training, got 3",
        ),
        (lambda: accuracy([0], [0, 1]), ValueError, "preds and target must have the same length, got 1 and 2"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
