"""Differences between studies in words, and their numbers with the digits of a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable

from fgtune.analysis.across.comparing import ComparedStudy, Comparison, Difference
from fgtune.analysis.formatting import MetricInfo, capital, interval, number, percent
from fgtune.analysis.search.held_out import held_out_words
from fgtune.text import count


def difference_lines(comparison: Comparison, difference: Difference) -> list[str]:
    """A study's arm against the first study's, in words: the difference, then what to know about it."""
    study, first = _sides(comparison, difference)
    if difference.contrast is None or study.chosen is None or first.chosen is None:
        return [_refusal(study, first, difference)]
    estimate = difference.contrast.estimate
    what = f"{study.name} ({study.chosen.arm}) minus {first.name} ({first.chosen.arm})"
    between = plain_interval(estimate.low, estimate.high, sign=True)
    level = f"{100 * comparison.level:g} % interval {between}, " if estimate.n > 1 and not difference.held_out else ""
    value = f"{study.primary} {plain_number(estimate.mean, sign=True)}"
    pairs = count(estimate.n, "pair")
    more = (*_held_out(comparison, difference, plain_number), *(f"note: {note}" for note in difference.notes))
    return [f"{what}: {value} ({level}{pairs}), exploratory", *(f"  {each}" for each in more)]


def difference_words(comparison: Comparison, difference: Difference, info: MetricInfo) -> list[str]:
    """The same for a page, with the names and digits that pages have.

    Args:
        comparison: The studies.
        difference: Of one of them to the first.
        info: The metric that both are judged by.
    """
    study, first = _sides(comparison, difference)
    if difference.contrast is None or study.chosen is None or first.chosen is None:
        return [f"{_refusal(study, first, difference)}."]
    estimate = difference.contrast.estimate
    size = f"{number(abs(estimate.mean))} {'higher' if estimate.mean > 0 else 'lower'} than"
    size = size if estimate.mean else "the same as"
    around = f"difference {number(estimate.mean, sign=True)}, " if estimate.mean else ""
    if estimate.n > 1 and not difference.held_out:
        ends = interval(estimate.low, estimate.high, sign=True)
        around = f"{around}{percent(comparison.level)} interval {ends}, "
    line = (
        f"{study.name} ({study.chosen.label}) reaches {info.title} {size} {first.name} ({first.chosen.label}): "
        f"{around}n = {count(estimate.n, 'pair')}, exploratory."
    )
    more = (*_held_out(comparison, difference, number), *difference.notes)
    return [line, *(f"{capital(each)}." for each in more)]


def _sides(comparison: Comparison, difference: Difference) -> tuple[ComparedStudy, ComparedStudy]:
    """The study of a difference, and the first one."""
    return next(each for each in comparison.studies if each.name == difference.study), comparison.studies[0]


def _refusal(study: ComparedStudy, first: ComparedStudy, difference: Difference) -> str:
    return f"{study.name} and {first.name} cannot be compared: {'; '.join(difference.reasons)}"


def _held_out(comparison: Comparison, difference: Difference, write: Callable[..., str]) -> list[str]:
    """What remains on seeds that did not choose the arms, where there are such; ``write`` gives a number its digits."""
    held = difference.held_out
    if held is None or held.n <= 1:
        return []
    words = held_out_words(held, comparison.level, sign=True)
    return [f"on seeds that did not choose these arms: {write(held.mean, sign=True)} ({words})"]


def plain_number(value: float, decimals: int = 4, *, sign: bool = False) -> str:
    """A number in ASCII; a hyphen for nan."""
    if math.isnan(value):
        return "-"
    return f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"


def plain_interval(low: float, high: float, *, sign: bool = False) -> str:
    """An interval in ASCII; a hyphen where it is undefined."""
    return (
        "-"
        if math.isnan(low) or math.isnan(high)
        else f"{plain_number(low, sign=sign)} to {plain_number(high, sign=sign)}"
    )
