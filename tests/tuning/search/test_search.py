from __future__ import annotations

import pytest
from support import searches as toy

from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult, CellState
from fgtune.tuning.call_limits import Budget
from fgtune.tuning.search.cell_queue import CellQueue
from fgtune.tuning.search.history import ledger_trials
from fgtune.tuning.search.search import Search

METRIC = "val/silhouette"


def result_of(cell, value=0.5, state=CellState.COMPLETE) -> CellResult:
    metrics = {METRIC: value} if state is CellState.COMPLETE else {}
    return CellResult(
        cell.cell_id, cell.arm, cell.seed, cell.config_hash, state, metrics, 1.0, 3, dict(cell.levels),
        cell.config.to_plain(),
    )  # fmt: skip


def search_of(plan, finished=(), proposed=(), warnings=None, announced=None) -> Search:
    search = Search(
        plan,
        finished={result.cell_id: result for result in finished},
        announce=(announced if announced is not None else []).append,
        warn=(warnings if warnings is not None else []).append,
    )
    search.restore(ledger_trials(plan, finished, proposed))
    return search


def drained(queue, result_of=result_of):
    """Run every cell at once; the cells in their order."""
    cells = []
    while (cell := queue.take()) is not None:
        cells.append(cell)
        queue.on_result(result_of(cell))
    return cells


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, trials=4)


def test_a_list_is_handed_out_in_its_order(plan):
    queue = CellQueue(plan.cells)
    assert [queue.take(), queue.take(), queue.take()] == [*plan.cells, None]
    assert queue.is_over


def test_no_more_cells_are_under_way_than_allowed(plan):
    queue = CellQueue(plan.cells, at_once=1)
    first = queue.take()
    assert queue.take() is None
    assert not queue.is_over
    queue.on_result(result_of(first))
    assert queue.take() == plan.cells[1]
    assert (queue.is_over, queue.is_done, queue.is_spent) == (True, True, False)


def budget_of(**limits):
    return Budget(ExecutionConfig(budget=BudgetConfig(**limits)))


def test_two_queues_share_one_budget_of_cells(plan):
    shared = budget_of(cells=3)
    first, second = (CellQueue(plan.cells[:2], budget=shared) for _ in "ab")
    assert len(drained(first)) == 2
    assert not first.is_spent
    assert second.take() is not None
    assert second.take() is None
    assert second.is_spent


def test_a_limit_of_cells_ends_the_queue_before_its_time(plan):
    queue = CellQueue(plan.cells, budget=budget_of(cells=1))
    assert queue.take() is not None
    assert queue.take() is None
    assert (queue.is_over, queue.is_done, queue.is_spent) == (True, False, True)


def test_a_limit_as_large_as_the_list_is_not_spent(plan):
    queue = CellQueue(plan.cells, budget=budget_of(cells=len(plan.cells)))
    assert len(drained(queue)) == len(plan.cells)
    assert (queue.is_done, queue.is_spent) == (True, False)


def test_a_search_hands_out_the_baseline_then_every_seed_of_every_trial(plan):
    announced = []
    search = search_of(plan, announced=announced)
    cells = drained(search)
    arms = [cell.arm for cell in cells]
    assert arms == [each for each in ("baseline", "trial-0000", "trial-0001", "trial-0002", "trial-0003") for _ in "ab"]
    assert [cell.seed for cell in cells] == [0, 1] * 5
    assert [each.arm.name for each in announced] == arms[2::2]
    assert search.is_over
    assert not search.running


def test_a_trial_is_announced_before_its_cells_and_recorded_when_all_seeds_are_in(plan):
    announced = []
    search = search_of(plan, finished=[result_of(cell) for cell in plan.cells], announced=announced)
    one, two = search.take(), search.take()
    assert [each.cells for each in announced] == [(one, two)]
    search.on_result(result_of(two))
    assert len(search.running) == 1
    search.on_result(result_of(one))
    assert not search.running


@pytest.mark.parametrize("kill_after", range(1, 10))
def test_a_search_cut_off_anywhere_goes_on_without_losing_or_repeating_a_cell(plan, kill_after):
    announced, finished = [], []
    search = search_of(plan, announced=announced)
    for _ in range(kill_after):
        cell = search.take()
        finished.append(result_of(cell, value=float(len(finished))))
        search.on_result(finished[-1])
    under_way = search.take()  # handed out, and lost with the driver
    proposed = [(each.arm.name, each.arm.levels) for each in announced]
    again = search_of(plan, finished=finished, proposed=proposed, announced=announced)
    rest = drained(again)
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
    sampled = [cell.config.neighbors.sampled for cell in drained(search)]
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
    assert [cell.arm for cell in drained(search)] == ["baseline"] * 2 + ["trial-0000"] * 2
    assert warnings == ["the search ends here: design.space: leaves no new point"]
    assert search.is_over


def test_failed_and_stopped_trials_are_told_as_what_they_are(plan):
    search = search_of(plan)
    states = {"trial-0000": CellState.FAIL, "trial-0001": CellState.PRUNED}
    drained(search, lambda cell: result_of(cell, state=states.get(cell.arm, CellState.COMPLETE)))
    told = {trial.user_attrs["arm"]: trial.state.name for trial in search._optuna.trials}
    assert told["trial-0000"] == "FAIL"
    assert told["trial-0001"] == "PRUNED"
    assert told["trial-0002"] == told["trial-0003"] == "COMPLETE"
