"""The number of fine classes from a study over K_F: where the agreement of seeds is highest, and what it does not beat.

A number is left if its agreement is not shown to be below that of the best one: a one-sided paired t-test on the
pseudo-values of the jackknife over seeds, at alpha divided by the number of rivals, so that the number whose agreement
is truly highest is left in 1 - alpha of studies (a subset that contains the best: Gupta 1965). That this is the true
number of classes is an observation on data with known classes (docs/kf_estimation.md), not a theorem.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import capital, interval, number, percent
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.level_panels import arm_groups
from fgtune.analysis.profiles.sides import NUM_FINE
from fgtune.analysis.table import num_fine
from fgtune.analysis.verdicts.statistics import Estimate, paired_contrast
from fgtune.catalog.metrics import AGREEMENT
from fgtune.catalog.spec import sign_of
from fgtune.config.schema.classes import ESTIMATE
from fgtune.text import count, listed

_SECTION = "classes"
_FEWEST_POINTS = 3
"""Numbers that must have an agreement: of two, the higher one is no peak."""
_FEWEST_SEEDS = 3
"""Seeds that the test needs."""
_BEYOND = 0.25
"""How far beyond the largest or smallest number tried the next one is, where that is the best."""


@dataclass(frozen=True)
class Peak:
    """Where agreement is highest among the numbers tried.

    Attributes:
        best: The number with the highest agreement, the smallest if tied.
        left: The numbers not shown to be below it, in order; empty where two numbers share fewer than three seeds.
        next: Numbers to try next: halfway to its neighbours, or beyond it at an edge; empty where none is in between.
        at_edge: Whether it is the smallest or largest number tried, and one beyond is possible.
    """

    best: int
    left: tuple[int, ...]
    next: tuple[int, ...]
    at_edge: bool


@dataclass(frozen=True)
class NumberPoint:
    """One number of fine classes: its arm, and the arm's metrics, agreement first, each with its interval."""

    arm: str
    num_fine: int
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True)
class NumberChoice:
    """What a study over K_F says about the number of fine classes of a data set.

    Attributes:
        dataset: Name of the data set in a comparison over several, else empty.
        points: By number.
        peak: The choice among them.
        truth: The number of fine classes in the data; None where it is not known.
        best: The number tried with the best primary metric over the seeds that all numbers share, the smallest if tied;
            None where it is not known, or they share no seed.
        lost: The primary metric there less that at the chosen number, or the other way round where lower is better, so
            that it is never negative; nan where ``best`` is None.
        sentence: The result in words.
    """

    dataset: str
    points: tuple[NumberPoint, ...]
    peak: Peak
    truth: int | None
    best: int | None
    lost: float
    sentence: str

    @property
    def chosen(self) -> NumberPoint:
        """The point whose seeds agree most."""
        return next(point for point in self.points if point.num_fine == self.peak.best)


def find_peak(agreements: Mapping[int, Mapping[int, float]], alpha: float, fewest: int = 2) -> Peak:
    """The number of fine classes with the highest agreement, and those that it does not beat.

    Args:
        agreements: For each K_F, the agreement of its seeds as pseudo-values by seed (``ArmAgreement.values``).
        alpha: Share of studies in which the number whose agreement is truly highest may be missing from ``left``.
        fewest: Smallest K_F that makes sense: the number of coarse classes.

    Raises:
        ValueError: No number has a value.

    Example:
        >>> peaked = {8: {0: 0.4, 1: 0.5, 2: 0.45}, 12: {0: 0.7, 1: 0.81, 2: 0.74}, 16: {0: 0.72, 1: 0.77, 2: 0.75}}
        >>> find_peak(peaked, alpha=0.05)
        Peak(best=12, left=(12, 16), next=(10, 14), at_edge=False)
    """
    means = {size: math.fsum(values.values()) / len(values) for size, values in sorted(agreements.items()) if values}
    if not means:
        raise ValueError("no number of fine classes has an agreement")
    best = max(means, key=lambda size: (means[size], -size))
    rivals = [size for size in means if size != best]
    p_values = {size: _p_below(agreements[size], agreements[best]) for size in rivals}
    testable = all(math.isfinite(p) for p in p_values.values())
    left = tuple(size for size in means if p_values.get(size, 1.0) * len(rivals) > alpha) if testable else ()
    sizes = list(means)
    at_edge = bool(rivals) and (best == sizes[-1] or (best == sizes[0] and best > fewest))
    return Peak(best, left, _next_numbers(sizes, best, fewest), at_edge)


def _p_below(values: Mapping[int, float], best: Mapping[int, float]) -> float:
    """One-sided p that the mean is not below the best's; nan with fewer than three seeds in common."""
    contrast = paired_contrast(values, best)
    if contrast.n < _FEWEST_SEEDS:
        return math.nan
    if math.isnan(contrast.p_t):
        return 0.0 if contrast.estimate.mean < 0 else 1.0
    return contrast.p_t / 2 if contrast.estimate.mean < 0 else 1 - contrast.p_t / 2


def _next_numbers(sizes: Sequence[int], best: int, fewest: int) -> tuple[int, ...]:
    rank = sizes.index(best)
    reach = max(1, round(_BEYOND * best))
    below = sizes[rank - 1] if rank else max(fewest, best - 2 * reach)
    above = sizes[rank + 1] if rank + 1 < len(sizes) else best + 2 * reach
    between = ((below + best) // 2, (best + above + 1) // 2)
    return tuple(size for size in between if size >= fewest and size not in sizes)


def choose_numbers(data: StudyData) -> tuple[NumberChoice, ...]:
    """The choice of K_F on each data set of a study that varies it, where at least three numbers have an agreement.

    Of several factors, the others are at their baseline. In a comparison, what counts is arms that differ from the
    baseline on the same data in K_F alone; those with a search inside, or that estimate K_F, are left out.
    """
    chosen = (_choice(data, dataset, arms) for dataset, arms in _arms_over_numbers(data).items())
    return tuple(each for each in chosen if each is not None)


def _choice(data: StudyData, dataset: str, arms: Sequence[PlannedArm]) -> NumberChoice | None:
    points = sorted((point for arm in arms for point in _points(data, arm)), key=lambda point: point.num_fine)
    sizes = [point.num_fine for point in points]
    if len(sizes) < _FEWEST_POINTS or len(set(sizes)) < len(sizes):
        return None
    agreements = {point.num_fine: data.values(point.arm, AGREEMENT) for point in points}
    truth, fewest = _classes(data, points)
    peak = find_peak(agreements, data.study.metrics.alpha, fewest)
    best, lost = _cost(data, points, peak.best)
    sentence = _sentence(points, peak, data.level, _cost_words(data, best, lost, peak.best))
    return NumberChoice(dataset, tuple(points), peak, truth, best, lost, sentence)


def _cost(data: StudyData, points: Sequence[NumberPoint], chosen: int) -> tuple[int | None, float]:
    """The best number by the primary metric over shared seeds, and what another one loses against it."""
    primary = data.info(data.study.metrics.primary)
    sign = sign_of(primary.direction)
    values = {point.num_fine: data.values(point.arm, primary.name) for point in points}
    shared = set.intersection(*({*each} for each in values.values()))
    if not sign or not shared:
        return None, math.nan
    gains = {size: sign * math.fsum(each[seed] for seed in shared) / len(shared) for size, each in values.items()}
    best = max(gains, key=lambda size: (gains[size], -size))
    return best, gains[best] - gains[chosen]


def _cost_words(data: StudyData, best: int | None, lost: float, chosen: int) -> str:
    if best is None:
        return ""
    title = capital(data.info(data.study.metrics.primary).title)
    if best == chosen:
        return f" {title} is best there, too."
    return f" {title} is best at {best}, and there it is better by {number(lost)}."


def _arms_over_numbers(data: StudyData) -> dict[str, list[PlannedArm]]:
    """The arms that differ in K_F alone, by data set."""
    design = data.study.design
    if design.samples_points:
        return {"": [*data.arms]} if set(data.factors) <= set(NUM_FINE) and data.factors else {}
    if design.varies_factors:
        return {"": [*next((arms for factor, arms in arm_groups(data) if factor in NUM_FINE), ())]}
    found: dict[str, list[PlannedArm]] = {}
    for arm in data.arms:
        is_plain = arm.name not in design.searched_arms and not _estimates(data, arm)
        if is_plain and _but_number(arm) == _but_number(data.baseline_of(arm)):
            found.setdefault(arm.dataset, []).append(arm)
    return found


def _estimates(data: StudyData, arm: PlannedArm) -> bool:
    """Whether the trials of an arm estimate K_F for themselves."""
    return any(result.config.get("classes", {}).get("num_fine") == ESTIMATE for result in data.ended(arm.name))


def _but_number(arm: PlannedArm) -> dict[str, Any]:
    """The levels of an arm but for K_F; also where it sets the whole section."""
    levels = {path: level for path, level in arm.levels.items() if path not in NUM_FINE}
    section = levels.get(_SECTION)
    if isinstance(section, Mapping):
        levels[_SECTION] = {name: value for name, value in section.items() if f"{_SECTION}.{name}" not in NUM_FINE}
    return levels


def _points(data: StudyData, arm: PlannedArm) -> list[NumberPoint]:
    """The arm as a point; empty without an agreement, or where its seeds differ in K_F."""
    finished = data.ended(arm.name)
    sizes = {size for size in map(num_fine, finished) if size is not None}
    if len(sizes) != 1 or not data.values(arm.name, AGREEMENT):
        return []
    shown = dict.fromkeys([AGREEMENT, *(name for name in FIXED if name in data.measured), data.study.metrics.primary])
    estimates = {name: arm_estimate(data, arm.name, name) for name in shown}
    return [NumberPoint(arm.name, sizes.pop(), estimates)]


FIXED = ("test/fixed_silhouette", "test/fixed_calinski_harabasz", "val/fixed_silhouette", "val/fixed_calinski_harabasz")
"""Label-free criteria in a space that all arms share."""


def _classes(data: StudyData, points: Sequence[NumberPoint]) -> tuple[int | None, int]:
    """The true number of fine classes, if known, and the number of coarse ones; from the stored relations."""
    for cell in (cell for point in points for cell in data.cells(point.arm)):
        record = data.folder.read_relations(cell.cell_id) if cell.cell_id in data.results else None
        if record is not None:
            truth = None if record.true_fine_to_coarse is None else int(record.true_fine_to_coarse.shape[1])
            return truth, int(record.coarse_counts.shape[2])
    return None, 2


def _sentence(points: Sequence[NumberPoint], peak: Peak, level: float, cost: str) -> str:
    estimate = next(point for point in points if point.num_fine == peak.best).estimates[AGREEMENT]
    bounds = f" ({interval(estimate.low, estimate.high)})" if estimate.n > 2 else ""
    text = f"Seeds agree most at K_F = {peak.best}: {number(estimate.mean)}{bounds}."
    tried = [point.num_fine for point in points]
    others = [size for size in peak.left if size != peak.best]
    if not peak.left:
        text += f" Which numbers are ruled out shows once all share {_FEWEST_SEEDS} seeds; some share fewer."
    elif others:
        text += f" Not shown to agree less: {listed([str(size) for size in others])}."
    else:
        text += f" On the {count(len(tried) - 1, 'other number')} tried they agree less ({percent(level)} confidence)."
    if peak.at_edge:
        text += f" It is the {'smallest' if peak.best == tried[0] else 'largest'} tried, so the peak may lie beyond."
    text += cost
    if peak.next:
        text += f" To narrow it down, try {listed([str(size) for size in peak.next])}."
    return text
