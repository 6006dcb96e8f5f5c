"""Of which cells a study keeps portraits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fgtune.catalog.metrics import AGREEMENT
from fgtune.config.arms.expand import expand
from fgtune.config.reading.load import load_study
from fgtune.engine.portraits import Portraits
from fgtune.results.records import CellState

PRIMARY = "test/clustering_accuracy"


@pytest.fixture
def plan(synthetic, tmp_path):
    (tmp_path / "study.yaml").write_text(synthetic.KF_STUDY)
    return expand(load_study(tmp_path / "study.yaml"), synthetic.digits_shape)


def test_of_the_first_seed_of_every_arm(plan):
    found = Portraits(plan, [])
    first = min(plan.study.seed_list)
    assert {cell.arm for cell in plan.cells if found.of(cell)} == {arm.name for arm in plan.arms}
    assert all((found.of(cell) is not None) == (cell.seed == first) for cell in plan.cells)
    assert all(found.keeps(cell, {PRIMARY: 0.1}) for cell in plan.cells)


def test_of_every_seed_where_the_study_says_so(plan):
    execution = plan.study.execution.model_copy(update={"show_seeds": "all"})
    found = Portraits(replace(plan, study=plan.study.model_copy(update={"execution": execution})), [])
    assert all(found.of(cell) for cell in plan.cells)


@pytest.mark.parametrize(("changes", "expected"), [({"show_classes": False}, None), ({"show_samples": False}, False)])
def test_a_study_may_keep_none_or_none_of_its_samples(plan, changes, expected):
    execution = plan.study.execution.model_copy(update=changes)
    plan = replace(plan, study=plan.study.model_copy(update={"execution": execution}))
    assert Portraits(plan, []).of(plan.cells[0]) is expected


@pytest.fixture
def drawn(plan):
    """The plan as of a design that draws points, with portraits of every seed."""
    execution = plan.study.execution.model_copy(update={"show_seeds": "all"})
    names = ("possible_seeds", "ranking", "metrics", "trial")
    same = {name: getattr(plan.study, name) for name in names}
    study = SimpleNamespace(execution=execution, design=SimpleNamespace(samples_points=True), **same)
    return SimpleNamespace(study=study, arms=plan.arms)


ENDED = [("p1", 0, 0.5), ("p1", 1, 0.9), ("p2", 0, 0.8), ("p2", 1, 0.85), ("p3", 0, 0.7), ("p3", 1, 0.95)]
"""Arms, seeds and values in the order of their ends; the third point is no new best in its first seed."""


@pytest.mark.parametrize("done", range(len(ENDED)))
def test_of_every_seed_of_each_new_best_in_the_first_seed_however_often_a_study_is_resumed(drawn, done):
    found = Portraits(
        drawn,
        [
            SimpleNamespace(arm=arm, seed=seed, state=CellState.COMPLETE, metrics={PRIMARY: value})
            for arm, seed, value in ENDED[:done]
        ],
    )
    kept = [
        (arm, seed)
        for arm, seed, value in ENDED[done:]
        if found.keeps(SimpleNamespace(arm=arm, seed=seed), {PRIMARY: value})
    ]
    assert kept == [(arm, seed) for arm, seed, _ in ENDED[done:] if arm != "p3"]


def test_a_later_seed_that_ends_before_the_first_is_judged_by_its_own_value(drawn):
    found = Portraits(drawn, [])
    ended = [("p1", 0, 0.5), ("p2", 1, 0.4), ("p3", 1, 0.7), ("p3", 0, 0.6), ("p3", 2, 0.1), ("p4", 0, 0.65)]
    kept = [found.keeps(SimpleNamespace(arm=arm, seed=seed), {PRIMARY: value}) for arm, seed, value in ended]
    assert kept == [True, False, True, True, True, True]


@pytest.mark.parametrize("criterion", [None, ("cost/seconds", "minimize"), (AGREEMENT, "minimize")])
def test_of_points_only_of_the_baseline_and_of_each_new_best(plan, criterion):
    """By the first criterion, or the primary metric, in its own direction, where single cells have no such value."""
    study = SimpleNamespace(
        execution=plan.study.execution,
        possible_seeds=plan.study.possible_seeds,
        design=SimpleNamespace(samples_points=True),
        ranking=plan.study.ranking if criterion is None else (criterion,),
        metrics=plan.study.metrics,
        trial=plan.study.trial,
    )
    arms = {arm.name: arm.is_baseline for arm in plan.arms}
    cells = {
        is_baseline: next(cell for cell in plan.cells if arms[cell.arm] is is_baseline) for is_baseline in (False, True)
    }
    first = min(plan.study.seed_list)
    earlier = SimpleNamespace(arm="earlier", seed=first, state=CellState.COMPLETE, metrics={PRIMARY: 0.5})
    found = Portraits(SimpleNamespace(study=study, arms=plan.arms), [earlier])
    kept = [found.keeps(cells[False], {PRIMARY: value}) for value in (0.4, 0.6, 0.55, 0.7)]
    assert kept == [False, True, False, True]
    assert found.keeps(cells[True], {PRIMARY: 0.1})
    assert not found.keeps(cells[False], {})
