from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.verdicts import power
from fgtune.analysis.verdicts.power import detectable_difference, paired_power, seeds_for_exact_test, seeds_needed


@pytest.mark.parametrize("effect", [0.0, 0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_power_is_the_tail_of_the_noncentral_t(effect, n):
    critical, shift = stats.t.ppf(0.975, n - 1), effect * math.sqrt(n)
    expected = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert paired_power(effect, n, 0.05) == pytest.approx(expected, abs=1e-6)


def test_power_agrees_with_simulated_t_tests():
    drawn = np.random.default_rng(2).normal(0.9, 1.0, size=(40_000, 6))
    rejected = np.mean(stats.ttest_1samp(drawn, 0.0, axis=1).pvalue <= 0.05)
    assert paired_power(0.9, 6, 0.05) == pytest.approx(rejected, abs=0.01)


def test_power_of_a_huge_effect_is_one():
    assert paired_power(50.0, 5, 0.01) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.0), (20, 0.66)])
def test_detectable_difference_matches_known_values(n, effect):
    assert detectable_difference(1.0, n, 0.05) == pytest.approx(effect, abs=0.01)
    assert paired_power(detectable_difference(1.0, n, 0.05), n, 0.05) == pytest.approx(0.8, abs=1e-6)


def test_seeds_needed_is_the_fewest_that_reach_the_power():
    for sd, difference in ((0.03, 0.02), (0.01, 0.02), (0.02, 0.1)):
        n = seeds_needed(sd, difference, 0.05)
        assert paired_power(difference / sd, n, 0.05) >= 0.8
        assert n == 2 or paired_power(difference / sd, n - 1, 0.05) < 0.8


def test_seeds_for_many_contrasts_are_those_of_each_alone_and_few_are_worked_out():
    asked = []

    def counted(effect, n, alpha):
        asked.append(n)
        return paired_power(effect, n, alpha)

    sds = np.random.default_rng(0).uniform(0.005, 0.1, 60)
    alone = []
    for sd in sds:
        power._known_effects.cache_clear()
        alone.append([seeds_needed(sd, 0.02, 0.01, power_of=counted, pilot=pilot) for pilot in (0, 5)])
    many, asked[:] = len(asked), []
    together = [[seeds_needed(sd, 0.02, 0.01, power_of=counted, pilot=pilot) for pilot in (0, 5)] for sd in sds]
    assert together == alone
    assert len({tuple(each) for each in alone}) > 20
    assert len(asked) < many / 2


def test_seeds_needed_knows_its_limits():
    assert seeds_needed(0.0, 0.02, 0.05) == 2
    assert seeds_needed(math.nan, 0.02, 0.05) is None
    assert seeds_needed(5.0, 0.02, 0.05) is None
    assert math.isnan(detectable_difference(math.nan, 1, 0.05))
    assert detectable_difference(0.0, 5, 0.05) == 0.0


def test_exact_test_needs_six_seeds_for_one_contrast_and_more_for_several():
    assert seeds_for_exact_test(0.05, 1) == 6
    assert seeds_for_exact_test(0.05, 3) == 7
    assert 2 / 2**7 <= 0.05 / 3 < 2 / 2**6
