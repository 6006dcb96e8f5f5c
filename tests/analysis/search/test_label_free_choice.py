from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from scipy import stats

from fgtune.analysis.inputs import read_study
from fgtune.analysis.search.selection import label_free_choices
from fgtune.reporting.html import write_up
from fgtune.results.records import CellState

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
    def write(arms=ARMS, datasets=None, pruned=frozenset()):
        design = {
            "kind": "comparison",
            "arms": [{"name": name, "set": {"epochs": 10 + rank}} for rank, name in enumerate(arms)],
            "datasets": datasets or {},
        }
        study = {
            "study": "chosen", "question": "Which?", "design": design, "seeds": 2,
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


def test_the_page_shows_what_choosing_costs(folder_of):
    folder = folder_of()
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Choosing without fine labels" in page
    section = page.partition('id="choosing"')[2].partition("</section>")[0]
    assert "0.300" in section
    assert "0.200" in section
    assert not math.isnan(label_free_choices(read_study(folder))[0].agreement.rho)
