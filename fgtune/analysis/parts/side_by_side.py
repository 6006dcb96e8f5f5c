"""What is lost without each part of an ablation beside what it gains alone, for every shown metric."""

from __future__ import annotations

from dataclasses import dataclass

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.parts.effects import part_weights
from fgtune.analysis.verdicts.combining import combine, gains_of
from fgtune.analysis.verdicts.statistics import PairedContrast


@dataclass(frozen=True)
class PartGain:
    """A part in one metric, seed by seed; positive where the metric is better with the part.

    Attributes:
        part: Its name.
        beside: The full method minus the one without the part: what is lost without it.
        alone: The part alone minus no part: what it gains by itself.
    """

    part: str
    beside: PairedContrast
    alone: PairedContrast


@dataclass(frozen=True)
class PartGains:
    """The parts of an ablation in one metric.

    Attributes:
        metric: The metric.
        parts: Those with a value of either kind, in the order of the study.
    """

    metric: MetricInfo
    parts: tuple[PartGain, ...]


def component_arms(data: StudyData) -> dict[frozenset[str], str]:
    """The arm of an ablation that has exactly these components on."""
    names = [name for name in data.factors if all(isinstance(arm.levels[name], bool) for arm in data.arms)]
    return {frozenset(name for name in names if arm.levels[name]): arm.name for arm in data.arms}


def part_gains(data: StudyData) -> tuple[PartGains, ...]:
    """The parts in every shown metric that has a better end, the primary one first; nothing without arms of both kinds.

    Where neither more nor less is better, a difference is no gain.
    """
    sets = {name: frozenset(members) for name, members in data.study.design.parts.items()}
    if not sets:
        return ()
    arms = component_arms(data)
    weights = part_weights(arms, sets, frozenset().union(*arms))
    found = []
    directed = [info for info in map(data.info, data.shown_metrics) if info.direction != "none"]
    for info in directed if weights else ():
        gains = gains_of(data, info, None)
        pairs = {
            name: (combine(gains, one).contrast, combine(gains, two).contrast) for name, (one, two) in weights.items()
        }
        parts = tuple(PartGain(name, *both) for name, both in pairs.items() if any(each.n for each in both))
        if parts:
            found.append(PartGains(info, parts))
    return tuple(found)
