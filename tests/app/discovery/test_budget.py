"""A schedule fits into its time, and gives things up in the order that the page states."""

from __future__ import annotations

import pytest

from fgtune.app.discovery.budget import (
    CELL_S,
    ENOUGH_EPOCHS,
    EPOCHS,
    USED,
    Costs,
    grid_of,
    make_schedule,
    near_of,
    schedule_text,
    time_cells,
)
from fgtune.app.discovery.studies import arms_of
from fgtune.data.load import load_dataset

ARMS = arms_of((64,))
GRID = (3, 4, 5, 6, 8, 10)


def test_cells_are_timed_without_a_gpu_as_the_trials_run(make_config):
    config = make_config({"device": "cuda"})  # which would be an error on a machine without one
    costs = time_cells(config, load_dataset(config.data))
    assert costs.epoch > 0
    assert costs.fixed > CELL_S


def test_cheap_cells_give_up_nothing():
    plan = make_schedule(600, 2, Costs(2.0, 0.02), GRID, ARMS)
    assert (plan.epochs, plan.grid, plan.arms, plan.seeds_methods, plan.given_up) == (EPOCHS[0], GRID, ARMS, 5, ())
    assert plan.seconds <= 600 * USED
    assert "6 numbers of fine classes and 6 near the best x 3 seeds, then 6 methods x 5 seeds" in schedule_text(plan)


def test_dearer_cells_give_up_epochs_then_training_for_numbers_then_seeds_methods_and_numbers():
    """With every doubling of the cost no more is run, and what is given up is given up in order."""
    plans = [make_schedule(600, 2, Costs(2.0, 0.02 * 2**power), GRID, ARMS) for power in range(12)]
    ranks = [
        (plan.first == "kmeans", -plan.epochs, -plan.seeds_methods, -len(plan.arms), -plan.near, -len(plan.grid))
        for plan in plans
    ]
    assert ranks == sorted(ranks)
    assert [len(plan.given_up) for plan in plans] == sorted(len(plan.given_up) for plan in plans)
    first = next(plan for plan in plans if plan.given_up)
    assert (first.first, first.seeds_methods, first.arms, first.grid) == ("falcon", 5, ARMS, GRID)
    cheap = next(plan for plan in plans if plan.first == "kmeans")
    assert cheap.epochs >= ENOUGH_EPOCHS
    last = plans[-1]
    assert (last.epochs, last.seeds_methods, len(last.arms), last.near, len(last.grid)) == (EPOCHS[-1], 3, 5, 0, 3)
    phrases = " ".join(last.given_up)
    named = ("60 epochs", "5 seeds a method", "the method spectral", "k-means estimates", "of 6")
    assert all(part in phrases for part in named)


def test_more_cores_fit_more():
    one, eight = (make_schedule(300, cores, Costs(2.0, 0.2), GRID, ARMS) for cores in (1, 8))
    assert (one.first, eight.first) == ("kmeans", "falcon")
    assert "then" not in schedule_text(make_schedule(300, 2, Costs(1.0, 0.1), (), ARMS))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([900, 900], (3, 4, 5, 6, 8, 10, 12, 16, 20, 24)), ([40, 40, 40], (5, 6, 8, 9, 12)), ([9, 9], (3, 4))],
)
def test_the_grid_leaves_ten_samples_a_class(sizes, expected):
    assert grid_of(len(sizes), sizes) == expected


@pytest.mark.parametrize(
    ("grid", "best", "most", "expected"),
    [
        ((3, 4, 6, 10), 6, 6, (5, 7, 8, 9)),
        ((3, 4, 6, 10), 10, 3, (7, 11, 13)),
        ((3, 4, 6, 10), 4, 6, (4, 5)),
        ((3, 4, 6, 10), 4, 0, ()),
        ((4, 6, 8), 4, 6, (3, 5)),
        ((20, 40, 80), 40, 4, (21, 41, 60, 79)),
        ((5,), 5, 6, (3, 4, 6, 7)),
    ],
)
def test_numbers_near_the_best_lie_between_its_neighbours(grid, best, most, expected):
    found = near_of(grid, best, 3, most)
    assert (best in found) == (len(expected) == 2 and best in expected)
    assert len(found) <= most
    assert len(found) != 1  # a study over numbers needs two
    if len(expected) != most or not most:
        assert found == expected
    else:
        assert (found[0], found[-1]) == (expected[0], expected[-1])
