"""What the levels of a factor say together, as sentences; every word follows from a verdict or a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fgtune.analysis.formatting import MetricInfo, interval, number, p_text, percent, seeds_text
from fgtune.analysis.profiles.plateau import LevelBound, runs_within
from fgtune.analysis.profiles.profile import FactorProfile, ProfilesSummary
from fgtune.analysis.profiles.sides import STEP, SideContrast
from fgtune.analysis.profiles.slopes import Elasticity
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.text import count, listed

_DOUBTS = {
    "stopped": "cells were stopped early",
    "lost": "lost cells could undo that",
    "shape": "the seeds do not look normal, and one more like the farthest would undo it",
    "unseen": "so few seeds cannot rule out that {rate}",
}


def describe_profiles(found: ProfilesSummary, info: MetricInfo, level: float, collapse_rate: float) -> ProfilesSummary:
    """The summary with its sentences.

    Args:
        found: What the levels say together.
        info: The metric.
        level: Confidence level of the intervals.
        collapse_rate: Share of seeds whose collapse must not have been missed.
    """
    mark = "" if found.planned else " (exploratory)"
    worded = []
    for each in found.factors:
        sides = tuple(
            replace(side, sentence=f"{_side_sentence(each, side, found.margin, info, level)}{mark}.")
            for side in each.sides
        )
        slope = "" if each.elasticity is None else f"{_slope_sentence(each, each.elasticity, info, level)}{mark}."
        sentence = f"{_plateau_sentence(each, found.margin, collapse_rate)}{mark}."
        worded.append(replace(each, sides=sides, sentence=sentence, slope_sentence=slope))
    return replace(found, factors=tuple(worded))


def profiles_answer(found: ProfilesSummary) -> str:
    """What the answer says of planned questions about levels together; empty for exploratory ones."""
    if not found.planned:
        return ""
    sides = [side.sentence for each in found.factors for side in each.sides]
    return " ".join([*(each.sentence for each in found.factors), *sides])


def _plateau_sentence(profile: FactorProfile, margin: float | None, collapse_rate: float) -> str:
    title, levels = profile.title, profile.levels
    if margin is None:
        return f"{title}: no plateau is named, since the study states no margin (metrics.equivalence_margin)"
    runs = runs_within(levels)
    seeds = min((each.seeds for each in levels), default=0)
    if runs:
        largest = max(each.p_adjusted for run in runs for each in run)
        words = listed([_run_words(run) for run in runs])
        between = "; nothing between the levels was run" if any(len(run) > 1 for run in runs) else ""
        return (
            f"{title}: {words} within {margin:g} of the best level, whichever that is "
            f"(p (Holm) {_at_most(largest)}, n = {count(seeds, 'seed')}){between}"
        )
    doubted = [each for each in levels if each.doubt]
    if doubted:
        named, why = listed([each.tick for each in doubted]), _doubts(doubted, collapse_rate)
        return f"{title}: the tests alone put {named} within {margin:g} of the best level, but {why}"
    measured = [each for each in levels if not math.isnan(each.shortfall)]
    if not measured:
        return f"{title}: too few seeds to tell which levels are within {margin:g} of the best"
    nearest = min(measured, key=lambda each: each.shortfall)
    return (
        f"{title}: no level is shown to be within {margin:g} of the best; the nearest to it, {nearest.tick}, could be "
        f"worse by {number(nearest.shortfall)} (n = {count(seeds, 'seed')})"
    )


def _at_most(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"at most {text}"


def _doubts(levels: Sequence[LevelBound], collapse_rate: float) -> str:
    rate = "one seed in ten collapses" if collapse_rate == 0.1 else f"{percent(collapse_rate)} of seeds collapse"
    return listed([_DOUBTS[doubt].format(rate=rate) for doubt in dict.fromkeys(each.doubt for each in levels)])


def _run_words(run: Sequence[LevelBound]) -> str:
    if len(run) == 1:
        return f"{run[0].tick} stays"
    return f"every level from {run[0].tick} to {run[-1].tick} stays"


def _slope_sentence(profile: FactorProfile, found: Elasticity, info: MetricInfo, level: float) -> str:
    slope, ends = found.slope, f"from {profile.levels[0].tick} to {profile.levels[-1].tick}"
    if slope.n == 0:
        return f"{profile.title} {ends}: no seed has a value at every level yet, so there is no slope"
    mean = number(slope.estimate.mean, sign=True)
    what = f"1 % more goes with {mean} % {info.short}" if found.relative else f"tenfold goes with {mean} {info.short}"
    seeds = seeds_text(slope.n, found.left_out)
    if math.isnan(slope.estimate.low):
        return f"{profile.title} {ends}: {what} in the mean (no interval, {seeds})"
    around = interval(slope.estimate.low, slope.estimate.high, sign=True)
    text = f"{profile.title} {ends}: {what} in the mean ({percent(level)} interval {around}, {seeds})"
    if found.bend.p_value <= 1 - level:
        return f"{text}; the curve bends (p {p_text(found.bend.p_value)}), so the slope differs from level to level"
    return text


def _side_sentence(
    profile: FactorProfile, side: SideContrast, margin: float | None, info: MetricInfo, level: float
) -> str:
    above, below = listed(side.above), listed(side.below)
    if side.contrast.n == 0:
        return f"{profile.title} {above} against {below}: no seed has a value at all of them yet"
    too_many, too_few = ("too many", "too few") if profile.to_truth else ("above", "below")
    per = "" if not math.isnan(side.distance) else f" per {percent(STEP)} of distance"
    estimate = side.contrast.estimate
    around = "no interval"
    if not math.isnan(estimate.low):
        around = f"{percent(level)} interval {interval(estimate.low, estimate.high, sign=True)}"
    seeds = seeds_text(side.contrast.n, len(side.judgement.lost))
    evidence = f"{around}, {seeds}, p (Holm) {p_text(side.judgement.p_adjusted)}"
    gain = f"gains {number(estimate.mean, sign=True)} in {info.short}{per}"
    text = f"{profile.title} {above} against {below} {gain} ({evidence})"
    share = "" if math.isnan(side.distance) else f"{percent(side.distance)} "
    return f"{text}: {_side_verdict(side, f'{share}{too_many}', f'{share}{too_few}', margin)}"


def _side_verdict(side: SideContrast, more: str, fewer: str, margin: float | None) -> str:
    judgement = side.judgement
    if judgement.verdict is Verdict.HELPS:
        return f"{more} is better than {fewer}"
    if judgement.verdict is Verdict.HURTS:
        return f"{fewer} is better than {more}"
    if judgement.verdict is Verdict.EQUIVALENT:
        return f"{more} and {fewer} are equivalent within ±{margin:g}"
    if judgement.doubt and judgement.doubt != "stopped":
        return f"undecided; these seeds alone say otherwise, but {judgement.reason}"
    return f"undecided; {judgement.reason}"
