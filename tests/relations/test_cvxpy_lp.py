from __future__ import annotations

import numpy as np
import pytest

from fgtune.config.schema.classes import CvxpySolverConfig, FlowSolverConfig
from fgtune.errors import SolverError
from fgtune.relations import cvxpy_lp
from fgtune.relations.base import RelationsProblem, SolveStatus
from fgtune.relations.cvxpy_lp import read_outcome
from fgtune.relations.solve import solve

CHOICE = np.array([[1.0, 0.0], [0.0, 1.0], [1e-9, 1.0 - 1e-9]])
NO_TIME = r"^cvxpy: no solution within the time limit of 2\.5 s \(status 'user_limit'\)\. Fix: raise"


@pytest.mark.parametrize(
    ("native", "status"), [("optimal", SolveStatus.OPTIMAL), ("user_limit", SolveStatus.TIME_LIMIT)]
)
def test_integral_values_are_parents(native, status):
    found, parents = read_outcome(native, CHOICE, 2.5)
    assert found is status
    assert parents.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "values",
    [
        None,
        np.zeros((3, 2)),
        np.full((3, 2), 0.5),
        np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]),
        np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        np.array([[2.0, -1.0], [1.0, 0.0], [0.0, 1.0]]),
        np.array([[np.nan, 1.0], [1.0, 0.0], [0.0, 1.0]]),
    ],
    ids=["none", "untouched", "fractional", "uncovered", "two parents", "not 0 or 1", "nan"],
)
def test_a_point_that_is_no_choice_at_the_time_limit_raises(values):
    with pytest.raises(SolverError, match=NO_TIME):
        read_outcome("user_limit", values, 2.5)


def test_a_fractional_optimum_is_refused():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
    with pytest.raises(
        SolverError, match=r"^cvxpy: the optimum of the relaxation must be integral to 1e-06, got a dev.* 0\.25"
    ):
        read_outcome("optimal", values, 2.5)


@pytest.mark.parametrize("native", ["infeasible", "unbounded", "optimal_inaccurate", "solver_error"])
def test_every_other_status_raises_even_with_values(native):
    with pytest.raises(
        SolverError, match=f"^cvxpy: HiGHS ended with status '{native}', which gives no usable solution$"
    ):
        read_outcome(native, CHOICE, 2.5)


def test_a_choice_at_the_time_limit_comes_with_a_proven_bound(monkeypatch, learned_affinity):
    problem = RelationsProblem(learned_affinity(60, 8), 0.01)
    optimum = solve(problem, CvxpySolverConfig())
    monkeypatch.setitem(cvxpy_lp.STATUSES, "optimal", SolveStatus.TIME_LIMIT)
    cut_off = solve(problem, CvxpySolverConfig())
    assert cut_off.status is SolveStatus.TIME_LIMIT
    assert cut_off.objective == optimum.objective
    assert cut_off.gap <= 1e-12


def test_a_failure_inside_cvxpy_is_a_solver_error(monkeypatch):
    def fail(*_args, **_settings):
        raise cvxpy_lp.cp.SolverError("Solver 'HIGHS' failed.")

    monkeypatch.setattr(cvxpy_lp.cp.Problem, "solve", fail)
    with pytest.raises(SolverError, match=r"^cvxpy: HiGHS failed \(Solver 'HIGHS' failed\.\)$"):
        solve(RelationsProblem(np.eye(3), 0.1), CvxpySolverConfig())


@pytest.mark.parametrize("seed", range(12))
def test_its_prices_prove_optimality_when_one_coarse_class_is_unpopular(seed):
    rng = np.random.default_rng(seed)
    affinity = rng.dirichlet(np.full(3, 0.3), size=8)
    affinity[:, -1] -= 1.0
    problem = RelationsProblem(affinity, 1.5)
    by_lp, by_flow = solve(problem, CvxpySolverConfig()), solve(problem, FlowSolverConfig())
    assert by_lp.objective == pytest.approx(by_flow.objective, abs=1e-12)
    assert by_lp.bound == pytest.approx(by_lp.objective, abs=1e-12)
