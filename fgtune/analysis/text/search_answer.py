"""The results of a search as sentences; every word follows from a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fgtune.analysis.formatting import DASH, MetricInfo, capital, factor_name, level_text, number
from fgtune.analysis.search.held_out import HeldOut, held_out_words
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import Gain, Selection
from fgtune.analysis.text.answer import difference_words
from fgtune.analysis.trials import Trial, pareto_front
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.catalog.spec import sign_of
from fgtune.text import count, first_of, listed

_MOST_LEVELS = 6  # settings of a point that a sentence shows


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
        return _several(search, primary, level)
    selection, info = search.searched[0], search.criteria[0]
    sentences = [_best_sentence(search, selection, info, level)]
    if selection.criterion != primary.name:
        sentences.append(_worth_sentence(search, selection, primary, level))
    sentences.append(regret_sentence(selection, primary, level))
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
    return f"{found}, {reached}, {difference_words(contrast)}{verdict}; {lead_words(selection.own, level)}."


def lead_words(gain: Gain, level: float) -> str:
    """What is left of a chosen point's difference to the baseline on seeds that did not choose it.

    Args:
        gain: The point against the baseline.
        level: Confidence level of the interval.
    """
    found = gain.held_out
    if found.n < 2:
        several = gain.metric in ARM_METRICS or gain.contrast.n > 1
        judge = "the same seeds chose and judge" if several else "the same seed chose and judges"
        return f"{judge}, so there is no interval"
    left = f"on seeds that did not choose, {number(found.mean, sign=True)}"
    return f"{left} ({held_out_words(found, level, sign=True)})"


def _finished(n: int) -> str:
    return count(n, "finished trial")


def _worth_sentence(search: SearchSummary, selection: Selection, primary: MetricInfo, level: float) -> str:
    contrast, value = selection.primary.contrast, search.trial(selection.arm).value(primary.name)
    if math.isnan(value):
        return f"Its {primary.title} was not measured."
    if contrast.n == 0:
        return f"Its {primary.title} is {number(value)}."
    worth = f"Its {primary.title} is {number(value)}, {difference_words(contrast)}"
    return f"{worth}; {lead_words(selection.primary, level)}."


def regret_sentence(selection: Selection, primary: MetricInfo, level: float) -> str:
    """What choosing by the criterion costs in the primary metric; empty if they are the same, or if undefined.

    Args:
        selection: The choice by one criterion.
        primary: The metric that counts.
        level: Confidence level of the interval.
    """
    regret, cost = selection.regret, selection.cost
    if regret is None or cost is None or regret.n == 0:
        return ""
    if selection.best_arm == selection.arm:
        sentence = f"No finished trial has a better {primary.title} on these seeds"
    else:
        best = regret.baseline_mean + regret.estimate.mean
        paid = sign_of(primary.direction) * regret.estimate.mean
        sentence = f"The best trial by {primary.title} itself, {selection.best_arm}, has {number(best)}"
        sentence = f"{sentence}: on these seeds, choosing without it cost {number(paid)}"
    return f"{sentence}; {_cost_words(cost, primary, level, regret.n)}."


def _cost_words(cost: HeldOut, primary: MetricInfo, level: float, seeds: int) -> str:
    """The cost on seeds that chose neither of the two, of so many in all."""
    if cost.n < 2:
        judge = "the same seeds chose and judge" if seeds > 1 else "the same seed chose and judges"
        return f"{judge}, so this has no interval"
    if cost.mean == 0.0 and not cost.has_interval:
        return f"other seeds choose no better by it (n = {count(cost.n, 'seed')})"
    paid = cost.times(sign_of(primary.direction))
    return f"on seeds that did not choose, {number(paid.mean, sign=True)} ({held_out_words(paid, level, sign=True)})"


def _several(search: SearchSummary, primary: MetricInfo, level: float) -> str:
    titles = [info.title for info in search.criteria]
    n = max(selection.n for selection in search.searched)
    front = len(search.front)
    head = (
        f"Of {_finished(n)}, {front} {'is' if front == 1 else 'are'} on the Pareto front of {listed(titles)}: "
        "no other is at least as good in all and better in one."
    )
    parts = []
    criteria = {info.name: info for info in search.criteria}
    for selection in search.searched:  # none by a criterion that no point has a finite value of
        info = criteria[selection.criterion]
        trial, contrast = _on_front(search, selection.arm, info.name), selection.own.contrast
        against = f" against the baseline's {number(contrast.baseline_mean)}" if contrast.n else ""
        value = trial.value(primary.name)
        also = "" if math.isnan(value) or info.name == primary.name else f", with {primary.title} {number(value)}"
        left = f"; {lead_words(selection.own, level)}" if contrast.n else ""
        parts.append(f"Best by {info.title}: {trial.arm} with {number(trial.value(info.name))}{against}{also}{left}.")
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
    return f"{head} {' '.join(parts)}{tail}{_beaten(search)}"


def _on_front(search: SearchSummary, arm: str, metric: str) -> Trial:
    """The trial of this name, or one of the front that is as good by the metric."""
    chosen = search.trial(arm)
    front = [search.trial(name) for name in search.front]
    return next((each for each in front if each.value(metric) == chosen.value(metric)), chosen)


def _beaten(search: SearchSummary) -> str:
    """How many trials of the front the baseline dominates, which is not on the front itself."""
    both = [(search.baseline, search.trial(arm)) for arm in search.front]
    beaten = sum(pareto_front(pair, search.criteria) == (search.baseline.arm,) for pair in both)
    if not beaten:
        return ""
    whom = "it" if len(both) == 1 else "all of them" if beaten == len(both) else f"{beaten} of them"
    return f" The baseline beats {whom}: at least as good in all and better in one."


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
