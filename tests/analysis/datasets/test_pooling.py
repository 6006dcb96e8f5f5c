"""Effects pooled over data sets: against statsmodels, SciPy, hand calculations and planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import meta_analysis

from fgtune.analysis.datasets.pooling import (
    equivalence_p,
    improvement,
    interquartile_interval,
    interquartile_mean,
    pool,
)
from fgtune.analysis.verdicts.statistics import holm
from fgtune.streams import numpy_stream

EFFECTS = [0.021, 0.004, 0.013, 0.030, -0.006]


def test_with_equal_variances_it_is_the_interval_of_hartung_and_knapp():
    variances = np.full(5, 1e-4)
    theirs = meta_analysis.combine_effects(np.array(EFFECTS), variances, method_re="dl", use_t=True)
    found = pool(EFFECTS, list(variances), 0.95)
    low, high = theirs.conf_int(alpha=0.05, use_t=True)[3]  # random effects, HKSJ
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(EFFECTS, 0.0).pvalue)


def test_the_spread_between_data_sets_is_that_of_the_moments_with_equal_weights():
    variances = np.array([1e-4, 5e-5, 4e-5, 2e-4, 1e-5])
    theirs = meta_analysis._fit_tau_mm(np.array(EFFECTS), variances, np.ones(5))
    assert pool(EFFECTS, list(variances), 0.95).tau == pytest.approx(math.sqrt(theirs))
    assert pool(EFFECTS, [1.0] * 5, 0.95).tau == 0.0  # seeds explain more than all of it
    assert pool(EFFECTS, [1e-4, *[math.nan] * 4], 0.95).tau == pytest.approx(math.sqrt(np.var(EFFECTS, ddof=1) - 1e-4))
    assert math.isnan(pool(EFFECTS, [math.nan] * 5, 0.95).tau)


@pytest.mark.parametrize("effects", [[], [0.1], [0.1, 0.3], [0.1, 0.1, 0.1]])
def test_fewer_than_three_data_sets_or_no_spread_give_no_interval(effects):
    found = pool(effects, [1e-4] * len(effects), 0.95)
    assert all(math.isnan(each) for each in (found.estimate.low, found.p, found.new_high, equivalence_p(found, 1.0)))


def test_equivalence_is_two_one_sided_tests():
    found = pool(EFFECTS, [1e-4] * 5, 0.95)
    lower = stats.ttest_1samp(EFFECTS, -0.02, alternative="greater").pvalue
    upper = stats.ttest_1samp(EFFECTS, 0.02, alternative="less").pvalue
    assert equivalence_p(found, 0.02) == pytest.approx(max(lower, upper))


@pytest.mark.parametrize(("sets", "seeds", "between", "unequal"), [(3, 3, 0.0, 0), (6, 3, 0.3, 1), (10, 5, 1.0, 1)])
def test_the_interval_covers_the_mean_and_a_further_data_set(sets, seeds, between, unequal):
    rng, hits, new = numpy_stream(0, "pool", sets, seeds), 0, 0
    for _ in range(600):
        sd = np.exp(0.7 * unequal * rng.normal(size=(sets, 1)))
        truth = 0.2 + between * rng.normal(size=(sets, 1))
        values = truth + sd * rng.normal(size=(sets, seeds))
        found = pool(values.mean(axis=1).tolist(), (values.var(axis=1, ddof=1) / seeds).tolist(), 0.95)
        hits += found.estimate.low <= 0.2 <= found.estimate.high
        further = 0.2 + between * rng.normal() + np.exp(0.7 * unequal * rng.normal()) * rng.normal() / math.sqrt(seeds)
        new += found.new_low <= further <= found.new_high
    assert 0.92 <= hits / 600 <= 0.99
    assert new / 600 > 0.91  # below 95 % where the further data set is noisier than these


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end():
    values = [np.array([1.0, 100.0, 3.0, 4.0]), np.array([-50.0, 2.0, 5.0, 6.0])]
    assert interquartile_mean(values) == (2 + 3 + 4 + 5) / 4
    assert math.isnan(interquartile_mean([]))


@pytest.mark.slow
def test_the_interval_of_a_difference_of_interquartile_means_covers_it():
    rng, hits = numpy_stream(0, "interquartile"), 0
    for study in range(150):
        shared = rng.normal(size=(6, 5)) + np.arange(6)[:, None]
        ours, theirs = (list(shared + shift + 0.5 * rng.normal(size=(6, 5))) for shift in (0.3, 0.0))
        found = interquartile_interval(ours, theirs, numpy_stream(0, "draws", study), 0.95)
        hits += found.low <= 0.3 <= found.high
    assert 0.86 <= hits / 150 <= 0.99


def test_single_seeds_have_an_interquartile_mean_without_an_interval():
    found = interquartile_interval([np.array([1.0]), np.array([2.0, 3.0])], None, numpy_stream(0), 0.95)
    assert found.value == 2.0
    assert math.isnan(found.low)


def test_the_probability_of_improvement_counts_pairs_with_the_interval_of_clopper_and_pearson():
    gains = [np.array([0.1, 0.2, -0.1]), np.array([0.3, 0.1]), np.array([0.2, -0.3, 0.1, 0.4])]
    found = improvement(gains, 0.95)
    exact = stats.binomtest(7, 9).proportion_ci(0.95, method="exact")
    assert (found.value, found.low, found.high) == pytest.approx((7 / 9, exact.low, exact.high))
    ties = improvement([np.array([0.0, 0.0, 1.0])], 0.95)
    assert ties.value == pytest.approx(2 / 3)
    assert ties.low == pytest.approx(stats.binomtest(1, 3).proportion_ci(0.95, method="exact").low)
    assert ties.high == 1.0
    assert improvement([np.array([-1.0, -1.0])], 0.95).low == 0.0
    assert math.isnan(improvement([], 0.95).value)


def test_arms_without_a_difference_are_rarely_found_to_differ():
    """Five arms and a baseline that they share: the family errs in 5 % of studies (27 are 3 standard errors off)."""
    rng, wrong = numpy_stream(0, "family"), 0
    for _ in range(300):
        means = rng.normal(size=(6, 5, 3)).mean(axis=2) + 0.3 * rng.normal(size=(6, 5))
        wrong += min(holm([pool((arm - means[0]).tolist(), [0.1] * 5, 0.95).p for arm in means[1:]])) <= 0.05
    assert wrong <= 27
