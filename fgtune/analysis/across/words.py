"""Differences between studies in words, and their numbers with the digits of a terminal."""

from __future__ import annotations

import math

from fgtune.analysis.across.comparing import Comparison, Difference
from fgtune.analysis.formatting import MetricInfo, capital, interval, number, percent
from fgtune.analysis.search.held_out import held_out_words
from fgtune.text import count


def difference_lines(comparison: Comparison, difference: Difference) -> list[str]:
    """A study's arm against the first study's, in words: the difference, then what to know about it."""
    first = comparison.studies[0]
    study = next(each for each in comparison.studies if each.name == difference.study)
    if difference.contrast is None or study.chosen is None or first.chosen is None:
        return [f"{study.name} and {first.name} cannot be compared: {'; '.join(difference.reasons)}"]
    estimate = difference.contrast.estimate
    what = f"{study.name} ({study.chosen.arm}) minus {first.name} ({first.chosen.arm})"
    between = plain_interval(estimate.low, estimate.high, sign=True)
    held = difference.held_out
    level = f"{100 * comparison.level:g} % interval {between}, " if estimate.n > 1 and held is None else ""
    value = f"{study.primary} {plain_number(estimate.mean, sign=True)}"
    pairs = count(estimate.n, "pair")
    lines = [f"{what}: {value} ({level}{pairs}), exploratory"]
    if held is not None and held.n > 1:
        words = held_out_words(held, comparison.level, sign=True)
        lines.append(f"  on seeds that did not choose these arms: {plain_number(held.mean, sign=True)} ({words})")
    return [*lines, *(f"  note: {note}" for note in difference.notes)]


def difference_words(comparison: Comparison, difference: Difference, info: MetricInfo) -> list[str]:
    """The same for a page, with the names and digits that pages have.

    Args:
        comparison: The studies.
        difference: Of one of them to the first.
        info: The metric that both are judged by.
    """
    first = comparison.studies[0]
    study = next(each for each in comparison.studies if each.name == difference.study)
    if difference.contrast is None or study.chosen is None or first.chosen is None:
        return [f"{study.name} and {first.name} cannot be compared: {'; '.join(difference.reasons)}."]
    estimate, held = difference.contrast.estimate, difference.held_out
    size = f"{number(abs(estimate.mean))} {'higher' if estimate.mean > 0 else 'lower'} than"
    size = size if estimate.mean else "the same as"
    around = f"difference {number(estimate.mean, sign=True)}, " if estimate.mean else ""
    if estimate.n > 1 and held is None:
        ends = interval(estimate.low, estimate.high, sign=True)
        around = f"{around}{percent(comparison.level)} interval {ends}, "
    lines = [
        f"{study.name} ({study.chosen.label}) reaches {info.title} {size} {first.name} ({first.chosen.label}): "
        f"{around}n = {count(estimate.n, 'pair')}, exploratory."
    ]
    if held is not None and held.n > 1:
        words = held_out_words(held, comparison.level, sign=True)
        lines.append(f"On seeds that did not choose these arms: {number(held.mean, sign=True)} ({words}).")
    return [*lines, *(f"{capital(note)}." for note in difference.notes)]


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
