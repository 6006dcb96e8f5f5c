"""Whether too many fine classes cost less than too few: K_F above against below the baseline, at equal distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fgtune.analysis.verdicts.combining import Combination, Gains, combine, judge_sums
from fgtune.analysis.verdicts.judgement import Judgement
from fgtune.analysis.verdicts.statistics import PairedContrast

NUM_FINE = ("classes.num_fine_ratio", "classes.num_fine")
"""The factors that have sides."""
STEP = 0.1
"""Unit of distance of slopes: a tenth of the baseline's K_F."""


@dataclass(frozen=True)
class SideContrast:
    """The gain above the baseline's K_F minus the gain below it.

    Attributes:
        distance: Relative distance of both levels from the baseline; nan where they differ and slopes are compared.
        above: Levels above, as text.
        below: Levels below.
        contrast: The difference by seed; of slopes in the metric's unit per tenth of the baseline's K_F.
        judgement: ``helps`` where above is better, ``hurts`` where below is; never equivalent for slopes.
        sentence: The result in words.
    """

    distance: float
    above: tuple[str, ...]
    below: tuple[str, ...]
    contrast: PairedContrast
    judgement: Judgement
    sentence: str = ""


def side_contrasts(gains: Gains, levels: Sequence[tuple[str, str, float]], base: float) -> tuple[SideContrast, ...]:
    """Each pair of levels at equal distance as a contrast, Holm-corrected together; without such pairs, one of slopes.

    Args:
        gains: The arms' values.
        levels: Arm, text and number of every level, the baseline among them.
        base: The baseline's level, > 0.
    """
    placed = [(arm, tick, level / base - 1.0) for arm, tick, level in levels]
    above = [each for each in placed if each[2] > 1e-9]
    below = [each for each in placed if each[2] < -1e-9]
    pairs = [(up, down) for up in above for down in below if math.isclose(up[2], -down[2], rel_tol=1e-6)]
    if pairs:
        sums = [combine(gains, {up[0]: 1.0, down[0]: -1.0}) for up, down in pairs]
        found = zip(pairs, sums, judge_sums(gains, sums), strict=True)
        return tuple(
            SideContrast(up[2], (up[1],), (down[1],), combined.contrast, judgement)
            for (up, down), combined, judgement in found
        )
    centre = next((arm for arm, _, distance in placed if abs(distance) <= 1e-9), None)
    if not above or not below or centre is None:
        return ()
    slopes = _slopes(gains, centre, above, below)
    (judgement,) = judge_sums(replace(gains, margin=None), [slopes])  # no margin is stated for slopes
    names = tuple(tick for _, tick, _ in above), tuple(tick for _, tick, _ in below)
    return (SideContrast(math.nan, *names, slopes.contrast, judgement),)


def _slopes(
    gains: Gains, centre: str, above: Sequence[tuple[str, str, float]], below: Sequence[tuple[str, str, float]]
) -> Combination:
    """Gain per step of distance above minus that below: lines through the baseline, by least squares."""
    weights: dict[str, float] = {centre: 0.0}
    for side, sign in ((above, 1.0), (below, -1.0)):
        for arm, weight in _line(side).items():
            weights[arm] = sign * weight
            weights[centre] -= sign * weight
    return combine(gains, weights)


def _line(side: Sequence[tuple[str, str, float]]) -> Mapping[str, float]:
    squares = math.fsum(distance**2 for _, _, distance in side)
    return {arm: STEP * abs(distance) / squares for arm, _, distance in side}
