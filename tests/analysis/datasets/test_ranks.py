"""Ranks over data sets: against SciPy, all permutations, and the tables of Demšar (2006)."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.datasets.ranks import critical_difference, rank_test
from fgtune.streams import numpy_stream


@pytest.mark.parametrize(  # Demšar (2006), table 5a: q at 0.05 for 2 to 10 classifiers
    ("arms", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (8, 3.031), (10, 3.164)]
)
def test_the_critical_difference_has_the_published_quantiles(arms, q):
    assert critical_difference(14, arms, 0.05) == pytest.approx(q * (arms * (arms + 1) / (6 * 14)) ** 0.5, abs=1e-3)


def test_the_statistic_is_friedmans_with_ties():
    scores = numpy_stream(0, "ties").integers(0, 4, size=(9, 5)).astype(float)
    found = rank_test(scores, list("abcde"), list("123456789"), 0.05)
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    large = numpy_stream(0, "large").normal(size=(60, 4)) + np.array([0.0, 0.2, 0.3, 0.1])
    found = rank_test(large, list("abcd"), [str(row) for row in range(60)], 0.05)
    assert found.p == pytest.approx(stats.friedmanchisquare(*large.T).pvalue, abs=0.02)


def test_the_p_value_is_that_of_all_orders_of_the_ranks():
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [3.0, 2.0, 1.0]])
    found = rank_test(scores, list("abc"), list("123"), 0.05)
    orders = list(permutations([1, 2, 3]))
    observed = sum((np.mean(column) - 2) ** 2 for column in zip([1, 2, 3], [1, 3, 2], [1, 2, 3], strict=True))
    as_far = [
        sum((np.mean(column) - 2) ** 2 for column in zip(*rows, strict=True)) >= observed - 1e-9
        for rows in product(orders, repeat=3)
    ]
    assert found.p == pytest.approx(np.mean(as_far), abs=0.015)
    assert found.arms == ("a", "b", "c")
    assert found.ranks == pytest.approx((1.0, 7 / 3, 8 / 3))


def test_groups_are_the_largest_runs_within_the_critical_difference():
    scores = np.array([[4.0, 3.0, 2.0, 1.0]] * 14)
    scores[:7, [1, 2]] = scores[:7, [2, 1]]
    found = rank_test(scores, list("abcd"), [str(row) for row in range(14)], 0.05)
    assert found.ranks == (1.0, 2.5, 2.5, 4.0)  # 1.25 apart are told apart
    assert found.groups == ((1, 2),)
    assert found.p == pytest.approx(1e-4)


def test_equal_arms_are_one_group():
    found = rank_test(np.ones((5, 3)), list("abc"), list("12345"), 0.05)
    assert (found.statistic, found.p, found.groups) == (0.0, 1.0, ((0, 2),))
