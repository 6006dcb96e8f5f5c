from __future__ import annotations

import json

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.config.schema.streams import StreamsConfig
from fgtune.errors import ConfigError

VARIANCE = {"kind": "variance"}
FACTORS = {"kind": "sensitivity", "factors": {"optimizer.lr": [0.01, 0.2]}}
SPACE = {"parameters": {"streams.split": {"kind": "int", "low": 0, "high": 9}}}


def plan_of(tmp_path, design: dict, streams: dict | None = None, **study) -> Plan:
    trial = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}}
    trial |= {} if streams is None else {"streams": streams}
    path = tmp_path / "s.yaml"
    path.write_text(
        json.dumps({"study": "s", "question": "q", "seeds": 6, "design": design, "trial": trial, **study}, indent=1)
    )
    return expand(load_study(path), lambda _: DataShape((2,), 10, "f00d"))


def test_one_arm_a_stream_one_for_all_and_one_for_none(tmp_path):
    plan = plan_of(tmp_path, VARIANCE, seeds=[3, 4, 5, 6, 7])
    assert {arm.name: arm.config.streams for arm in plan.arms} == {
        "all": StreamsConfig(),
        "split": StreamsConfig(weights=3, order=3),
        "weights": StreamsConfig(split=3, order=3),
        "order": StreamsConfig(split=3, weights=3),
        "repeat": StreamsConfig(split=3, weights=3, order=3),
    }
    assert plan.baseline.name == "all"
    assert plan.factors == ("streams.split", "streams.weights", "streams.order")
    assert len({cell.cell_id for cell in plan.cells}) == len(plan.cells) == 25
    assert plan.warnings == ()


def test_streams_may_be_fixed_at_another_seed(tmp_path):
    plan = plan_of(tmp_path, VARIANCE | {"around": 11})
    assert plan.arms[1].config.streams == StreamsConfig(weights=11, order=11)


def test_few_seeds_and_a_split_without_chance_are_told(tmp_path):
    data = {"kind": "digits", "split": {"transductive": True}}
    trial = {"data": data, "classes": {"num_fine": 10}}
    warnings = plan_of(tmp_path, VARIANCE, seeds=4, trial=trial).warnings
    assert ["fewer than 5 seeds" in warnings[0], "no split to draw" in warnings[1]] == [True, True]


@pytest.mark.parametrize(
    ("design", "changes", "said"),
    [
        (VARIANCE, {"streams": {"order": 1}}, "trial.streams.order: a study of variance fixes streams itself"),
        (VARIANCE, {"scheduler": {"kind": "asha", "metric": "val/silhouette"}}, "stopped early"),
        (VARIANCE, {"seeds": {"min": 5, "max": 10}}, "plans no contrasts that seeds could decide"),
        ({"kind": "sensitivity", "factors": {"streams.split": [0, 1]}}, {}, "so none can change streams"),
        ({"kind": "comparison", "arms": [{"name": "a"}, {"name": "b", "set": {"streams.order": 4}}]}, {},
         "design.arms[1].set.streams.order"),
        ({"kind": "search", "space": SPACE, "trials": 3, "metric": "val/silhouette"}, {}, "got 'streams.split'"),
        (FACTORS, {"streams": {"split": 0, "weights": 0, "order": 0}}, "every seed repeats the same run"),
    ],
)  # fmt: skip
def test_what_would_not_be_paired_or_no_evidence_is_refused(tmp_path, design, changes, said):
    with pytest.raises(ConfigError) as caught:
        plan_of(tmp_path, design, **changes)
    assert said in str(caught.value)


def test_a_stream_that_is_fixed_for_all_arms_is_told(tmp_path):
    plan = plan_of(tmp_path, FACTORS, streams={"split": 2, "order": 0})
    assert plan.warnings == (
        "Every cell has the same split (2) and data order (0), by trial.streams: intervals and verdicts are about it "
        "alone, and narrower than those of a study in which it follows the seed.",
    )
    plan_of(tmp_path, FACTORS, streams={"split": 0, "weights": 0, "order": 0}, seeds=1)
