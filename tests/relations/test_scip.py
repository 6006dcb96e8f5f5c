from __future__ import annotations

import numpy as np
import pytest

from fgtune.config.schema.classes import ScipSolverConfig
from fgtune.errors import SolverError
from fgtune.relations import scip
from fgtune.relations.base import RelationsProblem, SolveStatus
from fgtune.relations.scip import read_status
from fgtune.relations.solve import solve


def test_optimal_with_a_solution_is_optimal():
    assert read_status("optimal", 1, 30.0) is SolveStatus.OPTIMAL


def test_time_limit_with_a_solution_is_a_time_limit():
    assert read_status("timelimit", 3, 30.0) is SolveStatus.TIME_LIMIT


def test_time_limit_without_a_solution_raises_and_names_the_limit():
    with pytest.raises(SolverError, match=r"^scip: no solution within the time limit of 2\.5 s \(status 'timelimit'\)"):
        read_status("timelimit", 0, 2.5)


@pytest.mark.parametrize("native", ["infeasible", "memlimit", "userinterrupt", "unknown", "unbounded"])
def test_every_other_status_raises_even_with_a_solution(native):
    with pytest.raises(SolverError, match=f"^scip: ended with status '{native}', which gives no usable solution$"):
        read_status(native, 1, 30.0)


def test_an_incumbent_at_a_limit_comes_with_its_bound_and_gap(monkeypatch, learned_affinity):
    build = scip._model

    def stopped_at_the_first_solution(problem):
        model, choices = build(problem)
        model.setParam("limits/solutions", 1)
        return model, choices

    monkeypatch.setattr(scip, "_model", stopped_at_the_first_solution)
    monkeypatch.setitem(scip.STATUSES, "sollimit", SolveStatus.TIME_LIMIT)
    problem = RelationsProblem(learned_affinity(60, 8), 0.01)
    solution = solve(problem, ScipSolverConfig())
    monkeypatch.undo()
    optimum = solve(problem, ScipSolverConfig()).objective
    assert solution.status is SolveStatus.TIME_LIMIT
    assert np.unique(solution.fine_to_coarse).size == 8
    assert solution.bound <= optimum < solution.objective
    assert 0.0 < solution.gap < np.inf
