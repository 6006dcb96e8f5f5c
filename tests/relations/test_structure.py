from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.relations.base import RelationsProblem, objective_value
from fgtune.relations.initial import random_balanced
from fgtune.relations.structure import forced_penalty, lagrangian_bound, normal_form, size_range

SHAPES = [(5, 2), (6, 3), (5, 3), (4, 4), (5, 1)]


def _problems(count: int):
    rng = np.random.default_rng(0)
    for index in range(count):
        shape = SHAPES[index % len(SHAPES)]
        affinity = rng.normal(size=shape) if index % 2 else rng.integers(0, 3, shape).astype(float)
        yield RelationsProblem(affinity, float(rng.choice([0.0, 0.05, 0.5, 2.0, 40.0])))


def test_objective_value_is_the_programme_as_falcon_writes_it(value_of):
    rng = np.random.default_rng(1)
    for problem in _problems(30):
        num_fine, num_coarse = problem.affinity.shape
        parents = rng.integers(0, num_coarse, num_fine)
        assert objective_value(problem, parents) == pytest.approx(value_of(problem, parents.tolist()), abs=1e-12)


def test_equal_sizes_cost_nothing_even_at_huge_beta():
    parents = np.arange(21) % 7
    assert objective_value(RelationsProblem(np.zeros((21, 7)), 1e300), parents) == 0.0


@pytest.mark.parametrize("shape", [(7, 3), (8, 3), (9, 3), (100, 20), (107, 20), (4, 4), (5, 1)])
def test_forced_penalty_is_what_equal_sizes_cost(shape):
    problem = RelationsProblem(np.zeros(shape), 0.7)
    parents = random_balanced(*shape, np.random.default_rng(0))
    assert forced_penalty(problem) == pytest.approx(objective_value(problem, parents), abs=1e-14)


def test_normal_form_has_numbers_near_one():
    for scale in (1e-200, 1e-5, 1.0, 1e200):
        affinity = np.random.default_rng(2).normal(size=(9, 4)) * scale + scale
        normal = normal_form(RelationsProblem(affinity, 1e3 * scale)).problem
        assert np.array_equal(normal.affinity.max(axis=1), np.zeros(9))
        assert 0.5 <= np.ptp(normal.affinity, axis=1).max() < 1.0
        assert normal.beta == 4.0


def test_normal_form_keeps_values_of_all_balanced_choices_and_minimisers(brute_force):
    for problem in _problems(25):
        normal = normal_form(problem)
        before, after = brute_force(problem), brute_force(normal.problem)
        assert before.optima == after.optima
        assert normal.restore(after.optimum) == pytest.approx(before.optimum, abs=1e-9)
        parents = np.array(before.optima[0])
        restored = normal.restore(objective_value(normal.problem, parents))
        assert restored == pytest.approx(objective_value(problem, parents), abs=1e-9)


def test_size_range_holds_every_optimal_size(brute_force):
    for problem in _problems(50):
        lowest, highest = size_range(problem)
        for choice in brute_force(problem).optima:
            sizes = np.bincount(choice)
            assert lowest <= sizes.min()
            assert sizes.max() <= highest


@pytest.mark.parametrize(("shape", "expected"), [((7, 3), (2, 3)), ((9, 3), (3, 3)), ((100, 20), (5, 5))])
def test_size_range_is_tight_when_balance_is_hard(shape, expected):
    affinity = np.random.default_rng(3).uniform(size=shape)
    assert size_range(RelationsProblem(affinity, 1e3)) == expected
    assert size_range(RelationsProblem(affinity, 0.0)) == (1, shape[0] - shape[1] + 1)


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    index=st.integers(0, 29),
    prices=st.lists(st.floats(-20, 20) | st.sampled_from([0.0, 1e-300, -1e12]), min_size=4, max_size=4),
)
def test_lagrangian_bound_holds_for_any_prices(index, prices, brute_force):
    problem = list(_problems(30))[index]
    bound = lagrangian_bound(problem, np.array(prices[: problem.affinity.shape[1]]))
    assert bound <= brute_force(problem).optimum + 1e-9 + 1e-14 * max(map(abs, prices))


def test_lagrangian_bound_by_hand():
    problem = RelationsProblem(np.array([[3.0, 0.0], [2.0, 1.0]]), 0.0)
    assert lagrangian_bound(problem, np.zeros(2)) == -5.0
    assert lagrangian_bound(problem, np.array([1.0, 0.0])) == -4.0  # the optimum: 3 + 1
