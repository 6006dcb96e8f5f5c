"""What an ablation says about its parts together, as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

import math
from dataclasses import replace

from fgtune.analysis.formatting import interval, number, p_text, percent, seeds_text
from fgtune.analysis.parts.effects import JointEffect, PartsSummary
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.text import count, listed

_MEANINGS = {
    "synergy": "in synergy with the others: it helps beside them, and more than alone",
    "redundancy": "redundant with the others: it helps alone, and less beside them",
    "more beside": "it hurts alone, and less or not at all beside the others",
    "less beside": "it hurts beside the others, and less or not at all alone",
}
_PAIR_MEANINGS = {
    "synergy": "synergy: together they are worth more than one by one",
    "redundancy": "redundancy: together they are worth less than one by one",
}
_TESTS_SAY = {Verdict.HELPS: "more together", Verdict.HURTS: "less together", Verdict.EQUIVALENT: "additive"}
_SHORT = {
    "synergy": "in synergy with the others",
    "redundancy": "redundant with the others",
    "more beside": "worth more beside the others than alone",
    "less beside": "worth less beside the others than alone",
    "additive": "worth the same beside the others and alone",
}


def describe_parts(found: PartsSummary, level: float) -> PartsSummary:
    """The summary with its sentences.

    Args:
        found: What the parts are worth together.
        level: Confidence level of the intervals.
    """
    parts, pairs = (
        tuple(replace(each, sentence=effect_sentence(each, level, planned=found.planned)) for each in effects)
        for effects in (found.parts, found.pairs)
    )
    return replace(found, parts=parts, pairs=pairs, sentence=_shares_sentence(found, level))


def effect_sentence(effect: JointEffect, level: float, *, planned: bool) -> str:
    """One part against the others, or a pair, with what it rests on.

    Args:
        effect: The part or pair.
        level: Confidence level of the interval.
        planned: Whether the study file planned it.
    """
    contrast, pair = effect.contrast, len(effect.parts) == 2
    if contrast.n == 0:
        lost = effect.judgement.reason if len(effect.judgement.lost) else "no seed has a value in all of its arms yet"
        return f"{effect.label}: {lost}."
    beside, without = (number(each.estimate.mean, sign=True) for each in (effect.beside, effect.without))
    gains = f"gains {beside} beside the others and {without} alone, a difference of"
    if pair:
        gains = f"{effect.parts[0]} gains {beside} with {effect.parts[1]} and {without} without, an interaction of"
    text = f"{effect.label}: {gains} {number(contrast.estimate.mean, sign=True)} ({_evidence(effect, level)})"
    mark = "" if planned else "exploratory, "
    return f"{text}: {mark}{_meaning(effect, pair=pair)}."


def _evidence(effect: JointEffect, level: float) -> str:
    contrast, seeds = effect.contrast, seeds_text(effect.contrast.n, len(effect.judgement.lost))
    if math.isnan(contrast.estimate.low):
        return f"no interval, {seeds}"
    ends = interval(contrast.estimate.low, contrast.estimate.high, sign=True)
    return f"{percent(level)} interval {ends}, {seeds}, p (Holm) {p_text(effect.judgement.p_adjusted)}"


def _meaning(effect: JointEffect, *, pair: bool) -> str:
    judgement = effect.judgement
    if effect.name == "additive":
        return f"additive, within ±{judgement.margin:g}"
    if effect.name == "undecided":
        if judgement.doubt and judgement.doubt != "stopped":
            return f"undecided; these seeds alone say {_TESTS_SAY[judgement.tests_say]}, but {judgement.reason}"
        return f"undecided; {judgement.reason}"
    return (_PAIR_MEANINGS if pair else _MEANINGS)[effect.name]


def _shares_sentence(found: PartsSummary, level: float) -> str:
    """The total and how Shapley's shares split it; empty without shares."""
    total = found.total
    if total is None:
        return ""
    arms = count(2 ** len(found.shares), "combination")
    if total.n == 0:
        return f"No seed has a value in all {arms} yet, so the total is not split."
    parts = [f"{each.part} {_with_interval(each.contrast)}" for each in found.shares]
    lost = any(not math.isnan(each.bounds[0]) for each in found.shares)
    caveat = "; seeds with a lost cell are left out, and could have changed any share" if lost else ""
    return (
        f"Of the {_with_interval(total)} that the full method gains over the one without any part, each has in the "
        f"mean over all orders of adding parts (Shapley): {listed(parts)} ({percent(level)} intervals, "
        f"n = {count(total.n, 'seed')}{caveat}). The shares sum to the total."
    )


def _with_interval(contrast: PairedContrast) -> str:
    estimate = contrast.estimate
    ends = "" if math.isnan(estimate.low) else f" ({interval(estimate.low, estimate.high, sign=True)})"
    return f"{number(estimate.mean, sign=True)}{ends}"


def parts_answer(found: PartsSummary) -> str:
    """What the answer says of planned questions about parts together; empty for exploratory ones."""
    if not found.planned:
        return ""
    said = [f"{each.label} {_SHORT[each.name]}" for each in found.parts if each.name in _SHORT]
    pairs: dict[str, list[str]] = {"synergy": [], "redundancy": [], "additive": []}
    for each in found.pairs:
        if each.name in pairs:
            pairs[each.name].append("+".join(each.parts))
    verbs = {"synergy": ("shows synergy", "show synergy"), "redundancy": ("shows redundancy", "show redundancy")}
    for name, names in pairs.items():
        one, several = verbs.get(name, ("is additive", "are additive"))
        said += [f"{listed(names)} {several if len(names) > 1 else one}"] if names else []
    open_ones = sum(each.name == "undecided" for each in found.effects)
    said += [f"{open_ones} of {count(len(found.effects), 'question')} undecided"] if open_ones else []
    return f"Parts together: {'; '.join(said)}." if said else ""
