"""Choices judged on seeds that did not make them: against slow loops, published tables, and planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.formatting import interval
from fgtune.analysis.search.held_out import (
    chance_of_lead,
    choices,
    folds_of,
    held_out,
    held_out_words,
    judged,
    judged_mean,
    many_to_one_p,
    table_of,
)
from fgtune.streams import numpy_stream

STUDIES = 400


@pytest.mark.parametrize(("seeds", "sizes"), [(2, [1, 1]), (5, [1] * 5), (7, [2, 2, 1, 1, 1]), (20, [4] * 5)])
def test_seeds_are_dealt_into_at_most_five_folds(seeds, sizes):
    folds = folds_of(seeds)
    assert [fold.size for fold in folds] == sizes
    assert sorted(np.concatenate(folds)) == list(range(seeds))


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_a_fold_judges_what_a_slow_loop_over_the_other_folds_chooses(seeds):
    rng = numpy_stream(0, "slow", seeds)
    scores, values = rng.normal(size=(2, 12, seeds))
    chosen = choices(scores)
    for fold, point in zip(folds_of(seeds), chosen, strict=True):
        others = [seed for seed in range(seeds) if seed not in fold]
        means = [sum(scores[row, seed] for seed in others) / len(others) for row in range(12)]
        assert point == means.index(max(means))
    expected = [
        np.mean([values[point, seed] for seed in fold]) for point, fold in zip(chosen, folds_of(seeds), strict=True)
    ]
    assert judged(values, chosen) == pytest.approx(expected)
    assert judged_mean(values) == pytest.approx([values[:, fold].mean() for fold in folds_of(seeds)])


def test_the_interval_is_that_of_nadeau_and_bengio():
    one, two = np.array([3.0, 4.0, 8.0, 5.0]), np.array([1.0, 1.0, 2.0, 2.0])
    found = held_out(one, two, 4, 0.95)
    assert found.mean == 3.5  # of 2, 3, 6, 3
    se = math.sqrt((1 / 4 + 1 / 3) * 3.0)  # their variance is 3
    half = 3.182446 * se  # Student's t at 0.975 with 3 degrees of freedom
    assert (found.low, found.high) == pytest.approx((3.5 - half, 3.5 + half), rel=1e-6)
    assert found.times(-1.0).low == -found.high
    assert found.at(0.9)[1] == pytest.approx(3.5 + 2.353363 * se, rel=1e-6)
    assert held_out_words(found, 0.9) == f"90 % interval {interval(*found.at(0.9))}, n = 4 seeds"


@pytest.mark.parametrize(
    ("one", "seeds", "why"),
    [([1.0, 2.0], 2, "no interval from 2 seeds"), ([1e6 + 0.3] * 3, 3, "the same on all of 3 seeds")],
)
def test_too_few_seeds_or_no_spread_give_no_interval_and_say_so(one, seeds, why):
    found = held_out(np.array(one), np.zeros(len(one)), seeds, 0.95)
    assert not found.has_interval
    assert math.isnan(found.high)
    assert held_out_words(found, 0.95) == why


def test_a_choice_without_a_value_leaves_the_difference_undefined():
    assert held_out(np.array([1.0, math.nan, 2.0]), np.zeros(3), 3, 0.95).n == 0
    assert np.isnan(table_of({"a": {0: 1.0}, "b": {}}, [0, 1])).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize(  # Dunnett (1955), table 1a: one-sided, joint confidence 95 %
    ("points", "degrees", "critical"),
    [(1, 5, 2.02), (2, 5, 2.44), (4, 5, 2.85), (1, 20, 1.72), (2, 20, 2.03), (5, 20, 2.39), (9, 20, 2.60)],
)
def test_the_largest_lead_has_the_distribution_in_dunnetts_table(points, degrees, critical):
    assert many_to_one_p(critical, points, degrees) == pytest.approx(0.05, abs=0.0012)


def test_the_largest_lead_agrees_with_a_multivariate_t():
    shape = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    cdf = stats.multivariate_t(shape=shape, df=8, seed=1).cdf([1.7] * 3)
    assert many_to_one_p(1.7, 3, 8) == pytest.approx(1 - cdf, abs=2e-4)


@pytest.mark.slow
def test_chance_makes_the_lead_of_the_best_as_often_as_it_says():
    rng = numpy_stream(0, "chance")
    found = [chance_of_lead(rng.normal(size=(20, 3)), rng.normal(size=3)) for _ in range(1000)]
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert 0.03 <= np.mean(np.array(found) <= 0.05) <= 0.075
    lead = [chance_of_lead(rng.normal(size=(20, 3)) + 4.0, rng.normal(size=3)) for _ in range(50)]
    assert np.mean(np.array(lead) < 0.01) > 0.9


@pytest.mark.parametrize(
    ("scores", "baseline"),
    [(np.ones((3, 1)), np.zeros(1)), (np.ones((3, 4)), np.zeros(4)), (np.ones((0, 3)), np.ones(3))],
)
def test_one_seed_or_no_spread_says_nothing_of_chance(scores, baseline):
    assert math.isnan(chance_of_lead(scores, baseline))


@pytest.mark.slow_except("0.0-10-3")
@pytest.mark.parametrize(("points", "seeds"), [(10, 3), (50, 5), (200, 10)])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_intervals_of_lead_and_cost_cover_the_planted_truth(points, seeds, spread):
    """The lead of the point chosen over all seeds, and what choosing by the primary metric has more.

    Where all folds make the same choice by both, there is no interval to cover anything. 90 % is 5 standard errors off.
    """
    rng, hits, naive = numpy_stream(0, "covers", points, seeds, spread), np.zeros(2), 0
    given = np.zeros(2)
    for _ in range(STUDIES):
        truth = spread * rng.normal(size=points)
        noise = rng.normal(size=(2, points + 1, seeds))
        scores, values = truth[:, None] + noise[0, 1:], truth[:, None] + 0.6 * noise[0, 1:] + 0.8 * noise[1, 1:]
        winner, best = scores.mean(axis=1).argmax(), values.mean(axis=1).argmax()
        mine, theirs = choices(scores), choices(values)
        lead = held_out(judged(scores, mine), judged_mean(noise[0, :1]), seeds, 0.95)
        cost = held_out(judged(values, theirs), judged(values, mine), seeds, 0.95)
        hits += [lead.low <= truth[winner] <= lead.high, cost.low <= truth[best] - truth[winner] <= cost.high]
        given += [lead.has_interval, cost.has_interval]
        plain = scores[winner] - noise[0, 0]
        naive += abs(stats.ttest_1samp(plain, truth[winner]).statistic) <= stats.t.ppf(0.975, seeds - 1)
    assert (hits / given > 0.90).all()
    assert (given > 0.75 * STUDIES).all()
    if spread == 0.0 and points == 200:
        assert naive / STUDIES < 0.75  # the plain interval of the winner does not cover
