"""The fitted sum of functions: it recovers what it can express, and its intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.search import surrogate
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


SMOOTHED = 2e-4
"""What smoothing may take from a value without noise."""
SUBJECTS = [(0,), (3,), (0, 1)]


def test_it_recovers_a_sum_that_it_can_express():
    parameters, values, *_ = drawn(np.random.default_rng(0))
    fit = fit_surrogate(parameters, SUBJECTS, values, 0.95)
    assert fit.columns(fit.points) @ fit.coefficients == pytest.approx(values, abs=SMOOTHED)
    assert fit.involved == (0, 1, 3)
    low, high = np.array([[0.0, 0.2, 0.5, 0.5 / 3], [1.0, 0.2, 0.5, 2.5 / 3]])
    change = fit.estimate(fit.columns(high[None])[0] - fit.columns(low[None])[0])
    expected = -1.0 - 0.4 * np.cos(0.2 * np.pi) - 0.1
    assert change.value == pytest.approx(expected, abs=SMOOTHED)
    assert change.low == pytest.approx(expected, abs=10 * SMOOTHED)


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda at: 1 / (1 + np.exp(-40 * (at - 0.3))), id="steep rise"),
        pytest.param(lambda at: np.abs(at - 0.6), id="corner"),
        pytest.param(lambda at: np.sin(3 * np.pi * at), id="one and a half waves"),
    ],
)
def test_intervals_of_a_curve_cover_shapes_that_few_cosines_cannot_follow(shape):
    places, hits = np.linspace(0.0, 1.0, 11), []
    scale = 0.6 / shape(np.linspace(0, 1, 2001)).std()
    for seed in range(80):
        rng = np.random.default_rng(seed)
        cube = rng.random((100, 2))
        values = scale * shape(cube[:, 0]) + 0.8 * rng.normal(size=100)
        fit = fit_surrogate([Parameter("a", cube[:, 0]), Parameter("b", cube[:, 1])], [(0,)], values, 0.95)
        for place in places:
            effect = fit.estimate(fit.columns(np.array([[place, 0.5]]))[0])
            hits.append(effect.low <= scale * shape(place) <= effect.high)
    assert np.mean(hits) > 0.92


def test_the_prior_is_the_mean_over_candidates_weighed_by_the_restricted_likelihood():
    rng = np.random.default_rng(3)
    place = rng.random(40)
    matrix = np.column_stack([np.ones(40), *(np.cos(np.pi * k * place) for k in (1, 2, 3)), place])
    values = np.sin(4 * place) + 0.3 * rng.normal(size=40)
    found, noise = surrogate._prior(matrix, [slice(1, 4)], values)
    fixed, rough = matrix[:, [0, 4]], matrix[:, 1:4]
    contrasts = np.linalg.svd(fixed)[0][:, 2:].T  # 38 numbers that the line and the constant say nothing about
    rest = contrasts @ values

    def density(variances):
        """The likelihood of the contrasts under a normal law, the noise's variance at its maximum."""
        spread = np.eye(38) + contrasts @ (rough * variances) @ rough.T @ contrasts.T
        scale = rest @ np.linalg.solve(spread, rest) / 38
        return np.exp(-0.5 * np.linalg.slogdet(spread)[1] - 19 * np.log(scale)), scale

    candidates = surrogate._candidates(slice(1, 4))
    weights = np.array([density(each)[0] for each in candidates])
    expected = weights @ np.array(candidates) / weights.sum()
    assert found == pytest.approx([0.0, *expected, 0.0], rel=1e-6)
    assert noise == pytest.approx(density(expected)[1])
