"""The ridge probe against leave-one-out refits and scikit-learn; R^2, MSE and rank MSE against their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error as sk_mse
from sklearn.metrics import r2_score

from fgtune.errors import TrialError
from fgtune.metrics.regression import PENALTIES, fit_ridge, mean_squared_error, r_squared, rank_mse


def problem(seed, n, dim, columns, noise=1.0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, dim)) * rng.uniform(0.01, 100, dim) + 50 * rng.standard_normal(dim)
    weights = rng.standard_normal((dim, columns)) / features.std(axis=0)[:, None]
    return features, features @ weights + noise * rng.standard_normal((n, columns))


def scaled(features):
    return (features - features.mean(axis=0)) / features.std(axis=0)


@pytest.mark.parametrize(("n", "dim"), [(40, 5), (12, 30), (30, 30)])
def test_weights_equal_scikit_learns_ridge_at_the_chosen_penalty(n, dim):
    features, values = problem(n, n, dim, 2, noise=3.0)
    probe = fit_ridge(features, values)
    for column, penalty in enumerate(probe.penalty):
        model = Ridge(alpha=n * penalty).fit(scaled(features), values[:, column])
        np.testing.assert_allclose(
            probe.predict(features)[:, column], model.predict(scaled(features)), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(("n", "dim", "noise"), [(14, 3, 1.0), (10, 25, 0.1), (12, 4, 30.0)])
def test_the_penalty_is_the_best_of_all_candidates_by_leaving_out_each_sample_in_turn(n, dim, noise):
    features, values = problem(dim, n, dim, 2, noise)
    x, errors = scaled(features), np.zeros((len(PENALTIES), 2))
    for number, penalty in enumerate(PENALTIES):
        for i in range(n):
            kept = np.arange(n) != i
            # The same penalty in total, n c, on all folds.
            model = Ridge(alpha=n * penalty, solver="svd").fit(x[kept], values[kept])
            errors[number] += (model.predict(x[[i]])[0] - values[i]) ** 2 / n
    np.testing.assert_allclose(fit_ridge(features, values).penalty, PENALTIES[errors.argmin(axis=0)])


def test_without_signal_the_strongest_penalty_is_taken_and_the_mean_predicted():
    rng = np.random.default_rng(0)
    features, values = rng.standard_normal((60, 40)), rng.standard_normal((60, 1)) + 10
    probe = fit_ridge(features, values)
    assert probe.penalty[0] >= 1
    np.testing.assert_allclose(probe.predict(rng.standard_normal((9, 40))), values.mean(), atol=0.3)


def test_a_linear_target_is_recovered_and_unit_of_features_does_not_matter():
    features, values = problem(3, 200, 6, 3, noise=0.0)
    probe = fit_ridge(features[:150], values[:150])
    assert r_squared(probe.predict(features[150:]), values[150:]) > 0.9999
    moved = fit_ridge(features[:150] * 1000 + 7, values[:150]).predict(features[150:] * 1000 + 7)
    np.testing.assert_allclose(moved, probe.predict(features[150:]), rtol=1e-6, atol=1e-6)


def test_constant_features_and_targets_do_no_harm():
    features, values = problem(4, 30, 3, 1)
    padded = np.column_stack([features, np.full(30, 0.1)])
    np.testing.assert_allclose(fit_ridge(padded, values).predict(padded), fit_ridge(features, values).predict(features))
    flat = fit_ridge(np.ones((5, 2)), np.full((5, 1), 3.5))
    assert flat.predict(np.array([[1.0, 1.0], [9.0, 0.0]])).tolist() == [[3.5], [3.5]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 20), st.integers(1, 3))
def test_r_squared_and_squared_error_equal_scikit_learn(seed, n, columns):
    rng = np.random.default_rng(seed)
    preds, target = rng.standard_normal((2, n, columns))
    assert r_squared(preds, target) == pytest.approx(r2_score(target, preds))
    assert mean_squared_error(preds, target) == pytest.approx(sk_mse(target, preds))


def test_r_squared_leaves_out_columns_that_do_not_vary():
    target = np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]])
    preds = np.array([[1.0, 9.0], [2.0, 9.0], [4.0, 9.0]])
    assert r_squared(preds, target) == pytest.approx(0.5)
    assert math.isnan(r_squared(preds[:, 1:], target[:, 1:]))
    assert math.isnan(r_squared(preds[:1], target[:1]))


def test_without_samples_all_are_nan():
    nothing = np.empty((0, 2))
    assert math.isnan(r_squared(nothing, nothing))
    assert math.isnan(mean_squared_error(nothing, nothing))
    assert math.isnan(rank_mse([], [], either_order=True))


def read_off(scores, target):
    """Targets handed out in the order of the scores, averaged over all ways to order samples with equal scores."""
    orders = [o for o in itertools.permutations(range(len(scores))) if all(np.diff(np.array(scores)[list(o)]) >= 0)]
    handed = np.zeros(len(scores))
    for order in orders:
        handed[list(order)] += np.sort(target) / len(orders)
    return np.mean((handed - target) ** 2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_rank_mse_equals_its_definition_with_ties_averaged(seed, n):
    rng = np.random.default_rng(seed)
    scores, target = rng.integers(0, 4, n).astype(float), rng.standard_normal(n)
    rising, falling = read_off(scores, target), read_off(-scores, target)
    assert rank_mse(scores, target, either_order=False) == pytest.approx(rising)
    assert rank_mse(scores, target, either_order=True) == pytest.approx(min(rising, falling))


def test_rank_mse_sees_order_alone():
    target = np.random.default_rng(0).standard_normal(200)
    assert rank_mse(np.exp(5 * target), target, either_order=False) == 0.0
    assert rank_mse(-target, target, either_order=True) == 0.0
    assert rank_mse(-target, target, either_order=False) > 2 * target.var()
    assert rank_mse(np.zeros(200), target, either_order=True) == pytest.approx(target.var())
    random = [rank_mse(np.random.default_rng(i).random(200), target, either_order=False) for i in range(200)]
    assert np.mean(random) == pytest.approx(2 * target.var(), rel=0.05)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fit_ridge(np.ones((1, 2)), np.ones((1, 1))), ValueError, "at least two training samples, got 1"),
        (lambda: fit_ridge(np.ones((3, 2)), np.ones((2, 1))), ValueError, "same length, got 3 and 2"),
        (lambda: fit_ridge(np.ones((3, 2)), np.ones(3)), ValueError, r"train values must be a matrix"),
        (lambda: fit_ridge([[math.inf], [1.0]], np.ones((2, 1))), TrialError, "train features must be finite, 1 of 2"),
        (lambda: r_squared(np.ones((2, 1)), np.ones((2, 2))), ValueError, r"one shape, got \(2, 1\) and \(2, 2\)"),
        (
            lambda: rank_mse([[1.0]], [1.0], either_order=True),
            ValueError,
            r"must be \(n,\), got shapes \(1, 1\) and \(1,\)",
        ),
        (lambda: rank_mse([1.0, 2.0], [1.0], either_order=True), ValueError, "same length, got 2 and 1"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
