from __future__ import annotations

import math

import pytest

from fgtune.analysis.statistics import mean_interval, paired_contrast
from fgtune.analysis.verdicts import Verdict, judge, seeds_for_exact_test, seeds_needed


def _judge(differences, direction="maximize", alpha=0.05, margin=0.02, contrasts=1):
    baseline = dict.fromkeys(range(len(differences)), 0.5)
    arm = {seed: 0.5 + difference for seed, difference in enumerate(differences)}
    contrast = paired_contrast(arm, baseline, direction=direction)
    return judge(contrast, contrast.p_value, direction=direction, alpha=alpha, margin=margin, contrasts=contrasts)


@pytest.mark.parametrize(
    ("differences", "direction", "verdict"),
    [
        pytest.param([0.10, 0.12, 0.09, 0.11, 0.10], "maximize", Verdict.HELPS, id="higher is better"),
        pytest.param([0.10, 0.12, 0.09, 0.11, 0.10], "minimize", Verdict.HURTS, id="lower is better"),
        pytest.param([-0.10, -0.12, -0.09, -0.11, -0.10], "minimize", Verdict.HELPS, id="less is better"),
        pytest.param([0.10, 0.12, 0.09, 0.11, 0.10], "none", Verdict.UNDECIDED, id="no direction"),
        pytest.param([0.001, -0.002, 0.003, 0.0, 0.001], "maximize", Verdict.EQUIVALENT, id="tiny"),
        pytest.param([0.010, 0.011, 0.010, 0.009, 0.010], "maximize", Verdict.EQUIVALENT, id="sure, yet unimportant"),
        pytest.param([0.10, -0.08, 0.05, -0.02, 0.01], "maximize", Verdict.UNDECIDED, id="noisy"),
        pytest.param([0.0] * 5, "maximize", Verdict.EQUIVALENT, id="identical"),
        pytest.param([0.3] * 5, "maximize", Verdict.UNDECIDED, id="equal differences of five pairs"),
        pytest.param([0.3] * 8, "maximize", Verdict.HELPS, id="equal differences of eight pairs"),
        pytest.param([0.3], "maximize", Verdict.UNDECIDED, id="one pair"),
        pytest.param([], "maximize", Verdict.UNDECIDED, id="no pair"),
    ],
)
def test_verdict(differences, direction, verdict):
    assert _judge(differences, direction).verdict is verdict


def test_equivalence_reads_the_interval_at_one_minus_two_alpha():
    differences = [0.004, 0.012, 0.018, -0.002, 0.019]
    found = _judge(differences)
    wide, narrow = mean_interval(differences, 0.95), mean_interval(differences, 0.90)
    assert (found.tost_low, found.tost_high) == (pytest.approx(narrow.low), pytest.approx(narrow.high))
    assert narrow.high < 0.02 < wide.high
    assert found.verdict is Verdict.EQUIVALENT


def test_undecided_says_how_many_seeds_would_do():
    found = _judge([0.10, -0.08, 0.05, -0.02, 0.01], contrasts=3)
    sd = mean_interval([0.10, -0.08, 0.05, -0.02, 0.01]).sd
    assert found.seeds_needed == seeds_needed(sd, 0.02, 0.05 / 3)


def test_equal_differences_say_what_the_exact_test_needs():
    found = _judge([0.3] * 5)
    assert found.seeds_needed == seeds_for_exact_test(0.05, 1) == 6
    assert found.reason == "all 5 differences are equal, and an exact test of 5 pairs cannot go below p = 0.0625"


def test_a_decided_contrast_asks_for_no_seeds():
    assert _judge([0.10, 0.12, 0.09, 0.11, 0.10]).seeds_needed is None


def test_one_pair_leaves_power_undefined():
    found = _judge([0.3])
    assert found.seeds_needed is None
    assert math.isnan(found.detectable)
    assert found.reason == "one pair gives no interval"


def test_pairs_lost_to_early_stopping_leave_any_difference_undecided():
    differences = [0.10, 0.12, 0.09, 0.11, 0.10]
    baseline = dict.fromkeys(range(5), 0.5)
    contrast = paired_contrast({seed: 0.5 + d for seed, d in enumerate(differences)}, baseline, direction="maximize")
    settings = {"direction": "maximize", "alpha": 0.05, "margin": 0.02, "contrasts": 1}
    assert judge(contrast, 0.001, **settings).verdict is Verdict.HELPS
    stopped = judge(contrast, 0.001, **settings, stopped=2)
    assert stopped.verdict is Verdict.UNDECIDED
    assert stopped.reason == "2 pairs were stopped early, so those left are the ones that went well"
    assert stopped.seeds_needed is None
