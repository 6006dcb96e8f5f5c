"""The results of a study or of a search as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fgtune.analysis.formatting import DASH, MetricInfo, capital, factor_name, interval, level_text, number, percent
from fgtune.analysis.records import ArmSummary, ContrastSummary
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.statistics import PairedContrast
from fgtune.analysis.trials import sign_of
from fgtune.analysis.verdicts import MOST_SEEDS, Judgement, Verdict
from fgtune.config.arms.comparison import DATASET
from fgtune.config.schema.designs import crossed_name
from fgtune.text import count, first_of, listed

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


# --- searches ------------------------------------------------------------------------------------------------------


def search_answer(search: SearchSummary, primary: MetricInfo, level: float) -> str:
    """The best setting found, its value by the search's criterion, and its worth in the primary metric.

    Args:
        search: The summary of the search.
        primary: The metric that counts.
        level: Confidence level of the intervals.
    """
    if not search.searched:
        ended = search.counts.proposed - search.counts.unfinished
        why = f"of {count(ended, 'trial')} that ended, none ran to its end with a value of" if ended else "no trial has"
        return f"No answer yet: {why} {' and '.join(info.title for info in search.criteria)}."
    if len(search.criteria) > 1:
        return _several(search, primary)
    selection, info = search.searched[0], search.criteria[0]
    sentences = [_best_sentence(search, selection, info, level)]
    if selection.criterion != primary.name:
        sentences.append(_worth_sentence(search, selection, primary, level))
    sentences.append(regret_sentence(selection, primary))
    return " ".join(sentence for sentence in sentences if sentence)


def _best_sentence(search: SearchSummary, selection: Selection, info: MetricInfo, level: float) -> str:
    trial, contrast = search.trial(selection.arm), selection.own.contrast
    setting = setting_text(trial.levels, search.baseline.levels)
    found = f"{capital(selection.arm)}{f' ({setting})' if setting else ''}, the best of {_finished(selection.n)}"
    reached = f"reaches {info.title} {number(trial.value(info.name))}"
    if contrast.n == 0:
        return f"{found}, {reached}; the baseline has no value to compare it with."
    better = sign_of(info.direction) * contrast.estimate.mean > 0
    verdict = "" if better else ", so no trial beat the baseline"
    return f"{found}, {reached}, {difference_words(contrast)} ({evidence(contrast, level)}){verdict}."


def _finished(n: int) -> str:
    return count(n, "finished trial")


def _worth_sentence(search: SearchSummary, selection: Selection, primary: MetricInfo, level: float) -> str:
    contrast, value = selection.primary.contrast, search.trial(selection.arm).value(primary.name)
    if math.isnan(value):
        return f"Its {primary.title} was not measured."
    if contrast.n == 0:
        return f"Its {primary.title} is {number(value)}."
    return f"Its {primary.title} is {number(value)}, {difference_words(contrast)} ({evidence(contrast, level)})."


def regret_sentence(selection: Selection, primary: MetricInfo) -> str:
    """What choosing by the criterion costs in the primary metric; empty if they are the same, or if undefined.

    Args:
        selection: The choice by one criterion.
        primary: The metric that counts.
    """
    regret = selection.regret
    if regret is None or regret.n == 0:
        return ""
    if selection.best_arm == selection.arm:
        return f"No finished trial has a better {primary.title}: this choice cost nothing."
    cost = sign_of(primary.direction) * regret.estimate.mean
    best = regret.baseline_mean + regret.estimate.mean
    text = f"The best trial by {primary.title} itself, {selection.best_arm}, has {number(best)}"
    return f"{text}: choosing without it cost {number(cost)} (n = {count(regret.n, 'pair')})."


def _several(search: SearchSummary, primary: MetricInfo) -> str:
    titles = [info.title for info in search.criteria]
    n = max(selection.n for selection in search.searched)
    front = len(search.front)
    head = (
        f"Of {_finished(n)}, {front} {'is' if front == 1 else 'are'} on the Pareto front of {listed(titles)}: "
        "no other is at least as good in all and better in one."
    )
    parts = []
    for selection, info in zip(search.searched, search.criteria, strict=True):
        trial, contrast = search.trial(selection.arm), selection.own.contrast
        against = f" against the baseline's {number(contrast.baseline_mean)}" if contrast.n else ""
        value = trial.value(primary.name)
        also = "" if math.isnan(value) or info.name == primary.name else f", with {primary.title} {number(value)}"
        parts.append(f"Best by {info.title}: {selection.arm} with {number(trial.value(info.name))}{against}{also}.")
    reached = [search.trial(arm).value(primary.name) for arm in search.front]
    reached = [value for value in reached if math.isfinite(value)]
    best = next((selection.best_arm for selection in search.searched if selection.best_arm), "")
    tail = ""
    if reached and best and primary.name not in {info.name for info in search.criteria}:
        top = max(reached, key=lambda value: sign_of(primary.direction) * value)
        reach = "down to" if primary.direction == "minimize" else "up to"
        best_value = number(search.trial(best).value(primary.name))
        rest = "no trial is better" if best in search.front else f"the best of all trials, {best}, has {best_value}"
        tail = f" The front holds {primary.title} {reach} {number(top)}; {rest}."
    return f"{head} {' '.join(parts)}{tail}"


def setting_text(levels: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """The levels of a point that differ from the baseline's, to four digits, without inactive ones."""
    changed = {path: level for path, level in levels.items() if level is not None and level != baseline.get(path)}
    texts = [f"{factor_name(path, list(levels))} {short_level(level)}" for path, level in changed.items()]
    return first_of(texts, _MOST_LEVELS)


def short_level(level: Any) -> str:
    """A level as text, numbers to four significant digits; a dash for an inactive one."""
    if level is None:
        return DASH
    return f"{level:.4g}" if isinstance(level, float) else level_text(level)
