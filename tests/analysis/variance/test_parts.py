"""Shares of the variance over seeds: exact numbers, planted parts, and what is said where nothing can be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from support.benchmarks import load_benchmark

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.text.variance import describe_variance
from fgtune.analysis.variance.parts import SEEDS_TO_NAME, summarise_variance
from fgtune.streams import numpy_stream

variance = load_benchmark("variance")
INFO = metric_info("test/clustering_accuracy")
PATTERN = np.array([-1.0, -0.5, 0.0, 0.2, 0.3, 1.0])


def study(scales, **changes):
    """Six seeds of one pattern an arm, at several scales."""
    arms = ("all", "split", "weights", "order", "repeat")
    values = {arm: dict(enumerate(0.5 + scale * PATTERN)) for arm, scale in zip(arms, scales, strict=True)}
    return values, summarise_variance(values, changes.pop("lost", {}), around=0, **changes)


def test_shares_are_differences_of_variances():
    values, found = study((1.0, 0.8, 0.4, 0.2, 0.1))
    variances = {arm: np.var(list(of.values()), ddof=1) for arm, of in values.items()}
    for part in found.streams:
        expected = (variances[part.name] - variances["repeat"]) / variances["all"]
        assert part.share.value == pytest.approx(expected)
        assert part.f == pytest.approx(variances[part.name] / variances["repeat"])
        assert part.share.low < part.share.value < part.share.high
    assert found.repeated.value == pytest.approx(0.01)
    assert found.together.value == pytest.approx(1 - 0.63 - 0.15 - 0.03 - 0.01)
    assert sum(
        part.share.value for part in found.streams
    ) + found.repeated.value + found.together.value == pytest.approx(1)
    assert found.together.low < found.together.value < found.together.high


def test_exact_repeats_leave_every_spread_to_the_streams():
    _, found = study((1.0, 0.8, 0.0, 0.2, 0.0))
    assert [part.p_repeat for part in found.streams] == [0.0, 1.0, 0.0]
    assert [part.moves for part in found.streams] == [True, False, True]
    assert (found.streams[0].f, found.repeated.value) == (math.inf, 0.0)
    told = describe_variance(found, INFO, 0.95).sentence
    assert "Repeated runs agree exactly." in told


def test_one_stream_is_named_where_both_tests_say_so():
    rng = numpy_stream(0, "named")
    values = {arm: dict(enumerate(scale * rng.standard_normal(40))) for arm, scale in
              (("all", 3.2), ("split", 3.0), ("weights", 1.0), ("order", 1.0), ("repeat", 0.01))}  # fmt: skip
    found = summarise_variance(values, {}, around=4)
    assert (found.named, found.open) == ("split", "")
    described = describe_variance(found, INFO, 0.95)
    assert "The split stands out" in described.sentence
    assert "others as in seed 4" in described.sentence
    assert described.advice == ""
    after_looks = summarise_variance(values, {}, around=4, looks=3)
    assert after_looks.streams[0].p_largest == pytest.approx(3 * found.streams[0].p_largest)
    assert set(found.wider) == {("split", "weights"), ("split", "order")}
    lost = summarise_variance(values, {"order": 1}, around=4)
    assert (lost.named, lost.open, lost.wider) == ("", "lost cells", ())
    assert "--retry-failed" in describe_variance(lost, INFO, 0.95).advice


def test_few_seeds_and_no_spread_name_nothing():
    values, _ = study((1.0, 0.9, 0.1, 0.1, 0.0))
    few = summarise_variance({arm: dict(list(of.items())[:3]) for arm, of in values.items()}, {}, around=0)
    assert (few.named, few.open) == ("", "few seeds")
    assert math.isnan(few.streams[0].share.low)
    described = describe_variance(few, INFO, 0.95)
    assert f"{SEEDS_TO_NAME[3.0]} seeds" in described.advice
    _, still = study((0.0, 0.0, 0.0, 0.0, 0.0))
    assert still.open == "no spread"
    assert "no spread to explain" in describe_variance(still, INFO, 0.95).sentence
    empty = summarise_variance({arm: {} for arm in values}, {}, around=0)
    assert describe_variance(empty, INFO, 0.95).sentence.startswith("No answer yet")


def test_shares_above_the_whole_say_that_streams_depend_on_each_other():
    _, found = study((0.1, 3.0, 3.0, 3.0, 0.0))
    assert found.together.high < 0
    assert "add up to more than the whole" in describe_variance(found, INFO, 0.95).sentence
    _, joint = study((3.0, 0.1, 0.1, 0.1, 0.0))
    assert joint.together.low > 0
    assert "only where several streams vary together" in describe_variance(joint, INFO, 0.95).sentence
    assert replace(joint, named="").open == "not told apart"


@pytest.mark.parametrize("kind", ["normal", "collapse"])
def test_planted_parts_are_covered_and_nothing_is_named_wrongly(kind):
    alike = variance.judged(variance.PLANTED[1], kind, 12, 60, seed=1)
    assert alike["wrong"] <= 0.1
    noise = variance.judged(variance.PLANTED[3], kind, 12, 60, seed=1)
    assert noise["moved"] <= 0.12
    if kind == "normal":  # intervals take values to be roughly normal
        assert min(alike["share"], alike["repeat"], alike["together"], alike["sd"]) >= 0.85


@pytest.mark.parametrize(("times", "seeds"), SEEDS_TO_NAME.items())
def test_the_advised_seeds_name_the_widest_stream_in_80_percent_of_studies(times, seeds):
    planted = variance.Planted("advice", (times, 1.0, 1.0), 0.0)
    assert 0.68 <= variance.judged(planted, "normal", seeds, 100, seed=2)["found"] <= 0.95


def test_pairs_of_streams_are_corrected_together():
    rng = numpy_stream(1, "pairs")
    values = {arm: dict(enumerate(scale * rng.standard_normal(20))) for arm, scale in
              (("all", 3.0), ("split", 2.0), ("weights", 2.0), ("order", 0.2), ("repeat", 0.0))}  # fmt: skip
    found = summarise_variance(values, {}, around=0)
    groups = {arm: list(of.values()) for arm, of in values.items()}
    pairs = [("split", "weights"), ("split", "order"), ("weights", "order")]
    tests = sorted(stats.levene(groups[one], groups[other], center="median").pvalue for one, other in pairs)
    assert set(found.wider) == {("split", "order"), ("weights", "order")}
    assert (found.named, found.open) == ("", "not told apart")
    assert "though initial weights move it more than data order" in describe_variance(found, INFO, 0.95).sentence or (
        "split moves it more than data order" in describe_variance(found, INFO, 0.95).sentence
    )
    widest = next(part for part in found.streams if part.p_largest < 1)
    assert widest.p_largest == pytest.approx(max(3 * tests[0], tests[2]))
