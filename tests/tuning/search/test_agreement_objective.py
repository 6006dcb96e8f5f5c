"""A search by the agreement of seeds: refused with one seed, measured from the folder, the same after a cut."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support import searches as toy

from fgtune.analysis.agreement import measure_agreement
from fgtune.app.refit import choose
from fgtune.config.schema.base import data_key
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import LabelsRecord, PredictionsRecord
from fgtune.tuning.search.history import earlier_trials, ledger_trials
from fgtune.tuning.search.objectives import Objective, mean_values, measure_in, unmeasured
from fgtune.tuning.search.optuna_mirror import ARM
from fgtune.tuning.search.search import Search

TRUE = np.arange(120) % 10
AGREEMENT = Objective("agreement", "maximize")


def predict(folder: StudyFolder, cell) -> None:
    """The true classes, of which a trial confuses more the farther its ``lambda_reg`` is from 2."""
    rng = np.random.default_rng([cell.seed, round(1e6 * cell.config.objective.lambda_reg)])
    moved = rng.random(120) < min(1.0, abs(cell.config.objective.lambda_reg - 2.0) / 4)
    fine = np.where(moved, 5 * (TRUE // 5) + rng.integers(0, 5, 120), TRUE).astype(np.int8)
    folder.write_predictions(cell.cell_id, PredictionsRecord(fine, np.full(120, 7, dtype=np.int8)))


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, trials=5, metric="agreement")


@pytest.fixture
def folder(plan, tmp_path):
    folder = StudyFolder(tmp_path / "study")
    key = data_key(plan.cells[0].config.data)
    folder.write_labels(key, LabelsRecord.of((TRUE // 5)[:, None], (2,)))
    return folder


def ran(plan, folder, finished=(), proposed=(), cells=100):
    """A search in the folder, its results so far, and what it announced."""
    announced, results = [], list(finished)
    search = Search(
        plan,
        finished={result.cell_id: result for result in finished},
        announce=announced.append,
        measure=measure_in(folder),
    )
    search.restore(ledger_trials(plan, finished, proposed, measure=measure_in(folder)))
    for _ in range(cells):
        cell = search.take()
        if cell is None:
            break
        predict(folder, cell)
        results.append(toy.result_of(cell))
        search.on_result(results[-1])
    return search, results, announced


def told(search) -> dict[str, float]:
    return {trial.user_attrs[ARM]: trial.values[0] for trial in search._optuna.trials if ARM in trial.user_attrs}


def test_optuna_is_told_the_agreement_of_each_trial(plan, folder):
    search, results, announced = ran(plan, folder)
    assert len(announced) == 5
    by_arm = {}
    for result in results:
        by_arm.setdefault(result.arm, []).append(result)
    expected = {arm: measure_agreement(folder, own).mean for arm, own in by_arm.items()}
    assert told(search) == pytest.approx(expected)
    assert len(set(expected.values())) == 6


def test_a_search_that_was_cut_off_learns_the_same(plan, folder):
    whole, *_ = ran(plan, folder)
    _, results, announced = ran(plan, folder, cells=6)
    proposed = [(each.arm.name, each.arm.levels) for each in announced]
    again, *_ = ran(plan, folder, results, proposed)
    shared = told(whole).keys() & told(again).keys()
    assert shared >= {"baseline", "trial-0000", "trial-0001"}
    assert {arm: told(again)[arm] for arm in shared} == {arm: told(whole)[arm] for arm in shared}


def test_a_later_search_learns_from_its_folder(plan, folder):
    search, results, _ = ran(plan, folder)
    for result in results:
        folder.ledger.append(result)
    known, notes = earlier_trials(plan.search, [str(folder.root)])
    assert sorted(each.values[0] for each in known) == pytest.approx(sorted(told(search).values()))
    assert notes[0].endswith("6 of 6 finished settings are of use to this search")


def test_refit_takes_the_arm_whose_seeds_agree_most(plan, folder):
    search, results, _ = ran(plan, folder)
    values = told(search)
    choice = choose(plan.study, results, "best", "study", measure_in(folder))
    assert choice.arm == max(values, key=values.__getitem__)


def test_without_predictions_there_is_no_value(plan, folder):
    _, results, _ = ran(plan, folder, cells=2)
    assert math.isfinite(mean_values([AGREEMENT], results, measure_in(folder))[0])
    assert math.isnan(mean_values([AGREEMENT], results, unmeasured)[0])
    (folder.predictions_dir / f"{results[0].cell_id}.npz").unlink()
    assert math.isnan(mean_values([AGREEMENT], results, measure_in(folder))[0])


def test_one_seed_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(ConfigError) as error:
        toy.search_plan(tmp_path, toy.NUMBERS, seeds=1, metric="agreement")
    assert "seeds: agreement compares the seeds of a trial with each other, so it needs two at least, got 1" in str(
        error.value
    )
    assert "say `seeds: 3`" in str(error.value)
    toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, metric=["agreement", "val/fixed_silhouette"])


def test_a_scheduler_needs_a_metric_of_running_cells(tmp_path):
    with pytest.raises(ConfigError, match="asha needs a metric to judge running trials by"):
        toy.search_plan(tmp_path, toy.NUMBERS, seeds=2, metric="agreement", scheduler={"kind": "asha"})


def test_a_search_inside_an_arm_needs_two_seeds_of_its_own(tmp_path):
    space = {"parameters": toy.NUMBERS}
    study = {
        "study": "s", "question": "q", "seeds": 3,
        "design": {
            "kind": "comparison", "search": {"metric": "agreement", "trials": 2},
            "arms": [{"name": "a", "space": space}, {"name": "b"}],
        },
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(study, indent=1))
    with pytest.raises(ConfigError, match=r"design\.search\.seeds: agreement compares the seeds of a trial"):
        toy.expand(toy.load_study(path), lambda _: toy.SHAPE)
