"""The answer to a planned contrast: helps, hurts, equivalent or undecided, and why.

``equivalent`` follows the two one-sided tests (Schuirmann 1987), Holm-corrected like the test for a difference. It
takes precedence, since a difference that is certainly unimportant is no reason to change a setting, even if a test
distinguishes it from zero. ``helps`` and ``hurts`` need a Holm-adjusted p of at most alpha. An answer stands only where
it survives what the pairs do not show: the cells that were lost, the worst seed of the study, and collapses that too
few cells would have missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fgtune.analysis.formatting import number, p_text
from fgtune.analysis.verdicts.doubts import carried, doubts, lost_words
from fgtune.analysis.verdicts.judgement import (
    Case,
    Doubt,
    Judgement,
    LastLook,
    Rules,
    Verdict,
    earlier_words,
    stopped_pairs,
)
from fgtune.analysis.verdicts.statistics import cut, holm


def judge_together(cases: Sequence[Case], rules: Rules) -> tuple[Judgement, ...]:
    """Decide the planned contrasts of a study, whose p-values are not corrected yet.

    Holm's correction is made for the tests of a difference and for those of equivalence, each among themselves: a
    contrast without any difference can only be called helping or hurting wrongly, one of at least the margin only
    equivalent, so that at most ``alpha`` of studies contain a wrong answer of each kind.
    """
    return tuple(judge(case, rules) for case in corrected_together(cases))


def corrected_together(cases: Sequence[Case]) -> list[Case]:
    """The cases with their p-values corrected, those of a difference and those of equivalence each among themselves."""
    different = holm([case.p_adjusted for case in cases])
    equivalent = holm([case.p_equivalent for case in cases])
    corrected = zip(cases, different, equivalent, _last_looks(cases), strict=True)
    return [replace(case, p_adjusted=p, p_equivalent=close, last_look=look) for case, p, close, look in corrected]


def _last_looks(cases: Sequence[Case]) -> Sequence[LastLook | None]:
    """The last looks of the cases of a study, if it has several, with p-values corrected as those of all looks are."""
    looks = [case.last_look for case in cases if case.last_look is not None]
    if len(looks) < len(cases):
        return [None] * len(cases)
    different, equivalent = holm([look.different for look in looks]), holm([look.equivalent for look in looks])
    corrected = zip(looks, different, equivalent, strict=True)
    return [replace(look, different=p, equivalent=close) for look, p, close in corrected]


def judge(case: Case, rules: Rules) -> Judgement:
    """Decide one planned contrast."""
    tested, reason = _tested(case, rules)
    doubt: Doubt = ""
    verdict = tested
    stopped = stopped_pairs(case.lost, case.baseline_lost)
    if stopped and case.contrast.n:
        pairs = "pair was" if stopped == 1 else "pairs were"
        doubt, reason = "stopped", f"{stopped} {pairs} stopped early, so those left are the ones that went well"
        verdict = Verdict.UNDECIDED
    elif tested is not Verdict.UNDECIDED and not case.same_run:
        found = next(doubts(case, rules, tested), None)
        if found is not None:
            (doubt, reason), verdict = found, Verdict.UNDECIDED
    elif tested is Verdict.UNDECIDED and (seeds := carried(case, rules)):
        doubt, reason = "shape", seeds
    contrast, level = case.contrast, 1 - 2 * rules.alpha
    earlier = _earlier(case, rules, tested)
    if earlier and verdict is not Verdict.UNDECIDED:
        reason += earlier_words(earlier, contrast.n)
    tost_low, tost_high = cut(contrast.estimate.at(level), contrast.estimate.mean, contrast.limits)
    return Judgement(
        verdict=verdict,
        reason=reason,
        p_adjusted=case.p_adjusted,
        p_equivalent=case.p_equivalent,
        margin=case.margin,
        tost_low=tost_low,
        tost_high=tost_high,
        lost=case.lost,
        baseline_lost=case.baseline_lost,
        doubt=doubt,
        tests_say=tested,
        earlier=earlier,
    )


def _earlier(case: Case, rules: Rules, tested: Verdict) -> int:
    """Pairs at the earlier look that an answer comes from; 0 where all pairs by themselves give it too."""
    found = case.last_look
    if tested is Verdict.UNDECIDED or found is None or case.same_run:
        return 0
    part = int(tested is Verdict.EQUIVALENT)
    alone = (found.different, found.equivalent)[part]
    return found.pairs[part] if alone > rules.alpha and found.pairs[part] < case.contrast.n else 0


def _tested(case: Case, rules: Rules) -> tuple[Verdict, str]:
    """What the tests alone say, and why."""
    contrast, summary = case.contrast, case.summary
    if contrast.n == 0:
        return Verdict.UNDECIDED, _nothing(case)
    if contrast.n == 1:
        return Verdict.UNDECIDED, "one pair gives no interval"
    if case.same_run and contrast.n >= 3:
        return Verdict.EQUIVALENT, "every metric of every pair is the same to the last bit"
    fine = case.margin is not None and case.margin > rules.grain
    close = contrast.n >= 3 and case.p_equivalent <= rules.alpha
    if fine and close:
        return Verdict.EQUIVALENT, f"the difference lies within ±{number(case.margin)}"
    if rules.direction == "none":
        return Verdict.UNDECIDED, "the metric has no better direction"
    if case.p_adjusted <= rules.alpha:
        better = summary.is_better(rules.sign)
        return (Verdict.HELPS, "reliably better") if better else (Verdict.HURTS, "reliably worse")
    if contrast.estimate.sd == 0.0 and number(contrast.estimate.mean) == number(0.0):
        return Verdict.UNDECIDED, "the two are equal in every pair, which may be by rounding"
    if contrast.estimate.sd == 0.0:
        return Verdict.UNDECIDED, (
            f"all {contrast.n} differences are equal, and an exact test of {contrast.n} pairs cannot go below "
            f"p = {contrast.p_floor:.3g}"
        )
    if case.margin is not None and close:
        return Verdict.UNDECIDED, (
            f"the test set shows steps of {number(rules.grain)} only, too coarse for the margin ±{number(case.margin)}"
        )
    if rules.kind == "mean" and contrast.p_value <= rules.alpha:
        alone, corrected = p_text(contrast.p_value), p_text(case.p_adjusted)
        return Verdict.UNDECIDED, f"p is {alone} by itself, but {corrected} once it is corrected"
    return Verdict.UNDECIDED, "these pairs cannot tell a difference that matters from none"


def _nothing(case: Case) -> str:
    """Why there is no pair."""
    if len(case.lost) or len(case.baseline_lost):
        return f"no pair is left: {lost_words(case)}"
    return "no seed has a value in both arms yet"
