"""The contract that every registered solver keeps."""

from __future__ import annotations

import importlib
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.relations import SolverConfig
from fgtune.errors import SolverError
from fgtune.relations import SOLVERS
from fgtune.relations.base import RelationsProblem, SolveStatus
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve

NAMES = ["cvxpy", "flow", "scip"]
TIMED = ["cvxpy", "scip"]


def _random(num_fine: int, num_coarse: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_fine, num_coarse))


CASES = {
    "random": RelationsProblem(_random(6, 3), 0.4),
    "all affinities tie": RelationsProblem(np.ones((6, 3)), 0.3),
    "many affinities tie": RelationsProblem(np.random.default_rng(1).integers(0, 2, (6, 3)).astype(float), 0.5),
    "penalty and affinity tie": RelationsProblem(np.repeat([[1.0, 0.0]], 4, axis=0), 1.0),
    "beta 0": RelationsProblem(_random(6, 3, 2), 0.0),
    "beta 0, nobody wants the last class": RelationsProblem(np.repeat([[9.0, 5.0, -50.0]], 5, axis=0), 0.0),
    "nothing to choose by": RelationsProblem(np.zeros((5, 3)), 0.0),
    "huge beta, equal sizes": RelationsProblem(_random(6, 3, 3), 1e6),
    "huge beta, unequal sizes": RelationsProblem(_random(5, 3, 4), 1e6),
    "as many fine as coarse": RelationsProblem(_random(3, 3, 5), 0.7),
    "as many fine as coarse, beta 0": RelationsProblem(np.repeat([[3.0, 2.0, 1.0]], 3, axis=0), 0.0),
    "one coarse class": RelationsProblem(_random(4, 1, 6), 0.9),
    "one of each": RelationsProblem(np.array([[-2.0]]), 3.0),
    "negative affinities": RelationsProblem(-np.abs(_random(6, 2, 7)), 0.1),
    "tiny numbers": RelationsProblem(_random(6, 3, 8) * 1e-9, 1e-10),
    "large numbers": RelationsProblem(_random(6, 3, 9) * 1e9, 1e8),
    "large offset": RelationsProblem(_random(6, 3, 10) + 1e6, 0.4),
}


def test_the_suite_the_registry_and_the_config_name_the_same_solvers():
    union, _ = get_args(SolverConfig)
    kinds = {get_args(member.model_fields["kind"].annotation)[0] for member in get_args(union)}
    assert set(NAMES) == set(SOLVERS) == kinds
    for target in SOLVERS.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_every_solver_with_a_time_limit_is_in_the_time_limit_tests(solver_config):
    assert [name for name in NAMES if hasattr(solver_config(name), "time_limit_s")] == TIMED


def _check_against(solution, problem, oracle, value_of):
    tolerance = 1e-9 * (abs(oracle.optimum) + float(np.abs(problem.affinity).max()))
    assert solution.status is SolveStatus.OPTIMAL
    assert solution.objective == pytest.approx(oracle.optimum, abs=tolerance)
    assert value_of(problem, solution.fine_to_coarse.tolist()) == pytest.approx(oracle.optimum, abs=tolerance)
    assert solution.bound <= solution.objective
    assert solution.bound == pytest.approx(oracle.optimum, abs=10 * tolerance)


@pytest.mark.parametrize("case", list(CASES), ids=list(CASES))
@pytest.mark.parametrize("name", NAMES)
def test_finds_the_brute_force_optimum_and_proves_it(name, case, solver_config, brute_force, value_of):
    problem = CASES[case]
    solution = solve(problem, solver_config(name))
    assert solution.solver == name
    assert solution.seconds > 0
    assert solution.fine_to_coarse.dtype == np.int64
    _check_against(solution, problem, brute_force(problem), value_of)


@st.composite
def small_problems(draw):
    num_coarse = draw(st.integers(1, 3))
    num_fine = draw(st.integers(num_coarse, 5))
    entry = draw(st.sampled_from([st.integers(-2, 2).map(float), st.floats(-3, 3, allow_subnormal=False, width=32)]))
    cells = draw(st.lists(entry, min_size=num_fine * num_coarse, max_size=num_fine * num_coarse))
    beta = draw(st.one_of(st.sampled_from([0.0, 0.5, 1.5, 1e6]), st.floats(0, 4)))
    return RelationsProblem(np.array(cells).reshape(num_fine, num_coarse), beta)


@pytest.mark.parametrize("name", NAMES)
def test_finds_the_brute_force_optimum_of_any_small_problem(name, solver_config, brute_force, value_of):
    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(problem=small_problems())
    def check(problem):
        _check_against(solve(problem, solver_config(name)), problem, brute_force(problem), value_of)

    check()


@pytest.mark.parametrize("beta", [1e6, 1e30, 1e300])
@pytest.mark.parametrize("shape", [(6, 3), (5, 3), (5, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_huge_beta_still_picks_the_best_affinity_among_balanced_choices(
    name, shape, beta, solver_config, brute_force, value_of
):
    affinity = _random(*shape, seed=11)
    parents = solve(RelationsProblem(affinity, beta), solver_config(name)).fine_to_coarse
    balanced = brute_force(RelationsProblem(0 * affinity, 1.0)).optima
    best = min(value_of(RelationsProblem(affinity, 0.0), choice) for choice in balanced)
    assert tuple(parents) in balanced
    assert value_of(RelationsProblem(affinity, 0.0), parents.tolist()) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("balance", [0.0, 0.05, 0.3, 1.0, 1e6])
@pytest.mark.parametrize("num_fine", [100, 107])
def test_all_solvers_agree_at_the_size_of_cifar100(num_fine, balance, solver_config, learned_affinity):
    problem = RelationsProblem(learned_affinity(num_fine, 20), beta_from_balance(balance, num_fine, 20))
    solutions = [solve(problem, solver_config(name)) for name in NAMES]
    values = [solution.objective for solution in solutions]
    assert values == pytest.approx([values[0]] * len(NAMES), rel=1e-9)
    assert all(solution.status is SolveStatus.OPTIMAL and solution.gap <= 1e-9 for solution in solutions)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_problem_gives_the_same_parents_whatever_the_global_seed(name, solver_config):
    problem = RelationsProblem(np.random.default_rng(0).integers(0, 3, (30, 5)).astype(float), 0.8)
    np.random.seed(1)  # noqa: NPY002 (moving the global state is the point)
    first = solve(problem, solver_config(name)).fine_to_coarse
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(first, solve(problem, solver_config(name)).fine_to_coarse)


@pytest.mark.parametrize("name", NAMES)
def test_leaves_the_given_affinity_untouched(name, solver_config):
    affinity = _random(8, 3)
    affinity.setflags(write=False)
    before = affinity.copy()
    solve(RelationsProblem(affinity, 0.2), solver_config(name))
    assert np.array_equal(affinity, before)


@pytest.mark.parametrize("name", TIMED)
def test_a_time_limit_without_a_solution_raises(name, solver_config, learned_affinity):
    problem = RelationsProblem(learned_affinity(200, 30), beta_from_balance(0.2, 200, 30))
    with pytest.raises(
        SolverError, match=rf"^{name}: no solution within the time limit of 1e-09 s \(status '\w+'\)\. Fix"
    ):
        solve(problem, solver_config(name, time_limit_s=1e-9))
