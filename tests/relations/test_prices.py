from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.relations.base import RelationsProblem
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.prices import slots_between, starting_prices
from fgtune.relations.structure import lagrangian_bound, normal_form


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    prices=st.lists(st.floats(-3, 3) | st.sampled_from([0.0, -0.5, 0.5, 1e9, -1e9]), min_size=3, max_size=3),
    beta=st.sampled_from([0.0, 1e-12, 0.75, 30.0]),
)
def test_slots_between_are_the_sizes_that_cost_least_at_the_prices(prices, beta):
    problem = RelationsProblem(np.zeros((8, 3)), beta)
    low, high = slots_between(problem, np.array(prices))
    for price, fewest, most in zip(prices, low, high, strict=True):
        costs = [beta / 3 * (size - 2) * (size - 3) - price * size for size in range(1, 7)]
        best = [size for size, cost in enumerate(costs, start=1) if cost <= min(costs) + 1e-15 * abs(price)]
        assert (fewest, most) == (min(best), max(best)) or beta == 1e-12  # there all sizes cost nearly the same
        assert costs[fewest - 1] == pytest.approx(min(costs), abs=1e-9)


def _near_uniform(num_fine: int, num_coarse: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = np.outer(rng.dirichlet(np.full(num_fine, 30.0)), rng.dirichlet(np.full(num_coarse, 50.0)))
    affinity = shares * np.exp(0.02 * rng.normal(size=shares.shape))
    return affinity / affinity.sum()


def test_the_auction_leaves_few_members_too_many_and_proves_more_than_mean_affinities():
    problem = normal_form(RelationsProblem(_near_uniform(608, 34), beta_from_balance(1.0, 608, 34))).problem
    prices = starting_prices(problem)
    sizes = np.bincount((problem.affinity - prices).argmax(axis=1), minlength=34)
    assert np.maximum(sizes - slots_between(problem, prices)[1], 0).sum() <= 30
    assert lagrangian_bound(problem, prices) > lagrangian_bound(problem, problem.affinity.mean(axis=0))


def test_prices_of_an_unrelated_problem_are_not_started_from():
    problem = normal_form(RelationsProblem(_near_uniform(120, 10), beta_from_balance(1.0, 120, 10))).problem
    misleading = RelationsProblem(problem.affinity, problem.beta, np.linspace(0.0, 1e6, 10))
    np.testing.assert_array_equal(starting_prices(misleading), starting_prices(problem))


def test_without_balance_prices_are_zero_or_lower():
    problem = RelationsProblem(_near_uniform(30, 5), 0.0, np.array([0.3, 0.1, 0.0, -0.2, 0.3]))
    assert (starting_prices(problem) <= 0.0).all()
