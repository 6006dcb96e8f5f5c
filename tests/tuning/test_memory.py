"""Trials that lack memory: which they are, and that fewer run at a time from then on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from support import searches as toy

from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.tuning import memory
from fgtune.tuning.cell_queue import Budget, CellQueue
from fgtune.tuning.memory import MemoryRetries

MONITOR = OutOfMemoryError(
    "Task was killed due to the node running low on memory.\n"
    "Memory on the node (IP: 10.0.0.1, ID: ab) was 15.2GB used / 16GB limit (0.950000), which exceeds"
)


def raised_in_a_worker(error: Exception) -> RayTaskError:
    return RayTaskError("step", "Traceback", error)


@pytest.fixture
def cells(tmp_path):
    return list(toy.search_plan(tmp_path, toy.NUMBERS, seeds=4).cells)


@pytest.fixture
def budget():
    return Budget(ExecutionConfig(budget=BudgetConfig(cells=10)))


@pytest.fixture
def started(cells, budget):
    """Four cells under way, and what looks after their memory."""
    queue = CellQueue(cells, budget=budget)
    retries = MemoryRetries(queue, budget)
    for cell in cells:
        assert queue.take() == cell
        retries.started(cell.cell_id)
    return queue, retries


def lose(retries, cell, error=MONITOR):
    fault = retries.fault(cell.cell_id, error)
    retries.ended(cell.cell_id)
    return fault, retries.give_back(cell.cell_id)


def test_a_trial_that_ray_ended_for_memory_comes_back_when_fewer_run(started, cells, budget):
    queue, retries = started
    fault, is_back = lose(retries, cells[1])
    assert is_back
    assert fault.text == (
        "out of memory: Ray ended its worker when 15.2GB of 16GB were in use; it goes on from its checkpoint, "
        "and from now on at most 3 trials run at a time"
    )
    assert queue.take() is None, "three others still run"
    queue.on_result(toy.result_of(cells[0]))
    assert queue.take() == cells[1]
    assert retries.given_back(cells[1].cell_id) == 1
    assert budget.cells == 6, "four cells were started, one of them twice"


def test_two_that_are_lost_at_once_run_one_after_the_other(cells, budget):
    queue = CellQueue(cells[:2], budget=budget)
    retries = MemoryRetries(queue, budget)
    for cell in cells[:2]:
        queue.take()
        retries.started(cell.cell_id)
    assert lose(retries, cells[0])[1]
    assert lose(retries, cells[1])[1], "it ran beside the other one until then"
    assert budget.at_once == 1
    first = queue.take()
    retries.started(first.cell_id)
    assert queue.take() is None
    fault, is_back = lose(retries, first)
    assert not is_back, "it ran alone: this is a failure"
    assert fault.text.startswith("out of memory with no other trial beside it: ")
    assert ". Fix: " in fault.text


def test_the_limit_holds_for_the_next_queue_of_the_call_and_never_rises(started, cells, budget):
    _, retries = started
    for cell in cells[:3]:
        lose(retries, cell)
    assert budget.at_once == 1
    following = CellQueue(cells, budget=budget)
    assert following.take() is not None
    assert following.take() is None


@pytest.mark.parametrize(
    "error",
    [
        raised_in_a_worker(MemoryError("no")),
        raised_in_a_worker(np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype("float64"))),
        raised_in_a_worker(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")),
    ],
)
def test_allocations_that_fail_in_a_trial_are_want_of_memory(started, cells, error):
    assert lose(started[1], cells[0], error)[1]


@pytest.mark.parametrize("error", [raised_in_a_worker(ValueError("memory")), RayActorError(None, "it died")])
def test_other_ends_are_left_to_tune(started, cells, budget, error):
    assert lose(started[1], cells[0], error) == (None, False)
    assert budget.at_once is None


def test_a_worker_that_died_while_linux_killed_for_memory_lacked_memory(cells, budget, tmp_path, monkeypatch):
    counts = tmp_path / "memory.events"
    counts.write_text("low 0\noom 3\noom_kill 3\noom_group_kill 0\n")
    monkeypatch.setattr(memory, "KILLS", (counts, tmp_path / "nothing"))
    queue = CellQueue(cells, budget=budget)
    retries = MemoryRetries(queue, budget)
    for _ in range(2):
        retries.started(queue.take().cell_id)
    died = RayActorError(None, "the worker died unexpectedly")
    assert retries.fault(cells[0].cell_id, died) is None, "nothing was killed for memory since the beginning"
    counts.write_text("low 0\noom 4\noom_kill 4\noom_group_kill 0\n")
    fault = retries.fault(cells[0].cell_id, died)
    assert fault.gives_back
    assert "the system killed its worker" in fault.text
    assert retries.fault(cells[1].cell_id, died) is None, "that death is told"


def test_tune_takes_a_worker_that_ray_ended_for_memory_for_a_dead_one(monkeypatch):
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    from fgtune.tuning.tune_faults import bearing_faults

    seen = []
    before = RayActorManager._actor_task_failed, TuneController._process_trial_failure
    monkeypatch.setattr(RayActorManager, "_actor_task_failed", lambda manager, task, error: seen.append(error))
    monkeypatch.setattr(TuneController, "_process_trial_failure", lambda controller, trial, error: seen.append(trial))
    with bearing_faults(lambda trial, error: seen.append((trial, error))):
        RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=MONITOR)
        TuneController._process_trial_failure(None, "trial", exception=seen[0])
    assert isinstance(seen[0], RayActorError)
    assert seen[1:] == [("trial", MONITOR), "trial"]
    monkeypatch.undo()
    assert before == (RayActorManager._actor_task_failed, TuneController._process_trial_failure)
