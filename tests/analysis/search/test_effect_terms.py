from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.search.effect_terms import Parameter, orthonormal, terms_of


def _ranges(n, d, seed=0):
    places = np.random.default_rng(seed).random((n, d))
    return [Parameter(f"p{rank}", places[:, rank]) for rank in range(d)]


def _listed(codes, levels, name="c"):
    return Parameter(name, (np.asarray(codes) + 0.5) / levels, levels)


def test_every_term_is_orthonormal_and_centred():
    rng = np.random.default_rng(1)
    parameters = [*_ranges(80, 2), _listed(rng.integers(0, 5, 80), 5), _listed(rng.integers(0, 2, 80), 2, "b")]
    for term in terms_of(parameters):
        assert term.columns.T @ term.columns == pytest.approx(np.eye(term.df), abs=1e-10)
        assert term.columns.sum(axis=0) == pytest.approx(np.zeros(term.df), abs=1e-10)


def test_a_range_has_three_waves_and_a_list_as_many_columns_as_levels_but_one():
    rng = np.random.default_rng(1)
    parameters = [*_ranges(60, 1), _listed(rng.integers(0, 5, 60), 5)]
    assert [(term.parameters, term.df) for term in terms_of(parameters)] == [
        ((0,), 1),
        ((0,), 1),
        ((0,), 1),
        ((1,), 4),
        ((0, 1), 4),
        ((0, 1), 4),
    ]


def test_the_parts_of_one_subject_add_up_to_one():
    rng = np.random.default_rng(1)
    parameters = [*_ranges(60, 2), _listed(rng.integers(0, 3, 60), 3), _listed(rng.integers(0, 2, 60), 2)]
    weights = {}
    for term in terms_of(parameters):
        weights[term.parameters] = weights.get(term.parameters, 0.0) + term.weight
    assert len(weights) == 4 + 6
    assert list(weights.values()) == pytest.approx([1.0] * 10)


def test_a_pair_has_nothing_of_what_its_parts_do_alone():
    terms = terms_of(_ranges(50, 2))
    alone = np.concatenate([term.columns for term in terms if not term.is_pair], axis=1)
    for term in terms:
        if term.is_pair:
            assert alone.T @ term.columns == pytest.approx(np.zeros((6, 1)), abs=1e-10)


def test_names_and_order_of_levels_do_not_matter():
    codes = np.random.default_rng(2).integers(0, 6, 60)
    other = np.array([3, 5, 0, 1, 4, 2])[codes]
    (one,), (two,) = terms_of([_listed(codes, 6)]), terms_of([_listed(other, 6)])
    assert one.columns @ one.columns.T == pytest.approx(two.columns @ two.columns.T)


def test_an_inactive_parameter_has_no_columns_where_it_is_inactive():
    places = np.random.default_rng(0).random(40)
    inactive = np.arange(40) % 3 == 0
    places[inactive] = np.nan
    for term in terms_of([Parameter("child", places)]):
        assert not term.columns[inactive].any()


def test_a_pair_that_says_what_one_of_its_parts_says_is_left_out():
    rng = np.random.default_rng(0)
    switch = rng.integers(0, 2, 60)
    child = np.where(switch == 1, rng.random(60), np.nan)
    terms = terms_of([_listed(switch, 2), Parameter("child", child)])
    assert not any(term.is_pair for term in terms)  # the child exists on one side of the switch alone


def test_a_parameter_varies_only_where_it_is_active():
    assert not Parameter("a", np.array([0.5, np.nan, 0.5])).varies
    assert Parameter("a", np.array([0.5, np.nan, 0.6])).varies
    assert Parameter("a", np.array([0.0, np.nan, 0.5, 1.0]), 2).codes.tolist() == [0, 0, 1, 1]


def test_what_does_not_vary_has_no_terms():
    constant = Parameter("constant", np.full(20, 0.5))
    assert [term.parameters for term in terms_of([constant, *_ranges(20, 1)])] == [(1,)] * 3


def test_pairs_with_too_many_combinations_for_the_points_are_left_out():
    rng = np.random.default_rng(0)
    few = [_listed(rng.integers(0, 12, 50), 12, name) for name in "ab"]
    assert not any(term.is_pair for term in terms_of(few))
    many = [_listed(rng.integers(0, 3, 50), 3, name) for name in "ab"]
    assert [term.df for term in terms_of(many) if term.is_pair] == [4]


def test_only_the_first_parameters_have_pairs_where_asked():
    assert {term.parameters for term in terms_of(_ranges(40, 3), paired=2) if term.is_pair} == {(0, 1)}


def test_directions_that_are_all_but_spanned_are_dropped():
    columns = np.random.default_rng(0).normal(size=(30, 2))
    assert orthonormal(np.column_stack([columns, columns.sum(axis=1)])).shape == (30, 2)
    assert orthonormal(np.full((30, 1), 1e-9)).shape == (30, 0)
