from __future__ import annotations

import json
import math

import pytest
from optuna.trial import TrialState
from support import searches as toy
from support.searches import SAMPLERS, sampler

from fgtune.config.schema.tuning import SamplerConfig
from fgtune.errors import ConfigError
from fgtune.results.records import CellState
from fgtune.tuning.search.search import Search
from fgtune.tuning.search.suggestions import KnownTrial

POPULATION = {"nsga2": {"population": 10}}
WITHOUT_END = [name for name in SAMPLERS if name != "brute_force"]
WITH_CONDITIONS = ["tpe", "gp", "nsga2", "random"]


def budget(sampler, trials: int) -> int:
    """Fewer trials for the sampler that takes half a second for each."""
    return min(trials, 7) if sampler["kind"] == "gp" else trials


def optuna_trials(search):
    return search._optuna.trials


def states_of(search) -> set[TrialState]:
    return {trial.state for trial in optuna_trials(search)}


def test_every_sampler_is_tested():
    kinds = {member.model_fields["kind"].default for member in SamplerConfig.__origin__.__args__}
    assert kinds == set(SAMPLERS)


@sampler(*WITHOUT_END)
def test_a_search_hands_out_as_many_distinct_points_as_its_budget(tmp_path, sampler):
    trials = budget(sampler, 12)
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, trials=trials)
    search = Search(plan)
    points = toy.run_all(search, toy.valley)
    assert len({json.dumps(point, sort_keys=True) for point in points}) == trials
    for point in points:
        assert 0.1 <= point["objective.lambda_nn"] <= 2.0
        assert 0.0 <= point["objective.lambda_reg"] <= 6.0
    assert states_of(search) == {TrialState.COMPLETE}
    assert search.suggest() is None


@pytest.mark.slow
@sampler("tpe", "gp", "cmaes", "nsga2", slow="gp")
def test_a_sampler_that_learns_ends_nearer_the_optimum_than_it_began(tmp_path, sampler):
    trials = 18 if sampler["kind"] == "gp" else 60
    plan = toy.search_plan(
        tmp_path, toy.NUMBERS, sampler={**sampler, **POPULATION.get(sampler["kind"], {})}, trials=trials
    )
    found = [toy.valley(point) for point in toy.run_all(Search(plan), toy.valley)]
    third = trials // 3
    assert sum(found[-third:]) > sum(found[:third])
    assert max(found) > -0.1


@sampler(*WITHOUT_END, slow="gp")
def test_the_same_answers_give_the_same_questions(tmp_path, sampler):
    trials = budget(sampler, 12)
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, trials=trials)
    first = toy.run_all(Search(plan), toy.valley)
    assert toy.run_all(Search(plan), toy.valley) == first
    other = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, design_seed=1, trials=trials)
    assert toy.run_all(Search(other), toy.valley) != first


@sampler(*WITH_CONDITIONS, slow="gp")
def test_parameters_exist_where_their_condition_holds(tmp_path, sampler):
    plan = toy.search_plan(tmp_path, toy.CONDITIONAL, sampler=sampler, trials=budget(sampler, 20))
    search = Search(plan)
    kinds = set()
    while (suggestion := search.suggest()) is not None:
        solver = suggestion.config.relations.solver
        kinds.add(solver.kind)
        assert ("relations.solver.time_limit_s" in suggestion.point) == (solver.kind == "scip")
        level = suggestion.arm.levels["relations.solver.time_limit_s"]
        assert level == (solver.time_limit_s if solver.kind == "scip" else None)
        search.record(suggestion.number, CellState.COMPLETE, [float(suggestion.point["relations.every_steps"])])
    assert kinds == {"flow", "scip"}


@sampler("tpe", "nsga2", "random", "brute_force")
def test_a_finite_space_is_gone_through_once_and_ends_the_search(tmp_path, sampler):
    trials = None if sampler["kind"] == "brute_force" else 200
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler=sampler, trials=trials)
    search = Search(plan)
    points = toy.run_all(search)
    assert len(points) == 14
    assert len({json.dumps(point, sort_keys=True) for point in points}) == 14
    assert all(point["neighbors.sampled"] < 30 for point in points)
    assert TrialState.RUNNING not in states_of(search)


@sampler(*WITHOUT_END, slow="gp")
def test_forbidden_points_never_come_out(tmp_path, sampler):
    constraint = "objective.lambda_reg < 2 * objective.lambda_nn"  # about a sixth of the space
    trials = budget(sampler, 15)
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, space={"constraints": [constraint]}, trials=trials)
    search = Search(plan)
    points = toy.run_all(search, toy.valley)
    assert len(points) == trials
    assert all(point["objective.lambda_reg"] < 2 * point["objective.lambda_nn"] for point in points)
    assert search.rejected > 0
    complete = [trial for trial in optuna_trials(search) if trial.state is TrialState.COMPLETE]
    assert len(complete) == trials + search.reused
    assert TrialState.RUNNING not in states_of(search)


@pytest.mark.slow
def test_a_space_that_is_almost_forbidden_is_searched_all_the_same(tmp_path):
    constraint = "objective.lambda_reg < 0.05"
    plan = toy.search_plan(
        tmp_path, toy.NUMBERS, sampler={"kind": "qmc"}, space={"constraints": [constraint]}, trials=5
    )
    assert len(toy.run_all(Search(plan), toy.valley)) == 5


@pytest.mark.slow
def test_tpe_learns_what_is_forbidden(tmp_path):
    constraint = "objective.lambda_reg < 1"
    plan = toy.search_plan(
        tmp_path, toy.NUMBERS, sampler=SAMPLERS["tpe"], space={"constraints": [constraint]}, trials=40
    )
    search = Search(plan)
    toy.run_all(search, toy.valley)
    broken = [trial for trial in optuna_trials(search) if trial.constraints]
    assert broken
    assert {trial.state for trial in broken} == {TrialState.PRUNED}
    assert search.rejected < 5 * 40 * 0.8  # blind draws would be rejected five times of six


@sampler("tpe", "nsga2", "random", "gp")
def test_several_objectives(tmp_path, sampler):
    metric = ["val/silhouette", "cost/solver_seconds"]
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, metric=metric, trials=budget(sampler, 14))
    search = Search(plan)
    points = toy.run_all(search, lambda point: (toy.valley(point), point["objective.lambda_reg"]))
    assert len(points) == budget(sampler, 14)
    suggestion = optuna_trials(search)[-1]
    assert suggestion.values == [toy.valley(points[-1]), points[-1]["objective.lambda_reg"]]


def test_a_suggestion_is_a_full_trial_for_every_seed(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, seeds=[3, 5])
    suggestion = Search(plan).suggest()
    assert suggestion.arm.name == "trial-0000"
    assert suggestion.arm.role == "search"
    assert [cell.seed for cell in suggestion.cells] == [3, 5]
    assert len({cell.cell_id for cell in suggestion.cells}) == 2
    assert suggestion.config.objective.lambda_nn == suggestion.point["objective.lambda_nn"]
    assert suggestion.arm.levels == suggestion.point


ENDS = [
    (CellState.COMPLETE, [1.5], TrialState.COMPLETE, 1.5),
    (CellState.COMPLETE, [math.nan], TrialState.FAIL, None),
    (CellState.COMPLETE, [math.inf], TrialState.FAIL, None),
    (CellState.FAIL, None, TrialState.FAIL, None),
    (CellState.PRUNED, None, TrialState.PRUNED, 0.25),
]


@pytest.mark.parametrize(("state", "values", "shown", "value"), ENDS, ids=[f"{each[0]}-{each[1]}" for each in ENDS])
def test_optuna_learns_the_truth(tmp_path, state, values, shown, value):
    search = Search(toy.search_plan(tmp_path, toy.NUMBERS))
    suggestion = search.suggest()
    assert [each.number for each in search.running] == [0]
    final = search.record(suggestion.number, state, values, {1: 0.5, 2: math.nan, 3: 0.25})
    trial = optuna_trials(search)[0]
    assert (trial.state, trial.value) == (shown, value)
    assert trial.intermediate_values == {1: 0.5, 3: 0.25}
    assert final.value == shown.name
    assert trial.user_attrs["cell_id"] == suggestion.cells[0].cell_id
    assert search.running == ()
    assert search.record(suggestion.number, CellState.COMPLETE, [9.0]) is final


def test_numbers_never_handed_out_and_missing_values_are_refused(tmp_path):
    search = Search(toy.search_plan(tmp_path, toy.NUMBERS))
    with pytest.raises(ValueError, match="suggestion 3 was never handed out"):
        search.record(3, CellState.FAIL)
    search.suggest()
    with pytest.raises(ValueError, match="a complete trial needs 1 values, got 0"):
        search.record(0, CellState.COMPLETE)
    search.record(0, CellState.FAIL)


def test_points_to_start_from_come_first_and_may_leave_something_open(tmp_path):
    start = [{"objective.lambda_nn": 0.6, "objective.lambda_reg": 2}, {"objective.lambda_reg": 3.0}]
    search = Search(toy.search_plan(tmp_path, toy.NUMBERS, start=start))
    first, second, third = search.suggest(), search.suggest(), search.suggest()
    assert first.point == {"objective.lambda_nn": 0.6, "objective.lambda_reg": 2.0}
    assert second.point["objective.lambda_reg"] == 3.0
    assert third.point["objective.lambda_reg"] not in (2.0, 3.0)


def test_a_point_that_is_known_is_answered_without_running(tmp_path):
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler={"kind": "tpe", "startup_trials": 2}, trials=15)
    search = Search(plan)
    points = toy.run_all(search, lambda point: -float(point["neighbors.sampled"]))
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points) == 14
    assert search.reused > 0
    by_point = {}
    for trial in optuna_trials(search):
        if trial.state is TrialState.COMPLETE:
            by_point.setdefault(json.dumps(trial.params, sort_keys=True), set()).add(trial.value)
    assert all(len(values) == 1 for values in by_point.values())


BASE = {
    "objective.pseudo_labels.hardening": "cosine",
    "objective.pseudo_labels.soft_fraction": 0.3,
    "neighbors.sampled": 5,
}


def test_the_baseline_is_never_a_suggestion_and_is_learned_from_when_it_ends(tmp_path):
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler={"kind": "brute_force"}, trials=None)
    search = Search(plan)
    first = search.suggest()
    search.record(first.number, CellState.COMPLETE, [0.0])
    search.learn(KnownTrial("baseline", None, BASE, CellState.COMPLETE, (1.0,), {}, ("c",)))
    assert BASE not in [dict(first.point), *toy.run_all(search)]
    learned = [trial for trial in optuna_trials(search) if trial.user_attrs.get("arm") == "baseline"]
    assert [(trial.params, trial.value) for trial in learned] == [(BASE, 1.0)]


def test_points_under_way_are_not_handed_out_twice(tmp_path):
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler={"kind": "random"}, trials=200)
    search = Search(plan)
    suggestions = []
    while (suggestion := search.suggest()) is not None:
        suggestions.append(suggestion)
    assert len({json.dumps(dict(each.point), sort_keys=True) for each in suggestions}) == len(suggestions) == 14
    assert len(search.running) == 14
    for each in reversed(suggestions):
        search.record(each.number, CellState.COMPLETE, [0.0])
    assert TrialState.RUNNING not in states_of(search)


def test_values_of_every_kind_come_back_as_they_were_stated(tmp_path):
    schedules = [{"kind": "multistep"}, {"kind": "cosine"}, {"kind": "cosine", "period": 0.5}]
    parameters = {
        "schedule": {"kind": "choice", "values": schedules},
        "optimizer.nesterov": {"kind": "choice", "values": [True, False]},
        "neighbors.refresh_epochs": {"kind": "choice", "values": [None, 5]},
        "neighbors.features": {"kind": "choice", "values": ["teacher"]},
        "model.backbone.hidden": {"kind": "choice", "values": [[16], [16, 16]]},
    }
    plan = toy.search_plan(tmp_path, parameters, sampler={"kind": "brute_force"}, trials=None)
    points = toy.run_all(Search(plan))
    assert len(points) == 3 * 2 * 2 * 2
    assert [point["schedule"] for point in points if point["schedule"] in schedules] == [p["schedule"] for p in points]
    assert {type(point["optimizer.nesterov"]) for point in points} == {bool}
    assert {json.dumps(point["model.backbone.hidden"]) for point in points} == {"[16]", "[16, 16]"}


def test_a_missing_package_is_reported_at_once(tmp_path, monkeypatch):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler={"kind": "cmaes"})
    monkeypatch.setattr("fgtune.tuning.search.samplers.find_spec", lambda _: None)
    message = r"^design\.sampler: cmaes needs a package that is not installed\. Fix: pip install cmaes, or use tpe$"
    with pytest.raises(ConfigError, match=message):
        Search(plan)
