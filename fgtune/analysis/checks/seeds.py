"""Checks of what the seeds allow to say: how many they are, their shape, and where in the metric's range they lie."""

from __future__ import annotations

import math

from fgtune.analysis.checks.record import Check, Material, failed, passed, warned
from fgtune.analysis.formatting import capital, number, percent
from fgtune.analysis.text.looks import after_looks
from fgtune.analysis.text.trial_words import words_of
from fgtune.analysis.verdicts.doubts import apart_words, cell_words
from fgtune.analysis.verdicts.power import seeds_for_exact_test
from fgtune.analysis.verdicts.shape import Shape, cells_needed
from fgtune.analysis.verdicts.statistics import mean_interval, smallest_exact_p
from fgtune.text import count, first_of

_MOST_NAMED = 4  # arms or cells that a sentence names
_REACH = 2.0  # standard deviations from the mean within which nearly all seeds would lie, if they were normal


def enough(material: Material) -> Check | None:
    """Whether the seeds suffice for an exact test, and for seeing that some of them collapse."""
    data, name, words = material.data, "Number of seeds", words_of(material.data)
    seeds = len({cell.seed for cell in data.planned})
    if seeds == 1:
        text = "One seed: no interval and no verdict is possible; the numbers show one draw, not the method."
        if data.study.design.plans_cells:
            return failed(name, text, f"{words.add_seeds(8)}.")
        return warned(
            name, text, "Compare the chosen settings with the baseline on other seeds, in a study of their own."
        )
    if not material.contrasts:
        return None
    settings, family = data.study.metrics, len(material.contrasts)
    level = material.looks[-1].level if material.looks else settings.alpha
    needed = seeds_for_exact_test(level, family)
    contrasts = count(family, "planned contrast")
    blind, visible = _blind(material)
    if seeds >= needed and blind:
        more = f"{words.add_seeds(visible)}; or state metrics.collapse_rate or metrics.summary."
        return warned(name, f"{capital(blind)}; verdicts that such collapses could undo are left open.", more)
    if seeds >= needed:
        return passed(name, f"{count(seeds, 'pair')} let an exact test reach {level:g} over {contrasts}")
    test = "sign-flip" if settings.summary == "mean" else "sign"
    text = (
        f"With {count(seeds, 'pair')} an exact {test} test cannot go below p = {smallest_exact_p(seeds):.3g}, so it "
        f"can never reach the {level:.3g} of this look over {contrasts}; {needed} seeds could."
    )
    step = f"{words.add_seeds(max(needed, visible))}; `fgtune power DIR` says what they would find."
    if settings.summary in ("median", "improvement"):
        return failed(name, f"{text} No contrast can be decided before.", step)
    text = f"{text} The verdicts rest on the paired t-test, which takes the differences to be roughly normal"
    return warned(name, f"{text}{f', and {blind}' if blind else ''}.", step)


def _blind(material: Material) -> tuple[str, int]:
    """What the cells of a study judged by means are too few to see, and the seeds that would do; empty if nothing."""
    settings = material.data.study.metrics
    rate = settings.collapse_rate if settings.summary == "mean" else 0.0
    blind = [shape for shape in material.shapes.values() if 0 < shape.cells < cells_needed(settings.alpha, rate)]
    if not blind:  # or there is no cell yet, and nothing to say how many are too few
        return "", 0
    fewest = min(blind, key=lambda shape: shape.cells)
    words = f"{fewest.cells} cells besides the baseline's are too few to see it if {percent(rate)} of seeds collapse"
    return words, fewest.pairs_needed(settings.alpha, rate)


def looks(material: Material) -> Check | None:
    """Seeds that were added after the results had been seen."""
    name, adaptive = "Looks at the results", material.data.study.adaptive_seeds
    if not material.looks or not material.data.results:
        return None
    if len(material.looks) == 1:
        return passed(name, "no seeds were added after a look at the results")
    if adaptive is not None:
        return passed(name, f"{len(material.looks)} looks, which were planned and share alpha")
    text = (
        f"Seeds were added after {after_looks(material.looks)}, without a plan to do so. The looks share alpha: this "
        f"one tests a single contrast at p <= {material.looks[-1].level:.2g}."
    )
    step = "Each look leaves less to the next; `seeds: {min: 5, max: 20, until: decided}` plans them beforehand."
    return warned(name, text, step)


def collapsed(material: Material) -> Check | None:
    """Seeds that do not look normal over all arms of a data set together."""
    name = "Shape of the seeds"
    if not any(shape.p < 1.0 for shape in material.shapes.values()):
        return None  # too little to judge
    odd = {dataset: shape for dataset, shape in material.shapes.items() if not shape.normal}
    suspect = {dataset: shape for dataset, shape in material.shapes.items() if shape.suspect}
    if not odd and not suspect:
        return passed(name, "the spread over seeds looks normal in all arms together")
    parts = [_shape_words(dataset, shape, material) for dataset, shape in (odd or suspect).items()]
    summary = material.data.study.metrics.summary
    if summary != "mean":
        what = "the share of better pairs" if summary == "improvement" else f"the {summary.replace('_', ' ')}"
        text = (
            f"The seeds do not look normal: {'; '.join(parts)}. Verdicts are by {what}, which does not rest on these "
            "seeds, and does not tell of them either."
        )
        return warned(name, text, "Say beside the verdict how often an arm collapses; more seeds would show how often.")
    step = (
        "Look at the curves of these cells. metrics.summary: median would judge by a typical seed; more seeds would "
        "show how often it happens."
    )
    if not odd:
        return warned(name, f"The seeds may be skewed: {'; '.join(parts)}.", step)
    undone = first_of(material.undone_by("shape"), _MOST_NAMED)
    what = f", and one more like them would undo what the tests say of {undone}" if undone else ""
    return failed(
        name, f"The seeds do not look normal: {'; '.join(parts)}. A t-test believes too much there{what}.", step
    )


def _shape_words(dataset: str, shape: Shape, material: Material) -> str:
    where, chance = f" on {dataset}" if dataset else "", f"p = {shape.p:.2g} for normal seeds"
    if not shape.apart:
        return f"they are skewed or fall into groups{where} ({chance})"
    named = [cell_words(seed, gap, arm) for arm, seed, gap in shape.apart]
    return f"{apart_words(shape.apart, material.primary.direction)}{where}: {first_of(named, _MOST_NAMED)} ({chance})"


def ends_of_range(material: Material) -> Check | None:
    """Arms whose values reach an end of the metric's range, where they cannot be normal."""
    data, info, name = material.data, material.primary, "Room in the metric's range"
    if not material.contrasts or (math.isinf(info.low) and math.isinf(info.high)):
        return None
    found, judged = [], 0
    for arm in data.arms:
        values = list(data.values(arm.name, info.name).values())
        estimate = mean_interval(values)
        if estimate.n < 2:
            continue
        judged += 1
        low, high = estimate.mean - _REACH * estimate.sd, estimate.mean + _REACH * estimate.sd
        if low < info.low or high > info.high or min(values) == info.low or max(values) == info.high:
            found.append(f"{arm.label} {number(estimate.mean)} ± {number(estimate.sd)}")
    if not judged:
        return None
    range_ = _range_words(info.low, info.high)
    if not found:
        return passed(name, f"every arm stays two standard deviations inside the range of {info.title}, {range_}")
    reach = "reaches" if len(found) == 1 else "reach"
    text = (
        f"{first_of(found, _MOST_NAMED)} (mean ± standard deviation over seeds) {reach} an end of the range of "
        f"{info.title}, {range_}: seeds there are skewed, and arms cannot differ by more than the room that is left."
    )
    return warned(name, text, "Judge by a metric with room left, make the task harder, or set metrics.summary: median.")


def _range_words(low: float, high: float) -> str:
    if math.isfinite(low) and math.isfinite(high):
        return f"{low:g} to {high:g}"
    return f"{number(low)} and more" if math.isfinite(low) else f"{number(high)} and less"
