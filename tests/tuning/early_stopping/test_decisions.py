from __future__ import annotations

import json
import math

import pytest

from fgtune.config.arms.records import Cell
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.schema.tuning import AshaConfig, MedianConfig
from fgtune.errors import StudyFolderError
from fgtune.results.records import EpochMetrics
from fgtune.tuning.early_stopping.decisions import EarlyStopping
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


def early_stopping(path, config=ASHA, mode="maximize"):
    return EarlyStopping(config, Objective(METRIC, mode), path)


def test_a_cell_waits_at_the_evaluation_that_follows_a_rung(path):
    stopping = early_stopping(path)
    assert stopping.register(cell(0)) == [2, 4, 8]
    assert stopping.register(cell(1, every=3)) == [3, 6]  # 2 -> 3, 4 -> 6, 8 -> the end
    assert stopping.register(cell(2, epochs=2)) == []


def test_the_worse_one_is_stopped_with_a_reason(path):
    stopping = early_stopping(path)
    for rank in (0, 1):
        stopping.register(cell(rank))
    assert not stopping.should_stop(cell(0).cell_id, epochs(0.1, 0.5))
    assert stopping.should_stop(cell(1).cell_id, epochs(0.9, 0.4))
    assert stopping.reason(cell(1).cell_id) == "stopped after epoch 2 by asha: rank 2 of 2 at rung 2, 1 may go on"
    assert stopping.reason(cell(0).cell_id) is None


def test_less_is_better_where_the_objective_says_so(path):
    stopping = early_stopping(path, mode="minimize")
    for rank in (0, 1):
        stopping.register(cell(rank))
    assert not stopping.should_stop(cell(0).cell_id, epochs(0.1, 0.4))
    assert stopping.should_stop(cell(1).cell_id, epochs(0.1, 0.5))


def test_a_value_that_is_no_number_loses_and_can_be_stored(path):
    stopping = early_stopping(path)
    for rank in (0, 1):
        stopping.register(cell(rank))
    stopping.should_stop(cell(0).cell_id, epochs(0.0, -3.0))
    assert stopping.should_stop(cell(1).cell_id, epochs(math.nan, math.nan))
    assert [json.loads(line)["score"] for line in path.read_text().splitlines()] == [-3.0, None]


@pytest.mark.parametrize("config", [ASHA, MedianConfig(grace_epochs=2, min_trials=1)], ids=lambda config: config.kind)
def test_a_restart_goes_on_from_the_same_state(path, tmp_path, config):
    curves = {0: (0.5, 0.5, 0.6, 0.6, 0.7), 1: (0.1, 0.4, 0.5, 0.7, 0.9), 2: (0.2, 0.2, 0.2, 0.2, 0.2)}

    def replay(stopping, ranks):
        decisions = []
        for rank in ranks:
            stopping.register(cell(rank))
            decisions += [
                stopping.should_stop(cell(rank).cell_id, epochs(s, first=n)) for n, s in enumerate(curves[rank], 1)
            ]
        return decisions

    uncut = replay(early_stopping(tmp_path / "uncut.jsonl", config), (0, 1, 2))
    first = replay(early_stopping(path, config), (0, 1))
    assert first + replay(early_stopping(path, config), (2,)) == uncut
    assert True in uncut


def test_an_epoch_that_is_trained_again_gets_the_decision_of_the_first_time(path):
    stopping = early_stopping(path)
    for rank in (0, 1):
        stopping.register(cell(rank))
    stopping.should_stop(cell(1).cell_id, epochs(0.4, 0.4))  # alone at the rung: goes on
    stopping.should_stop(cell(0).cell_id, epochs(0.5, 0.5))
    lines = path.read_text()
    again = early_stopping(path)
    again.register(cell(1))
    assert not again.should_stop(cell(1).cell_id, epochs(0.4, 0.4))
    assert path.read_text() == lines


def test_a_stop_that_nobody_recorded_is_repeated(path):
    stopping = early_stopping(path)
    for rank in (0, 1):
        stopping.register(cell(rank))
    stopping.should_stop(cell(0).cell_id, epochs(0.5, 0.5))
    assert stopping.should_stop(cell(1).cell_id, epochs(0.4, 0.4))
    again = early_stopping(path)
    again.register(cell(1))
    assert again.should_stop(cell(1).cell_id, epochs(0.4, 0.4, 0.9))
    assert "rank 2 of 2" in again.reason(cell(1).cell_id)


def test_a_torn_last_line_is_forgotten(path):
    stopping = early_stopping(path)
    stopping.register(cell(0))
    stopping.should_stop(cell(0).cell_id, epochs(0.5, 0.5))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"cell_id": "abc", "se')
    again = early_stopping(path)
    again.register(cell(1))
    assert again.should_stop(cell(1).cell_id, epochs(0.4, 0.4))
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["stop"] for line in path.read_text().splitlines()] == [False, True]


def test_an_epoch_that_was_not_evaluated_is_passed_over(path):
    stopping = early_stopping(path)
    stopping.register(cell(0, every=3))
    assert not stopping.should_stop(cell(0, every=3).cell_id, [EpochMetrics(2, 2, {"train/loss": 1.0}, 0.1)])
    assert not path.exists()


def test_a_metric_that_is_undefined_at_an_evaluation_loses(path):
    stopping = early_stopping(path)
    for rank in (0, 1):
        stopping.register(cell(rank))
    stopping.should_stop(cell(0).cell_id, epochs(0.1, 0.1))
    assert stopping.should_stop(cell(1).cell_id, [EpochMetrics(2, 2, {"val/loss": 1.0}, 0.1)])


def test_a_exempt_arm_is_judged_with_the_others_and_never_stopped(path):
    stopping = EarlyStopping(ASHA, Objective(METRIC, "maximize"), path, exempt=[cell(1).arm])
    assert stopping.register(cell(1)) == []
    for rank in (0, 2):
        stopping.register(cell(rank))
    stopping.should_stop(cell(0).cell_id, epochs(0.5, 0.5))
    assert not stopping.should_stop(cell(1).cell_id, epochs(0.4, 0.4))
    assert stopping.should_stop(cell(2).cell_id, epochs(0.3, 0.3))
    assert "rank 3 of 3" in stopping.reason(cell(2).cell_id)


def test_a_line_that_is_no_decision_is_refused_with_its_place(path):
    path.write_text("[1, 2]\n")
    with pytest.raises(StudyFolderError, match=r"stopping\.jsonl:1: this line is no decision"):
        early_stopping(path)
