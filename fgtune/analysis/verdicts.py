"""The answer to a planned contrast: helps, hurts, equivalent or undecided, and why.

``equivalent`` follows the two one-sided tests (Schuirmann 1987), Holm-corrected like the test for a difference. It
takes precedence, since a difference that is certainly unimportant is no reason to change a setting, even if a test
distinguishes it from zero. ``helps`` and ``hurts`` need a Holm-adjusted p of at most alpha. An answer stands only where
it survives what the pairs do not show: the cells that were lost, the worst seed of the study, and collapses that too
few cells would have missed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from fgtune.analysis.formatting import interval, number, percent
from fgtune.analysis.power import seeds_for_exact_test
from fgtune.analysis.robust import Summary, SummaryKind, equivalence_p, sign_margin_ps, sign_p
from fgtune.analysis.shape import UNKNOWN, Shape
from fgtune.analysis.statistics import PairedContrast, contrast_of, holm, mean_interval
from fgtune.catalog.spec import Direction
from fgtune.text import count, first_of

_NAMED = 3  # seeds that a sentence names
_MEDIAN_HELPS = "; metrics.summary: median would judge by a typical seed"


class Verdict(StrEnum):
    """What a planned contrast says about an arm."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class LostCells:
    """The seeds at which an arm (or its baseline) ended without a usable value, by what happened.

    Attributes:
        failed: Crashed.
        undefined: Complete, but the metric is not finite.
        stopped: Stopped early by a scheduler.
    """

    failed: tuple[int, ...] = ()
    undefined: tuple[int, ...] = ()
    stopped: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.failed) + len(self.undefined) + len(self.stopped)

    def words(self) -> str:
        """Each kind with its seeds: ``failed on seeds 3, 7``."""
        kinds = [("failed", self.failed), ("gave no finite value", self.undefined), ("was stopped early", self.stopped)]
        return " and ".join(f"{what} on {_seeds(seeds)}" for what, seeds in kinds if seeds)


@dataclass(frozen=True)
class Rules:
    """What all contrasts of a study are judged by.

    Attributes:
        direction: Which way the metric is better. With ``none`` the answer is equivalent or undecided.
        alpha: Family-wise level.
        contrasts: Number of contrasts that are corrected together, >= 1.
        kind: The summary that decides.
        low: Lower end of the metric's range, possibly -inf.
        high: Its upper end.
        grain: Smallest step of the metric, if it counts samples of a test set; else 0.
        collapse_rate: Share of seeds whose collapse must not have been missed; 0 to take it that none collapse.
        first_share: Share of alpha that the first look at a study spends.
    """

    direction: Direction
    alpha: float
    contrasts: int = 1
    kind: SummaryKind = "mean"
    low: float = -math.inf
    high: float = math.inf
    grain: float = 0.0
    collapse_rate: float = 0.1
    first_share: float = 1.0

    @property
    def level(self) -> float:
        """Level of one contrast in Holm's first step."""
        return self.alpha / self.contrasts

    @property
    def sign(self) -> float:
        """-1 where smaller is better, else 1."""
        return -1.0 if self.direction == "minimize" else 1.0

    @property
    def least_sd(self) -> float:
        """Standard deviation that rounding to the grain gives the difference of two values."""
        return self.grain / math.sqrt(6.0)


@dataclass(frozen=True)
class Case:
    """One contrast with all that bears on its verdict.

    Attributes:
        contrast: The paired differences.
        summary: The summary that decides.
        margin: A smaller difference is unimportant, > 0; None where none is stated, so that nothing is equivalent.
        p_adjusted: Holm-adjusted p of the summary.
        p_equivalent: Holm-adjusted p of the equivalence tests.
        arm_mean: Mean of the arm over the pairs.
        lost: Lost cells of the arm.
        baseline_lost: Lost cells of the baseline.
        lowest: Smallest possible difference of each pair, lost cells at their ends; empty where none were lost.
        highest: Largest possible difference of each pair.
        shape: The shape of the table of arms by seeds.
        same_run: Whether arm and baseline agree in every metric of every pair, to the last bit.
        names: The arm's and the baseline's name in ``shape``.
    """

    contrast: PairedContrast
    summary: Summary
    margin: float | None
    p_adjusted: float
    p_equivalent: float
    arm_mean: float = math.nan
    lost: LostCells = field(default_factory=LostCells)
    baseline_lost: LostCells = field(default_factory=LostCells)
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()
    shape: Shape = UNKNOWN
    same_run: bool = False
    names: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Judgement:
    """A verdict and its grounds.

    Attributes:
        verdict: The answer.
        reason: Why, in a clause that is understood without the table.
        p_adjusted: Holm-adjusted p; nan if nothing could be tested.
        p_equivalent: Holm-adjusted p of the equivalence tests; nan without a margin, variation, or three pairs.
        margin: The margin; None if the study states none.
        tost_low: Lower end of the (1 - 2 alpha) interval of the mean difference, uncorrected; nan if n < 2.
        tost_high: Its upper end.
        lost: Lost cells of the arm.
        baseline_lost: Lost cells of the baseline.
        doubt: Why an answer of the tests does not stand: ``stopped``, ``lost``, ``shape``, ``unseen``; else empty.
        tests_say: The answer of the tests alone.
    """

    verdict: Verdict
    reason: str
    p_adjusted: float
    p_equivalent: float
    margin: float | None
    tost_low: float
    tost_high: float
    lost: LostCells = field(default_factory=LostCells)
    baseline_lost: LostCells = field(default_factory=LostCells)
    doubt: str = ""
    tests_say: Verdict = Verdict.UNDECIDED

    @property
    def lost_any(self) -> bool:
        """Whether the arm or its baseline lost cells."""
        return len(self.lost) > 0 or len(self.baseline_lost) > 0

    @property
    def stopped(self) -> int:
        """Pairs lost to early stopping."""
        return len({*self.lost.stopped, *self.baseline_lost.stopped})


def judge_together(cases: Sequence[Case], rules: Rules) -> tuple[Judgement, ...]:
    """Decide the planned contrasts of a study, whose p-values are not corrected yet.

    Holm's correction is made for the tests of a difference and for those of equivalence, each among themselves: a
    contrast without any difference can only be called helping or hurting wrongly, one of at least the margin only
    equivalent, so that at most ``alpha`` of studies contain a wrong answer of each kind.
    """
    different = holm([case.p_adjusted for case in cases])
    equivalent = holm([case.p_equivalent for case in cases])
    corrected = zip(cases, different, equivalent, strict=True)
    return tuple(judge(replace(case, p_adjusted=p, p_equivalent=close), rules) for case, p, close in corrected)


def judge(case: Case, rules: Rules) -> Judgement:
    """Decide one planned contrast."""
    tested, reason = _tested(case, rules)
    doubt, verdict = "", tested
    stopped = {*case.lost.stopped, *case.baseline_lost.stopped}
    if stopped and case.contrast.n:
        pairs = "pair was" if len(stopped) == 1 else "pairs were"
        doubt, reason = "stopped", f"{len(stopped)} {pairs} stopped early, so those left are the ones that went well"
        verdict = Verdict.UNDECIDED
    elif tested is not Verdict.UNDECIDED and not case.same_run:
        found = next(_doubts(case, rules, tested), None)
        if found is not None:
            (doubt, reason), verdict = found, Verdict.UNDECIDED
    elif tested is Verdict.UNDECIDED and (carried := _carried(case, rules)):
        doubt, reason = "shape", carried
    tost = mean_interval(case.contrast.differences, 1 - 2 * rules.alpha)
    return Judgement(
        verdict=verdict,
        reason=reason,
        p_adjusted=case.p_adjusted,
        p_equivalent=case.p_equivalent,
        margin=case.margin,
        tost_low=tost.low,
        tost_high=tost.high,
        lost=case.lost,
        baseline_lost=case.baseline_lost,
        doubt=doubt,
        tests_say=tested,
    )


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
        gains = rules.sign * (summary.value - summary.centre) > 0
        if summary.kind == "improvement":
            gains = summary.value > summary.centre
        return (Verdict.HELPS, "reliably better") if gains else (Verdict.HURTS, "reliably worse")
    if contrast.estimate.sd == 0.0 and number(contrast.estimate.mean) == number(0.0):
        return Verdict.UNDECIDED, "the two are equal in every pair, which no test can tell from equal by rounding"
    if contrast.estimate.sd == 0.0:
        return Verdict.UNDECIDED, (
            f"all {contrast.n} differences are equal, and an exact test of {contrast.n} pairs cannot go below "
            f"p = {contrast.p_floor:.3g}"
        )
    if case.margin is not None and close:
        return Verdict.UNDECIDED, (
            f"the test set shows steps of {number(rules.grain)} only, too coarse for the margin ±{number(case.margin)}"
        )
    return Verdict.UNDECIDED, "these pairs cannot tell a difference that matters from none"


def _nothing(case: Case) -> str:
    """Why there is no pair."""
    if len(case.lost) or len(case.baseline_lost):
        return f"no pair is left: {_lost_words(case)}"
    return "no seed has a value in both arms yet"


def _doubts(case: Case, rules: Rules, tested: Verdict) -> Iterator[tuple[str, str]]:
    """Reasons for which the answer of the tests does not stand."""
    if case.lowest and not _survives_lost(case, rules, tested):
        yield "lost", f"{_lost_words(case)}; {_bound_words(case)}"
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


def _carried(case: Case, rules: Rules) -> str:
    """Which seeds of the arm or its baseline stand apart and so carry an undecided mean; empty if none do."""
    own = [cell for cell in case.shape.apart if cell[0] in case.names]
    if not own or case.shape.normal or case.summary.kind != "mean" or case.contrast.n < 2:
        return ""
    whose = {case.names[0]: "", case.names[1]: " of the baseline"}
    named = [f"seed {seed}{whose[arm]} ({number(gap, sign=True)})" for arm, seed, gap in own]
    fell = rules.direction != "none" and all(rules.sign * gap < 0 for *_, gap in own)
    verb = "collapsed" if fell else f"{'lies' if len(own) == 1 else 'lie'} far from all others"
    return f"{first_of(named, _NAMED)} {verb} and {'carries' if len(own) == 1 else 'carry'} the mean{_MEDIAN_HELPS}"


def _survives_lost(case: Case, rules: Rules, tested: Verdict) -> bool:
    """Whether the answer holds, at its level, whatever values the lost cells would have had."""
    if case.summary.kind != "mean":
        return all(_robust_answer(ends, case, rules, tested) for ends in (case.lowest, case.highest))
    level = 2 * rules.level if tested is Verdict.EQUIVALENT else rules.level
    estimate = mean_interval(case.contrast.differences, 1 - level)
    half = (estimate.high - estimate.low) / 2 * case.contrast.n / len(case.lowest)  # filled-in values do not vary
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
    estimate = mean_interval(case.contrast.differences, 1 - rules.level)
    collapses_to = rules.high if rules.direction == "minimize" else rules.low
    falls = case.arm_mean if tested is Verdict.HELPS else case.contrast.baseline_mean
    nearest = estimate.low if estimate.mean > 0 else estimate.high
    return abs(nearest) > rules.collapse_rate * abs(falls - collapses_to) and nearest * estimate.mean > 0


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {first_of([str(seed) for seed in seeds], _NAMED)}"


def _lost_words(case: Case) -> str:
    parts = [f"it {case.lost.words()}"] if len(case.lost) else []
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
    cells = [f"seed {seed} of {arm} ({number(gap, sign=True)})" for arm, seed, gap in case.shape.apart]
    if cells:
        fell = all(rules.sign * gap < 0 for _, _, gap in case.shape.apart)
        what = "collapsed" if fell and rules.direction != "none" else "far from all others"
        return f"{what}: {first_of(cells, _NAMED)}, and one more such seed here would undo this{helps}"
    return f"the seeds are skewed or fall into groups, and one more like the farthest would undo this{helps}"
