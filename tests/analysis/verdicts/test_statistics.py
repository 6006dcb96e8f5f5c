from __future__ import annotations

import itertools
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.lazy import LazyModule

from fgtune.analysis.verdicts.statistics import (
    holm,
    mean_interval,
    paired_contrast,
    sign_flip_p,
    smallest_exact_p,
)

multitest = LazyModule("statsmodels.stats.multitest")

numbers = st.floats(min_value=-100, max_value=100, allow_nan=False).map(lambda x: round(x, 3))


@settings(deadline=None, max_examples=50)
@given(st.lists(numbers, min_size=2, max_size=12, unique=True), st.floats(0.5, 0.99))
def test_mean_interval_is_student_t(values, level):
    found = mean_interval(values, level)
    low, high = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.n, found.mean) == (len(values), pytest.approx(np.mean(values), abs=1e-9))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_interval_of_one_value_is_undefined_and_of_none_all_is():
    one, none = mean_interval([0.5]), mean_interval([])
    assert (one.n, one.mean) == (1, 0.5)
    assert all(math.isnan(x) for x in (one.sd, one.low, one.high, none.mean, none.low))


def test_interval_of_equal_values_has_no_width_despite_rounding():
    found = mean_interval([0.1 + 0.2, 0.3, 0.3])
    assert found.sd == 0.0
    assert found.low == found.mean == found.high


def test_whether_differences_vary_is_judged_on_the_scale_of_the_values():
    baseline = {0: 1e6, 1: 1.7e6, 2: 4.3e6}
    found = paired_contrast({seed: value + 0.3 for seed, value in baseline.items()}, baseline)
    assert len(set(found.differences)) > 1  # they differ in the last bits
    assert found.estimate.sd == 0.0
    assert (math.isnan(found.p_t), found.p_value) == (True, 0.25)


def test_small_values_may_vary():
    assert mean_interval([1e-9, 2e-9, 4e-9]).sd > 0


def test_interval_refuses_values_that_are_no_numbers():
    with pytest.raises(ValueError, match="values must be a flat sequence of finite numbers"):
        mean_interval([0.1, math.nan])


def _coverage(interval, n, repeats):
    drawn = np.random.default_rng(7).normal(3.0, 2.0, size=(repeats, n))
    found = [interval(row) for row in drawn]
    return np.mean([estimate.low <= 3.0 <= estimate.high for estimate in found])


def test_t_interval_covers_95_percent_at_five_seeds():
    assert _coverage(mean_interval, 5, 4000) == pytest.approx(0.95, abs=0.012)


@settings(deadline=None, max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=9))
def test_sign_flip_counts_all_sign_choices(differences):
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product([-1, 1], repeat=len(differences))]  # fmt: skip
    reach = abs(sum(differences)) - 1e-9 * (1 + sum(map(abs, differences)))
    assert sign_flip_p(differences) == pytest.approx(sum(s >= reach for s in sums) / len(sums))


def test_sign_flip_of_one_sided_differences_reaches_its_floor():
    for n in (1, 3, 5, 10, 30):
        assert sign_flip_p(np.linspace(0.1, 0.2, n)) == pytest.approx(smallest_exact_p(n))
    assert smallest_exact_p(5) == 0.0625


def test_sign_flip_of_many_pairs_is_close_to_the_t_test():
    rng = np.random.default_rng(5)
    for n in (30, 60):  # exact, and sampled
        values = rng.normal(0.3, 1.0, size=n)
        assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=0.02)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    indices = range(len(p_values))
    for i, adjusted in enumerate(holm(p_values)):
        subsets = [s for size in indices for s in itertools.combinations(indices, size + 1) if i in s]
        closed = max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets)
        assert adjusted == pytest.approx(closed)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.05]), max_size=12))
def test_holm_is_that_of_statsmodels_to_the_last_bit(p_values):
    with mock.patch("gc.collect"):  # which statsmodels calls every time, for the whole process
        assert list(holm(p_values)) == multitest.multipletests(p_values, method="holm")[1].tolist()


def test_holm_keeps_an_untestable_contrast_in_the_family():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.03)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.08)
    assert holm([]) == ()


def test_contrast_is_the_paired_t_test_over_shared_seeds():
    arm = {0: 0.81, 1: 0.79, 2: 0.84, 3: 0.80, 9: 0.1}
    baseline = {0: 0.90, 1: 0.91, 2: 0.92, 3: 0.88, 7: 0.2}
    found = paired_contrast(arm, baseline)
    expected = stats.ttest_rel([arm[s] for s in range(4)], [baseline[s] for s in range(4)])
    assert found.seeds == (0, 1, 2, 3)
    assert found.p_t == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.effect_size == pytest.approx(found.estimate.mean / np.std(found.differences, ddof=1))
    assert found.baseline_mean == pytest.approx(0.9025)
    assert (found.improved, found.p_exact, found.p_floor) == (0.0, 0.125, 0.125)


def test_contrast_counts_improvement_in_the_metrics_direction():
    arm, baseline = {0: 2.0, 1: 0.0, 2: 4.0}, {0: 4.0, 1: 0.0, 2: 2.0}
    assert paired_contrast(arm, baseline, direction="minimize").improved == pytest.approx(0.5)
    assert paired_contrast({0: 1.0}, {0: 2.0}, direction="minimize").improved == 1.0
    assert math.isnan(paired_contrast(arm, baseline, direction="none").improved)


def test_contrast_of_equal_differences_falls_back_on_the_exact_test():
    found = paired_contrast(dict.fromkeys(range(5), 3.0), dict.fromkeys(range(5), 1.0))
    assert math.isnan(found.p_t)
    assert found.p_value == found.p_exact == 0.0625


def test_contrast_without_pairs_is_undefined_throughout():
    found = paired_contrast({0: 1.0}, {1: 1.0})
    assert found.n == 0
    assert all(math.isnan(x) for x in (found.p_value, found.p_exact, found.improved, found.estimate.mean))


def test_the_interval_of_a_bounded_mean_ends_where_the_range_does():
    estimate = mean_interval([0.99, 1.0, 0.95])
    assert estimate.high > 1
    bounded = estimate.within((0.0, 1.0))
    assert (bounded.low, bounded.mean, bounded.high) == (estimate.low, estimate.mean, 1.0)
    assert estimate.within((-math.inf, math.inf)) == estimate
    assert math.isnan(mean_interval([0.5]).within((0.0, 1.0)).low)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_of_a_difference_ends_where_differences_do_and_covers_as_often(n):
    rng = np.random.default_rng(n)
    ends, covered = 0, []
    for _ in range(300):
        arm, baseline = (dict(enumerate(rng.beta(*shape, n))) for shape in ((0.6, 0.4), (0.3, 0.9)))
        free, found = paired_contrast(arm, baseline), paired_contrast(arm, baseline, limits=(-1.0, 1.0))
        whole = mean_interval([arm[seed] - baseline[seed] for seed in range(n)])
        assert (found.estimate.low, found.estimate.high) == (max(-1.0, whole.low), min(1.0, whole.high))
        for name in ("p_t", "p_exact", "p_value", "effect_size", "improved", "differences"):
            assert getattr(found, name) == getattr(free, name)
        assert found.estimate.at(0.9) == free.estimate.at(0.9)  # what verdicts are judged by
        ends += found.estimate != free.estimate
        covered.append([each.estimate.low <= 0.6 - 0.25 <= each.estimate.high for each in (free, found)])
    assert ends > 20
    assert all(before == after for before, after in covered)


def test_a_difference_beyond_the_limits_stays_in_its_interval():
    found = paired_contrast({0: 3.0, 1: 3.2}, {0: 1.0, 1: 1.1}, limits=(-1.0, 1.0)).estimate
    assert found.low <= found.mean <= found.high == found.mean
