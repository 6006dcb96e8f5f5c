from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from fgtune.analysis.search.effect_terms import Parameter, terms_of
from fgtune.analysis.search.effect_tests import _p_values, scan


def _study(n, d, seed=0):
    places = np.random.default_rng(seed).random((n, d))
    return places, [Parameter(f"p{rank}", places[:, rank]) for rank in range(d)]


def test_the_share_and_p_of_listed_levels_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(3)
    codes, values = rng.integers(0, 4, 40), rng.normal(size=40)
    (term,) = terms_of([Parameter("c", (codes + 0.5) / 4, 4)])
    centred = values - values.mean()
    taken = np.array([np.sum((term.columns.T @ centred) ** 2) / (centred @ centred)])
    expected = stats.f_oneway(*(values[codes == code] for code in range(4)))
    assert _p_values(taken, 3, 39) == pytest.approx([expected.pvalue])
    share = scan([term], values, alpha=0.05, seed=0, shuffles=99).shares[0]
    assert share == pytest.approx(taken[0] - 3 / 39)


def test_a_later_share_is_the_extra_sum_of_squares_of_a_regression():
    places, parameters = _study(60, 2)
    values = 4 * places[:, 0] + np.random.default_rng(1).normal(size=60)
    terms = [term for term in terms_of(parameters) if not term.is_pair][::3]  # the trend of each
    found = scan(terms, values, alpha=0.05, seed=0, shuffles=99)
    assert found.found == (0,)
    design = np.column_stack([np.ones(60), *(term.columns for term in terms)])
    reduced, full = OLS(values, design[:, :2]).fit(), OLS(values, design).fit()
    extra = (reduced.ssr - full.ssr) / reduced.centered_tss
    assert found.shares[1] == pytest.approx(extra - reduced.ssr / reduced.centered_tss / 58)


def test_what_has_to_be_exceeded_is_what_brute_force_finds():
    _, parameters = _study(30, 3, seed=4)
    values = np.random.default_rng(5).normal(size=30)
    terms = [term for term in terms_of(parameters) if not term.is_pair]
    found = scan(terms, values, alpha=0.10, seed=0, shuffles=1999)
    assert found.found == ()
    rng = np.random.default_rng(6)
    shuffled = np.array([rng.permutation(values) for _ in range(4000)])
    r = stats.zscore(shuffled, axis=1) @ np.column_stack([stats.zscore(term.columns[:, 0]) for term in terms]) / 30
    p = 2 * stats.t.sf(np.abs(r) * np.sqrt(28 / (1 - r**2)), 28)  # (shuffles, terms)
    least = (p / [term.weight for term in terms]).min(axis=1)
    limit = np.quantile(least, 0.08)  # four fifths of alpha are for parameters alone
    for term, chance in zip(terms, found.chance, strict=True):
        t = stats.t.isf(limit * term.weight / 2, 28)
        assert chance == pytest.approx(t**2 / (t**2 + 28) - 1 / 29, rel=0.05)


def test_a_weak_effect_beside_a_strong_one_is_found():
    places, parameters = _study(80, 4)
    values = 20 * places[:, 0] + 2 * places[:, 1] + np.random.default_rng(1).normal(size=80)
    terms = terms_of(parameters)
    found = scan(terms, values, alpha=0.05, seed=0)
    assert {terms[rank].parameters for rank in found.found} == {(0,), (1,)}
    alone = scan(terms, places[:, 1] * 2 + 20 * np.random.default_rng(3).normal(size=80), alpha=0.05, seed=0)
    assert alone.found == ()  # against the whole variation nobody could see it


def test_nothing_is_found_in_the_rounding_errors_of_an_exact_fit():
    places, parameters = _study(40, 3)
    found = scan(terms_of(parameters), np.cos(np.pi * places[:, 0]), alpha=0.05, seed=0)
    assert len(found.found) == 1


def test_a_scan_depends_on_its_seed_alone():
    _, parameters = _study(30, 2)
    values, terms = np.random.default_rng(1).normal(size=30), terms_of(parameters)
    first = scan(terms, values, alpha=0.05, seed=1, shuffles=99)
    np.random.seed(3)  # noqa: NPY002
    assert np.array_equal(scan(terms, values, alpha=0.05, seed=1, shuffles=99).chance, first.chance)
    assert not np.array_equal(scan(terms, values, alpha=0.05, seed=2, shuffles=99).chance, first.chance)


def test_too_few_shuffles_for_alpha_find_nothing():
    places, parameters = _study(40, 1)
    found = scan(terms_of(parameters), places[:, 0], alpha=0.05, seed=0, shuffles=9)
    assert found.found == ()
    assert not math.isnan(found.shares[0])


# Studies with planted truth, as in benchmarks/importances.py, where more of them are simulated


def _found(parameters, values, seed):
    terms = terms_of(parameters)
    return [terms[rank].parameters for rank in scan(terms, values, alpha=0.05, seed=seed, shuffles=199).found]


@pytest.mark.slow_except("normal")
@pytest.mark.parametrize("noise", ["normal", "t2", "collapse", "noisier levels"])
def test_noise_does_not_stand_out_whatever_its_shape_and_the_number_of_levels(noise):
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 12])
        lists = [Parameter(name, (rng.integers(0, 12, 50) + 0.5) / 12, 12) for name in "abc"]
        ranges = [Parameter(name, rng.random(50)) for name in "def"]
        shapes = {
            "normal": rng.normal(size=50),
            "t2": rng.standard_t(2, 50),
            "collapse": -1.0 * (rng.random(50) < 0.1),
            "noisier levels": rng.normal(size=50) * (1 + 4 * (lists[0].places < 0.25)),
        }
        wrong += len(_found([*lists, *ranges], shapes[noise] + 1e-3 * rng.normal(size=50), seed)) > 0
    assert wrong <= 7  # 2 are expected at most; 8 or more have a probability of 0.1 %


def test_main_effects_and_pure_interactions_of_the_promised_size_are_found():
    main, pair = 0, 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 25])
        places, noise = rng.random((80, 6)), rng.normal(size=80)
        parameters = [Parameter(name, places[:, rank]) for rank, name in enumerate("abcdef")]
        trend = np.sqrt(0.25 * 12) * places[:50, 0] + np.sqrt(0.75) * noise[:50]
        main += (0,) in _found([Parameter(each.name, each.places[:50]) for each in parameters], trend, seed)
        halves = np.sign(places[:, 0] - 0.5) * np.sign(places[:, 1] - 0.5)
        pair += (0, 1) in _found(parameters, np.sqrt(0.4) * halves + np.sqrt(0.6) * noise, seed)
    assert main >= 26  # 32 are expected
    assert pair >= 26
