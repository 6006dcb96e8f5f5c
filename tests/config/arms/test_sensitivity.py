from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.arms.sensitivity import range_levels
from fgtune.config.reading.load import load_study
from fgtune.config.schema.designs import RangeConfig
from fgtune.errors import ConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")


def plan_with(tmp_path, **design) -> Plan:
    study = {
        "study": "s", "question": "q", "seeds": 2, "design": {"kind": "sensitivity", **design},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study, indent=1))
    return expand(load_study(path), lambda _: DIGITS)


def failure_of(tmp_path, **design) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_with(tmp_path, **design)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given_range", "levels"),
    [
        ({"low": 0.0, "high": 1.0}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"low": 0.01, "high": 1.0, "scale": "log", "count": 3}, [0.01, 0.1, 1.0]),
        ({"low": 0.003, "high": 0.3, "scale": "log"}, [0.003, 0.009487, 0.03, 0.09487, 0.3]),
        ({"low": 1, "high": 4, "integer": True, "count": 7}, [1, 2, 3, 4]),
        ({"low": 1, "high": 100, "integer": True, "scale": "log", "count": 3}, [1, 10, 100]),
        ({"low": -2.0, "high": 2.0, "count": 2}, [-2.0, 2.0]),
    ],
    ids=str,
)
def test_a_range_gives_evenly_spaced_levels_on_its_scale(given_range, levels):
    assert range_levels(RangeConfig.from_plain(given_range)) == levels


def test_ranges_and_lists_stand_side_by_side_in_grids(tmp_path):
    factors = {"optimizer.lr": {"low": 0.01, "high": 1.0, "scale": "log", "count": 3}, "epochs": [100, 20]}
    plan = plan_with(tmp_path, factors=factors)
    assert [arm.name for arm in plan.arms] == ["baseline", "lr=0.01", "lr=1.0", "epochs=20"]
    assert [arm.role for arm in plan.arms] == ["baseline"] + ["one_at_a_time"] * 3
    assert len(plan_with(tmp_path, factors=factors, grid="full").arms) == 6


@pytest.mark.parametrize("grid", ["random", "sobol"])
def test_drawn_points_are_distinct_in_range_and_repeatable(tmp_path, grid):
    factors = {
        "optimizer.lr": {"low": 0.001, "high": 1.0, "scale": "log"},
        "relations.every_steps": {"low": 1, "high": 50, "integer": True},
        "model.head.kind": ["linear", "cosine"],
    }
    plan = plan_with(tmp_path, factors=factors, grid=grid, points=32)
    again = plan_with(tmp_path, factors=factors, grid=grid, points=32)
    other = plan_with(tmp_path, factors=factors, grid=grid, points=32, design_seed=1)
    assert [arm.levels for arm in plan.arms] == [arm.levels for arm in again.arms]
    assert [arm.levels for arm in plan.arms] != [arm.levels for arm in other.arms]
    points = plan.arms[1:]
    assert [arm.name for arm in points][:2] == ["point-01", "point-02"]
    assert {arm.role for arm in points} == {grid}
    assert len({json.dumps(dict(arm.levels)) for arm in points}) == 32
    lrs = np.log10([arm.levels["optimizer.lr"] for arm in points])
    assert -3 <= lrs.min() < -2.5 < -0.5 < lrs.max() <= 0
    assert abs(lrs.mean() + 1.5) < 0.4
    assert {arm.levels["model.head.kind"] for arm in points} == {"linear", "cosine"}
    assert all(isinstance(arm.levels["relations.every_steps"], int) for arm in points)


def test_sobol_points_fill_the_range_more_evenly_than_random_ones(tmp_path):
    def largest_gap(grid: str, seed: int) -> float:
        factors = {"optimizer.lr": {"low": 0.1, "high": 1.1}}
        plan = plan_with(tmp_path, factors=factors, grid=grid, points=32, design_seed=seed)
        return float(np.diff(np.sort([arm.levels["optimizer.lr"] for arm in plan.arms[1:]])).max())

    for seed in range(3):
        assert largest_gap("sobol", seed) <= 2 / 32 + 1e-3 < largest_gap("random", seed)


WRONG = [
    ({"factors": {"optimizer.lr": {"low": 1.0, "high": 0.1}}},
     "design.factors.optimizer.lr: low must be < high, got low 1 and high 0.1; turn them round"),
    ({"factors": {"optimizer.lr": {"low": 0.0, "high": 0.1, "scale": "log"}}},
     "design.factors.optimizer.lr: low must be > 0 on a logarithmic scale, got 0"),
    ({"factors": {"optimizer.lr": {"low": 0.1}}}, "design.factors.optimizer.lr.high: must be given"),
    ({"factors": {"optimizer.lr": {"low": 0.1, "high": 1.0, "step": 1}}},
     "design.factors.optimizer.lr.step: unknown key."),
    ({"factors": {"optimizer.lr": {"low": -1.0, "high": 1.0, "count": 2}}},
     "design.factors.optimizer.lr: must be > 0, got -1.0"),
    (
        {"factors": {"epochs": {"low": 10, "high": 20}}},
        "design.factors.epochs: must be a whole number, got 10.0. Fix: add `integer: true` to the range",
    ),
    ({"factors": {"epochs": [20]}, "grid": "sobol"}, "design: grid sobol needs points"),
    ({"factors": {"epochs": [20]}, "points": 3}, "design: points goes with grid random or sobol, not with one_at_a"),
    ({"factors": {"epochs": [20, 30]}, "grid": "random", "points": 3},
     "design.points: must be at most the number of distinct points of the factors, got 3. Fix: ask for 2"),
    ({"factors": {"epochs": [20, 30]}, "grid": "random", "points": 6000}, "design: must have at most 5000 arms"),
    ({"factors": {"epochs": {"low": 1, "high": 90, "integer": True, "count": 90},
                  "batch_size": {"low": 10, "high": 99, "integer": True, "count": 90}}, "grid": "full"},
     "design: must have at most 5000 arms, the grid has more"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "message"), WRONG, ids=[message[:70] for _, message in WRONG])
def test_a_wrong_range_is_told_at_its_place(tmp_path, design, message):
    place, _, rest = failure_of(tmp_path, **design).splitlines()[0].partition(": ")
    assert place.startswith(str(tmp_path / "s.yaml:"))
    assert rest.startswith(message)


@settings(deadline=None, max_examples=100)
@given(
    low=st.floats(1e-4, 1e3), ratio=st.floats(1.01, 1e4), log=st.booleans(), count=st.integers(2, 20)
)  # fmt: skip
def test_levels_of_a_range_rise_from_low_to_high(low, ratio, log, count):
    made = RangeConfig(low=low, high=low * ratio, scale="log" if log else "linear", count=count)
    levels = range_levels(made)
    assert (levels[0], levels[-1]) == (made.low, made.high)
    assert levels == sorted(levels)
    if len(levels) == count > 2 and ratio > 2:
        steps = np.diff(np.log(levels) if log else levels)
        assert steps.max() - steps.min() <= 4e-3 * (math.log(made.high / made.low) if log else made.high)
