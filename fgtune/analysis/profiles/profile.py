"""The numeric factors of a sensitivity study, each with what its levels say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fgtune.analysis.formatting import MetricInfo, factor_name, level_text
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.level_panels import arm_groups
from fgtune.analysis.profiles.plateau import LevelBound, level_bounds
from fgtune.analysis.profiles.sides import NUM_FINE, SideContrast, side_contrasts
from fgtune.analysis.profiles.slopes import Elasticity, elasticity, on_log_levels
from fgtune.analysis.search.axes import listed_axis
from fgtune.analysis.verdicts.combining import gains_of
from fgtune.catalog.spec import sign_of
from fgtune.config.schema.designs import RangeConfig

_FEWEST_LEVELS = 3


@dataclass(frozen=True)
class FactorProfile:
    """One factor, with the others as in the baseline.

    Attributes:
        factor: Its dotted path.
        title: Its name for readers.
        levels: Each level against the best of the others, in ascending order.
        elasticity: For a factor on a log scale.
        sides: K_F above against below the baseline; empty for other factors.
        to_truth: Whether the baseline's K_F is the true number, so that above is too many.
        sentence: Which levels are within the margin of the best.
        slope_sentence: What the elasticity says; empty without one.
    """

    factor: str
    title: str
    levels: tuple[LevelBound, ...]
    elasticity: Elasticity | None
    sides: tuple[SideContrast, ...]
    to_truth: bool
    sentence: str = ""
    slope_sentence: str = ""


@dataclass(frozen=True)
class ProfilesSummary:
    """The factors with three numeric levels or more.

    Attributes:
        planned: Whether the study file planned this.
        margin: A smaller difference is unimportant; None if the study states none.
        factors: In the order of the plan.
    """

    planned: bool
    margin: float | None
    factors: tuple[FactorProfile, ...]


def summarise_profiles(data: StudyData, info: MetricInfo, margin: float | None) -> ProfilesSummary | None:
    """What the levels of each numeric factor say together; None where there are none, or points of a space instead.

    Args:
        data: The study.
        info: The primary metric.
        margin: The study's margin; None for none.
    """
    if data.study.design.samples_points:
        return None
    groups = [(factor, _ascending(factor, arms)) for factor, arms in arm_groups(data) if factor is not None]
    groups = [(factor, arms) for factor, arms in groups if len(arms) >= _FEWEST_LEVELS]
    if not groups:
        return None
    gains = gains_of(data, info, margin)
    bounds = level_bounds(
        gains, [[(arm.name, level_text(arm.levels[factor])) for arm in arms] for factor, arms in groups]
    )
    sign = sign_of(info.direction)
    profiles = []
    for (factor, arms), levels in zip(groups, bounds, strict=True):
        numbers = [float(arm.levels[factor]) for arm in arms]
        base = float(data.baseline.levels[factor])
        domain = data.study.design.domains.get(factor)
        sides: tuple[SideContrast, ...] = ()
        slope: Elasticity | None = None
        log_range = isinstance(domain, RangeConfig) and domain.scale == "log"
        if factor in NUM_FINE and base > 0:
            placed = [(arm.name, level_text(arm.levels[factor]), n) for arm, n in zip(arms, numbers, strict=True)]
            sides = side_contrasts(gains, placed, base)
        elif on_log_levels(numbers, log_range=log_range):
            named = [(arm.name, number) for arm, number in zip(arms, numbers, strict=True)]
            slope = elasticity(gains, named, sign, ratio_scale=info.low >= 0.0)
        to_truth = factor == NUM_FINE[0] and math.isclose(base, 1.0)
        profiles.append(FactorProfile(factor, factor_name(factor, data.factors), levels, slope, sides, to_truth))
    return ProfilesSummary(data.study.design.plans_joint_effects, margin, tuple(profiles))


def _ascending(factor: str, arms: Sequence[PlannedArm]) -> tuple[PlannedArm, ...]:
    """The arms by level; none unless every level is a number."""
    if not listed_axis(factor, "", [arm.levels[factor] for arm in arms]).numeric:
        return ()
    return tuple(sorted(arms, key=lambda arm: float(arm.levels[factor])))
