from __future__ import annotations

import math
import statistics

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgtune.config.schema.tuning import AshaConfig, HyperbandConfig, MedianConfig, PbtConfig, PlateauConfig
from fgtune.tuning.early_stopping.rules import Candidate, hyperband_brackets, stopping_rule

optuna.logging.set_verbosity(optuna.logging.ERROR)


def candidate(name: str, epochs: int = 27, block: int = 0, key: str | None = None) -> Candidate:
    return Candidate(name, block, key or name, epochs)


def stopped_by(rule, curves, epochs=27, block=0):
    """Observe curves epoch by epoch, one trial after the other; the epoch after which each was stopped."""
    stopped = {}
    for name, curve in curves.items():
        for epoch, score in enumerate(curve, start=1):
            decision = rule.observe(candidate(name, epochs, block), epoch, score)
            if decision is not None and decision.stop:
                stopped[name] = epoch
                break
    return stopped


scores = st.floats(-10, 10, allow_nan=False)


@pytest.mark.slow
@given(
    st.lists(st.lists(scores, min_size=26, max_size=26), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(2, 4),
)
def test_asha_stops_what_optunas_successive_halving_stops(curves, grace, reduction):
    rule = stopping_rule(AshaConfig(grace_epochs=grace, reduction=reduction))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=grace, reduction_factor=reduction)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    ours = stopped_by(rule, {str(rank): curve for rank, curve in enumerate(curves)})
    theirs = {}
    for rank, curve in enumerate(curves):
        trial = study.ask()
        for epoch, score in enumerate(curve, start=1):
            trial.report(score, epoch)
            if trial.should_prune():
                theirs[str(rank)] = epoch
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curve[-1])
    assert ours == theirs


def test_asha_waits_at_its_rungs_alone():
    rule = stopping_rule(AshaConfig(grace_epochs=3, reduction=3.0))
    assert [epoch for epoch in range(1, 60) if rule.decides_at(candidate("a", epochs=60), epoch)] == [3, 9, 27]
    assert not any(rule.decides_at(candidate("a", epochs=3), epoch) for epoch in range(1, 4))


def test_a_rung_passed_between_evaluations_is_judged_at_the_next_one_and_once():
    rule = stopping_rule(AshaConfig(grace_epochs=3, reduction=3.0))
    rule.observe(candidate("good"), 4, 1.0)
    assert rule.observe(candidate("bad"), 2, 0.0) is None
    assert rule.observe(candidate("bad"), 4, 0.0).stop
    assert rule.observe(candidate("bad"), 5, 0.0) is None


def test_trials_are_compared_within_their_block():
    rule = stopping_rule(AshaConfig(grace_epochs=1, reduction=2.0))
    rule.observe(candidate("a", block=0), 1, 1.0)
    assert not rule.observe(candidate("b", block=1), 1, 0.0).stop
    assert rule.observe(candidate("c", block=0), 1, 0.0).stop


def test_a_score_that_is_no_number_is_the_worst():
    rule = stopping_rule(AshaConfig(grace_epochs=1, reduction=2.0))
    rule.observe(candidate("a"), 1, -5.0)
    assert rule.observe(candidate("b"), 1, -math.inf).stop


def test_brackets_get_shares_and_one_of_hyperband_never_stops():
    rule = stopping_rule(HyperbandConfig(reduction=3.0))
    first = [rule.first_rung(candidate(str(n), epochs=27)) for n in range(3000)]
    published = {1: 27, 3: 12, 9: 6, 27: 4}  # Li et al. 2018, table 1: n of each bracket for R = 27
    for rung, share in published.items():
        assert first.count(rung) / 3000 == pytest.approx(share / sum(published.values()), abs=0.03)
    assert dict(hyperband_brackets(27, 3.0)) == published
    whole = next(str(n) for n in range(3000) if first[n] == 27)
    assert not any(rule.decides_at(candidate(whole, epochs=27), epoch) for epoch in range(1, 27))


def test_all_seeds_of_an_arm_are_in_one_bracket():
    rule = stopping_rule(AshaConfig(grace_epochs=1, reduction=2.0, brackets=3))
    for n in range(20):
        cells = [Candidate(f"{n}-{seed}", seed, f"config {n}", 27) for seed in range(4)]
        assert len({rule.first_rung(cell) for cell in cells}) == 1
    assert len({rule.first_rung(Candidate(f"{n}", 0, f"config {n}", 27)) for n in range(20)}) == 3


@given(st.lists(st.lists(scores, min_size=9, max_size=9), min_size=1, max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_median_is_the_rule_written_out(curves, grace, min_trials):
    rule = stopping_rule(MedianConfig(grace_epochs=grace, min_trials=min_trials))
    ours = stopped_by(rule, {str(rank): curve for rank, curve in enumerate(curves)}, epochs=10)
    seen: list[list[float]] = []
    expected = {}
    for rank, curve in enumerate(curves):
        reached = []
        for epoch in range(1, 10):
            reached = curve[:epoch]
            means = [statistics.fmean(other[:epoch]) for other in seen if len(other) >= epoch]
            if epoch >= grace and len(means) >= min_trials and max(reached) < statistics.median(means):
                expected[str(rank)] = epoch
                break
        seen.append(reached)
    assert ours == expected


def test_plateau_stops_what_does_not_move():
    rule = stopping_rule(PlateauConfig(grace_epochs=4, patience_epochs=3, tolerance=0.01))
    flat = [0.1, 0.2, 0.5, 0.5, 0.505, 0.5]
    rising = [0.1 * epoch for epoch in range(20)]
    assert stopped_by(rule, {"flat": flat, "rising": rising}) == {"flat": 5}


def test_a_plateau_of_undefined_scores_is_one_and_a_mixture_is_none():
    rule = stopping_rule(PlateauConfig(grace_epochs=2, patience_epochs=2, tolerance=0.01))
    never, once = [-math.inf, -math.inf], [0.5, -math.inf, 0.5, 0.5]
    assert stopped_by(rule, {"never": never, "once": once}) == {"never": 2, "once": 4}


@pytest.mark.parametrize(
    "config",
    [
        AshaConfig(grace_epochs=1, reduction=2.0),
        AshaConfig(grace_epochs=1, reduction=2.0, brackets=3),
        HyperbandConfig(reduction=2.0),
        MedianConfig(grace_epochs=1, min_trials=1),
        PlateauConfig(grace_epochs=1, patience_epochs=2),
    ],
    ids=lambda config: f"{config.kind}-{getattr(config, 'brackets', 1)}",
)
class TestEveryRule:
    def test_never_stops_in_the_last_epoch(self, config):
        rule = stopping_rule(config)
        for n in range(20):
            assert not rule.decides_at(candidate(str(n), epochs=8), 8)

    @pytest.mark.slow_except("asha-1")
    @given(data=st.data())
    def test_the_same_observations_give_the_same_decisions(self, config, data):
        observed = data.draw(
            st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 7), scores), unique_by=lambda o: o[:2])
        )
        first, second = stopping_rule(config), stopping_rule(config)
        for name, epoch, score in sorted(observed, key=lambda each: each[1]):
            who = candidate(name, epochs=8)
            assert first.observe(who, epoch, score) == second.observe(who, epoch, score)

    def test_says_why_it_stops(self, config):
        rule = stopping_rule(config)
        curves = {str(n): [-float(n)] * 7 for n in range(20)}
        reasons = [
            decision.reason
            for name, curve in curves.items()
            for epoch, score in enumerate(curve, start=1)
            if (decision := rule.observe(candidate(name, epochs=8), epoch, score)) is not None and decision.stop
        ]
        assert reasons
        assert all(reasons)


def test_population_based_training_is_no_stopping_rule():
    with pytest.raises(TypeError, match="pbt"):
        stopping_rule(PbtConfig())
