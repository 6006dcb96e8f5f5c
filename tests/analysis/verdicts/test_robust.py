from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fgtune.analysis.verdicts.robust import KINDS, equivalence_p, median_interval, sign_p, summaries, summary_of
from fgtune.analysis.verdicts.statistics import contrast_of

numbers = st.floats(min_value=-100, max_value=100, allow_nan=False).map(lambda x: round(x, 2))


@settings(deadline=None, max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=10))
def test_the_sign_test_counts_all_sign_choices(values):
    larger = max(sum(v > 0 for v in values), sum(v < 0 for v in values))
    n = len(values)
    choices = [sum(signs) for signs in itertools.product([0, 1], repeat=n)]
    extreme = sum(ones >= larger or ones <= n - larger for ones in choices) if larger > n / 2 else len(choices)
    assert sign_p(values) == pytest.approx(min(1.0, extreme / 2**n))


def test_the_sign_test_is_that_of_scipy_without_ties():
    values = [0.1, 0.2, -0.1, 0.3, 0.4, 0.5, 0.2]
    assert sign_p(values) == pytest.approx(stats.binomtest(6, 7).pvalue)


@pytest.mark.parametrize("n", [6, 9, 10, 20, 25])
def test_the_interval_of_the_median_is_the_narrowest_that_covers(n):
    values = np.arange(n, dtype=float)
    low, high = median_interval(values, 0.95)
    rank = int(low)
    assert high == n - 1 - rank
    outside = stats.binom.cdf(rank, n, 0.5)
    assert 1 - 2 * outside >= 0.95 > 1 - 2 * stats.binom.cdf(rank + 1, n, 0.5)


def test_five_values_have_no_interval_of_the_median():
    assert all(math.isnan(end) for end in median_interval(np.arange(5.0), 0.95))


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy"])
def test_the_interval_of_the_median_covers_whatever_the_distribution(draw):
    rng = np.random.default_rng(3)
    rows = getattr(rng, draw)(size=(3000, 10))
    truth = 1.0 if draw == "lognormal" else 0.0
    found = [median_interval(row, 0.95) for row in rows]
    assert np.mean([low <= truth <= high for low, high in found]) == pytest.approx(0.979, abs=0.01)  # never below 95 %


def test_the_trimmed_mean_is_that_of_scipy():
    values = np.random.default_rng(4).standard_t(3, size=20)
    found = summary_of("trimmed_mean", contrast_of(values), "maximize", 0.95)
    assert found.value == pytest.approx(stats.trim_mean(values, 0.2))
    expected = stats.ttest_ind(
        values, np.zeros(20), trim=0.2, equal_var=False
    )  # the zeros add neither error nor spread
    yuen = 2 * stats.t.sf(abs(expected.statistic), 11)
    assert found.p == pytest.approx(max(yuen, sign_p(values)))


def test_the_share_of_better_pairs_has_the_interval_of_clopper_and_pearson():
    contrast = contrast_of([0.1] * 7 + [-0.1] * 3, direction="maximize")
    found = summary_of("improvement", contrast, "maximize", 0.95)
    expected = stats.binomtest(7, 10).proportion_ci(0.95, method="exact")
    assert (found.value, found.low, found.high) == (0.7, pytest.approx(expected.low), pytest.approx(expected.high))
    assert summary_of("improvement", contrast, "minimize", 0.95).value == pytest.approx(0.3)


def test_ties_widen_the_interval_of_the_share_to_both_sides():
    found = summary_of("improvement", contrast_of([0.1] * 5 + [0.0] * 5), "maximize", 0.95)
    assert found.value == 0.75
    assert found.low == pytest.approx(stats.binomtest(5, 10).proportion_ci(0.95, method="exact").low)
    assert found.high == 1.0


def test_no_single_seed_carries_a_robust_summary():
    plain = contrast_of([0.05, 0.06, 0.04, 0.05, 0.06, 0.05, 0.04, 0.05])
    fallen = contrast_of([0.05, 0.06, 0.04, 0.05, 0.06, 0.05, 0.04, -0.5])
    before, after = ({s.kind: s for s in summaries(each, "maximize", 0.95)} for each in (plain, fallen))
    assert before["mean"].value - after["mean"].value > 0.06
    for kind in ("median", "trimmed_mean"):
        assert abs(before[kind].value - after[kind].value) < 0.002
    assert after["improvement"].value == 0.875


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_summarised_without_pairs(kind):
    assert math.isnan(summary_of(kind, contrast_of([]), "maximize", 0.95).value)


def test_two_one_sided_tests_are_those_of_scipy():
    values = [0.004, 0.012, 0.018, -0.002, 0.019]
    above = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.02, alternative="less").pvalue
    assert equivalence_p("mean", contrast_of(values), 0.02) == pytest.approx(max(above, below))
    assert equivalence_p("median", contrast_of(values), 0.02) == pytest.approx(stats.binom.sf(4, 5, 0.5))


@pytest.mark.parametrize("differences", [[0.001, 0.001], [0.001] * 10, [0.001]])
def test_equivalence_needs_three_pairs_that_vary(differences):
    assert math.isnan(equivalence_p("mean", contrast_of(differences), 0.02))


def test_the_grain_of_a_metric_is_the_least_spread_that_is_believed():
    nearly = contrast_of([0.0] * 9 + [0.001])
    assert equivalence_p("mean", nearly, 0.02) < 1e-6
    assert equivalence_p("mean", nearly, 0.02, least_sd=0.05 / math.sqrt(6)) > 0.005


@pytest.mark.parametrize("kind", KINDS)
def test_no_summary_reaches_beyond_what_a_difference_can_be(kind):
    differences = [0.9, -0.95, 0.95, -0.9, -0.92, 0.99]
    free = summary_of(kind, contrast_of(differences, direction="maximize"), "maximize", 0.999)
    found = summary_of(kind, contrast_of(differences, direction="maximize", limits=(-1.0, 1.0)), "maximize", 0.999)
    assert (found.value, found.p) == (free.value, free.p)
    if kind in ("mean", "trimmed_mean"):
        assert free.low < -1 < 1 < free.high
        assert (found.low, found.high) == (-1.0, 1.0)
    else:
        assert np.array_equal([found.low, found.high], [free.low, free.high], equal_nan=True)
