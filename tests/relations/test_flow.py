from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.relations.base import RelationsProblem, objective_value
from fgtune.relations.flow import solve_flow
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve


def assignment_on_slots(problem: RelationsProblem) -> float:
    """Optimum by one rectangular assignment: each column as slots of rising cost, the first of them with a bonus."""
    num_fine, num_coarse = problem.affinity.shape
    depth = num_fine - num_coarse + 1
    column, slot = np.divmod(np.arange(num_coarse * depth), depth)
    marginal = problem.beta / num_coarse * (2 * slot + 1)
    bonus = 10 * (float(np.ptp(problem.affinity)) + 2 * problem.beta / num_coarse * num_fine + 1)
    cost = marginal - problem.affinity[:, column] - bonus * (slot == 0)
    fine, chosen = linear_sum_assignment(cost)
    parents = np.empty(num_fine, dtype=np.int64)
    parents[fine] = column[chosen]
    return objective_value(problem, parents)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_coarse=st.integers(1, 9),
    surplus=st.integers(0, 40),
    levels=st.sampled_from([0, 1, 2, 5]),
    pull=st.sampled_from([0.0, 1.0, 4.0]),
    beta=st.sampled_from([0.0, 1e-6, 0.01, 0.25, 1.0, 3.0, 50.0]),
)
def test_equals_one_assignment_on_slots(seed, num_coarse, surplus, levels, pull, beta):
    rng = np.random.default_rng(seed)
    shape = (num_coarse + surplus, num_coarse)
    affinity = rng.integers(0, levels + 1, shape).astype(float) if levels else rng.normal(size=shape)
    affinity[:, 0] += pull  # most fine classes want the first column
    problem = RelationsProblem(affinity, beta)
    raw = solve_flow(problem, FlowSolverConfig())
    assert np.bincount(raw.fine_to_coarse, minlength=num_coarse).min() >= 1
    assert raw.objective == pytest.approx(assignment_on_slots(problem), abs=1e-9)
    assert raw.bound == pytest.approx(raw.objective, abs=1e-9)


@pytest.mark.parametrize("num_fine", [240, 251])
def test_equals_one_assignment_on_slots_at_real_size(num_fine, learned_affinity):
    problem = RelationsProblem(learned_affinity(num_fine, 30), 0.02)
    raw = solve_flow(problem, FlowSolverConfig())
    assert raw.objective == pytest.approx(assignment_on_slots(problem), rel=1e-12)
    assert raw.bound == pytest.approx(raw.objective, rel=1e-12)


def test_ties_go_to_the_lowest_index():
    raw = solve_flow(RelationsProblem(np.zeros((5, 1)), 0.0), FlowSolverConfig())
    assert raw.fine_to_coarse.tolist() == [0] * 5
    raw = solve_flow(
        RelationsProblem(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 0.0), FlowSolverConfig()
    )
    assert sorted(raw.fine_to_coarse[:2].tolist()) == [0, 1]
    assert raw.fine_to_coarse[2] == 2


def test_the_worst_case_of_one_favourite_column_stays_exact():
    affinity = np.zeros((300, 20))
    affinity[:, 0] = 1.0
    raw = solve_flow(RelationsProblem(affinity, 1e3), FlowSolverConfig())
    assert np.bincount(raw.fine_to_coarse).tolist() == [15] * 20
    assert raw.objective == raw.bound == -15.0


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_coarse=st.integers(1, 9),
    surplus=st.integers(0, 40),
    levels=st.sampled_from([0, 1, 2, 5]),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
    beta=st.sampled_from([0.0, 1e-12, 1e-6, 0.01, 0.25, 3.0, 50.0]),
)
def test_any_prices_to_start_from_lead_to_an_optimum(seed, num_coarse, surplus, levels, spread, beta):
    rng = np.random.default_rng(seed)
    shape = (num_coarse + surplus, num_coarse)
    affinity = rng.integers(0, levels + 1, shape).astype(float) if levels else rng.normal(size=shape)
    cold = solve_flow(RelationsProblem(affinity, beta), FlowSolverConfig())
    warm = solve_flow(RelationsProblem(affinity, beta, spread * rng.normal(size=num_coarse)), FlowSolverConfig())
    again = solve_flow(RelationsProblem(affinity, beta, cold.prices), FlowSolverConfig())
    for raw in (warm, again):
        assert raw.objective == pytest.approx(cold.objective, abs=1e-9)
        assert raw.bound == pytest.approx(raw.objective, abs=1e-9)


def _near_uniform(num_fine: int, num_coarse: int) -> np.ndarray:
    """Like the teacher's predictions early in training: every fine class looks like the data as a whole."""
    rng = np.random.default_rng(0)
    affinity = np.outer(rng.dirichlet(np.full(num_fine, 30.0)), rng.dirichlet(np.full(num_coarse, 50.0)))
    affinity *= np.exp(0.02 * rng.normal(size=affinity.shape))
    return affinity / affinity.sum()


def _dead_rows_and_columns(num_fine: int, num_coarse: int) -> np.ndarray:
    """Fine classes that are never predicted and coarse classes without samples: many exact ties."""
    affinity = _near_uniform(num_fine, num_coarse)
    affinity[::3] = 0.0
    affinity[:, ::5] = 0.0
    return affinity


@pytest.mark.slow_except("near_uniform-0.3", "dead_rows_and_columns-0.3")
@pytest.mark.parametrize("balance", [0.0, 0.003, 0.3, 1.0])
@pytest.mark.parametrize("make", [_near_uniform, _dead_rows_and_columns], ids=lambda make: make.__name__.strip("_"))
def test_large_problems_are_proven_by_their_prices(make, balance):
    affinity = make(1203, 150)
    beta = beta_from_balance(balance, *affinity.shape)
    solution = solve(RelationsProblem(affinity, beta), FlowSolverConfig())
    assert solution.objective - solution.bound <= 1e-12
    again = solve(RelationsProblem(affinity, beta, solution.prices), FlowSolverConfig())
    assert again.objective == pytest.approx(solution.objective, abs=1e-12)


def test_prices_are_those_of_the_problem_that_was_given_whatever_its_scale():
    affinity = _near_uniform(60, 6)
    small, large = (
        solve(RelationsProblem(scale * affinity, scale * 0.05), FlowSolverConfig()).prices for scale in (1.0, 1024.0)
    )
    np.testing.assert_allclose(large, 1024.0 * small, rtol=1e-12)


@pytest.mark.slow_except("True")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("huge", [False, True])
def test_prices_of_a_problem_of_another_scale_are_no_hindrance(huge):
    """An affinity that is constant but for its last bit, after one that was not, or with prices that no solve gives."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        num_coarse, beta = int(rng.integers(2, 9)), float(rng.choice([0.01, 0.25, 1.0, 3.0]))
        shape = (num_coarse + int(rng.integers(0, 30)), num_coarse)
        before = solve(RelationsProblem(rng.normal(size=shape), beta), FlowSolverConfig())
        level = rng.uniform(0.001, 0.1)
        affinity = np.where(rng.random(shape) < 0.3, np.nextafter(level, 2.0), level)
        prices = 1e300 * rng.normal(size=num_coarse) if huge else before.prices
        cold, warm = (solve(RelationsProblem(affinity, beta, each), FlowSolverConfig()) for each in (None, prices))
        assert warm.objective == pytest.approx(cold.objective, abs=1e-12)
