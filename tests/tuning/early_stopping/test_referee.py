from __future__ import annotations

import json
import math

import pytest

from fgtune.config.arms.records import Cell
from fgtune.config.schema.scheduling import AshaConfig, MedianConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import StudyFolderError
from fgtune.results.records import EpochMetrics
from fgtune.tuning.early_stopping.referee import Umpire
from fgtune.tuning.search.objectives import Objective

METRIC = "val/silhouette"
ASHA = AshaConfig(grace_epochs=2, reduction=2.0)


def cell(rank: int, seed: int = 0, every: int = 1, epochs: int = 9) -> Cell:
    config = TrialConfig.from_plain(
        {
            "data": {"kind": "digits"},
            "classes": {"num_fine": 10 + rank},
            "epochs": epochs,
            "evaluation": {"every_epochs": every},
        }
    )
    return Cell(f"trial-{rank:04d}", seed, config, {})


def epochs(*scores: float, first: int = 1) -> list[EpochMetrics]:
    return [EpochMetrics(n, n, {METRIC: score}, 0.1) for n, score in enumerate(scores, start=first)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stopping.jsonl"


def umpire(path, config=ASHA, mode="maximize"):
    return Umpire(config, Objective(METRIC, mode), path)


def test_a_cell_waits_at_the_evaluation_that_follows_a_rung(path):
    judge = umpire(path)
    assert judge.admit(cell(0)) == [2, 4, 8]
    assert judge.admit(cell(1, every=3)) == [3, 6]  # 2 -> 3, 4 -> 6, 8 -> the end
    assert judge.admit(cell(2, epochs=2)) == []


def test_the_worse_one_is_stopped_and_told_why(path):
    judge = umpire(path)
    for rank in (0, 1):
        judge.admit(cell(rank))
    assert not judge.hear(cell(0).cell_id, epochs(0.1, 0.5))
    assert judge.hear(cell(1).cell_id, epochs(0.9, 0.4))
    assert judge.reason(cell(1).cell_id) == "stopped after epoch 2 by asha: rank 2 of 2 at rung 2, 1 may go on"
    assert judge.reason(cell(0).cell_id) is None


def test_less_is_better_where_the_objective_says_so(path):
    judge = umpire(path, mode="minimize")
    for rank in (0, 1):
        judge.admit(cell(rank))
    assert not judge.hear(cell(0).cell_id, epochs(0.1, 0.4))
    assert judge.hear(cell(1).cell_id, epochs(0.1, 0.5))


def test_a_value_that_is_no_number_loses_and_can_be_stored(path):
    judge = umpire(path)
    for rank in (0, 1):
        judge.admit(cell(rank))
    judge.hear(cell(0).cell_id, epochs(0.0, -3.0))
    assert judge.hear(cell(1).cell_id, epochs(math.nan, math.nan))
    assert [json.loads(line)["score"] for line in path.read_text().splitlines()] == [-3.0, None]


@pytest.mark.parametrize("config", [ASHA, MedianConfig(grace_epochs=2, min_trials=1)], ids=lambda config: config.kind)
def test_a_restart_goes_on_from_the_same_state(path, tmp_path, config):
    curves = {0: (0.5, 0.5, 0.6, 0.6, 0.7), 1: (0.1, 0.4, 0.5, 0.7, 0.9), 2: (0.2, 0.2, 0.2, 0.2, 0.2)}

    def tell(judge, ranks):
        verdicts = []
        for rank in ranks:
            judge.admit(cell(rank))
            verdicts += [judge.hear(cell(rank).cell_id, epochs(s, first=n)) for n, s in enumerate(curves[rank], 1)]
        return verdicts

    uncut = tell(umpire(tmp_path / "uncut.jsonl", config), (0, 1, 2))
    first = tell(umpire(path, config), (0, 1))
    assert first + tell(umpire(path, config), (2,)) == uncut
    assert True in uncut


def test_an_epoch_that_is_trained_again_gets_the_verdict_of_the_first_time(path):
    judge = umpire(path)
    for rank in (0, 1):
        judge.admit(cell(rank))
    judge.hear(cell(1).cell_id, epochs(0.4, 0.4))  # alone at the rung: goes on
    judge.hear(cell(0).cell_id, epochs(0.5, 0.5))
    lines = path.read_text()
    again = umpire(path)
    again.admit(cell(1))
    assert not again.hear(cell(1).cell_id, epochs(0.4, 0.4))
    assert path.read_text() == lines


def test_a_stop_that_nobody_recorded_is_repeated(path):
    judge = umpire(path)
    for rank in (0, 1):
        judge.admit(cell(rank))
    judge.hear(cell(0).cell_id, epochs(0.5, 0.5))
    assert judge.hear(cell(1).cell_id, epochs(0.4, 0.4))
    again = umpire(path)
    again.admit(cell(1))
    assert again.hear(cell(1).cell_id, epochs(0.4, 0.4, 0.9))
    assert "rank 2 of 2" in again.reason(cell(1).cell_id)


def test_a_torn_last_line_is_forgotten(path):
    judge = umpire(path)
    judge.admit(cell(0))
    judge.hear(cell(0).cell_id, epochs(0.5, 0.5))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"cell_id": "abc", "se')
    again = umpire(path)
    again.admit(cell(1))
    assert again.hear(cell(1).cell_id, epochs(0.4, 0.4))
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["stop"] for line in path.read_text().splitlines()] == [False, True]


def test_an_epoch_that_was_not_evaluated_is_passed_over(path):
    judge = umpire(path)
    judge.admit(cell(0, every=3))
    assert not judge.hear(cell(0, every=3).cell_id, [EpochMetrics(2, 2, {"train/loss": 1.0}, 0.1)])
    assert not path.exists()


def test_a_metric_that_is_undefined_at_an_evaluation_loses(path):
    judge = umpire(path)
    for rank in (0, 1):
        judge.admit(cell(rank))
    judge.hear(cell(0).cell_id, epochs(0.1, 0.1))
    assert judge.hear(cell(1).cell_id, [EpochMetrics(2, 2, {"val/loss": 1.0}, 0.1)])


def test_a_spared_arm_is_judged_with_the_others_and_never_stopped(path):
    judge = Umpire(ASHA, Objective(METRIC, "maximize"), path, spared=[cell(1).arm])
    assert judge.admit(cell(1)) == []
    for rank in (0, 2):
        judge.admit(cell(rank))
    judge.hear(cell(0).cell_id, epochs(0.5, 0.5))
    assert not judge.hear(cell(1).cell_id, epochs(0.4, 0.4))
    assert judge.hear(cell(2).cell_id, epochs(0.3, 0.3))
    assert "rank 3 of 3" in judge.reason(cell(2).cell_id)


def test_a_line_that_is_no_verdict_is_told_with_its_place(path):
    path.write_text("[1, 2]\n")
    with pytest.raises(StudyFolderError, match=r"stopping\.jsonl:1: this line is no verdict"):
        umpire(path)
