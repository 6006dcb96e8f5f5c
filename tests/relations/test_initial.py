from __future__ import annotations

import itertools

import numpy as np
import pytest

from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.errors import SolverError
from fgtune.relations.base import RelationsProblem
from fgtune.relations.initial import beta_from_balance, initial_affinity, random_balanced, random_sized, towards
from fgtune.relations.solve import solve


def test_balance_one_is_beta_star_of_cifar100():
    assert beta_from_balance(1.0, 100, 20) == pytest.approx(0.1)
    assert beta_from_balance(0.34, 68, 20) == pytest.approx(0.05)
    assert beta_from_balance(0.0, 100, 20) == 0.0


@pytest.mark.parametrize("balance", [-1.0, np.nan, np.inf])
def test_a_bad_balance_raises(balance):
    with pytest.raises(SolverError, match=f"^relations: balance must be finite and >= 0, got {balance}$"):
        beta_from_balance(balance, 100, 20)


@pytest.mark.parametrize("shape", [(100, 20), (107, 20), (20, 20), (7, 1), (5, 3)])
def test_random_relations_have_sizes_equal_to_within_one(shape):
    parents = random_balanced(*shape, np.random.default_rng(0))
    sizes = np.bincount(parents, minlength=shape[1])
    assert parents.shape == (shape[0],)
    assert parents.dtype == np.int64
    assert np.ptp(sizes) <= 1
    assert sizes.min() >= 1


def test_random_relations_follow_the_generator_and_spread_the_larger_columns():
    draws = [random_balanced(4, 3, np.random.default_rng(seed)) for seed in range(60)]
    assert np.array_equal(draws[7], random_balanced(4, 3, np.random.default_rng(7)))
    larger = np.bincount([np.bincount(parents).argmax() for parents in draws], minlength=3)
    assert larger.min() >= 10
    assert len({tuple(parents) for parents in draws}) > 15


def test_the_initial_affinity_is_a_row_softmax_of_the_generators_normals():
    affinity = initial_affinity(50, 6, np.random.default_rng(3))
    normals = np.random.default_rng(3).standard_normal((50, 6))
    assert affinity.sum(axis=1) == pytest.approx(np.ones(50))
    assert np.log(affinity) - np.log(affinity[:, :1]) == pytest.approx(normals - normals[:, :1])


@pytest.mark.parametrize("function", [random_balanced, initial_affinity])
def test_too_few_fine_classes_raise(function):
    with pytest.raises(SolverError, match=r"^relations: num_fine >= num_coarse >= 1 must hold, got 3 x 4$"):
        function(3, 4, np.random.default_rng(0))
    with pytest.raises(SolverError, match=r"got 3 x 5$"):
        beta_from_balance(1.0, 3, 5)


@pytest.mark.parametrize("seed", range(20))
def test_a_shifted_affinity_makes_the_balance_pull_to_given_sizes(seed):
    rng = np.random.default_rng(seed)
    num_fine, num_coarse = 6, 3
    affinity, beta = rng.random((num_fine, num_coarse)) / num_fine, float(rng.choice([0.01, 0.1, 1.0]))
    sizes = np.array([1, 2, 3])[rng.permutation(3)]

    def cost(parents):
        counts = np.bincount(parents, minlength=num_coarse)
        gained = affinity[np.arange(num_fine), parents].sum()
        return beta / num_coarse * ((counts - sizes) ** 2).sum() - gained

    feasible = (np.array(each) for each in itertools.product(range(num_coarse), repeat=num_fine))
    best = min(cost(parents) for parents in feasible if len(np.unique(parents)) == num_coarse)
    found = solve(RelationsProblem(towards(affinity, beta, sizes), beta), FlowSolverConfig()).fine_to_coarse
    assert cost(found) == pytest.approx(best, abs=1e-12)


def test_relations_of_given_sizes_follow_the_generator():
    sizes = np.array([1, 4, 2])
    draws = [random_sized(sizes, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.bincount(parents).tolist() == [1, 4, 2] for parents in draws)
    assert len({tuple(parents) for parents in draws}) > 5
    assert np.array_equal(draws[3], random_sized(sizes, np.random.default_rng(3)))
