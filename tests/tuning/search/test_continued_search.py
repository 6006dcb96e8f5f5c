"""Searches cut off at any moment and continued from what their ledger holds."""

from __future__ import annotations

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


@pytest.mark.slow_except("tpe", "random")
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
