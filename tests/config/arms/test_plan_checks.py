from __future__ import annotations

import json

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study

QUEUE = {"objective.instance": {"kind": "queue", "size": 1000}}
SPACE = {
    "parameters": {
        "objective.instance.kind": {"kind": "choice", "values": ["parametric", "queue"]},
        "objective.lambda_instance": {"kind": "uniform", "low": 0.1, "high": 1.0},
    }
}


def warnings_of(tmp_path, design, samples=600, trial=()):
    base = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "objective": {"preset": "base_indi"}}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps({"study": "s", "question": "q", "design": design, "trial": {**base, **dict(trial)}}))
    return expand(load_study(path), lambda _: DataShape((2,), 10, "f", num_samples=samples)).warnings


def arms(**changes):
    return {"kind": "comparison", "arms": [{"name": "one"}, {"name": "two", "set": changes}]}


@pytest.mark.parametrize(("samples", "told"), [(600, True), (1000, False), (None, False)])
def test_a_queue_longer_than_the_data_is_warned_of(tmp_path, samples, told):
    found = warnings_of(tmp_path, arms(**QUEUE), samples)
    assert [each.startswith("arm two: a queue of 1000 keys") for each in found] == [True] * told


def test_a_queue_that_nothing_uses_is_no_mistake(tmp_path):
    assert not warnings_of(tmp_path, arms(**QUEUE, **{"objective.lambda_instance": 0.0}))


def test_points_of_a_space_are_looked_at_too_and_told_once(tmp_path):
    design = {"kind": "search", "space": SPACE, "trials": 3, "metric": "val/silhouette"}
    (told,) = warnings_of(tmp_path, design)
    assert told.startswith("points of the search: a queue of 65536 keys holds each of 600 samples about 109 times")


def test_so_are_those_of_searches_inside_arms(tmp_path):
    design = {"kind": "comparison", "arms": [{"name": "tuned", "space": SPACE}, {"name": "own"}]}
    design["search"] = {"metric": "val/silhouette", "trials": 3}
    (told,) = warnings_of(tmp_path, design)
    assert told.startswith("points of tuned: a queue")
