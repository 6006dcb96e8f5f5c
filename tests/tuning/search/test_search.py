from __future__ import annotations

import pytest
from support import searches as toy

from fgtune.errors import ConfigError
from fgtune.results.records import CellState
from fgtune.tuning.search.history import ledger_trials
from fgtune.tuning.search.search import Search


def search_of(plan, finished=(), proposed=(), warnings=None, announced=None) -> Search:
    search = Search(
        plan,
        finished={result.cell_id: result for result in finished},
        announce=(announced if announced is not None else []).append,
        warn=(warnings if warnings is not None else []).append,
    )
    search.restore(ledger_trials(plan, finished, proposed))
    return search


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, trials=4)


def test_a_search_hands_out_the_baseline_then_every_seed_of_every_trial(plan):
    announced = []
    search = search_of(plan, announced=announced)
    cells = toy.drained(search)
    arms = [cell.arm for cell in cells]
    assert arms == [each for each in ("baseline", "trial-0000", "trial-0001", "trial-0002", "trial-0003") for _ in "ab"]
    assert [cell.seed for cell in cells] == [0, 1] * 5
    assert [each.arm.name for each in announced] == arms[2::2]
    assert search.is_over
    assert not search.running


def test_a_trial_is_announced_before_its_cells_and_recorded_when_all_seeds_are_in(plan):
    announced = []
    search = search_of(plan, finished=[toy.result_of(cell) for cell in plan.cells], announced=announced)
    one, two = search.take(), search.take()
    assert [each.cells for each in announced] == [(one, two)]
    search.on_result(toy.result_of(two))
    assert len(search.running) == 1
    search.on_result(toy.result_of(one))
    assert not search.running


@pytest.mark.parametrize("kill_after", range(1, 10))
def test_a_search_cut_off_anywhere_goes_on_without_losing_or_repeating_a_cell(plan, kill_after):
    announced, finished = [], []
    search = search_of(plan, announced=announced)
    for _ in range(kill_after):
        cell = search.take()
        finished.append(toy.result_of(cell, value=float(len(finished))))
        search.on_result(finished[-1])
    under_way = search.take()  # handed out, and lost with the driver
    proposed = [(each.arm.name, each.arm.levels) for each in announced]
    again = search_of(plan, finished=finished, proposed=proposed, announced=announced)
    rest = toy.drained(again)
    assert rest[0] == under_way
    ids = [result.cell_id for result in finished] + [cell.cell_id for cell in rest]
    assert len(ids) == len(set(ids)) == 10
    assert {(r.arm, r.seed) for r in finished} | {(c.arm, c.seed) for c in rest} == {
        (arm, seed) for arm in ("baseline", *(f"trial-{n:04d}" for n in range(4))) for seed in (0, 1)
    }
    assert not again.running


def test_a_space_that_is_used_up_ends_the_search(tmp_path):
    parameters = {"neighbors.sampled": {"kind": "choice", "values": [1, 5, 7]}}
    plan = toy.search_plan(tmp_path, parameters, trials=50)
    search = search_of(plan)
    sampled = [cell.config.neighbors.sampled for cell in toy.drained(search)]
    assert sorted(sampled) == [1, 5, 7]  # 5 is the baseline's
    assert search.is_over


def test_a_space_without_a_new_point_ends_the_search_with_a_warning(plan, monkeypatch):
    warnings = []
    search = search_of(plan, warnings=warnings)
    suggest, asked = search.suggest, []

    def suggest_twice():
        asked.append(None)
        if len(asked) > 1:
            raise ConfigError("leaves no new point", path="design.space")
        return suggest()

    monkeypatch.setattr(search, "suggest", suggest_twice)
    assert [cell.arm for cell in toy.drained(search)] == ["baseline"] * 2 + ["trial-0000"] * 2
    assert warnings == ["the search ends here: design.space: leaves no new point"]
    assert search.is_over


def test_failed_and_stopped_trials_are_recorded_as_what_they_are(plan):
    search = search_of(plan)
    states = {"trial-0000": CellState.FAIL, "trial-0001": CellState.PRUNED}
    toy.drained(search, lambda cell: toy.result_of(cell, state=states.get(cell.arm, CellState.COMPLETE)))
    states = {trial.user_attrs["arm"]: trial.state.name for trial in search._optuna.trials}
    assert states["trial-0000"] == "FAIL"
    assert states["trial-0001"] == "PRUNED"
    assert states["trial-0002"] == states["trial-0003"] == "COMPLETE"
