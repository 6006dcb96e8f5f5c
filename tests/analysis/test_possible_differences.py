"""No interval of a difference reaches beyond what the metric's range allows, and no verdict depends on that."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fgtune.analysis.datasets.pooling import pool
from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import read_study
from fgtune.analysis.search.held_out import held_out
from fgtune.analysis.search.surrogate import Effect
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdict_records import verdicts_of
from fgtune.analysis.verdicts.combining import Gains, combine
from fgtune.analysis.verdicts.judgement import Rules
from fgtune.analysis.verdicts.shape import UNKNOWN
from fgtune.analysis.verdicts.statistics import UNLIMITED

ENDS = {("low", "high"), ("tost_low", "tost_high"), ("new_low", "new_high")}
ABLATION = """
study: parts
question: What is each part worth?
design:
  kind: ablation
  schemes: [factorial]
  components:
    nn: {off: {objective.lambda_nn: 0.0}}
    reg: {off: {objective.lambda_reg: 0.0}}
seeds: SEEDS
metrics: {primary: test/clustering_accuracy, also: [test/ari]}
trial: {data: {kind: digits}, classes: {num_fine: 10}, epochs: 20}
"""


def intervals(found: Any) -> Iterator[tuple[float, float]]:
    """Both ends of every interval in plain data, at any depth."""
    if isinstance(found, dict):
        yield from ((found[low], found[high]) for low, high in ENDS if isinstance(found.get(high), float))
    for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from intervals(each)


def answers(summary) -> list:
    """All that the contrasts and parts of a summary say, without their intervals."""
    contrasts = [
        (each.arm, each.contrast.p_value, each.contrast.estimate.mean, each.judgement.verdict, each.judgement.reason)
        for each in summary.contrasts
    ]
    joint = () if summary.parts is None else summary.parts.effects
    return [*contrasts, *((each.judgement.verdict, each.judgement.reason) for each in joint)]


@pytest.mark.parametrize("text", ["sensitivity", ABLATION])
@pytest.mark.parametrize("seeds", [2, 3])
def test_no_interval_of_a_study_is_impossible_and_no_verdict_changes(synthetic, tmp_path, monkeypatch, text, seeds):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: SEEDS") if text == "sensitivity" else text
    study = synthetic.SyntheticStudy(text=text.replace("SEEDS", str(seeds)), accuracy={"baseline": 0.5}, noise=0.5)
    folder = study.write(tmp_path)
    found = summarise(folder)
    plain = found.to_plain()
    stored = verdicts_of(read_study(folder), found).model_dump()
    bounded = [each for each in (*plain["contrasts"], *plain["exploratory"]) if each["metric"] != "test/ged"]
    sums = [] if plain["parts"] is None else [plain["parts"]]
    for part, limit in ((bounded, 2.0), (stored["contrasts"], 1.0), (sums, 4.0)):
        assert all(-limit <= low <= high <= limit for low, high in intervals(part))
    assert all(-1 <= low <= high <= 1 for each in plain["contrasts"] for low, high in intervals(each))
    monkeypatch.setattr(MetricInfo, "reach", UNLIMITED)
    monkeypatch.setattr("fgtune.analysis.verdicts.combining._limits", lambda *_: UNLIMITED)
    free = summarise(folder)
    assert answers(free) == answers(found)
    assert any(high > 1 for each in free.to_plain()["contrasts"] for _, high in intervals(each))


@pytest.mark.parametrize("range_", [(0.0, 1.0), (-1.0, 1.0), (0.0, math.inf)])
def test_the_limits_of_a_weighted_sum_are_its_ends_over_all_values(range_):
    low, high = range_
    rules = Rules(direction="maximize", alpha=0.05, low=low, high=high)
    values = {arm: {0: 0.9, 1: 0.1} for arm in "abcd"} | {"b": {0: 0.1, 1: 0.9}}
    gains = Gains(values=values, lost={}, rules=rules, margin=None, shape=UNKNOWN)
    for weights in ({"a": 1.0, "b": -1.0}, {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}, {"a": 0.5, "b": -0.25}):
        corners = itertools.product(*((low, min(high, 1e9)) for _ in weights))
        sums = [float(np.dot(list(weights.values()), corner)) for corner in corners]
        found = combine(gains, weights).contrast.limits
        expected = [min(sums), max(sums)] if math.isfinite(high) else [-math.inf, math.inf]
        assert found == pytest.approx(expected)


def test_a_fitted_effect_ends_there_and_is_as_clear_as_before():
    free = Effect(0.97, 0.85, 1.09)
    found = free.within((0.0, 1.0))
    assert found == Effect(0.97, 0.85, 1.0)
    assert Effect(1.02, 0.9, 1.1).within((0.0, 1.0)) == Effect(1.02, 0.9, 1.02)  # a fit may leave the range
    for effect in (Effect(0.2, 0.1, 1.4), Effect(0.2, -1.3, 1.7), Effect(-0.5, -1.2, -0.1)):
        assert effect.within((-1.0, 1.0)).clear == effect.clear


def test_pooled_and_held_out_differences_end_there_too():
    effects = [0.9, -0.6, 0.8]
    free, found = pool(effects, [], 0.95), pool(effects, [], 0.95, (-1.0, 1.0))
    assert (found.p, found.estimate.mean) == (free.p, free.estimate.mean)
    assert free.new_low < free.estimate.low < -1 < 1 < free.estimate.high < free.new_high
    assert [found.new_low, found.estimate.low, found.estimate.high, found.new_high] == [-1, -1, 1, 1]
    one, two = np.array([1.0, 0.1, 0.9]), np.array([0.0, 0.9, 0.2])
    judged = held_out(one, two, 3, 0.95, (-1.0, 0.5))
    assert judged.low == -1.0
    assert judged.high == 0.5
    assert judged.times(-1.0).at(0.99) == (-0.5, 1.0)
    assert held_out(one, two, 3, 0.95).high > 1
