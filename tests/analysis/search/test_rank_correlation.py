from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.search.rank_correlation import held_out_correlation, rank_interval, spearman
from fgtune.streams import numpy_stream


def test_rank_correlation_agrees_with_scipy():
    rng = np.random.default_rng(0)
    one = rng.normal(size=30)
    two = one + rng.normal(size=30)
    two[:5] = two[5]  # ties
    found = spearman(list(one), list(two))
    assert found.rho == pytest.approx(stats.spearmanr(one, two).statistic)
    assert found.low < found.rho < found.high


def test_the_interval_of_a_rank_correlation_covers_it():
    rng = np.random.default_rng(1)
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's rho of a bivariate normal with correlation 0.6
    hits = 0
    for _ in range(400):
        one, rest = rng.normal(size=(2, 25))
        found = spearman(list(one), list(0.6 * one + 0.8 * rest))
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 400 <= 0.98


@pytest.mark.parametrize(
    ("one", "two", "rho"), [([1, 2], [1, 2], math.nan), ([1, 1, 1], [1, 2, 3], math.nan), ([1, 2, 3], [4, 5, 6], 1.0)]
)
def test_few_or_equal_values_have_no_interval(one, two, rho):
    found = spearman(one, two)
    assert found.rho == pytest.approx(rho, nan_ok=True)
    assert math.isnan(found.low)


@pytest.mark.slow_except("None-5", "4-20")
@pytest.mark.parametrize("n", [5, 8, 20, 100])
@pytest.mark.parametrize("levels", [None, 4])
def test_noise_is_rarely_taken_for_a_correlation(n, levels):
    """Of two metrics without relation, also with ties, the interval lies on either side of 0 in 2.5 % of studies."""
    rng, below, above, given = numpy_stream(0, "noise", n, levels), 0, 0, 0
    for _ in range(800):
        one, two = rng.normal(size=(2, n))
        two = two if levels is None else np.clip(np.floor(two), -levels // 2, levels // 2)
        found = spearman(list(one), list(two))
        below, above, given = below + (found.high < 0), above + (found.low > 0), given + (not math.isnan(found.low))
    assert given > 760
    assert max(below, above) <= 36  # 20 expected, 3.6 standard errors


def test_a_perfect_order_is_half_a_swap_from_its_interval():
    low, high = rank_interval(1.0, 10, 0.95)
    inner = math.atanh(1 - 6 / 990)
    half = 1.959964 * math.sqrt((1 + (1 - 6 / 990) ** 2 / 2) / 7)
    assert low == pytest.approx(math.tanh(inner - half), rel=1e-6)
    assert high == 1.0
    assert rank_interval(-1.0, 10, 0.95) == pytest.approx((-high, -low))
    assert rank_interval(0.3, 4, 0.95) == pytest.approx((math.nan, math.nan), nan_ok=True)


def test_noise_that_moves_both_metrics_of_a_cell_correlates_no_points_across_seeds():
    rng, plain, across = numpy_stream(0, "shared"), 0, 0
    for _ in range(200):
        one, rest = rng.normal(size=(2, 30, 3))
        two = -0.8 * one + 0.6 * rest
        plain += spearman(list(one.mean(axis=1)), list(two.mean(axis=1))).high < 0
        across += held_out_correlation(one, two).high < 0
    assert plain > 190
    assert across <= 14  # 2.5 % or less expected: 5 of 200, and four standard errors


def test_a_relation_of_points_is_found_across_seeds():
    rng = numpy_stream(0, "points")
    truth = rng.normal(size=(40, 1))
    one, two = (sign * truth + 0.5 * rng.normal(size=(40, 4)) for sign in (1.0, -1.0))
    found = held_out_correlation(one, two)
    slow = [
        stats.spearmanr(one[:, [s for s in range(4) if s != seed]].mean(axis=1), two[:, seed]).statistic
        for seed in range(4)
    ]
    assert found.rho == pytest.approx(np.mean(slow))
    assert found.high < 0
