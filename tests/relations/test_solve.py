from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.errors import SolverError
from fgtune.relations.base import RawSolution, RelationsProblem, RelationsSolution, SolveStatus, objective_value
from fgtune.relations.solve import check_solution, load_solver, solve

PROBLEM = RelationsProblem(np.array([[0.0, -1.0], [0.0, -0.5], [-0.25, 0.0]]), 0.1)
BEST = np.array([0, 0, 1])
BEST_VALUE = objective_value(PROBLEM, BEST)


@pytest.mark.parametrize(
    ("affinity", "beta", "message"),
    [
        (np.ones(3), 0.1, r"affinity must have shape \(num_fine, num_coarse\), got \(3,\)"),
        (np.ones((2, 3)), 0.1, r"num_fine >= num_coarse >= 1 must hold, got 2 x 3"),
        (np.ones((0, 0)), 0.1, r"num_fine >= num_coarse >= 1 must hold, got 0 x 0"),
        (np.ones((3, 0)), 0.1, r"num_fine >= num_coarse >= 1 must hold, got 3 x 0"),
        (np.array([["a"], ["b"]]), 0.1, r"affinity must hold real numbers, got dtype <U1"),
        (np.ones((2, 2), dtype=complex), 0.1, r"affinity must hold real numbers, got dtype complex128"),
        (
            np.array([[0.0, 1.0], [np.nan, np.inf]]),
            0.1,
            r"affinity must be finite, got nan for fine class 1 and coarse class 0 \(2 such entries\)",
        ),
        (np.ones((2, 2)), -0.1, r"beta must be finite and >= 0, got -0.1"),
        (np.ones((2, 2)), np.nan, r"beta must be finite and >= 0, got nan"),
        (np.ones((2, 2)), np.inf, r"beta must be finite and >= 0, got inf"),
        (np.full((2, 2), 1e308), 0.0, r"affinity and beta must be small enough to be added, got 1e\+308"),
    ],
    ids=[
        "1-d",
        "too few fine",
        "empty",
        "no coarse",
        "text",
        "complex",
        "not finite",
        "negative",
        "nan",
        "inf",
        "overflow",
    ],
)
def test_a_bad_problem_raises(affinity, beta, message):
    with pytest.raises(SolverError, match=f"^relations: {message}$"):
        solve(RelationsProblem(affinity, beta), FlowSolverConfig())


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_any_real_dtype_is_taken(dtype):
    affinity = np.array([[3, 1], [2, 0], [0, 1]], dtype=dtype)
    solution = solve(RelationsProblem(affinity, 0.1), FlowSolverConfig())
    assert solution.fine_to_coarse.tolist() == [0, 0, 1]
    assert solution.objective == pytest.approx(-6 + 0.1 * (5 / 2 - 9 / 4))


def test_an_unknown_solver_lists_the_known_ones():
    with pytest.raises(SolverError, match=r"^relations solver must be one of cvxpy, flow, scip, got 'gurobi'$"):
        load_solver("gurobi")


@pytest.mark.parametrize(
    "prices", [np.zeros(3), np.zeros((2, 1)), np.array([0.0, np.nan])], ids=["length", "2-d", "nan"]
)
def test_prices_to_start_from_must_fit_the_problem(prices):
    problem = RelationsProblem(PROBLEM.affinity, 0.1, prices)
    with pytest.raises(SolverError, match=r"^relations: prices must be \(2,\) finite numbers, got shape"):
        solve(problem, FlowSolverConfig())


def _raw(parents=BEST, status=SolveStatus.OPTIMAL, objective=BEST_VALUE, bound=BEST_VALUE) -> RawSolution:
    return RawSolution(np.asarray(parents), status, objective, bound)


def test_the_post_condition_accepts_a_proven_optimum_and_an_unproven_choice():
    check_solution(PROBLEM, _raw(), "any")
    check_solution(PROBLEM, _raw(status=SolveStatus.TIME_LIMIT, bound=-np.inf), "any")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (_raw(parents=[0, 1]), r"parents must be \(3,\) int64, got \(2,\) int64"),
        (_raw(parents=[0.0, 0.0, 1.0]), r"parents must be \(3,\) int64, got \(3,\) float64"),
        (_raw(parents=[0, 2, 1]), r"parents must be in 0\.\.1, got 0\.\.2"),
        (_raw(parents=[0, -1, 1]), r"parents must be in 0\.\.1, got -1\.\.1"),
        (_raw(parents=[0, 0, 0]), r"every coarse class needs a fine class, got none for \[1\]"),
        (_raw(objective=-1.0), r"claims the objective -1, but the parents give 0\.0250*"),
        (_raw(objective=np.nan), r"claims the objective nan, but the parents give 0\.0250*"),
        (_raw(bound=0.5), r"claims the bound 0\.5, above its own objective 0\.0250*"),
        (_raw(bound=np.nan), r"claims the bound nan, above its own objective 0\.0250*"),
        (_raw(bound=-1.0), r"claims optimality, but objective 0\.0250* > bound -1"),
    ],
    ids=["short", "dtype", "above", "below", "empty", "objective", "nan", "bound", "nan bound", "gap"],
)
def test_the_post_condition_refuses(raw, message):
    with pytest.raises(SolverError, match=f"^any: {message}$"):
        check_solution(PROBLEM, raw, "any")


def test_solve_applies_the_post_condition_to_the_backend(monkeypatch):
    monkeypatch.setattr("fgtune.relations.flow.solve_flow", lambda problem, config: _raw(parents=[1, 1, 1]))
    with pytest.raises(SolverError, match=r"^flow: every coarse class needs a fine class, got none for \[0\]$"):
        solve(PROBLEM, FlowSolverConfig())


def test_a_time_limit_with_a_solution_is_reported_with_its_gap(monkeypatch):
    def cut_off(problem, config):
        parents = np.array([0, 1, 1])
        value = objective_value(problem, parents)
        return RawSolution(parents, SolveStatus.TIME_LIMIT, value, value - 2**-4)

    monkeypatch.setattr("fgtune.relations.flow.solve_flow", cut_off)
    problem = RelationsProblem(np.array([[4.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.0)
    solution = solve(problem, FlowSolverConfig())
    assert solution.status is SolveStatus.TIME_LIMIT
    assert solution.objective == -5.0
    assert solution.bound == -5.5  # spread 4 makes the unit 8, and 8 / 16 is what the backend left open
    assert solution.gap == pytest.approx(0.1)


def test_gap_is_relative_and_never_negative():
    def gap(objective, bound):
        return RelationsSolution(BEST, SolveStatus.TIME_LIMIT, objective, bound, 0.0, "any").gap

    assert gap(-2.0, -3.0) == 0.5
    assert gap(-2.0, -1.9999999) == 0.0
    assert gap(0.0, 0.0) == 0.0
    assert gap(-2.0, -np.inf) == np.inf


@pytest.mark.integration
def test_the_default_solver_imports_no_solver_library():
    code = (
        "import sys, numpy as np\n"
        "from fgtune.config.schema.classes import FlowSolverConfig\n"
        "from fgtune.relations.base import RelationsProblem\n"
        "from fgtune.relations.solve import solve\n"
        "solve(RelationsProblem(np.eye(3), 0.1), FlowSolverConfig())\n"
        "print([name for name in ('cvxpy', 'pyscipopt', 'highspy', 'scipy', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
