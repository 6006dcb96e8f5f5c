from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.text.answer import contrast_sentence
from fgtune.analysis.verdicts.deciding import judge, judge_together
from fgtune.analysis.verdicts.judgement import Case, LostCells, Rules, Verdict
from fgtune.analysis.verdicts.look_tests import LookTests, last_look, sequential_p_values
from fgtune.analysis.verdicts.robust import equivalence_p, summary_of
from fgtune.analysis.verdicts.shape import Shape
from fgtune.analysis.verdicts.statistics import mean_interval, paired_contrast

ENOUGH = Shape(1.0, 40, 4, 0.0, ())
"""As many cells as show collapses, and none."""


def _case(differences, direction="maximize", margin=0.02, kind="mean", grain=0.0, rate=0.1, **more):
    baseline = dict.fromkeys(range(len(differences)), 0.5)
    arm = {seed: 0.5 + difference for seed, difference in enumerate(differences)}
    contrast = paired_contrast(arm, baseline, direction=direction)
    summary = summary_of(kind, contrast, direction, 0.95)
    rules = Rules(direction, 0.05, 1, kind, 0.0, 1.0, grain, rate)
    close = math.nan if margin is None else equivalence_p(kind, contrast, margin, rules.least_sd)
    arm_mean = 0.5 + (contrast.estimate.mean if differences else 0.0)
    settings = {"arm_mean": arm_mean, "shape": ENOUGH} | more
    return Case(contrast, summary, margin, summary.p, close, **settings), rules


def _judge(differences, direction="maximize", **more):
    return judge(*_case(differences, direction, **more))


BETTER = [0.10, 0.12, 0.09, 0.11, 0.10]


@pytest.mark.parametrize(
    ("differences", "direction", "verdict"),
    [
        pytest.param(BETTER, "maximize", Verdict.HELPS, id="higher is better"),
        pytest.param(BETTER, "minimize", Verdict.HURTS, id="lower is better"),
        pytest.param([-0.10, -0.12, -0.09, -0.11, -0.10], "minimize", Verdict.HELPS, id="less is better"),
        pytest.param(BETTER, "none", Verdict.UNDECIDED, id="no direction"),
        pytest.param([0.001, -0.002, 0.003, 0.0, 0.001], "maximize", Verdict.EQUIVALENT, id="tiny"),
        pytest.param([0.010, 0.011, 0.010, 0.009, 0.010], "maximize", Verdict.EQUIVALENT, id="sure, yet unimportant"),
        pytest.param([0.10, -0.08, 0.05, -0.02, 0.01], "maximize", Verdict.UNDECIDED, id="noisy"),
        pytest.param([0.0] * 5, "maximize", Verdict.UNDECIDED, id="equal, perhaps by rounding"),
        pytest.param([0.001, 0.002], "maximize", Verdict.UNDECIDED, id="two close pairs"),
        pytest.param([0.3] * 3, "maximize", Verdict.UNDECIDED, id="equal differences of three pairs"),
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


def test_without_a_margin_nothing_is_equivalent():
    assert _judge([0.001, -0.002, 0.003, 0.0, 0.001], margin=None).verdict is Verdict.UNDECIDED


def test_equivalence_is_corrected_for_the_number_of_contrasts():
    case, rules = _case([0.004, 0.012, 0.018, -0.002, 0.019])
    assert 0.025 < case.p_equivalent < 0.05
    alone, together = judge_together([case], rules), judge_together([case, case], rules)
    assert (alone[0].verdict, together[0].verdict) == (Verdict.EQUIVALENT, Verdict.UNDECIDED)
    assert together[0].p_equivalent == pytest.approx(2 * case.p_equivalent)


def test_a_run_that_repeats_the_baseline_to_the_last_bit_is_equivalent():
    found = _judge([0.0] * 5, same_run=True)
    assert (found.verdict, found.reason) == (
        Verdict.EQUIVALENT,
        "every metric of every pair is the same to the last bit",
    )


def test_equal_differences_say_what_the_exact_test_reaches():
    assert (
        _judge([0.3] * 5).reason
        == "all 5 differences are equal, and an exact test of 5 pairs cannot go below p = 0.0625"
    )


def test_a_test_set_too_coarse_for_the_margin_shows_no_equivalence():
    found = _judge([0.001, -0.002, 0.003, 0.0, 0.001] * 4, grain=0.05)
    assert found.verdict is Verdict.UNDECIDED
    assert _judge([0.0] * 19 + [0.01], grain=0.01).verdict is Verdict.EQUIVALENT


def test_pairs_lost_to_early_stopping_leave_any_difference_undecided():
    stopped = _judge(BETTER, lost=LostCells(stopped=(5,)), baseline_lost=LostCells(stopped=(5, 6)))
    assert (stopped.verdict, stopped.doubt, stopped.stopped) == (Verdict.UNDECIDED, "stopped", 2)
    assert stopped.reason == "2 pairs were stopped early, so those left are the ones that went well"


def _with_lost(seen, ends, **more):
    """A contrast whose arm failed on as many further seeds as ``ends`` has (lowest, highest) differences for."""
    seeds = tuple(range(len(seen), len(seen) + len(ends)))
    lowest, highest = ((*seen, *(pair[way] for pair in ends)) for way in (0, 1))
    return _judge(seen, lost=LostCells(failed=seeds), lowest=lowest, highest=highest, **more)


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        pytest.param([(-0.8, 0.2)] * 3, Verdict.UNDECIDED, id="they span zero"),
        pytest.param([(-0.1, 0.1)], Verdict.HELPS, id="better at their worst"),
        pytest.param([(-0.49, 0.2)], Verdict.UNDECIDED, id="better at their worst, but hardly"),
        pytest.param([(-math.inf, math.inf)], Verdict.UNDECIDED, id="no bounds"),
    ],
)
def test_lost_cells_undo_an_answer_that_their_worst_could_turn(ends, verdict):
    found = _with_lost(BETTER, ends)
    assert (found.verdict, found.tests_say) == (verdict, Verdict.HELPS)
    if verdict is Verdict.UNDECIDED:
        assert found.doubt == "lost"
        assert found.reason.startswith("it failed on seed")


def test_lost_cells_of_the_baseline_count_too():
    lost = LostCells(failed=(5,), undefined=(6,))
    found = _judge(BETTER, baseline_lost=lost, lowest=(*BETTER, -0.4, -0.4), highest=(*BETTER, 0.6, 0.6))
    assert found.reason == (
        "the baseline failed on seed 5 and gave no finite value on seed 6; "
        "with these cells at their worst and best, the mean difference could lie from −0.040 to +0.246"
    )


def test_equivalence_needs_both_ends_within_the_margin():
    tiny = [0.001, -0.002, 0.003, 0.0, 0.001]
    assert _with_lost(tiny, [(-0.8, 0.2)]).verdict is Verdict.UNDECIDED
    assert _with_lost(tiny, [(-0.05, 0.05)]).verdict is Verdict.EQUIVALENT


def test_a_median_bears_lost_cells_as_long_as_the_sign_test_does():
    assert _with_lost(BETTER * 2, [(-0.8, 0.2)], kind="median").verdict is Verdict.HELPS
    assert _with_lost(BETTER * 2, [(-0.8, 0.2)] * 4, kind="median").verdict is Verdict.UNDECIDED


def test_an_arm_that_crashed_on_every_seed_reads_differently_from_one_that_never_ran():
    assert _judge([], lost=LostCells(failed=(0, 1, 2))).reason == "no pair is left: it failed on seeds 0, 1, 2"
    assert _judge([]).reason == "no seed has a value in both arms yet"


def test_one_seed_as_bad_as_the_worst_of_the_study_undoes_a_small_lead():
    odd = Shape(0.001, 40, 4, 0.5, (("other", 3, -0.5),))
    found = _judge(BETTER * 2, shape=odd)
    assert (found.verdict, found.doubt) == (Verdict.UNDECIDED, "shape")
    assert found.reason.startswith("collapsed: seed 3 of other (−0.500), and one more such seed here would undo this; ")
    large, milder = [5 * difference for difference in BETTER] * 2, Shape(0.001, 40, 4, 0.2, ())
    assert _judge(large, shape=milder).verdict is Verdict.HELPS


def test_a_typical_seed_may_be_judged_where_a_mean_may_not():
    odd = Shape(0.001, 40, 4, 0.5, (("other", 3, -0.5),))
    found = _judge([*BETTER, *BETTER[:4], -0.4], kind="median", shape=odd)
    assert found.verdict is Verdict.HELPS


def test_too_few_cells_to_see_collapses_leave_only_what_a_collapse_of_one_in_ten_cannot_undo():
    few = Shape(1.0, 5, 1, 0.02, ())
    small = [0.03, 0.035, 0.032, 0.028, 0.031]
    assert _judge(small, shape=few).doubt == "unseen"
    assert _judge([10 * difference for difference in small], shape=few).verdict is Verdict.HELPS
    assert _judge(small, shape=Shape(1.0, 29, 6, 0.02, ())).verdict is Verdict.HELPS
    assert _judge([*small, 0.03], shape=few).doubt == "unseen"  # an exact test takes the differences to be symmetric
    assert _judge(small, shape=few, rate=0.0).verdict is Verdict.HELPS
    assert _judge([0.001, -0.002, 0.003, 0.0, 0.001], shape=few).doubt == "unseen"


def test_below_five_pairs_no_number_of_arms_stands_for_seeds():
    assert _judge([0.03, 0.031, 0.032, 0.0305], shape=Shape(1.0, 60, 12, 0.02, ())).doubt == "unseen"


def test_a_seed_that_carries_an_undecided_mean_is_named():
    odd = Shape(0.001, 40, 4, 0.5, (("mine", 3, -0.5), ("other", 1, -0.4)))
    found = _judge([*BETTER, *BETTER[:4], -0.4], shape=odd, names=("mine", "base"))
    assert (found.verdict, found.doubt) == (Verdict.UNDECIDED, "shape")
    assert found.reason.startswith("seed 3 (−0.500) collapsed and carries the mean; metrics.summary: median")
    assert _judge([*BETTER, *BETTER[:4], -0.4], shape=odd, names=("third", "base")).doubt == ""


SHARES = (0.8, 0.96, 0.992)


def _looked(looks, shares=SHARES):
    """The last look of a contrast with these pairs, effects, and p-values at its looks."""
    tests = [LookTests(*look) for look in looks]
    different, close = sequential_p_values(tests, shares[: len(tests)])
    return {"p_adjusted": different, "p_equivalent": close, "last_look": last_look(tests, shares[: len(tests)])}


NONE = math.nan


@pytest.mark.parametrize(
    ("looks", "shares", "verdict", "earlier"),
    [
        (((10, 0.1, 0.001, NONE),), SHARES, Verdict.HELPS, 0),
        (((5, 0.1, 0.001, NONE), (10, 0.1, 0.0001, NONE)), SHARES, Verdict.HELPS, 0),  # all pairs show it too
        (((5, 0.1, 0.001, NONE), (10, 0.1, 0.07, NONE)), SHARES, Verdict.HELPS, 5),
        (((3, -0.1, 0.0005, NONE), (6, 0.1, 0.004, NONE), (10, 0.05, 0.07, NONE)), SHARES, Verdict.HELPS, 6),
        (((5, 0.1, 0.03, NONE), (8, 0.1, 0.001, NONE), (10, 0.1, 0.06, NONE)), (1.0, 1.0, 1.0), Verdict.HELPS, 5),
        (((5, 0.0, 0.9, 0.001), (10, 0.01, 0.2, 0.09)), SHARES, Verdict.EQUIVALENT, 5),
        (((5, 0.0, 0.9, 0.001), (10, 0.01, 0.2, 0.002)), SHARES, Verdict.EQUIVALENT, 0),
        (((5, 0.0, 0.9, 0.001), (10, 0.01, 0.2, 0.6)), SHARES, Verdict.UNDECIDED, 0),
    ],
)
def test_an_answer_of_an_earlier_look_says_so_where_all_pairs_do_not_give_it(looks, shares, verdict, earlier):
    spread = [0.1 + 0.001 * (seed % 3) for seed in range(10)]
    case, rules = _case(spread, rate=0.0)
    case = replace(case, **_looked(looks, shares))
    found = judge(case, rules)
    assert (found.verdict, found.earlier) == (verdict, earlier)
    assert found.reason.endswith("all 10 by themselves do not") == (earlier > 0)
    words = contrast_sentence("arm", case.contrast, case.summary, found, None, metric_info("test/ari"), 0.95)
    assert (f"as {earlier} pairs showed before; all 10 by themselves do not" in words) == (earlier > 0)


def test_whether_all_pairs_give_an_answer_is_corrected_for_all_contrasts():
    looks = ((5, 0.1, 0.0001, NONE), (10, 0.1, 0.02, NONE))
    spread = [0.1 + 0.001 * (seed % 3) for seed in range(10)]
    case, rules = _case(spread, rate=0.0)
    case = replace(case, **_looked(looks))
    assert judge_together([case], rules)[0].earlier == 0
    assert {found.earlier for found in judge_together([case] * 10, rules)} == {5}


def test_a_doubt_about_an_earlier_looks_answer_does_not_call_it_that_of_these_pairs():
    case, rules = _case([0.1 + 0.001 * (seed % 3) for seed in range(10)], lost=LostCells(stopped=(11,)))
    case = replace(case, **_looked(((5, 0.1, 0.001, NONE), (10, 0.1, 0.07, NONE))))
    found = replace(judge(case, rules), doubt="unseen")
    words = contrast_sentence("arm", case.contrast, case.summary, found, None, metric_info("test/ari"), 0.95)
    assert "5 pairs said helps before, but " in words
    assert "these pairs alone" not in words
