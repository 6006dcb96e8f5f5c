"""Simulated studies with a planted truth, judged as reports judge them."""

from __future__ import annotations

import pytest
from support.benchmarks import load_benchmark

verdicts = load_benchmark("verdicts")


def _allowed(studies):
    return 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


@pytest.mark.slow_except("normal-10-80", "half at the margin-10-100", "collapse of arms-5-60", "20 test samples-10-60")
@pytest.mark.parametrize(
    ("kind", "n", "studies"),
    [
        ("normal", 10, 80),
        ("heavy tails (t3)", 10, 60),
        ("unequal spread", 10, 60),
        ("at the margin", 10, 100),
        ("half at the margin", 10, 100),
        ("lognormal, good tail", 5, 60),
        ("lognormal, bad tail", 20, 60),
        ("ceiling", 10, 60),
        ("collapse of arms", 5, 60),
        ("collapse of arms", 10, 60),
        ("worst 30 % lost", 10, 12),
        ("20 test samples", 10, 60),
    ],
)
def test_wrong_verdicts_are_rare_in_null_studies(kind, n, studies):
    assert verdicts.simulate(kind, 5, n, studies).wrong <= _allowed(studies)


@pytest.mark.slow_except("lognormal, bad tail-5")
@pytest.mark.parametrize(("kind", "n"), [("collapse of arms", 10), ("at the margin", 10), ("lognormal, bad tail", 5)])
def test_the_tests_alone_would_be_wrong_more_often_than_they_say(kind, n):
    assert verdicts.simulate(kind, 5, n, 100).tests > 0.07


@pytest.mark.parametrize("kind", ["collapse of arms", "lognormal, good tail", "ceiling"])
def test_intervals_that_miss_come_with_a_doubt_or_a_warning(kind):
    assert verdicts.simulate(kind, 5, 5, 40).flagged >= 0.9


def test_real_effects_are_still_found():
    rules = verdicts.rules_of("normal", 5)
    found = 0
    for seed in range(40):
        study = verdicts.normal(verdicts.np.random.default_rng(seed), 5, 10, difference=0.06)
        judged, _, _ = verdicts.judge_study(study, rules)
        found += sum(judgement.verdict is verdicts.Verdict.HELPS for judgement in judged)
    assert found >= 0.95 * 200
