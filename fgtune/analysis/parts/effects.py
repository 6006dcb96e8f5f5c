"""Contrasts of contrasts of an ablation: what parts are worth beside others, without them, and in the mean.

A part is *redundant* with others where it gains something alone and less beside them, and in *synergy* with them where
it gains something beside them and more than alone. Both are claims about the difference of two gains, tested seed by
seed, together with the gain that they name; two verdict words that differ show neither. A pair's interaction is the
difference of differences of a factorial design (Yates 1937). Shapley's shares (1953) split the difference between the
full method and the one without any part, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Literal

import numpy as np

from fgtune.analysis.verdicts.combining import Combination, Gains, case_of, combine, judge_sums, paid_p_values, rules_of
from fgtune.analysis.verdicts.deciding import judge, judge_together
from fgtune.analysis.verdicts.judgement import Case, Judgement, Verdict
from fgtune.analysis.verdicts.statistics import PairedContrast, holm

JointName = Literal["synergy", "redundancy", "more beside", "less beside", "additive", "undecided"]

_On = frozenset[str]


@dataclass(frozen=True)
class JointEffect:
    """How much more parts are worth beside others than without them; gains are positive where the metric gets better.

    Attributes:
        parts: One part, against all others together; or a pair.
        contrast: Gain beside the others (of a pair: of the first beside the second) minus gain without, seed by seed.
        beside: Gain beside the others.
        without: Gain without them.
        judgement: Of the difference, Holm-corrected in its family: ``helps`` is more beside the others.
        name: What it is called.
        sentence: The result in words.
    """

    parts: tuple[str, ...]
    contrast: PairedContrast
    beside: PairedContrast
    without: PairedContrast
    judgement: Judgement
    name: JointName
    sentence: str = ""

    @property
    def label(self) -> str:
        """The part or parts in words."""
        return " and ".join(self.parts)


@dataclass(frozen=True)
class ShapleyShare:
    """What a part gains in the mean over all orders in which parts can be added.

    Attributes:
        part: The part.
        contrast: Its share, seed by seed.
        p_adjusted: Test that it is 0, Holm-corrected over the parts.
        bounds: What it could be with the lost cells; nan where none were lost.
    """

    part: str
    contrast: PairedContrast
    p_adjusted: float
    bounds: tuple[float, float]


@dataclass(frozen=True)
class PartsSummary:
    """What an ablation says about its parts together.

    Attributes:
        planned: Whether the study file planned it.
        parts: Each part against all others together.
        pairs: Each pair.
        averaged: Whether pairs are averaged over all settings of the other parts; if not, the others are on.
        shares: Shapley shares; empty unless every combination was run.
        total: Full method minus the one without any part, the sum of the shares; None without shares.
        sentence: What the shares say; empty without them.
    """

    planned: bool
    parts: tuple[JointEffect, ...]
    pairs: tuple[JointEffect, ...]
    averaged: bool
    shares: tuple[ShapleyShare, ...]
    total: PairedContrast | None
    sentence: str = ""

    @property
    def effects(self) -> tuple[JointEffect, ...]:
        """Parts, then pairs."""
        return (*self.parts, *self.pairs)


def summarise_parts(
    gains: Gains,
    arms: Mapping[_On, str],
    units: Mapping[str, Sequence[str]],
    combined: Sequence[str],
    *,
    planned: bool,
) -> PartsSummary | None:
    """What the arms of an ablation say about its parts together; None where they say nothing.

    Args:
        gains: The arms' values.
        arms: The arm that has exactly these components on.
        units: Components of every part (a component, or a group) that is removed or added alone.
        combined: Those of them that are combined with each other; disjoint, or they have no interactions here.
        planned: Whether the study file planned this.
    """
    full = frozenset().union(*arms)
    sets = {name: frozenset(members) for name, members in units.items()}
    disjoint = sum(len(sets[name]) for name in combined) == len(frozenset().union(*(sets[name] for name in combined)))
    chosen = {name: sets[name] for name in combined} if disjoint else {}
    whole = bool(chosen) and all(full - off in arms for off in _unions(chosen))
    parts = _part_effects(gains, arms, sets, full)
    pairs = _pair_effects(gains, arms, chosen, full, whole=whole)
    shares, total = _shares(gains, arms, chosen, full) if whole else ((), None)
    if not parts and not pairs and not shares:
        return None
    return PartsSummary(planned, parts, pairs, whole and len(chosen) > 2, shares, total)


def _unions(sets: Mapping[str, _On]) -> Iterator[_On]:
    """The components of every subset of the parts."""
    for names in _subsets(list(sets)):
        yield frozenset().union(*(sets[name] for name in names))


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


def _part_effects(gains: Gains, arms: Mapping[_On, str], sets: Mapping[str, _On], full: _On) -> tuple[JointEffect, ...]:
    """Every part of which there are the arms without it, with it alone, and without any."""
    weights = part_weights(arms, sets, full)
    return _named_parts(gains, [_joint(gains, (name,), beside, alone) for name, (beside, alone) in weights.items()])


def part_weights(
    arms: Mapping[_On, str], sets: Mapping[str, _On], full: _On
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Weights of the arms for what each part gains beside all others, and alone; of parts that have all four arms.

    Args:
        arms: The arm that has exactly these components on.
        sets: Components of every part.
        full: All components.
    """
    fixed = full - frozenset().union(*sets.values())
    found = {}
    for name, own in sets.items():
        corners = (full, full - own, fixed | own, fixed)
        if all(corner in arms for corner in corners) and len(set(corners)) == 4:
            with_all, without, alone, none = (arms[corner] for corner in corners)
            found[name] = ({with_all: 1.0, without: -1.0}, {alone: 1.0, none: -1.0})
    return found


def _sum(*terms: tuple[float, Mapping[str, float]]) -> dict[str, float]:
    """The weighted sum of weights; arms that cancel are left out."""
    total: dict[str, float] = {}
    for factor, weights in terms:
        for arm, weight in weights.items():
            total[arm] = total.get(arm, 0.0) + factor * weight
    return {arm: weight for arm, weight in total.items() if weight != 0.0}


@dataclass(frozen=True)
class _Joint:
    """Parts with their gains beside the others and without them, and the difference of the two."""

    parts: tuple[str, ...]
    beside: Combination
    without: Combination
    difference: Combination


def _joint(gains: Gains, parts: tuple[str, ...], beside: Mapping[str, float], without: Mapping[str, float]) -> _Joint:
    difference = _sum((1.0, beside), (-1.0, without))
    return _Joint(parts, combine(gains, beside), combine(gains, without), combine(gains, difference))


def _named_parts(gains: Gains, found: Sequence[_Joint]) -> tuple[JointEffect, ...]:
    """Name each part; a name is a claim about two signs, so its p is the larger of both tests' (Berger 1982).

    If the difference is truly below 0, the part gains something alone or loses something beside the others, so that
    only one of the names that go with it can be wrong: with two-sided tests in at most alpha of studies.
    """
    own = [case_of(gains, each.difference) for each in found]
    claims = [_claim(gains, each, case) for each, case in zip(found, own, strict=True)]
    cases = [
        replace(case, p_adjusted=float(np.maximum(case.p_adjusted, claim.p_adjusted)))
        for case, (_, _, claim) in zip(own, claims, strict=True)
    ]
    judgements = judge_together(cases, rules_of(gains, [each.difference for each in found]))
    effects = []
    for each, (name, gain, claim), judgement in zip(found, claims, judgements, strict=True):
        named = judgement
        if judgement.verdict in {Verdict.HELPS, Verdict.HURTS}:
            corrected = replace(claim, p_adjusted=judgement.p_adjusted, p_equivalent=math.nan)
            second = judge(corrected, replace(rules_of(gains, [gain]), contrasts=len(found)))
            if second.verdict is Verdict.UNDECIDED:
                named = replace(judgement, verdict=second.verdict, reason=second.reason, doubt=second.doubt)
        effects.append(_effect(each, named, name))
    return tuple(effects)


def _claim(gains: Gains, found: _Joint, difference: Case) -> tuple[JointName, Combination, Case]:
    """What a part would be called, and the gain or loss that the name speaks of: of the two possible, the surer."""
    more = _value(difference) > 0
    first, second = (found.beside, found.without) if more else (found.without, found.beside)
    gain, loss = case_of(gains, first), case_of(gains, second)
    if _value(gain) <= 0 or (_value(loss) < 0 and loss.p_adjusted < gain.p_adjusted):
        return ("more beside" if more else "less beside"), second, loss
    return ("synergy" if more else "redundancy"), first, gain


def _value(case: Case) -> float:
    """How far the summary lies above its value without any difference."""
    return case.summary.value - case.summary.centre


def _pair_effects(
    gains: Gains, arms: Mapping[_On, str], sets: Mapping[str, _On], full: _On, *, whole: bool
) -> tuple[JointEffect, ...]:
    """Every pair whose four arms there are, with the other parts on; averaged over these if every combination is."""
    found = []
    for (one, first), (two, second) in combinations(sets.items(), 2):
        rest = {name: own for name, own in sets.items() if name not in (one, two)}
        removed = list(_unions(rest)) if whole else [frozenset[str]()]
        share = 1.0 / len(removed)
        beside, apart = [], []
        for off in removed:
            on = full - off
            corners = (on, on - first, on - second, on - first - second)
            if all(corner in arms for corner in corners):
                both, without_one, without_two, neither = (arms[corner] for corner in corners)
                beside.append((share, {both: 1.0, without_one: -1.0}))
                apart.append((share, {without_two: 1.0, neither: -1.0}))
        if beside:
            found.append(_joint(gains, (one, two), _sum(*beside), _sum(*apart)))
    judgements = judge_sums(gains, [each.difference for each in found])
    return tuple(
        _effect(each, judgement, _pair_name(judgement)) for each, judgement in zip(found, judgements, strict=True)
    )


def _pair_name(judgement: Judgement) -> JointName:
    return "synergy" if judgement.verdict is Verdict.HELPS else "redundancy"


def _effect(found: _Joint, judgement: Judgement, name: JointName) -> JointEffect:
    if judgement.verdict is Verdict.EQUIVALENT:
        name = "additive"
    elif judgement.verdict is Verdict.UNDECIDED:
        name = "undecided"
    contrasts = (found.difference.contrast, found.beside.contrast, found.without.contrast)
    return JointEffect(found.parts, *contrasts, judgement, name)


def _shares(
    gains: Gains, arms: Mapping[_On, str], sets: Mapping[str, _On], full: _On
) -> tuple[tuple[ShapleyShare, ...], PairedContrast]:
    """Shapley's shares, and what they sum to, all over the seeds at which every arm has a value."""
    names, k = list(sets), len(sets)
    none = full - frozenset().union(*sets.values())
    every = {arms[full - off]: 0.0 for off in _unions(sets)}
    sums = []
    for name in names:
        weights = dict(every)
        for others in _subsets([other for other in names if other != name]):
            size = len(others)
            weight = math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k)
            on = none.union(*(sets[other] for other in others))
            weights[arms[on | sets[name]]] += weight
            weights[arms[on]] -= weight
        sums.append(combine(gains, weights))
    adjusted = holm([paid_p_values(gains, each)[0] for each in sums])
    shares = tuple(
        ShapleyShare(name, each.contrast, p, each.bounds) for name, each, p in zip(names, sums, adjusted, strict=True)
    )
    seeds = sums[0].contrast.seeds
    kept = {arm: {seed: gains.values[arm][seed] for seed in seeds} for arm in (arms[full], arms[none])}
    return shares, combine(replace(gains, values=kept, lost={}), {arms[full]: 1.0, arms[none]: -1.0}).contrast
