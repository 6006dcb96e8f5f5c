"""What a reader must know before believing a search: oracle criteria, the winner's luck, criteria that mislead."""

from __future__ import annotations

from collections.abc import Iterator

from fgtune.analysis.formatting import MetricInfo, capital, interval, number, percent
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.held_out import held_out_words
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import Selection
from fgtune.catalog import COST
from fgtune.catalog.spec import sign_of
from fgtune.results.records import CellState
from fgtune.text import count


def search_warnings(data: StudyData, search: SearchSummary) -> Iterator[str]:
    """Warnings about a search, besides those that any study may have."""
    counts = search.counts
    if counts.asked is not None and counts.proposed < counts.asked:
        yield (
            f"{counts.proposed} of the {counts.asked} trials that the study asks for were proposed: the search was cut "
            "off, or its space has no further points."
        )
    forks = sum(result.fork is not None and result.state is CellState.COMPLETE for result in data.results.values())
    if forks:
        yield (
            f"{count(forks, 'finished trial')} went on from another one's training: the settings shown are those of "
            "the last part, and what they would reach from the start is not known."
        )
    guides = [selection for selection in search.searched if not selection.criterion.startswith(COST)]  # none is a cost
    for selection in guides:
        yield from _misled_warnings(data, search, selection, 1 - data.study.metrics.alpha / len(guides))
    if len(search.searched) == 1:
        yield from _winner_warnings(data, search, search.searched[0])
        return
    if any(selection.n > 1 for selection in search.searched):
        yield (
            "Which trials are best, or on the front, is decided on the seeds that also judge them, so their lead over "
            "the baseline is optimistic; what is left on seeds that did not choose is told where there are two or more."
        )
    for selection in search.searched:
        yield from _chance_warning(data, search, selection)


def _misled_warnings(data: StudyData, search: SearchSummary, selection: Selection, level: float) -> Iterator[str]:
    """That the criterion misleads about the primary metric, where an interval at ``level`` says so.

    Both statements are one-sided, so the level is 1 - alpha / criteria for a chance of alpha that any of them is wrong.
    """
    primary, found = data.info(data.study.metrics.primary), selection.held_out_agreement
    title = _criterion(search, selection).title
    parts = []
    if found is not None and found.at(level)[1] < 0:
        seeds = "" if selection.own.held_out.n < 2 else " on other seeds"
        words = f"{percent(level)} interval {interval(*found.at(level))}"
        rho = f"rank correlation {number(found.rho)}{seeds}, {words}"
        parts.append(f"trials that are better by the one tend to be worse by the other ({rho})")
    loss = selection.primary.held_out.times(-sign_of(primary.direction))
    if found is not None and primary.direction != "none" and loss.at(level)[0] > 0:
        lost = f"{number(loss.mean)} ({held_out_words(loss, level)})"
        parts.append(f"what it chooses is worse than the baseline by {lost} on seeds that did not choose")
    if parts:
        yield f"{capital(title)} is a poor guide to {primary.title} here: {', and '.join(parts)}."


def _criterion(search: SearchSummary, selection: Selection) -> MetricInfo:
    return next(info for info in search.criteria if info.name == selection.criterion)


def _winner_warnings(data: StudyData, search: SearchSummary, selection: Selection) -> Iterator[str]:
    """What is left of the best point's lead on seeds that did not choose it, and whether chance alone makes it."""
    if selection.n < 2:
        return
    honest, title = selection.own.held_out, _criterion(search, selection).title
    text = (
        f"By {title}, {selection.arm} is the best of {selection.n} on the seeds that also judge "
        "it, so its lead is optimistic"
    )
    if honest.n < 2:
        yield f"{text}; only a comparison with the baseline on seeds that the search has not seen tells what is left."
    else:
        yield f"{text}: judging on each seed what the other seeds choose leaves {_left(data, selection)}."
    yield from _chance_warning(data, search, selection)


def _left(data: StudyData, selection: Selection) -> str:
    """The lead on seeds that did not choose, in the criterion and in the primary metric."""
    plain, own, worth = selection.own.contrast.estimate.mean, selection.own.held_out, selection.primary.held_out
    left = f"{number(own.mean, sign=True)} of {number(plain, sign=True)} over the baseline"
    left = f"{left} ({held_out_words(own, data.level, sign=True)})"
    if selection.criterion == data.study.metrics.primary or worth.n < 2:
        return left
    primary = data.info(data.study.metrics.primary)
    words = held_out_words(worth, data.level, sign=True)
    return f"{left}, and in {primary.title} {number(worth.mean, sign=True)} ({words})"


def _chance_warning(data: StudyData, search: SearchSummary, selection: Selection) -> Iterator[str]:
    """That the lead of the best is no larger than what the best of as many equal points shows."""
    info = _criterion(search, selection)
    lead = selection.own.contrast.estimate.mean
    if selection.n < 2 or sign_of(info.direction) * lead <= 0 or not selection.chance > data.study.metrics.alpha:
        return
    yield (
        f"The lead of {selection.arm} by {info.title} is what the best of {selection.n} looks like by chance: if none "
        f"of them differed from the baseline, the best would still reach {number(lead, sign=True)} or better in "
        f"{selection.chance:.0%} of such searches, given how much values spread between seeds."
    )
