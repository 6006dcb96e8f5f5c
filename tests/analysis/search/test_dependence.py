"""Partial dependence, the path to the best point and Shapley values: against what was planted and slow formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.search import dependence
from fgtune.analysis.search.axes import Axis
from fgtune.analysis.search.dependence import dependence_of
from fgtune.analysis.search.importances import Importance, Importances, Interaction
from fgtune.analysis.trials import Trial

METRIC = "test/ari"
AXES = (
    Axis("a", "a", True, False, 0.0, 1.0),
    Axis("b", "b", True, True, 0.01, 100.0),
    Axis("kind", "kind", False, False, 0.0, 2.0, ("x", "y", "z")),
    Axis("idle", "idle", True, False, 0.0, 1.0),
)
KINDS = {"x": 0.0, "y": 0.3, "z": -0.2}


def truth(a: float, b: float, kind: str) -> float:
    one, two = math.cos(math.pi * a), math.cos(math.pi * (math.log10(b) + 2) / 4)
    return 0.4 * one + 0.1 * two + 0.25 * one * two + KINDS[kind]


def trial(arm: str, levels, value: float, is_baseline: bool = False) -> Trial:
    return Trial(arm, is_baseline, levels, "COMPLETE", 1, {METRIC: value}, 3, 1)


@pytest.fixture
def searched(monkeypatch):
    """Ninety points without noise, and a baseline."""
    rng, trials = np.random.default_rng(0), []
    for rank in range(90):
        levels = {
            "a": rng.random(),
            "b": 10 ** rng.uniform(-2, 2),
            "kind": "xyz"[rng.integers(3)],
            "idle": rng.random(),
        }
        trials.append(trial(f"t{rank}", levels, truth(levels["a"], levels["b"], levels["kind"])))
    base = {"a": 0.9, "b": 50.0, "kind": "z", "idle": 0.5}
    trials.append(trial("baseline", base, truth(base["a"], base["b"], base["kind"]), is_baseline=True))
    monkeypatch.setattr(dependence, "axes_of", lambda _: AXES)
    monkeypatch.setattr(dependence, "criteria_of", lambda _: (INFO,))
    return trials


def important(name: str, *, alone: bool = True, partners=()) -> Importance:
    return Importance(name, 0.5, 0.4, 0.6, 0.1, alone, 0.1, 0.05, partners)


SMOOTHED = 2e-4
"""What smoothing may take from a value without noise."""
INFO, DATA = metric_info(METRIC), SimpleNamespace(level=0.95)
ITEMS = (
    important("a", partners=("b",)),
    important("b", partners=("a",)),
    important("kind"),
    important("idle", alone=False),
)
FOUND = Importances(METRIC, 90, 0.95, 0.9, ITEMS, (Interaction(("a", "b"), 0.2, 0.1, 0.3),), ())


def test_a_curve_is_the_mean_over_the_points_at_each_level(searched):
    found = dependence_of(DATA, searched, INFO, FOUND)
    assert [curve.path for curve in found.curves] == ["a", "b", "kind"]
    points = [each.levels for each in searched if not each.is_baseline]
    for curve in found.curves:
        for level, text, effect in zip(curve.levels, curve.texts, curve.effects, strict=True):
            own = {curve.path: text if curve.path == "kind" else level}
            slow = np.mean([truth(**({key: each[key] for key in ("a", "b", "kind")} | own)) for each in points])
            assert effect.value == pytest.approx(slow, abs=SMOOTHED)
        assert curve.mean == pytest.approx(np.mean([each.value(METRIC) for each in searched[:-1]]))


def test_the_path_changes_the_parameter_that_gains_most_first_and_ends_at_the_best_point(searched):
    path = dependence_of(DATA, searched, INFO, FOUND).path
    best = max(searched[:-1], key=lambda each: each.value(METRIC))
    assert path.arm == best.arm
    now = {key: searched[-1].levels[key] for key in ("a", "b", "kind")}
    left = {change.path for change in path.changes}
    for change in path.changes:
        gains = {name: truth(**(now | {name: best.levels[name]})) - truth(**now) for name in left}
        assert change.step.value == pytest.approx(gains[change.path], abs=SMOOTHED)
        assert gains[change.path] == pytest.approx(max(gains.values()))
        now[change.path] = best.levels[change.path]
        left.remove(change.path)
    assert path.total.value == pytest.approx(path.measured, abs=SMOOTHED)
    assert path.total.value == pytest.approx(sum(change.step.value for change in path.changes))
    assert path.unchanged == ("idle",)


def test_shares_are_means_over_all_orders_and_interactions_differences_of_differences(searched):
    path = dependence_of(DATA, searched, INFO, FOUND).path
    base = {key: searched[-1].levels[key] for key in ("a", "b", "kind")}
    best = next(each.levels for each in searched if each.arm == path.arm)

    def game(changed) -> float:
        return truth(**(base | {name: best[name] for name in changed}))

    names = [change.path for change in path.changes]
    for change in path.changes:
        orders = [order[: order.index(change.path)] for order in permutations(names)]
        slow = np.mean([game({*before, change.path}) - game(before) for before in orders])
        assert change.share.value == pytest.approx(slow, abs=SMOOTHED)
    assert sum(change.share.value for change in path.changes) == pytest.approx(path.total.value)
    (pair,) = path.interactions
    assert pair.effect.value == pytest.approx(game("ab") - game("a") - game("b") + game(""), abs=SMOOTHED)


def test_a_metric_to_be_minimised_has_the_same_path_downwards(searched, monkeypatch):
    upwards = dependence_of(DATA, searched, INFO, FOUND).path
    info = replace(INFO, direction="minimize")
    monkeypatch.setattr(dependence, "criteria_of", lambda _: (info,))
    flipped = [replace(each, means={METRIC: -each.value(METRIC)}) for each in searched]
    path = dependence_of(DATA, flipped, info, FOUND).path
    assert path.arm == upwards.arm
    assert [change.path for change in path.changes] == [change.path for change in upwards.changes]
    assert path.total.value == pytest.approx(-upwards.total.value)


def test_where_nothing_stands_out_there_is_nothing(searched):
    idle = tuple(replace(item, stands_out=False, partners=()) for item in ITEMS)
    assert dependence_of(DATA, searched, INFO, replace(FOUND, items=idle, interactions=())) is None
    assert dependence_of(DATA, searched[-8:], INFO, FOUND) is None


def test_a_baseline_outside_of_the_space_has_curves_and_no_path(searched):
    outside = [*searched[:-1], replace(searched[-1], levels=searched[-1].levels | {"kind": "w"})]
    found = dependence_of(DATA, outside, INFO, FOUND)
    assert found.curves
    assert found.path is None


def test_noise_makes_intervals_and_a_share_of_nothing_is_not_clear(searched):
    rng = np.random.default_rng(1)
    noisy = [replace(each, means={METRIC: 0.3 * rng.normal()}) for each in searched]
    found = dependence_of(DATA, noisy, INFO, FOUND)
    assert all(effect.low < effect.value < effect.high for curve in found.curves for effect in curve.effects)
    clear = [change.share.clear for change in found.path.changes]
    assert not all(clear)
