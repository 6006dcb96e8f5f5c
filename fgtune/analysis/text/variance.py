"""What the spread over seeds consists of, as sentences; every word follows from a test or a number."""

from __future__ import annotations

import math
from dataclasses import replace

from fgtune.analysis.formatting import MetricInfo, capital, interval, number, p_text, percent
from fgtune.analysis.variance.parts import FEWEST, SEEDS_TO_NAME, Share, Spread, StreamPart, VarianceSummary
from fgtune.text import count, listed

STREAM_WORDS = {"split": "split", "weights": "initial weights", "order": "data order"}


def describe_variance(found: VarianceSummary, info: MetricInfo, level: float) -> VarianceSummary:
    """The summary with its sentences.

    Args:
        found: The parts of the variance.
        info: The metric.
        level: Confidence level of the intervals.
    """
    if found.total.n < 2:
        return replace(found, sentence=f"No answer yet: too few finished cells with {info.title}.", advice="")
    sentences = [_total(found.total, info, level)]
    if not math.isnan(found.repeated.value):
        sentences += [_shares(found, level), _repeats(found), *_together(found)]
    sentences.append(_name(found))
    return replace(found, sentence=" ".join(sentences), advice=_advice(found))


def _total(total: Spread, info: MetricInfo, level: float) -> str:
    if total.sd == 0:
        return f"{capital(info.title)} is the same at every seed (n = {total.n}), so there is no spread to explain."
    return (
        f"Over {count(total.n, 'seed')}, {info.title} has a standard deviation of {number(total.sd)}"
        f"{_ends(total, level)}."
    )


def _ends(spread: Spread, level: float) -> str:
    if math.isnan(spread.low):
        return ""
    return f" ({percent(level)} interval {interval(spread.low, spread.high)})"


def share_words(share: Share) -> str:
    """A share with its interval: ``71 % (20 % to 95 %)``."""
    value = signed_percent(share.value)
    if math.isnan(share.low):
        return value
    return f"{value} ({signed_percent(share.low)} to {signed_percent(share.high)})"


def signed_percent(share: float) -> str:
    """A share in per cent, which may be negative."""
    return percent(round(share, 3) + 0.0).replace("-", "−")


def _shares(found: VarianceSummary, level: float) -> str:
    parts = [
        f"{STREAM_WORDS[part.name]} {share_words(part.share)}"
        for part in sorted(found.streams, key=lambda part: -part.share.value)
    ]
    intervals = "" if math.isnan(found.together.low) else f", {percent(level)} intervals"
    return f"Of its variance, one stream alone makes up (others as in seed {found.around}{intervals}): {listed(parts)}."


def _repeats(found: VarianceSummary) -> str:
    if found.repeat.sd == 0:
        return "Repeated runs agree exactly."
    moved = [STREAM_WORDS[part.name] for part in found.streams if part.moves]
    beyond = f"{listed(moved)} spread more than that" if len(moved) > 1 else f"{''.join(moved)} spreads more than that"
    most = beyond if moved else "no stream is shown to spread more than that"
    return (
        f"Repeats of one and the same run already spread by {number(found.repeat.sd)}, "
        f"{share_words(found.repeated)} of the variance; {most}."
    )


def _together(found: VarianceSummary) -> list[str]:
    share = found.together
    if share.low > 0:
        return [f"{share_words(share)} appears only where several streams vary together."]
    if share.high < 0:
        return [
            f"The shares add up to more than the whole (by {percent(-round(share.value, 3))}): what one stream does "
            f"depends on the others, so another seed than {found.around} would give other shares."
        ]
    return []


def _name(found: VarianceSummary) -> str:
    if found.named:
        part = next(each for each in found.streams if each.name == found.named)
        others = listed([STREAM_WORDS[each.name] for each in found.streams if each.name != found.named])
        larger = p_text(part.p_largest).lstrip("<")
        return f"{capital(_the(part))} stands out: more spread than {others}, each p ≤ {larger}."
    reasons = {
        "few seeds": f"fewer than {FEWEST} seeds tell no spreads apart",
        "lost cells": "cells were lost, and lost cells are seldom average ones",
        "no spread": "no stream moves the result",
        "not told apart": "the widest is not shown to spread more than both others",
    }
    pairs = [
        f"{STREAM_WORDS[more]} move{'s' * (more != 'weights')} it more than {STREAM_WORDS[less]}"
        for more, less in found.wider
    ]
    return f"No stream stands out: {reasons[found.open]}{f', though {listed(pairs)}' if pairs else ''}."


def _the(part: StreamPart) -> str:
    return f"the {STREAM_WORDS[part.name]}" if part.name != "weights" else STREAM_WORDS[part.name]


def _advice(found: VarianceSummary) -> str:
    """How many seeds would tell streams apart; empty where one is named, or seeds are not what is wanting."""
    n = min(found.total.n, found.repeat.n, *(part.spread.n for part in found.streams))
    if found.open == "lost cells":
        return "Run the lost cells again with --retry-failed."
    wanting = {times: seeds for times, seeds in SEEDS_TO_NAME.items() if seeds > n}
    if found.open not in {"few seeds", "not told apart"} or not wanting:
        return ""
    sizes = [f"{seeds} seeds if it spreads {times:g} times as far as the others" for times, seeds in wanting.items()]
    return (
        f"{count(n, 'seed')} are few for this: a stream is named in 80 % of studies with {', with '.join(sizes)}. "
        f"`fgtune extend DIR --seeds {max(wanting.values())}` adds them; each look divides alpha."
    )
