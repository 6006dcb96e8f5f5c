"""The contract that every registered solver keeps."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.schema.classes import RelationsConfig
from fgtune.config.schema.paths import kinds_of
from fgtune.errors import SolverError
from fgtune.relations import SOLVERS
from fgtune.relations.base import RelationsProblem, SolveStatus
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve
from fgtune.testing.solvers import CASES, CHECKS, keeps_the_evidence

NAMES = ["cvxpy", "flow", "scip"]
TIMED = ["cvxpy", "scip"]


def test_the_suite_the_registry_and_the_config_name_the_same_solvers():
    assert set(NAMES) == set(SOLVERS) == set(kinds_of(RelationsConfig, "solver"))
    for target in SOLVERS.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_every_solver_with_a_time_limit_is_in_the_time_limit_tests(solver_config):
    assert [name for name in NAMES if hasattr(solver_config(name), "time_limit_s")] == TIMED


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_solver_keeps_the_contract(name, check):
    check({"kind": name})


@pytest.mark.parametrize("case", list(CASES), ids=list(CASES))
@pytest.mark.parametrize("name", NAMES)
def test_finds_the_brute_force_optimum_and_proves_it(name, case, solver_config):
    keeps_the_evidence({"kind": name}, CASES[case])
    solution = solve(CASES[case], solver_config(name))
    assert solution.status is SolveStatus.OPTIMAL
    assert solution.bound <= solution.objective
    assert solution.solver == name
    assert solution.seconds > 0
    assert solution.fine_to_coarse.dtype == np.int64


@st.composite
def small_problems(draw):
    num_coarse = draw(st.integers(1, 3))
    num_fine = draw(st.integers(num_coarse, 5))
    entry = draw(st.sampled_from([st.integers(-2, 2).map(float), st.floats(-3, 3, allow_subnormal=False, width=32)]))
    cells = draw(st.lists(entry, min_size=num_fine * num_coarse, max_size=num_fine * num_coarse))
    beta = draw(st.one_of(st.sampled_from([0.0, 0.5, 1.5, 1e6]), st.floats(0, 4)))
    return RelationsProblem(np.array(cells).reshape(num_fine, num_coarse), beta)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [pytest.param(60, marks=pytest.mark.slow), 12])
def test_finds_the_brute_force_optimum_of_any_small_problem(name, examples, solver_config):
    @settings(deadline=None, max_examples=examples, derandomize=True)
    @given(problem=small_problems())
    def check(problem):
        keeps_the_evidence({"kind": name}, problem)
        assert solve(problem, solver_config(name)).status is SolveStatus.OPTIMAL

    check()


@pytest.mark.parametrize("beta", [1e6, 1e30, 1e300])
@pytest.mark.parametrize("shape", [(6, 3), (5, 3), (5, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_huge_beta_still_picks_the_best_affinity_among_balanced_choices(
    name, shape, beta, solver_config, brute_force, value_of
):
    affinity = np.random.default_rng(11).normal(size=shape)
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


@pytest.mark.parametrize("name", TIMED)
def test_a_time_limit_without_a_solution_raises(name, solver_config, learned_affinity):
    problem = RelationsProblem(learned_affinity(200, 30), beta_from_balance(0.2, 200, 30))
    with pytest.raises(
        SolverError, match=rf"^{name}: no solution within the time limit of 1e-09 s \(status '\w+'\)\. Fix"
    ):
        solve(problem, solver_config(name, time_limit_s=1e-9))


@pytest.mark.parametrize("name", NAMES)
def test_a_beta_too_small_to_be_told_from_zero_is_solved(name, solver_config):
    problem = RelationsProblem(np.zeros((1, 1)), 1.401298464324817e-45)
    solution = solve(problem, solver_config(name))
    np.testing.assert_array_equal(solution.fine_to_coarse, [0])
