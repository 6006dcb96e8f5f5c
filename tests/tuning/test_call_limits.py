from __future__ import annotations

import pytest

from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.tuning.call_limits import Budget


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
