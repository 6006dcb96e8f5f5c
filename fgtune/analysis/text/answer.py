"""The results of a study as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fgtune.analysis.formatting import MetricInfo, capital, interval, number, percent
from fgtune.analysis.records import ArmSummary, ContrastSummary
from fgtune.analysis.verdicts.judgement import Judgement, Verdict, earlier_words
from fgtune.analysis.verdicts.power import MOST_SEEDS, SeedAdvice
from fgtune.analysis.verdicts.robust import Summary
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.config.arms.comparison import DATASET
from fgtune.config.schema.designs import crossed_name
from fgtune.text import count, listed

_MOST_LISTED = 5  # contrasts that the answer lists one by one; more are grouped
_ORDER = (Verdict.HELPS, Verdict.HURTS, Verdict.EQUIVALENT, Verdict.UNDECIDED)
_GROUP_WORDS = {
    Verdict.HELPS: ("helps", "help"),
    Verdict.HURTS: ("hurts", "hurt"),
    Verdict.EQUIVALENT: ("is equivalent", "are equivalent"),
    Verdict.UNDECIDED: ("is undecided", "are undecided"),
}


def contrast_sentence(
    label: str,
    contrast: PairedContrast,
    summary: Summary,
    judgement: Judgement | None,
    advice: SeedAdvice | None,
    info: MetricInfo,
    level: float,
) -> str:
    """A contrast as a sentence; an exploratory one (no judgement) says so instead of giving a verdict.

    Args:
        label: The arm's label.
        contrast: Its paired differences.
        summary: The summary that decides.
        judgement: The verdict, or None if exploratory.
        advice: How many pairs would decide, where that is all that is missing.
        info: The metric.
        level: Confidence level of the interval.
    """
    if contrast.n == 0:
        if judgement is not None and judgement.lost_any:
            return f"{label}: {judgement.verdict.value}; {judgement.reason}."
        return f"{label}: no pair of finished cells to compare with the baseline yet."
    text = f"{label}: {info.short} {difference_words(contrast)} ({evidence(contrast, level)})"
    if summary.kind != "mean":
        text = f"{text}; {summary_words(summary, level)}"
    if judgement is None:
        return f"{text}: exploratory."
    return f"{text}: {judgement.verdict.value}{_grounds(contrast, judgement, advice)}."


def summary_words(summary: Summary, level: float) -> str:
    """A summary other than the mean in words: ``median +0.021, 95 % interval 0.010 to 0.030``."""
    names = {"median": "median difference", "trimmed_mean": "trimmed mean"}
    if summary.kind == "improvement" and math.isnan(summary.value):
        return "the metric has no better direction"
    if summary.kind == "improvement":
        value, ends = percent(summary.value), f"{percent(summary.low)} to {percent(summary.high)}"
        return f"better in {value} of pairs ({percent(level)} interval {ends})"
    ends = interval(summary.low, summary.high, sign=True)
    found = "no interval from so few pairs" if math.isnan(summary.low) else f"{percent(level)} interval {ends}"
    return f"{names[summary.kind]} {number(summary.value, sign=True)} ({found})"


def difference_words(contrast: PairedContrast) -> str:
    """The mean difference of at least one pair in words: ``0.021 higher than the baseline's 0.534``."""
    mean, base = contrast.estimate.mean, number(contrast.baseline_mean)
    if not any(contrast.differences):
        return f"the same as the baseline's {base} in every pair"
    if number(mean) == number(0.0):
        return f"the same as the baseline's {base} to three decimals"
    return f"{number(abs(mean))} {'higher' if mean > 0 else 'lower'} than the baseline's {base}"


def evidence(contrast: PairedContrast, level: float) -> str:
    """What a mean difference is based on: its interval and the number of pairs.

    Args:
        contrast: With at least one pair.
        level: Confidence level of the interval.
    """
    pairs = f"n = {count(contrast.n, 'pair')}"
    if contrast.n < 2:
        return f"no interval, {pairs}"
    estimate = contrast.estimate
    low, high = estimate.low, estimate.high
    if not any(contrast.differences):
        return pairs
    if estimate.sd == 0.0:
        return f"the same difference in every pair, up to rounding, {pairs}"
    if low > 0:
        words = interval(low, high)
    elif high < 0:
        words = interval(-high, -low)
    else:
        words = f"{number(-low)} lower to {number(high)} higher"
    return f"{percent(level)} interval {words}, {pairs}"


def _grounds(contrast: PairedContrast, judgement: Judgement, advice: SeedAdvice | None) -> str:
    """What follows the verdict: its limits, and what would decide an open one."""
    if judgement.verdict is not Verdict.UNDECIDED:
        bounded = " whatever the lost cells would have shown" * judgement.lost_any
        if judgement.earlier:
            bounded += earlier_words(judgement.earlier, contrast.n)
        if judgement.verdict is Verdict.EQUIVALENT:
            if any(contrast.differences):
                return f" within ±{number(judgement.margin)}{bounded}"
            return f"; {judgement.reason}{bounded}"  # no test tells equal pairs from rounding: it is the same run
        return bounded
    if judgement.doubt == "stopped":
        return f"; {judgement.reason}"
    if judgement.doubt and judgement.tests_say is Verdict.UNDECIDED:
        return f"; {judgement.reason}"
    if judgement.doubt:
        said = f"{judgement.earlier} pairs said" if judgement.earlier else "these pairs alone say"
        return f"; {said} {judgement.tests_say.value}{' before' if judgement.earlier else ''}, but {judgement.reason}"
    if contrast.n < 2 or advice is None:
        return f"; {judgement.reason}"
    if contrast.estimate.sd == 0.0:
        return f"; {judgement.reason}; {advice.low} pairs would do"
    what = "a difference of this size" if judgement.margin is None else f"a difference of {number(judgement.margin)}"
    if advice.low is None:
        return f"; {what} would take more than {MOST_SEEDS} pairs to find"
    if advice.high is not None and advice.high <= contrast.n:
        return f"; so many pairs would find {what} with 80 % power or more"
    pairs = f"{advice.low}" if advice.low == advice.high else f"{advice.low} to {advice.high or f'over {MOST_SEEDS}'}"
    return f"; {what} would take {pairs} pairs to find with 80 % power"


def answer_sentence(
    arms: Sequence[ArmSummary], contrasts: Sequence[ContrastSummary], info: MetricInfo, level: float
) -> str:
    """The study's answer: the baseline's score, then the effect of each other arm; data set by data set.

    Args:
        arms: All arms.
        contrasts: The planned contrasts.
        info: The primary metric.
        level: Confidence level of the intervals.
    """
    datasets = list(dict.fromkeys(_dataset(arm) for arm in arms))
    sentences = []
    for dataset in datasets:
        names = {arm.arm for arm in arms if _dataset(arm) == dataset}
        baseline = next(arm for arm in arms if arm.is_baseline and arm.arm in names)
        on_dataset = [contrast for contrast in contrasts if contrast.arm in names]
        sentence = _one_answer(baseline, on_dataset, info, level, dataset)
        sentences.append(f"On {dataset}, {sentence}" if dataset else capital(sentence))
    return " ".join(sentences)


def _dataset(arm: ArmSummary) -> str:
    return str(arm.levels.get(DATASET, ""))


def _one_answer(
    baseline: ArmSummary, contrasts: Sequence[ContrastSummary], info: MetricInfo, level: float, dataset: str
) -> str:
    """The answer on one data set (empty if there is only one), starting in lower case."""
    estimate, label = baseline.estimates[info.name], _short_label(baseline.label, dataset)
    name = "the baseline" if label == "baseline" else f"the baseline ({label})"
    if estimate.n == 0:
        return f"no answer yet: {name} has no finished cell with {info.title}."
    uncertainty = "no interval from one seed"
    if estimate.n >= 2:
        uncertainty = f"{percent(level)} interval {interval(estimate.low, estimate.high)}, n = {estimate.n}"
    score = f"{name} reaches {info.title} {number(estimate.mean)} ({uncertainty})"
    comparable = [replace(item, label=_short_label(item.label, dataset)) for item in contrasts if item.contrast.n > 0]
    if not comparable:
        return f"{score}; {'nothing can be compared with it yet' if contrasts else 'no other arm was planned'}."
    words = _one_by_one(comparable) if len(comparable) <= _MOST_LISTED else _grouped(comparable)
    apart = [item for item in contrasts if item.contrast.n == 0]
    gone = sum(item.judgement is not None and item.judgement.lost_any for item in apart)
    tail = f"; {count(gone, 'arm')} lost every pair" if gone else ""
    tail += f"; {count(len(apart) - gone, 'arm')} cannot be compared yet" if len(apart) > gone else ""
    return f"{score}. Against it, {words}{tail}."


def _short_label(label: str, dataset: str) -> str:
    """The label of an arm without the name of its data set."""
    return label.removesuffix(crossed_name("", dataset)) if dataset else label


def _by_verdict(contrasts: Sequence[ContrastSummary]) -> Iterator[tuple[str, list[ContrastSummary]]]:
    """The contrasts of each verdict, with its verb in the right number."""
    for verdict in _ORDER:
        group = [item for item in contrasts if item.judgement is not None and item.judgement.verdict is verdict]
        if group:
            yield _GROUP_WORDS[verdict][len(group) > 1], group


def _one_by_one(contrasts: Sequence[ContrastSummary]) -> str:
    parts = []
    for verb, group in _by_verdict(contrasts):
        members = listed([f"{item.label} ({_value(item)})" for item in group])
        parts.append(f"{members} {verb}")
    return "; ".join(parts)


def _value(item: ContrastSummary) -> str:
    """The summary that decides, as the answer shows it."""
    if item.summary.kind == "improvement":
        return f"better in {percent(item.summary.value)}"
    return number(item.summary.value, sign=True)


def _grouped(contrasts: Sequence[ContrastSummary]) -> str:
    parts = []
    for verb, group in _by_verdict(contrasts):
        largest = max(group, key=lambda item: abs(item.summary.value - item.summary.centre))
        shown = f"{largest.label} {_value(largest)}"
        which = f"all {len(group)} arms" if len(group) == len(contrasts) else f"{len(group)}"
        parts.append(f"{which} {verb} ({shown if len(group) == 1 else f'largest: {shown}'})")
    return parts[0] if len(parts) == 1 else f"of {len(contrasts)} arms {listed(parts)}"
