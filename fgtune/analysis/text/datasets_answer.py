"""The results of a comparison over all its data sets as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fgtune.analysis.datasets.pooling import FEWEST_DATASETS
from fgtune.analysis.datasets.together import DatasetsSummary, PooledContrast
from fgtune.analysis.formatting import MetricInfo, interval, number, p_text, percent
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.text import count, listed

_MOST_LISTED = 5
_WORDS = {Verdict.EQUIVALENT: "is equivalent", Verdict.UNDECIDED: "is undecided"}
_ALL = {
    Verdict.HELPS: "help",
    Verdict.HURTS: "hurt",
    Verdict.EQUIVALENT: "are equivalent",
    Verdict.UNDECIDED: "are undecided",
}


def datasets_sentence(found: DatasetsSummary, level: float) -> str:
    """What holds over all data sets together, arm by arm; that there is no such answer with fewer than three.

    Args:
        found: The summary over data sets.
        level: Confidence level of the intervals.
    """
    if not found.answers:
        return f"{count(len(found.names), 'data set')} give no answer over data sets together: {FEWEST_DATASETS} would."
    if len(found.contrasts) > _MOST_LISTED:
        return _grouped(found)
    parts = [f"{each.arm} {_verb(each)}{_estimate(each, level)}" for each in found.contrasts]
    return f"Over the {len(found.names)} data sets together, against {found.baseline}: {'; '.join(parts)}."


def _verb(contrast: PooledContrast) -> str:
    return _WORDS.get(contrast.verdict, contrast.verdict.value)


def _estimate(contrast: PooledContrast, level: float) -> str:
    """The pooled difference in brackets."""
    estimate = contrast.pooled.estimate
    if estimate.n == 0:
        return ""
    mean = number(estimate.mean, sign=True)
    if math.isnan(estimate.low):
        return f" ({mean}, no interval: {contrast.reason})"
    return f" ({mean}, {percent(level)} interval {interval(estimate.low, estimate.high, sign=True)})"


def _grouped(found: DatasetsSummary) -> str:
    """Many arms by verdict, each with the arm that differs most."""
    parts = []
    for verdict in (Verdict.HELPS, Verdict.HURTS, Verdict.EQUIVALENT, Verdict.UNDECIDED):
        group = [each for each in found.contrasts if each.verdict is verdict and each.pooled.estimate.n]
        if group:
            largest = max(group, key=lambda each: abs(each.pooled.estimate.mean))
            shown = f"{largest.arm} {number(largest.pooled.estimate.mean, sign=True)}"
            parts.append(f"{len(group)} {verdict.value} ({shown if len(group) == 1 else f'largest: {shown}'})")
            if len(group) == len(found.contrasts):
                words = _ALL[verdict]
                together = f"Over the {len(found.names)} data sets together, all {len(group)} arms {words}"
                return f"{together} (largest: {shown})."
    counts = listed(parts) if parts else "none has a pair of finished cells yet"
    return f"Over the {len(found.names)} data sets together, of {len(found.contrasts)} arms, {counts}."


def pooled_sentence(contrast: PooledContrast, info: MetricInfo, level: float) -> str:
    """The result of one arm over all data sets, with what it rests on.

    Args:
        contrast: The arm.
        info: The metric.
        level: Confidence level of the intervals.
    """
    pooled, estimate = contrast.pooled, contrast.pooled.estimate
    if estimate.n == 0:
        return f"{contrast.arm} over all data sets: no pair of finished cells to compare with the baseline yet."
    text = f"{contrast.arm} over {count(estimate.n, 'data set')}: {info.short} {number(estimate.mean, sign=True)}"
    if math.isnan(estimate.low):
        return f"{text}; {contrast.reason}."
    ends, new = interval(estimate.low, estimate.high, sign=True), interval(pooled.new_low, pooled.new_high, sign=True)
    spread = "" if math.isnan(pooled.tau) else f", sd between data sets {number(pooled.tau)}"
    return (
        f"{text} ({percent(level)} interval {ends}, p (Holm) {p_text(contrast.p_adjusted)}{spread}; on a further data "
        f"set like these {new}): {contrast.verdict.value}; {contrast.reason}."
    )


def datasets_warnings(found: DatasetsSummary) -> Iterator[str]:
    """What a reader must know before believing the answer over data sets."""
    if not found.answers:
        return
    lost = sum(effect.lost for each in found.contrasts for effect in each.effects)
    if lost:
        yield (
            f"Over data sets together, {count(lost, 'pair')} of cells {'is' if lost == 1 else 'are'} wanting, since a "
            "cell ended without a value; an arm helps, hurts or is equivalent only if no value of these could undo it."
        )
    short = [each.arm for each in found.contrasts if 0 < len(each.measured) < len(each.effects)]
    if short:
        yield f"Without a pair on some data set, so judged over fewer: {listed(short)}."
    if any(each.verdict is not Verdict.UNDECIDED for each in found.contrasts):
        yield (
            "Verdicts over data sets together take the data sets of this study as drawn from those that matter, and "
            "their mean differences as roughly normal. They are a family of their own: it and that of the single data "
            "sets each err in at most alpha of studies."
        )
