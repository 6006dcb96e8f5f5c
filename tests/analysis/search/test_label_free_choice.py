from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.agreement import measure_agreement
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import choice_panels
from fgtune.analysis.search.joint_choice import joint_choices
from fgtune.analysis.search.selection import _scores_without, label_free_choices
from fgtune.analysis.trials import trials_of
from fgtune.config.schema.base import data_key
from fgtune.reporting.html import write_up
from fgtune.results.records import CellState, LabelsRecord, PredictionsRecord

PRIMARY, CRITERION, LOSS = "test/clustering_accuracy", "val/silhouette", "val/loss"
ARMS = {  # accuracy, silhouette, loss: by seed 0; seed 1 has a little more of each
    "a": (0.50, 0.10, 3.0),
    "b": (0.60, 0.40, 2.0),
    "c": (0.90, 0.30, 4.0),
    "d": (0.70, 0.20, 1.0),
    "e": (0.40, 0.05, 5.0),
}


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(arms=ARMS, datasets=None, pruned=frozenset(), seeds=2, more=None):
        own = {name: {"epochs": 10 + rank} | (more or {}).get(name, {}) for rank, name in enumerate(arms)}
        design = {
            "kind": "comparison",
            "arms": [{"name": name, "set": changes} for name, changes in own.items()],
            "datasets": datasets or {},
        }
        study = {
            "study": "chosen", "question": "Which?", "design": design, "seeds": seeds,
            "metrics": {"primary": PRIMARY, "also": ["test/ari", CRITERION, LOSS]},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
        }  # fmt: skip
        folder = synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path)
        for result in folder.ledger.read():
            values = arms[result.arm.partition("@")[0]]
            own = dict(zip((PRIMARY, CRITERION, LOSS), (value + 0.01 * result.seed for value in values), strict=True))
            state = CellState.PRUNED if result.arm in pruned else CellState.COMPLETE
            folder.ledger.append(replace(result, metrics={**result.metrics, **own}, state=state))
        return folder

    return write


@pytest.mark.parametrize("reads", [{"objective.preset": "fine"}, {"relations.mode": "oracle"}])
def test_an_arm_that_reads_fine_labels_is_no_choice_and_no_best_arm(folder_of, reads):
    arms = ARMS | {"bound": (0.99, 0.9, 0.1)}
    data = read_study(folder_of(arms, more={"bound": reads}))
    assert [arm.name for arm in data.arms] == [*ARMS, "bound"]
    assert [arm.name for arm in data.choosable] == list(ARMS)
    choices = label_free_choices(data)
    assert [(each.arm, each.best_arm, each.n) for each in choices] == [("b", "c", 5), ("d", "c", 5)]
    assert {point.trial.arm for _, panel in choice_panels(data, choices, {CRITERION}) for point in panel.points} == set(
        ARMS
    )


def test_each_label_free_metric_chooses_its_best_arm_and_pays_the_difference(folder_of):
    by = {choice.criterion: choice for choice in label_free_choices(read_study(folder_of()))}
    assert list(by) == [CRITERION, LOSS]  # test/ari reads fine labels
    assert (by[CRITERION].arm, by[LOSS].arm) == ("b", "d")
    for choice, value in ((by[CRITERION], 0.605), (by[LOSS], 0.705)):
        assert choice.best_arm == "c"
        assert choice.n == 5
        assert choice.value == pytest.approx(value)
        assert choice.regret.estimate.mean == pytest.approx(0.905 - value)
        assert choice.regret.n == 2
        assert choice.random_regret == pytest.approx(0.90 - (0.5 + 0.6 + 0.9 + 0.7 + 0.4) / 5)
    accuracy = [values[0] for values in ARMS.values()]
    rho = stats.spearmanr([values[1] for values in ARMS.values()], accuracy).statistic
    assert by[CRITERION].agreement.rho == pytest.approx(rho)
    rho = stats.spearmanr([-values[2] for values in ARMS.values()], accuracy).statistic
    assert by[LOSS].agreement.rho == pytest.approx(rho)


def test_every_data_set_is_told_apart(folder_of):
    datasets = {"all": {"kind": "digits"}, "some": {"kind": "digits", "limit": 500}}
    found = label_free_choices(read_study(folder_of(datasets=datasets)))
    assert [(each.dataset, each.criterion) for each in found] == [
        (dataset, criterion) for dataset in datasets for criterion in (CRITERION, LOSS)
    ]
    assert {each.arm for each in found} == {"b@all", "d@all", "b@some", "d@some"}


def test_an_arm_that_was_stopped_is_none_to_choose(folder_of):
    by = {choice.criterion: choice for choice in label_free_choices(read_study(folder_of(pruned={"b"})))}
    assert by[CRITERION].arm == by[CRITERION].best_arm == "c"
    assert by[CRITERION].n == 4
    assert by[CRITERION].regret.estimate.mean == 0.0


def test_few_arms_say_nothing_of_what_chose(folder_of):
    assert label_free_choices(read_study(folder_of({name: ARMS[name] for name in "abc"}))) == ()


@pytest.mark.slow
def test_the_page_shows_what_choosing_costs(folder_of):
    folder = folder_of()
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Choosing without fine labels" in page
    section = page.partition('id="choosing"')[2].partition("</section>")[0]
    assert "0.300" in section
    assert "0.200" in section
    assert not math.isnan(label_free_choices(read_study(folder))[0].agreement.rho)


@pytest.fixture
def folder_with_predictions(folder_of):
    """Six classes in two coarse ones; arms find them with accuracies in the order of their agreement, arm a none."""

    def write(seeds=3):
        folder = folder_of(seeds=seeds)
        true = np.arange(120) % 6
        rng = np.random.default_rng(0)
        share = {"a": 1.0, "b": 0.5, "c": 0.05, "d": 0.3, "e": 0.7}
        for result in folder.ledger.read():
            moved = np.where(rng.random(120) < share[result.arm], 3 * (true // 3) + rng.integers(0, 3, 120), true)
            fine = moved if result.arm != "e" else true // 3  # collapsed, alike on every seed
            record = PredictionsRecord(fine.astype(np.int8), np.full(120, 7, dtype=np.int8))
            folder.write_predictions(result.cell_id, record)
            key = data_key(result.config["data"])
            folder.write_labels(key, LabelsRecord.of((true // 3)[:, None], (2,)))
        return folder

    return write


def test_agreement_of_seeds_chooses_too_where_predictions_are_stored(folder_with_predictions):
    data = read_study(folder_with_predictions())
    choice = label_free_choices(data)[-1]
    assert (choice.criterion, choice.arm, choice.best_arm) == ("agreement", "c", "c")
    assert choice.regret.estimate.mean == 0.0
    assert choice.cost.n == 3  # every seed judges what the agreement of the other two chooses
    by_arm = {arm: data.agreements.of(arm).mean for arm in ARMS}
    expected = stats.spearmanr([by_arm[arm] for arm in ARMS], [values[0] for values in ARMS.values()]).statistic
    assert choice.agreement.rho == pytest.approx(expected)
    assert by_arm["e"] == 0.0


def test_a_seed_that_judges_has_no_part_in_the_agreement_that_chooses(folder_with_predictions):
    folder = folder_with_predictions()
    data = read_study(folder)
    before = label_free_choices(data)[-1]
    for cell in data.cells("b"):  # on seed 2, arm b finds what arm c finds on seeds 0 and 1: no other seed may see it
        if cell.seed == 2:
            folder.write_predictions(cell.cell_id, folder.read_predictions(data.cells("c")[0].cell_id))
    found = _scores_without(read_study(folder), ["b", "c"], [0, 1, 2], metric_info("agreement"))
    former = _scores_without(data, ["b", "c"], [0, 1, 2], metric_info("agreement"))
    assert found[0, 2] == former[0, 2]
    assert found[0, 0] != former[0, 0]
    assert before.cost.mean == pytest.approx(0.0)


def test_of_two_seeds_agreement_chooses_and_no_seed_is_left_to_judge(folder_with_predictions):
    choice = label_free_choices(read_study(folder_with_predictions(seeds=2)))[-1]
    assert (choice.criterion, choice.arm) == ("agreement", "c")
    assert choice.cost.n == 0
    assert not choice.cost.has_interval


@pytest.mark.slow
def test_the_page_shows_the_choice_by_agreement(folder_with_predictions):
    path, _ = write_up(folder_with_predictions())
    page = path.read_text(encoding="utf-8")
    assert re.search(r"<th[^>]*>Agreement</th>", page)


def test_agreement_is_measured_only_where_it_may_choose(folder_with_predictions, monkeypatch):
    data, measured = read_study(folder_with_predictions()), []

    def count(folder, results):
        measured.append(results[0].arm)
        return measure_agreement(folder, results)

    monkeypatch.setattr("fgtune.analysis.agreement.measure_agreement", count)
    trials_of(data)
    few = replace(data, arms=data.arms[:3])
    assert label_free_choices(few) == joint_choices(few) == ()
    assert measured == []
    assert label_free_choices(data)
    joint_choices(data)
    assert sorted(measured) == sorted(ARMS)
