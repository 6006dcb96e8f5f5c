"""Searches cut off at any moment and continued from what their ledger holds."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import searches as toy
from support.searches import sampler

from fgtune.results.records import CellState
from fgtune.tuning.search.search import Search
from fgtune.tuning.search.suggestions import KnownTrial


def finished(suggestion, state=CellState.COMPLETE, values=(0.0,)) -> KnownTrial:
    cells = tuple(cell.cell_id for cell in suggestion.cells)
    return KnownTrial(suggestion.arm.name, suggestion.number, suggestion.point, state, tuple(values), {}, cells)


def killed_and_continued(plan, data, mirror) -> list[KnownTrial]:
    """Run a search that is killed at random moments and continued from its ledger; returns the ledger."""
    ledger: list[KnownTrial] = []
    proposed: dict[int, KnownTrial] = {}
    while len(ledger) < plan.search.design.trials:
        search = Search(plan, storage=mirror)
        ended = {known.number for known in ledger}
        unfinished = [each for number, each in proposed.items() if number not in ended]
        search.restore([*ledger, *unfinished])
        running = [search.suggest() for _ in unfinished]
        assert [each.point for each in running] == [each.point for each in unfinished]
        assert [each.cells[0].cell_id for each in running] == [each.cell_ids[0] for each in unfinished]
        for _ in range(data.draw(st.integers(1, 25), label="events until the kill")):
            full = len(running) == 3 or search.issued == plan.search.design.trials
            if running and (full or data.draw(st.booleans(), label="one ends")):
                one = running.pop(data.draw(st.integers(0, len(running) - 1), label="which"))
                state = data.draw(st.sampled_from([CellState.COMPLETE, CellState.FAIL]), label="how")
                values = (toy.valley(one.point),) if state is CellState.COMPLETE else ()
                ledger.append(finished(one, state, values))
                if data.draw(st.integers(0, 9), label="killed between ledger and record") == 0:
                    break
                search.record(one.number, state, values)
            elif (suggestion := search.suggest()) is not None:
                assert suggestion.number not in proposed
                proposed[suggestion.number] = finished(suggestion, None, ())
                running.append(suggestion)
    search = Search(plan, storage=mirror)
    search.restore(ledger)
    assert search.suggest() is None
    return ledger


@pytest.mark.slow
@sampler("tpe", "nsga2", "cmaes", "qmc", "random")
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_however_often_it_is_killed_every_point_is_run_once(tmp_path_factory, sampler, data):
    plan = toy.search_plan(tmp_path_factory.getbasetemp(), toy.NUMBERS, sampler=sampler, trials=10)
    ledger = killed_and_continued(plan, data, None)
    assert sorted(known.number for known in ledger) == list(range(10))
    assert len({known.cell_ids for known in ledger}) == 10


@pytest.mark.slow
@settings(deadline=None, max_examples=2)
@given(data=st.data())
def test_the_mirror_holds_what_the_ledger_holds_and_nothing_that_runs(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("search")
    ledger = killed_and_continued(toy.search_plan(folder, toy.NUMBERS, trials=10), data, folder / "optuna.db")
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'optuna.db'}")
    assert [trial.user_attrs["cell_id"] for trial in study.trials] == [known.cell_ids[0] for known in ledger]
    assert [trial.state.name for trial in study.trials] == [known.state.value for known in ledger]
    assert [trial.value for trial in study.trials] == [(*known.values, None)[0] for known in ledger]


def test_a_search_that_is_continued_learns_from_what_it_knows(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler={"kind": "tpe", "startup_trials": 5}, trials=40)
    first = Search(plan)
    known = []
    for _ in range(20):
        suggestion = first.suggest()
        value = toy.valley(suggestion.point)
        first.record(suggestion.number, CellState.COMPLETE, [value])
        known.append(finished(suggestion, values=[value]))
    second = Search(plan)
    second.restore(known)
    rest = toy.run_all(second, toy.valley)
    assert len(rest) == 20
    assert sum(map(toy.valley, rest)) / 20 > sum(each.values[0] for each in known[:5]) / 5


def test_restoring_after_the_first_question_is_refused(tmp_path):
    search = Search(toy.search_plan(tmp_path, toy.NUMBERS))
    search.suggest()
    with pytest.raises(RuntimeError, match="restore comes before the first ask"):
        search.restore([])


def test_starting_points_are_not_started_again(tmp_path):
    start = [{"objective.lambda_reg": float(value)} for value in range(4)]
    plan = toy.search_plan(tmp_path, toy.NUMBERS, start=start)
    first = Search(plan)
    one, two = first.suggest(), first.suggest()
    second = Search(plan)
    second.restore([finished(one), finished(two, None, ())])
    assert [second.suggest().point["objective.lambda_reg"] for _ in range(3)] == [1.0, 2.0, 3.0]


PRUNED_BELOW = -4.0
"""Where trials of the searches below are stopped early."""


def answer(search, suggestion) -> KnownTrial:
    """End a trial, some of them early, some without a value; returns its line of the ledger."""
    value = toy.valley({"objective.lambda_nn": 0.7, "objective.lambda_reg": 3.0} | dict(suggestion.point))
    curve = {1: value - 0.1, 2: value / 3}
    state = CellState.FAIL if suggestion.number == 4 else CellState.COMPLETE
    if value < PRUNED_BELOW:
        state, curve = CellState.PRUNED, {1: value}
    values = (value,) if state is CellState.COMPLETE else ()
    search.record(suggestion.number, state, values, curve)
    return replace(finished(suggestion, state, values), intermediate=curve)


def questions(search) -> list[tuple]:
    """What Optuna's study holds of each ask; of what CMA-ES keeps there, not the pickle, whose bytes differ."""

    def kept(trial) -> dict:
        return {name: value for name, value in trial.system_attrs.items() if "optimizer" not in name}

    return [
        (trial.state, trial.params, trial.values, trial.intermediate_values, kept(trial), trial.constraints)
        for trial in search._optuna.trials
    ]


def cut_and_uncut(plan, kill_after, at_once=1, base=None):
    """A search of one call, and one that is cut off while trials run: the points and Optuna's questions of each."""
    ledger, running, told = [], [], []
    search = Search(plan)
    for cut in (None, kill_after):
        if cut is not None:
            whole, ledger, running, search = (told, questions(search)), [], [], Search(plan)
        told = []
        if base is not None:
            search.learn(base)
            ledger.append(base)
        while True:
            if cut is not None and len(ledger) >= cut + (base is not None):
                search, cut = Search(plan), None
                search.restore([*ledger, *(finished(each, None, ()) for each in running)])
                assert [search.suggest().cells for _ in running] == [each.cells for each in running]
            while len(running) < at_once and (suggestion := search.suggest()) is not None:
                running.append(suggestion)
                told.append((suggestion.number, dict(suggestion.point)))
            if not running:
                break
            ledger.append(answer(search, running.pop(len(ledger) % len(running))))
    return whole, (told, questions(search))


CONSTRAINT = {"constraints": ["objective.lambda_reg < 5 * objective.lambda_nn"]}
START = [{"objective.lambda_nn": 0.6, "objective.lambda_reg": 2.0}, {"objective.lambda_reg": 5.0}]
SPACES = {"free": {}, "constrained": {"space": CONSTRAINT, "start": START}}


@pytest.mark.slow_except("tpe-5-constrained", "nsga2-5-constrained", "qmc-5-constrained")
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kill_after", [2, 3, 5])
@sampler("tpe", "gp", "cmaes", "nsga2", "qmc", "random")
def test_a_search_cut_off_after_some_trials_proposes_what_an_uncut_one_does(tmp_path, sampler, kill_after, space):
    trials = 7 if sampler["kind"] == "gp" else 12
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, trials=trials, **SPACES[space])
    base = KnownTrial("baseline", None, toy.base_point(plan), CellState.COMPLETE, (-1.0,), {}, ("b",))
    whole, cut = cut_and_uncut(plan, kill_after, base=base)
    assert len(whole[0]) == trials
    assert cut == whole
    if space == "constrained":
        assert len(whole[1]) > trials + 1  # points that were rejected are among the questions


@pytest.mark.slow_except("brute_force-9")
@pytest.mark.parametrize("kill_after", [3, 9])
@sampler("tpe", "random", "brute_force")
def test_a_search_of_a_finite_space_that_is_cut_off_proposes_what_an_uncut_one_does(tmp_path, sampler, kill_after):
    trials = None if sampler["kind"] == "brute_force" else 200
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler=sampler, trials=trials)
    whole, cut = cut_and_uncut(plan, kill_after)
    assert len(whole[0]) == 14
    assert cut == whole


@pytest.mark.parametrize("kill_after", [1, 7])
@sampler("qmc", "random")
def test_a_sampler_that_does_not_learn_proposes_the_same_with_several_trials_at_once(tmp_path, sampler, kill_after):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=sampler, trials=12, **SPACES["constrained"])
    whole, cut = cut_and_uncut(plan, kill_after, at_once=3)
    assert cut[0] == whole[0]


def test_a_search_that_an_earlier_version_began_keeps_its_points_and_goes_on(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler=toy.SAMPLERS["tpe"], trials=12, **SPACES["constrained"])
    own = Search(plan)
    points = [{"objective.lambda_nn": 0.3 + n / 10, "objective.lambda_reg": 0.1 * n} for n in range(6)]
    known = [finished(own._issue(own._proposals.fixed(n, point), n)) for n, point in enumerate(points)]
    search = Search(plan)
    search.restore([*known[:5], replace(known[5], state=None, values=())])
    assert search.suggest().point == points[5]
    search.record(5, CellState.COMPLETE, [0.0])
    rest = toy.run_all(search, toy.valley)
    assert len(rest) == 6
    assert not [point for point in rest if point in points]
    complete = [trial.params for trial in search._optuna.trials if trial.state.name == "COMPLETE"]
    assert complete[:6] == points
