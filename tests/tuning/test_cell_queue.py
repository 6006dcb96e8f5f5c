"""Cells handed out one by one (their order, how many at once, how many in all), and the budget of a call."""

from __future__ import annotations

import pytest
from support import searches as toy

from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.tuning.cell_queue import Budget, CellQueue


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


def test_a_cell_that_waits_makes_room_and_comes_back_first_without_counting_again(plan):
    queue = CellQueue(plan.cells, max_running=1, budget=budget_of(cells=2))
    queue.may_return = True
    first = queue.take()
    queue.hold(first.cell_id, ["unknown"])
    second = queue.take()
    assert second == plan.cells[1]
    assert not queue.is_over
    queue.release(first.cell_id)
    assert queue.take() is None  # the other one runs
    queue.on_result(toy.result_of(second))
    assert queue.take() == first
    assert not queue.is_over
    queue.on_result(toy.result_of(first))
    assert queue.take() is None
    assert queue.is_over


def test_a_place_is_kept_only_for_cells_that_run(plan):
    queue = CellQueue([*plan.cells, *plan.cells], max_running=2)
    first, second = queue.take(), queue.take()
    queue.hold(first.cell_id, [second.cell_id])
    assert queue.take() is None
    queue.hold(second.cell_id, [first.cell_id])  # which waits itself
    assert queue.take() is not None


def test_cells_that_wait_for_some_that_a_budget_does_not_let_start_end_the_queue(plan):
    queue = CellQueue(plan.cells, max_running=1, budget=budget_of(cells=1))
    queue.may_return = True
    first = queue.take()
    queue.hold(first.cell_id, [])
    assert queue.take() is None
    assert (queue.is_over, queue.is_done, queue.is_spent) == (True, False, True)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def budget(clock, cpus=2.0, gpus=0.5, **limits):
    return Budget(ExecutionConfig(cpus=cpus, gpus=gpus, budget=BudgetConfig(**limits)), clock)


def test_without_limits_nothing_is_ever_spent(clock):
    each = budget(clock)
    each.cell_started("a")
    clock.now += 1e9
    assert each.spent() is None


def test_wall_seconds_count_from_the_beginning(clock):
    each = budget(clock, wall_s=10)
    clock.now += 50  # nothing has started
    assert each.spent() is None
    each.start()
    clock.now += 5
    each.start()  # the next study of the same call
    clock.now += 4
    assert each.spent() is None
    clock.now += 1
    assert each.spent() == "the budget of 10 wall seconds is used up"


@pytest.mark.parametrize(("limit", "unit"), [({"core_s": 20}, "core-seconds"), ({"gpu_s": 5}, "GPU-seconds")])
def test_held_resources_count_while_cells_run(clock, limit, unit):
    each = budget(clock, **limit)
    each.cell_started("a")
    clock.now += 4  # 8 core-seconds, 2 GPU-seconds
    each.cell_ended("a")
    clock.now += 100
    assert each.spent() is None
    each.cell_started("b")
    each.cell_started("c")
    each.cell_started("c")  # a restart does not begin it anew
    clock.now += 3  # 12 more, 3 more
    assert unit in each.spent()


def test_a_cell_that_never_started_ends_without_cost(clock):
    each = budget(clock, core_s=1)
    each.cell_ended("a")
    clock.now += 50
    assert each.spent() is None
