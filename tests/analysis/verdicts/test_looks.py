"""Spending alpha over looks: published boundaries, brute force, and planted truth."""

from __future__ import annotations

import doctest
import math
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from fgtune.analysis.verdicts.looks import kept_shares, nominal_levels, planned_shares, sequential_p, t_information
from fgtune.streams import numpy_stream

EQUAL = (1, 2, 3, 4, 5)


def boundaries(information, shares, level=0.05):
    return stats.norm.isf(np.array(nominal_levels(information, shares, level)) / 2)


def two_sided(z):
    return 2 * stats.norm.sf(z)


def test_the_examples_give_what_they_say():
    outcome = doctest.testmod(import_module("fgtune.analysis.verdicts.looks"))
    assert outcome.attempted >= 5
    assert outcome.failed == 0


@pytest.mark.parametrize(("constant", "level"), [(2.178, 0.05), (2.772, 0.01), (1.875, 0.1)])
def test_two_looks_have_pococks_constant(constant, level):
    """Jennison and Turnbull (2000), table 2.1."""
    found = boundaries((1, 2), (two_sided(constant) / level, 1.0), level)
    assert found == pytest.approx([constant, constant], abs=2e-3)


@pytest.mark.parametrize(("constant", "level"), [(1.977, 0.05), (2.580, 0.01), (1.678, 0.1)])
def test_two_looks_have_the_constant_of_obrien_and_fleming(constant, level):
    """Jennison and Turnbull (2000), table 2.3: boundaries fall with the square root of the look."""
    found = boundaries((1, 2), (two_sided(constant * math.sqrt(2)) / level, 1.0), level)
    assert found[1] == pytest.approx(constant, abs=1e-3)


def test_five_looks_have_the_boundaries_that_lan_and_demets_programme_gives():
    """Reboussin, DeMets, Kim and Lan (2000): both spending functions at five equal steps, two-sided .05."""
    pocock = boundaries(EQUAL, planned_shares(EQUAL, 5))
    assert pocock == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=1e-4)
    side = 2 * stats.norm.sf(stats.norm.isf(0.0125) / np.sqrt(np.array(EQUAL) / 5))  # spends .025 on each side
    obrien = boundaries(EQUAL, tuple(np.minimum(1.0, side / 0.025)))
    assert obrien == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


@pytest.mark.parametrize("information", [(5, 10, 15), (5, 6, 20), (2.5, 40.0, 41.0)])
@pytest.mark.parametrize("level", [0.05, 0.4])
def test_all_looks_together_reject_as_often_as_they_may(information, level):
    """The multivariate normal distribution, integrated over the box inside the boundaries, knows nothing of paths."""
    shares = kept_shares(3, 0.3)
    edge = boundaries(information, shares, level)
    times = np.array(information, dtype=float)
    correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    integral = stats.multivariate_normal.cdf
    inside = integral(
        edge, cov=correlation, lower_limit=-edge, abseps=1e-7, maxpts=2_000_000, rng=numpy_stream(0, "box")
    )
    assert 1 - inside == pytest.approx(level * shares[-1], abs=5e-5)


def test_one_sided_tests_at_the_same_levels_reject_no_more_often():
    """Equivalence rests on one-sided p-values: at most the overall level, little less."""
    information, level = (5, 10, 15), 0.05
    shares = planned_shares(information, 15)
    edge = stats.norm.isf(nominal_levels(information, shares, level))
    times = np.array(information, dtype=float)
    correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    integral = stats.multivariate_normal.cdf
    inside = integral(edge, cov=correlation, abseps=1e-7, maxpts=2_000_000, rng=numpy_stream(0, "box"))
    assert 0.9 * level < 1 - inside < level


SCHEDULES = [
    ((5, 10), kept_shares(2, 0.2)),
    ((3, 50, 51), kept_shares(3, 0.2)),
    ((5, 10, 15, 20), planned_shares((5, 10, 15, 20), 20)),
    (tuple(range(5, 13)), planned_shares(range(5, 13), 20)),
]


@pytest.mark.parametrize(("pairs", "shares"), SCHEDULES)
@pytest.mark.parametrize("p_value", [1e-9, 1e-4, 0.004, 0.02, 0.1])
def test_a_sequential_p_is_the_overall_level_whose_last_look_has_this_level(pairs, shares, p_value):
    information = [t_information(n) for n in pairs]
    expected = optimize.brentq(lambda g: nominal_levels(information, shares, g)[-1] - p_value, p_value / 2, 1 - 1e-9)
    only_last = [1.0] * (len(pairs) - 1) + [p_value]
    assert sequential_p(only_last, pairs, shares) == pytest.approx(expected, abs=1e-6, rel=1e-5)


@pytest.mark.parametrize(("pairs", "shares"), SCHEDULES)
def test_levels_grow_with_the_overall_level(pairs, shares):
    """Only then is a contrast that is significant at one overall level significant at every larger one."""
    information = [t_information(n) for n in pairs]
    by_level = np.array([nominal_levels(information, shares, level) for level in np.linspace(0.001, 0.99, 60)])
    assert (np.diff(by_level, axis=0) > 0).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=5), st.floats(0.0, 0.9))
def test_a_further_look_never_takes_a_decision_back(p_values, kept):
    pairs = [5 * (look + 1) for look in range(len(p_values))]
    found = [sequential_p(p_values[:k], pairs[:k], kept_shares(k, kept)) for k in range(1, len(p_values) + 1)]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(found))
    assert found[-1] >= min(p_values)


def test_a_single_look_pays_only_what_is_kept():
    assert sequential_p([0.04], [5], kept_shares(1, 0.2)) == pytest.approx(0.05)
    assert sequential_p([0.04], [5], kept_shares(1, 0.0)) == 0.04
    assert sequential_p([0.9], [5], kept_shares(1, 0.2)) == 1.0
    assert sequential_p([0.0], [5], kept_shares(1, 0.2)) == 0.0


def test_a_look_after_all_is_spent_decides_nothing():
    assert sequential_p([0.3, 1e-12], [5, 10], kept_shares(2, 0.0)) == 0.3
    assert nominal_levels((5, 10), kept_shares(2, 0.0), 0.05) == (pytest.approx(0.05), 0.0)


def test_looks_without_new_pairs_or_without_a_p_value_are_none():
    shares = kept_shares(3, 0.2)
    alone = sequential_p([0.02, 0.01], [5, 10], (shares[0], shares[2]))
    assert sequential_p([0.02, 0.02, 0.01], [5, 5, 10], shares) == alone
    assert sequential_p([math.nan, 0.04], [1, 5], kept_shares(2, 0.2)) == pytest.approx(0.04 / 0.96)
    assert math.isnan(sequential_p([math.nan], [1], kept_shares(1, 0.2)))


@pytest.mark.parametrize("shares", [(0.5, 0.4), (0.5, 1.1), (-0.1, 0.5)])
def test_shares_out_of_order_are_refused(shares):
    with pytest.raises(ValueError, match="must not decrease"):
        sequential_p([0.1, 0.1], [5, 10], shares)
    with pytest.raises(ValueError, match="must not decrease"):
        nominal_levels((5, 10), shares, 0.05)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        sequential_p([0.1], [5, 10], (0.5, 1.0))
    with pytest.raises(ValueError, match="must grow"):
        nominal_levels((10, 5), (0.5, 1.0), 0.05)


def t_p_values(values, sizes):
    """Two-sided paired t-tests (studies, looks) of the first columns of (studies, seeds) differences."""
    found = []
    for n in sizes:
        part = values[:, :n]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * math.sqrt(n)
        found.append(2 * stats.t.sf(np.abs(t), n - 1))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("sizes", [(5, 10, 15, 20), tuple(range(5, 21)), (3, 4, 5, 6)])
def test_t_tests_at_every_look_keep_the_level_where_naive_ones_do_not(sizes):
    """Null studies: at most alpha over all looks, within four standard errors of the simulation."""
    studies, level = 40_000, 0.05
    p_values = t_p_values(numpy_stream(11, "looks").standard_normal((studies, 20)), sizes)
    assert (p_values <= level).any(axis=1).mean() > 1.7 * level
    for shares in (kept_shares(len(sizes), 0.2), kept_shares(len(sizes), 0.5), planned_shares(sizes, sizes[-1])):
        levels = nominal_levels([t_information(n) for n in sizes], shares, level)
        wrong = (p_values <= levels).any(axis=1).mean()
        assert wrong <= level * shares[-1] + 4 * math.sqrt(level / studies)
        assert wrong > 0.6 * level
