"""The looks at a study that its folder records: what each may spend of alpha, and what all of them have decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.looks import kept_shares, nominal_levels, planned_shares, sequential_p, t_information
from fgtune.analysis.records import ContrastSummary, Look
from fgtune.analysis.robust import equivalence_p, summary_of
from fgtune.analysis.statistics import PairedContrast
from fgtune.analysis.verdicts import Rules
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
    last, pairs = tests[-1], [test.pairs for test in tests]
    inside = last.equivalent <= 0.5  # a one-sided p-value above a half: the summary lies outside the margin
    different = [_unless(test.different, test is last or test.effect * last.effect > 0) for test in tests]
    equivalent = [_unless(test.equivalent, test is last or inside) for test in tests]
    return sequential_p(different, pairs, shares), sequential_p(equivalent, pairs, shares)


def _unless(p_value: float, agrees: bool) -> float:
    """The p-value, or 1 where all pairs contradict it; the look itself stays, with what it may have spent."""
    return p_value if agrees or math.isnan(p_value) else 1.0


def look_records(
    data: StudyData, contrasts: Sequence[ContrastSummary], planned_at: Callable[[StudyData], Sequence[ContrastSummary]]
) -> tuple[Look, ...]:
    """Every look at the planned contrasts of a study: what it could decide, and what it did.

    Args:
        data: The study.
        contrasts: Its planned contrasts.
        planned_at: The planned contrasts of the study as it was at an earlier look.
    """
    shares, sizes = spent_shares(data), [len(look) for look in data.looks]
    if not contrasts or min(sizes) < 1:
        return ()
    levels = nominal_levels([t_information(size) for size in sizes], shares, data.study.metrics.alpha)
    last = len(sizes) - 1
    by_look = [contrasts if look == last else planned_at(data.at_look(look)) for look in range(last + 1)]
    decided: list[dict[str, ContrastSummary]] = [{}]
    decided += [{contrast.arm: contrast for contrast in found if contrast.is_decided} for found in by_look]
    return tuple(
        Look(
            seeds=size,
            spent=share,
            level=level,
            verdicts=tuple(
                (contrast.label, contrast.judgement.verdict)
                for arm, contrast in now.items()
                if arm not in before and contrast.judgement is not None
            ),
            open=tuple(contrast.label for contrast in found if not contrast.is_decided),
        )
        for size, share, level, (before, now), found in zip(
            sizes, shares, levels, pairwise(decided), by_look, strict=True
        )
    )
