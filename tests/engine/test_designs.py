"""How large a study of each design may become, and what its size reads like; without data and without Ray."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.engine.designs import DESIGNS, most_cells, size_text

LR = {"parameters": {"optimizer.lr": {"kind": "log_uniform", "low": 0.01, "high": 1.0}}}
TWO_LEVELS = {"parameters": {"optimizer.lr": {"kind": "choice", "values": [0.05, 0.1, 0.2]}}}
SENSITIVITY = {"kind": "sensitivity", "factors": {"optimizer.lr": [0.01, 0.1, 1.0]}}
ABLATION = {"kind": "ablation", "components": {"nn": {"off": {"objective.lambda_nn": 0.0}}}}
SEARCH = {"kind": "search", "space": LR, "trials": 6, "metric": "val/silhouette"}
COMPARISON = {
    "kind": "comparison",
    "arms": [{"name": "plain"}, {"name": "tuned", "space": LR}],
    "search": {"metric": "val/silhouette", "trials": 4},
}


def plan_of(tmp_path, design, **study) -> Plan:
    trial = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps({"study": "s", "question": "q", "seeds": 2, "design": design, "trial": trial, **study}))
    return expand(load_study(path), lambda data: DataShape((2,), 10, str(data)))


@pytest.mark.parametrize(
    ("design", "study", "words", "most"),
    [
        pytest.param(SENSITIVITY, {}, "3 arms x 2 seeds = 6 cells", 6, id="sensitivity"),
        pytest.param(ABLATION, {"seeds": 1}, "2 arms x 1 seed = 2 cells", 2, id="ablation"),
        pytest.param(
            COMPARISON,
            {},
            "2 arms x 2 seeds = 4 cells, after searches inside 1 of the arms, at most 5",
            4,
            id="comparison with a search inside an arm",
        ),
        pytest.param(
            SEARCH, {}, "the baseline and up to 6 trials x 2 seeds, at most 14 cells", 14, id="search with a budget"
        ),
        pytest.param(
            SEARCH | {"space": TWO_LEVELS},
            {},
            "the baseline and up to 3 trials x 2 seeds, at most 8 cells",
            8,
            id="search of a space with fewer points than its budget",
        ),
        pytest.param(
            SEARCH,
            {"seeds": 1, "scheduler": {"kind": "pbt"}},
            "the baseline and up to 6 trials x 1 seed, and a cell for each replacement (0 so far)",
            7,
            id="population",
        ),
    ],
)
def test_the_size_of_a_study_in_words_and_in_cells(tmp_path, design, study, words, most):
    plan = plan_of(tmp_path, design, **study)
    assert size_text(plan) == words
    assert most_cells(plan) == most


def test_cells_that_two_arms_share_count_once(tmp_path):
    plan = plan_of(tmp_path, SENSITIVITY)
    assert most_cells(replace(plan, cells=(*plan.cells, plan.cells[0]))) == 6


def test_a_search_is_never_smaller_than_what_it_has(tmp_path):
    plan = plan_of(tmp_path, SEARCH | {"trials": 1})
    kind = DESIGNS[plan.study.design.kind]
    assert kind.most_arms(plan) == 2
    assert kind.most_arms(replace(plan, arms=plan.arms * 3)) == 3
