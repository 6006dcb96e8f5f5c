"""The results of a study as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fgtune.analysis.formatting import MetricInfo, capital, interval, number, percent
from fgtune.analysis.records import ArmSummary, ContrastSummary
from fgtune.analysis.statistics import PairedContrast
from fgtune.analysis.verdicts import MOST_SEEDS, Judgement, Verdict
from fgtune.config.arms.comparison import DATASET
from fgtune.config.schema.designs import crossed_name
from fgtune.text import count, listed

_MOST_LISTED = 5  # contrasts that the answer lists one by one; more are grouped
_MOST_LEVELS = 6  # settings of a point that a sentence shows
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
    judgement: Judgement | None,
    info: MetricInfo,
    level: float,
    margin: float,
) -> str:
    """A contrast as a sentence; an exploratory one (no judgement) says so instead of giving a verdict.

    Args:
        label: The arm's label.
        contrast: Its paired differences.
        judgement: The verdict, or None if exploratory.
        info: The metric.
        level: Confidence level of the interval.
        margin: The equivalence margin of the study.
    """
    if contrast.n == 0:
        return f"{label}: no pair of finished cells to compare with the baseline yet."
    text = f"{label}: {info.short} {difference_words(contrast)} ({evidence(contrast, level)})"
    if judgement is None:
        return f"{text}: exploratory."
    return f"{text}: {judgement.verdict.value}{_advice(contrast, judgement, margin)}."


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
        return f"the same difference in every pair, {pairs}"
    if low > 0:
        words = interval(low, high)
    elif high < 0:
        words = interval(-high, -low)
    else:
        words = f"{number(-low)} lower to {number(high)} higher"
    return f"{percent(level)} interval {words}, {pairs}"


def _advice(contrast: PairedContrast, judgement: Judgement, margin: float) -> str:
    if judgement.verdict is Verdict.EQUIVALENT:
        return f" within ±{margin:g}"
    if judgement.stopped:
        return f"; {judgement.reason}"
    if judgement.verdict is not Verdict.UNDECIDED or contrast.n < 2:
        return f"; {judgement.reason}" if judgement.verdict is Verdict.UNDECIDED else ""
    if contrast.estimate.sd == 0.0:
        return f"; {judgement.reason}; {judgement.seeds_needed} pairs would do"
    if judgement.seeds_needed is None:
        return f"; a difference of {margin:g} would take more than {MOST_SEEDS} pairs to find"
    return f"; a difference of {margin:g} would take {judgement.seeds_needed} pairs to find with 80 % power"


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
    waiting = len(contrasts) - len(comparable)
    tail = f"; {count(waiting, 'arm')} cannot be compared yet" if waiting else ""
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
        members = listed([f"{item.label} ({number(item.contrast.estimate.mean, sign=True)})" for item in group])
        parts.append(f"{members} {verb}")
    return "; ".join(parts)


def _grouped(contrasts: Sequence[ContrastSummary]) -> str:
    parts = []
    for verb, group in _by_verdict(contrasts):
        largest = max(group, key=lambda item: abs(item.contrast.estimate.mean))
        shown = f"{largest.label} {number(largest.contrast.estimate.mean, sign=True)}"
        parts.append(f"{len(group)} {verb} ({shown if len(group) == 1 else f'largest: {shown}'})")
    return f"of {len(contrasts)} arms " + listed(parts)
