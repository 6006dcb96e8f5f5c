"""The two choices of a discovery, without fine labels: a number of fine classes, and a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fgtune.analysis.agreement import ArmAgreement
from fgtune.analysis.class_numbers import find_peak
from fgtune.analysis.formatting import interval, metric_info, number, percent
from fgtune.analysis.search.joint_choice import FEWEST_ARMS, alike, order_together, refusal_of
from fgtune.analysis.verdicts.statistics import mean_interval, paired_contrast
from fgtune.arrays import FloatArray
from fgtune.catalog.metrics import AGREEMENT
from fgtune.text import count

LEVEL = 0.95
FAILING = 0.5
"""A default whose agreement is shown to be below this is given up for a method that is ahead by both criteria."""


@dataclass(frozen=True)
class NumFineLevel:
    """How far runs agree at one number of fine classes.

    Attributes:
        num_fine: K_F.
        agreement: Mean over pairs of seeds, corrected for chance and collapse.
        low: Lower end of its interval; nan with two seeds.
        high: Upper end.
        pairs: Agreement of each pair of seeds.
        near: Whether it is not shown to agree less than the best.
    """

    num_fine: int
    agreement: float
    low: float
    high: float
    pairs: tuple[float, ...]
    near: bool


@dataclass(frozen=True)
class NumFineChoice:
    """The chosen number of fine classes.

    Attributes:
        chosen: K_F.
        low: Smallest number around it that the runs do not rule out.
        high: Largest one.
        levels: All that were tried; empty where the number was given.
        edge: Where the best number is the ``smallest`` or ``largest`` that was tried, and one beyond is possible; else
            empty.
        missing: Planned numbers that have fewer runs than the others, and were not considered.
        by_judge: Whether single runs were judged by the shared silhouette, because no number has two.
    """

    chosen: int
    low: int
    high: int
    levels: tuple[NumFineLevel, ...] = ()
    edge: Literal["", "smallest", "largest"] = ""
    missing: tuple[int, ...] = ()
    by_judge: bool = False


def choose_num_fine(found: Mapping[int, ArmAgreement], missing: Sequence[int] = (), least: int = 1) -> NumFineChoice:
    """The number of fine classes on which seeds agree most, and the numbers around it that agree no less.

    A number belongs to the interval if its agreement is not shown to be below that of the best (``find_peak``), and so
    do all between it and the best.

    Args:
        found: Agreement by number of fine classes; at least one.
        missing: Planned numbers that are not in it.
        least: The smallest number that makes sense.

    Raises:
        ValueError: Nothing was measured.
    """
    peak = find_peak({size: agreement.values() for size, agreement in found.items()}, alpha=1 - LEVEL)
    numbers, best = sorted(found), peak.best
    levels = tuple(_level(size, found[size], not peak.left or size in peak.left) for size in numbers)
    place = numbers.index(best)
    low, high = place, place
    while low > 0 and levels[low - 1].near:
        low -= 1
    while high < len(levels) - 1 and levels[high + 1].near:
        high += 1
    edge: Literal["", "smallest", "largest"] = ""
    if len(numbers) > 1 and place == len(numbers) - 1:
        edge = "largest"
    elif len(numbers) > 1 and place == 0 and best > least:
        edge = "smallest"
    return NumFineChoice(best, numbers[low], numbers[high], levels, edge, tuple(missing))


def choose_by_judge(found: Mapping[int, float], planned: Sequence[int]) -> NumFineChoice:
    """The number whose single run is best separated, where no number has two runs that could agree.

    Args:
        found: Shared silhouette by number of fine classes; at least one.
        planned: All numbers that were to be tried.
    """
    best = max(sorted(found), key=lambda number: found[number])
    return NumFineChoice(best, min(found), max(found), missing=tuple(planned), by_judge=True)


def _level(number: int, own: ArmAgreement, near: bool) -> NumFineLevel:
    low, high = agreement_interval(own)
    upper = own.corrected[np.triu_indices(len(own.seeds), 1)]
    return NumFineLevel(number, own.mean, low, high, tuple(map(float, upper)), near)


def agreement_interval(found: ArmAgreement) -> tuple[float, float]:
    """Interval of an agreement by the jackknife over seeds; nan with two seeds."""
    if len(found.seeds) < 3:
        return math.nan, math.nan
    estimate = mean_interval([*found.values().values()], LEVEL)
    return estimate.low, min(1.0, estimate.high)


@dataclass(frozen=True)
class Candidate:
    """A method, judged without fine labels.

    Attributes:
        arm: Its name.
        title: The method in words.
        agreement: Mean over pairs of seeds; nan with fewer than two.
        low: Lower end of the interval of the agreement.
        high: Upper end.
        judge: Silhouette inside coarse classes in the space that all share, mean over seeds.
        judge_values: By seed.
        by_seed: Pseudo-values of the agreement, of which their mean is the agreement.
        seeds: Number of complete cells.
        seconds: Mean seconds of a cell.
        trained: Whether it is trained; a clustering of the inputs is not.
        identical: Whether all its runs find exactly the same classes.
    """

    arm: str
    title: str
    agreement: float
    low: float
    high: float
    judge: float
    judge_values: tuple[float, ...]
    by_seed: Mapping[int, float]
    seeds: int
    seconds: float
    trained: bool = True
    identical: bool = False


@dataclass(frozen=True)
class MethodChoice:
    """The chosen method.

    Attributes:
        arm: Its name.
        refused: Whether no criterion chooses better than the default, which is then taken.
        reason: Why, in a sentence.
        candidates: From best to worst by mean rank.
    """

    arm: str
    refused: bool
    reason: str
    candidates: tuple[Candidate, ...]


def choose_method(candidates: Sequence[Candidate], default: str) -> MethodChoice:
    """The method that is best by agreement and the shared silhouette together, or the default where these refuse.

    The rule is that of ``fgtune.analysis.search.joint_choice``: both rank methods alike, and the runs of the best one
    agree more than those of the default by more than the interval of that difference. Where runs of the default itself
    hardly agree, the second suffices, with a lead by the silhouette.

    Args:
        candidates: At least one.
        default: The arm that is taken where nothing chooses better; if it has no complete cell, the best one is taken.
    """
    most = max(each.seeds for each in candidates)
    judged = [each for each in candidates if math.isfinite(each.agreement) and each.seeds == most]
    others = [each for each in candidates if each not in judged]
    ordered = (*_ranked(judged), *others)
    base = next((each for each in candidates if each.arm == default), None)
    if base is None:
        if len(ordered) == 1:
            return MethodChoice(ordered[0].arm, False, f"{ordered[0].title}, the only method that finished.", ordered)
        reason = f"{ordered[0].title}, by agreement and the shared silhouette together; the default did not finish."
        return MethodChoice(ordered[0].arm, False, reason, ordered)
    if len(judged) < FEWEST_ARMS or base not in judged:
        few = f"{count(len(judged), 'method')} of {FEWEST_ARMS} that are needed have all their runs"
        return MethodChoice(default, True, f"{_NOTHING} ({base.title}): {few}.", ordered)
    return _choice(judged, base, ordered)


_NOTHING = "Nothing is shown to choose better than the default"


def _choice(judged: Sequence[Candidate], base: Candidate, ordered: tuple[Candidate, ...]) -> MethodChoice:
    """The choice among enough methods."""
    best = ordered[0]
    rho, p = alike(*_criteria(judged))
    reach = metric_info(AGREEMENT).reach
    lead = paired_contrast(best.by_seed, base.by_seed, direction="maximize", level=LEVEL, limits=reach)
    refusal = refusal_of(best.title, base.title, (rho, p), lead, 1 - LEVEL, best.seeds)
    if refusal and _fails(base) and lead.estimate.low > 0 and best.judge > base.judge:
        reason = (
            f"Runs of the default, {base.title}, hardly find the same classes (agreement {number(base.agreement)}, at "
            f"most {number(base.high)}); {best.title} ranks first by agreement between runs and the shared silhouette, "
            "and is ahead of it by both."
        )
        return MethodChoice(best.arm, False, reason, ordered)
    if refusal:
        return MethodChoice(base.arm, True, f"{_NOTHING} ({base.title}): {refusal}.", ordered)
    words = f"which rank {len(judged)} methods alike (rank correlation {number(rho)})"
    if best.arm == base.arm:
        reason = f"{best.title}, the default, ranks first by agreement between runs and the shared silhouette, {words}."
        return MethodChoice(base.arm, False, reason, ordered)
    ahead = (
        f"{number(lead.estimate.mean)} ({percent(LEVEL)} interval {interval(lead.estimate.low, lead.estimate.high)})"
    )
    reason = (
        f"{best.title} ranks first by agreement between runs and the shared silhouette, {words}; its runs agree by "
        f"{ahead} more than those of the default, {base.title}."
    )
    return MethodChoice(best.arm, False, reason, ordered)


def _fails(base: Candidate) -> bool:
    """Whether runs of the default are shown to agree little, so that it is not worth falling back on."""
    return base.high < FAILING


def _criteria(judged: Sequence[Candidate]) -> tuple[FloatArray, FloatArray]:
    return np.array([each.agreement for each in judged]), np.array([each.judge for each in judged])


def _ranked(judged: Sequence[Candidate]) -> list[Candidate]:
    """Methods from best to worst by the mean of their ranks; of equals, those whose runs agree more first."""
    return [judged[place] for place in order_together(*_criteria(judged))]
