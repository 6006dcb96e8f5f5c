"""Cells handed out one by one: their order, how many at once, and how many in all."""

from __future__ import annotations

import pytest
from support import searches as toy

from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.tuning.call_limits import Budget
from fgtune.tuning.cell_queue import CellQueue


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, trials=4)


def test_a_list_is_handed_out_in_its_order(plan):
    queue = CellQueue(plan.cells)
    assert [queue.take(), queue.take(), queue.take()] == [*plan.cells, None]
    assert queue.is_over


def test_no_more_cells_are_under_way_than_allowed(plan):
    queue = CellQueue(plan.cells, max_running=1)
    first = queue.take()
    assert queue.take() is None
    assert not queue.is_over
    queue.on_result(toy.result_of(first))
    assert queue.take() == plan.cells[1]
    assert (queue.is_over, queue.is_done, queue.is_spent) == (True, True, False)


def budget_of(**limits):
    return Budget(ExecutionConfig(budget=BudgetConfig(**limits)))


def test_two_queues_share_one_budget_of_cells(plan):
    shared = budget_of(cells=3)
    first, second = (CellQueue(plan.cells[:2], budget=shared) for _ in "ab")
    assert len(toy.drained(first)) == 2
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
    assert len(toy.drained(queue)) == len(plan.cells)
    assert (queue.is_done, queue.is_spent) == (True, False)
