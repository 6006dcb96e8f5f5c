"""The fitted sum of functions: it recovers what it can express, and its intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.search.surrogate import fit_surrogate


def drawn(rng, n=80, noise=0.0):
    """Two parameters with a scale and one of three levels; the third scale has no effect."""
    places = rng.random((n, 3))
    codes = rng.integers(0, 3, n)
    parameters = [Parameter(f"p{k}", places[:, k]) for k in range(3)] + [Parameter("kind", (codes + 0.5) / 3, 3)]
    one, two = np.cos(np.pi * places[:, 0]), np.cos(np.pi * places[:, 1])
    values = 1.0 + 0.5 * one + 0.2 * one * two + np.array([0.0, 0.3, -0.1])[codes]
    return parameters, values + noise * rng.normal(size=n), places, codes


SUBJECTS = [(0,), (3,), (0, 1)]


def test_it_recovers_a_sum_that_it_can_express():
    parameters, values, *_ = drawn(np.random.default_rng(0))
    fit = fit_surrogate(parameters, SUBJECTS, values, 0.95)
    assert fit.columns(fit.points) @ fit.coefficients == pytest.approx(values)
    assert fit.involved == (0, 1, 3)
    low, high = np.array([[0.0, 0.2, 0.5, 0.5 / 3], [1.0, 0.2, 0.5, 2.5 / 3]])
    change = fit.estimate(fit.columns(high[None])[0] - fit.columns(low[None])[0])
    expected = -1.0 - 0.4 * np.cos(0.2 * np.pi) - 0.1
    assert change.value == pytest.approx(expected)
    assert change.low == pytest.approx(expected)


def test_a_parameter_that_is_inactive_has_no_effect_there():
    rng = np.random.default_rng(1)
    first, second = rng.random(60), rng.random(60)
    second[:30] = np.nan
    values = np.where(np.isnan(second), 0.0, np.cos(np.pi * np.nan_to_num(second)))
    fit = fit_surrogate([Parameter("a", first), Parameter("b", second)], [(1,)], values, 0.95)
    columns = fit.columns(np.array([[0.5, np.nan]]))
    assert columns[0].tolist() == [1.0, *[0.0] * (columns.shape[1] - 1)]


def test_nothing_is_fitted_to_too_few_points_or_to_nothing_that_stands_out():
    parameters, values, *_ = drawn(np.random.default_rng(0), n=12)
    assert fit_surrogate(parameters, SUBJECTS, values, 0.95) is None
    assert fit_surrogate(parameters, [], values, 0.95) is None


def test_intervals_cover_the_truth_where_noise_differs_between_points():
    rng, hits, tries = np.random.default_rng(2), 0, 300
    for _ in range(tries):
        parameters, values, places, _ = drawn(rng)
        values = values + rng.normal(size=len(values)) * (0.05 + 0.4 * places[:, 0])
        fit = fit_surrogate(parameters, SUBJECTS, values, 0.9)
        ends = fit.columns(np.array([[0.1, 0.5, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5]]))
        effect = fit.estimate(ends[1] - ends[0])
        truth = 0.5 * (np.cos(0.9 * np.pi) - np.cos(0.1 * np.pi))
        hits += effect.low <= truth <= effect.high
    assert 0.85 <= hits / tries <= 0.96
