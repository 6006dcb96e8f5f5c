"""The tests of a contrast at the looks of a study: what each may spend of alpha, and p-values that pay for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.judgement import LastLook, Rules
from fgtune.analysis.verdicts.looks import deciding_look, kept_shares, planned_shares, sequential_p
from fgtune.analysis.verdicts.robust import equivalence_p, summary_of
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.config.schema.study import Study


def spent_shares(data: StudyData) -> tuple[float, ...]:
    """Share of alpha that may be spent up to each look of a study."""
    return shares_of(data.study, [len(look) for look in data.looks])


def shares_of(study: Study, sizes: Sequence[int]) -> tuple[float, ...]:
    """Share of alpha that may be spent up to each look of a study, if its looks had so many seeds.

    Args:
        study: The study; with adaptive seeds, no look may have more than they allow.
        sizes: Number of seeds at each look.
    """
    if study.adaptive_seeds is None:
        return kept_shares(len(sizes), study.metrics.alpha_kept)
    return planned_shares(sizes, study.adaptive_seeds.max)


@dataclass(frozen=True)
class LookTests:
    """The tests of a contrast at a look, from all pairs that it had then.

    Attributes:
        pairs: Number of pairs.
        effect: The summary that decides, minus its value without a difference.
        different: Two-sided p-value of a difference; nan where it was not tested.
        equivalent: P-value of equivalence; nan where it was not tested.
    """

    pairs: int
    effect: float
    different: float
    equivalent: float


def tests_of(contrast: PairedContrast, rules: Rules, margin: float | None) -> LookTests:
    """The tests of a contrast at a look.

    Args:
        contrast: The differences of all pairs that it had then.
        rules: What it is judged by.
        margin: A smaller difference is unimportant; None for none.
    """
    summary = summary_of(rules.kind, contrast, rules.direction, 1.0 - rules.alpha)
    close = math.nan if margin is None else equivalence_p(rules.kind, contrast, margin, rules.least_sd)
    return LookTests(contrast.n, summary.value - summary.centre, summary.p, close)


def sequential_p_values(tests: Sequence[LookTests], shares: Sequence[float]) -> tuple[float, float]:
    """P-values of a difference and of equivalence that pay for all looks at a contrast.

    An earlier look counts only as far as all pairs agree with it: a difference the other way, or an equivalence of what
    now lies outside the margin, is not taken over. This can only make a p-value larger.

    Args:
        tests: At each look, at least one.
        shares: Share of alpha spent up to each look.
    """
    pairs, (different, equivalent) = [test.pairs for test in tests], _counted(tests)
    return sequential_p(different, pairs, shares), sequential_p(equivalent, pairs, shares)


def _counted(tests: Sequence[LookTests]) -> tuple[list[float], list[float]]:
    """P-values of a difference and of equivalence at every look, 1 where all pairs contradict an earlier one."""
    last = tests[-1]
    inside = last.equivalent <= 0.5  # a one-sided p-value above a half: the summary lies outside the margin
    different = [_unless(test.different, test is last or test.effect * last.effect > 0) for test in tests]
    return different, [_unless(test.equivalent, test is last or inside) for test in tests]


def last_look(tests: Sequence[LookTests], shares: Sequence[float]) -> LastLook | None:
    """What all pairs give as if nobody had looked before; None with a single look. Arguments as above."""
    if len(tests) < 2:
        return None
    sizes = [test.pairs for test in tests]
    different, equivalent = (sizes[deciding_look(part, sizes, shares)] for part in _counted(tests))
    return LastLook(tests[-1].different, tests[-1].equivalent, (different, equivalent))


def _unless(p_value: float, agrees: bool) -> float:
    """The p-value, or 1 where all pairs contradict it; the look itself stays, with what it may have spent."""
    return p_value if agrees or math.isnan(p_value) else 1.0
