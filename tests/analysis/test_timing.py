"""The estimate of the time that is left, against sums made by hand."""

from __future__ import annotations

import math

import pytest

from fgtune.analysis.timing import cells_at_once, time_left
from fgtune.config.schema.study import ExecutionConfig
from fgtune.results.records import CellResult, CellState
from fgtune.text import duration


def ended(arm: str, seconds: float, state: CellState = CellState.COMPLETE) -> CellResult:
    return CellResult(f"{arm}{seconds}", arm, 0, "", state, {}, seconds, 1, {}, {})


def test_a_cell_takes_what_its_arm_took_and_a_new_arm_the_mean_of_all():
    results = [ended("slow", 20.0), ended("slow", 40.0), ended("fast", 3.0)]
    left = time_left(["slow", "fast", "new"], results, at_once=1)
    assert left.cell_seconds == pytest.approx(30 + 3 + 21)
    assert left.seconds == left.cell_seconds
    assert (left.cells, left.finished) == (3, 3)


def test_cells_share_the_machine_but_none_is_faster_than_itself():
    results = [ended("slow", 60.0), ended("fast", 6.0)]
    assert time_left(["fast"] * 10, results, at_once=4).seconds == pytest.approx(15.0)
    assert time_left(["slow", "fast", "fast"], results, at_once=8).seconds == 60.0


def test_failed_cells_and_unknown_seconds_are_no_guide():
    results = [ended("a", 1.0, CellState.FAIL), ended("a", math.nan), ended("a", 8.0, CellState.PRUNED)]
    assert time_left(["a"], results, at_once=1).seconds == 8.0
    assert time_left(["a"], results[:2], at_once=1) is None


def test_nothing_left_takes_no_time_to_tell():
    assert time_left([], [ended("a", 1.0)], at_once=2) is None


@pytest.mark.parametrize(
    ("execution", "cores", "gpus", "expected"),
    [
        ({}, 8, None, 8),
        ({"cpus": 3.0}, 8, None, 2),
        ({"cpus": 0.5}, 2, None, 4),
        ({"cpus": 16.0}, 8, None, 1),
        ({"gpus": 0.5}, 8, 1, 2),
        ({"gpus": 0.5}, 8, None, 8),
        ({"max_concurrent": 3}, 8, None, 3),
        ({"max_concurrent": 3, "gpus": 1.0}, 8, 2, 2),
    ],
)
def test_a_machine_holds_as_many_trials_as_its_scarcest_part_allows(execution, cores, gpus, expected):
    assert cells_at_once(ExecutionConfig(**execution), cores, gpus) == expected


def test_the_estimate_is_told_in_words():
    left = time_left(["a", "a", "a"], [ended("a", 100.0)], at_once=2)
    assert left.sentence() == "about 2 min for 3 cells of 2 min, 2 at once (judged by 1 cell finished)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (42.4, "42 s"), (170, "3 min"), (6000, "1 h 40 min"), (183_600, "2 d 3 h")],
)
def test_durations_are_told_as_people_say_them(seconds, words):
    assert duration(seconds) == words
