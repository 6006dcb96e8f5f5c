"""What undoes an answer of the tests: lost cells, odd seeds, collapses that too few cells would have missed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fgtune.analysis.formatting import interval, number, percent
from fgtune.analysis.verdicts.judgement import NAMED, Case, Doubt, Rules, Verdict
from fgtune.analysis.verdicts.power import seeds_for_exact_test
from fgtune.analysis.verdicts.robust import equivalence_p, sign_margin_ps, sign_p
from fgtune.analysis.verdicts.statistics import contrast_of
from fgtune.catalog.spec import Direction, sign_of
from fgtune.text import count, first_of

COLLAPSED = "collapsed"
_MEDIAN_HELPS = "; metrics.summary: median would judge by a typical seed"


def doubts(case: Case, rules: Rules, tested: Verdict) -> Iterator[tuple[Doubt, str]]:
    """Reasons for which the answer of the tests does not stand."""
    if case.lowest and not _survives_lost(case, rules, tested):
        yield "lost", f"{lost_words(case)}; {_bound_words(case)}"
    if case.summary.kind != "mean":
        return  # the tests of the others do not rest on the shape of the differences
    if not case.shape.normal and not _survives_worst(case, rules, tested):
        yield "shape", _shape_words(case, rules)
    seen = case.shape.sees(case.contrast.n, rules.alpha, rules.collapse_rate)
    if not seen and not _survives_unseen(case, rules, tested):
        needed, rate = case.shape.pairs_needed(rules.alpha, rules.collapse_rate), percent(rules.collapse_rate)
        pairs = f"{count(case.contrast.n, 'pair')}{f' of {case.shape.arms} arms' * (case.shape.arms > 1)}"
        text = f"{pairs} cannot rule out that {rate} of seeds collapse, which could undo it; {needed} pairs could"
        yield "unseen", f"{text}, and metrics.collapse_rate: 0 would take it that none do"


def carried(case: Case, rules: Rules) -> str:
    """Which seeds of the arm or its baseline stand apart and so carry an undecided mean; empty if none do."""
    own = [cell for cell in case.shape.apart if cell[0] in case.names]
    if not own or case.shape.normal or case.summary.kind != "mean" or case.contrast.n < 2:
        return ""
    named = [cell_words(seed, gap, "the baseline" * (arm == case.names[1])) for arm, seed, gap in own]
    what = apart_words(own, rules.direction)
    verb = what if what == COLLAPSED else f"{'lies' if len(own) == 1 else 'lie'} {what}"
    return f"{first_of(named, NAMED)} {verb} and {'carries' if len(own) == 1 else 'carry'} the mean{_MEDIAN_HELPS}"


def cell_words(seed: int, gap: float, arm: str = "") -> str:
    """A cell that stands apart: ``seed 3 of small (−0.412)``."""
    return f"seed {seed}{f' of {arm}' if arm else ''} ({number(gap, sign=True)})"


def apart_words(apart: Sequence[tuple[str, int, float]], direction: Direction) -> str:
    """What became of the cells that stand apart: collapsed if all are worse than the others of their arm."""
    fell = direction != "none" and all(sign_of(direction) * gap < 0 for *_, gap in apart)
    return COLLAPSED if fell else "far from all others"


def _survives_lost(case: Case, rules: Rules, tested: Verdict) -> bool:
    """Whether the answer holds, at its level, whatever values the lost cells would have had."""
    if case.summary.kind != "mean":
        return all(_robust_answer(ends, case, rules, tested) for ends in (case.lowest, case.highest))
    level = 2 * rules.level if tested is Verdict.EQUIVALENT else rules.level
    low, high = case.contrast.estimate.at(1 - level)
    half = (high - low) / 2 * case.contrast.n / len(case.lowest)  # filled-in values do not vary
    low, high = _mean(case.lowest) - half, _mean(case.highest) + half
    if tested is Verdict.EQUIVALENT:
        return case.margin is not None and -case.margin < low and high < case.margin
    return low > 0 if (tested is Verdict.HELPS) == (rules.sign > 0) else high < 0


def _robust_answer(differences: tuple[float, ...], case: Case, rules: Rules, tested: Verdict) -> bool:
    """Whether sign tests of these differences give the same answer."""
    if tested is Verdict.EQUIVALENT:
        return case.margin is not None and max(sign_margin_ps(differences, case.margin)) <= rules.level
    gains = [rules.sign * difference for difference in differences]
    better = sum(gain > 0 for gain in gains) > len(gains) / 2
    return sign_p(gains) <= rules.level and better == (tested is Verdict.HELPS)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _survives_worst(case: Case, rules: Rules, tested: Verdict) -> bool:
    """Whether the answer would stand with one more seed as far out as the farthest cell of the study."""
    differences = np.array(case.contrast.differences)
    middle = float(np.median(differences))
    helps = rules.sign if tested is Verdict.HELPS else -rules.sign
    for way in (-1.0, 1.0) if tested is Verdict.EQUIVALENT else (-helps,):
        more = contrast_of([*differences, middle + way * case.shape.worst])
        if tested is Verdict.EQUIVALENT:
            if not equivalence_p("mean", more, case.margin or 0.0, rules.least_sd) <= rules.level:
                return False
        elif not (more.p_t <= rules.level and helps * more.estimate.mean > 0):
            return False
    return True


def _survives_unseen(case: Case, rules: Rules, tested: Verdict) -> bool:
    """Whether the answer would stand if the stated share of seeds had collapsed to the end of the metric's range."""
    if tested is Verdict.EQUIVALENT:
        return False
    mean, (low, high) = case.contrast.estimate.mean, case.contrast.estimate.at(1 - rules.level)
    collapses_to = rules.high if rules.direction == "minimize" else rules.low
    falls = case.arm_mean if tested is Verdict.HELPS else case.contrast.baseline_mean
    nearest = low if mean > 0 else high
    return abs(nearest) > rules.collapse_rate * abs(falls - collapses_to) and nearest * mean > 0


def lost_words(case: Case) -> str:
    """What the arm and its baseline lost, and how."""
    parts = [f"{case.who} {case.lost.words()}"] if len(case.lost) else []
    if len(case.baseline_lost):
        parts.append(f"the baseline {case.baseline_lost.words()}")
    return ", and ".join(parts)


def _bound_words(case: Case) -> str:
    if case.summary.kind == "improvement":
        return "with the lost cells the share of better pairs could be another"
    reduced = np.median if case.summary.kind == "median" else _mean
    low, high = float(reduced(case.lowest)), float(reduced(case.highest))
    if math.isinf(low) and math.isinf(high):
        return "the metric has no bounds, so those cells could have changed anything"
    what = "median difference" if case.summary.kind == "median" else "mean difference"
    return f"with these cells at their worst and best, the {what} could lie from {interval(low, high, sign=True)}"


def _shape_words(case: Case, rules: Rules) -> str:
    """What does not look normal, and what would help."""
    needed = seeds_for_exact_test(rules.first_share * rules.alpha, rules.contrasts)
    helps = f"{_MEDIAN_HELPS}, from {needed} pairs on"
    cells = [cell_words(seed, gap, arm) for arm, seed, gap in case.shape.apart]
    if cells:
        what = apart_words(case.shape.apart, rules.direction)
        return f"{what}: {first_of(cells, NAMED)}, and one more such seed here would undo this{helps}"
    return f"the seeds are skewed or fall into groups, and one more like the farthest would undo this{helps}"
