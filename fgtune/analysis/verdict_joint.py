"""What ``verdicts.json`` holds about arms together: parts of an ablation, levels of a factor, random streams."""

from __future__ import annotations

from dataclasses import asdict

from fgtune.analysis.parts.effects import JointEffect, JointName, PartsSummary
from fgtune.analysis.profiles.profile import FactorProfile, ProfilesSummary
from fgtune.analysis.profiles.sides import SideContrast
from fgtune.analysis.profiles.slopes import Elasticity
from fgtune.analysis.variance.parts import OpenReason, VarianceSummary
from fgtune.analysis.verdict_base import Number, Record
from fgtune.analysis.verdicts.judgement import Doubt, Verdict


class JointGain(Record):
    """How much more a part is worth beside the others than without them, or a pair together than apart."""

    parts: tuple[str, ...]
    """The part, or the two of a pair."""
    n: int
    """Seeds with a value in every arm that it takes."""
    difference: Number
    """Gain beside minus gain without; positive where they are worth more together."""
    low: Number
    """Lower end of its interval with level 1 - alpha, uncorrected."""
    high: Number
    """Upper end."""
    beside: Number
    """Mean gain beside the others (of a pair: of the first beside the second)."""
    without: Number
    """Mean gain without them."""
    p_adjusted: Number
    """The p-value that is compared with alpha: Holm-adjusted over the parts, or over the pairs."""
    p_equivalent: Number
    """The same for equivalence, which is called additive."""
    called: JointName
    """What it is called."""
    reason: str
    """Why, in a clause."""
    doubt: Doubt
    """Why an answer of the tests does not stand; empty where it does."""
    sentence: str
    """All of it as the report says it."""


class PartShare(Record):
    """Shapley's share of a part in what all parts gain; it carries no verdict."""

    part: str
    """The part."""
    n: int
    """Seeds with a value in every arm."""
    share: Number
    """Its mean gain over all orders in which parts can be added, in the metric's unit."""
    low: Number
    """Lower end of its interval with level 1 - alpha, uncorrected."""
    high: Number
    """Upper end."""
    p_adjusted: Number
    """Test that it is 0, Holm-adjusted over the parts."""
    lost_low: Number
    """The least that it could be with the lost cells; null where none were lost."""
    lost_high: Number
    """The most."""


class Parts(Record):
    """What the parts of an ablation are worth together."""

    planned: bool
    """Whether the study file planned it; if not, it is exploratory."""
    single: tuple[JointGain, ...]
    """Each part against all others together."""
    pairs: tuple[JointGain, ...]
    """Each pair."""
    averaged: bool
    """Whether pairs are averaged over all settings of the other parts; if not, the others are on."""
    shares: tuple[PartShare, ...]
    """Shapley's shares; empty unless every combination was run."""
    total: Number
    """What the full method gains over the one without any part, the sum of the shares; null without them."""


class LevelNearBest(Record):
    """A level of a factor against the best of the others."""

    arm: str
    """Its arm in ``plan.csv``."""
    level: str
    """The level as text."""
    n: int
    """Fewest seeds that it shares with another level."""
    worse_by_at_most: Number
    """A bound, for all levels together, on how far it lies below the best; null with fewer than two seeds."""
    p_adjusted: Number
    """Holm-adjusted p-value that it is not within the margin of the best."""
    within: bool
    """Whether it is shown to be within the margin of the best."""
    doubt: Doubt
    """Why an answer of the tests does not stand; empty where it does."""


class Slope(Record):
    """The slope of the metric over the logarithm of a factor, a mean over the range."""

    relative: bool
    """Whether it is per cent of the metric per per cent of the factor; if not, the metric's change per tenfold."""
    n: int
    """Seeds."""
    slope: Number
    """Its mean over seeds."""
    low: Number
    """Lower end of its interval with level 1 - alpha, uncorrected."""
    high: Number
    """Upper end."""


class SidesOfBaseline(Record):
    """K_F above against below the baseline."""

    above: tuple[str, ...]
    """Levels above, as text."""
    below: tuple[str, ...]
    """Levels below."""
    distance: Number
    """Their relative distance from the baseline; null where distances differ and slopes are compared."""
    n: int
    """Pairs."""
    difference: Number
    """Gain above minus gain below."""
    low: Number
    """Lower end of its interval with level 1 - alpha, uncorrected."""
    high: Number
    """Upper end."""
    p_adjusted: Number
    """Its Holm-adjusted p-value."""
    verdict: Verdict
    """``helps`` where above is better, ``hurts`` where below is."""
    reason: str
    """Why, in a clause."""
    sentence: str
    """All of it as the report says it."""


class Profile(Record):
    """What the levels of one factor say together, the other factors as in the baseline."""

    factor: str
    """Its dotted path below ``trial``."""
    levels: tuple[LevelNearBest, ...]
    """In ascending order."""
    elasticity: Slope | None
    """For a factor on a log scale, else null."""
    sides: tuple[SidesOfBaseline, ...]
    """For K_F, else empty."""
    sentence: str
    """Which levels are within the margin of the best."""


class Profiles(Record):
    """What the levels of each numeric factor with three levels or more say together."""

    planned: bool
    """Whether the study file planned it; if not, it is exploratory."""
    factors: tuple[Profile, ...]
    """In the order of the plan."""


class ArmSpread(Record):
    """The spread of an arm over its seeds."""

    arm: str
    """Its name in ``plan.csv``."""
    n: int
    """Seeds with a value."""
    lost: int
    """Seeds that ended without one."""
    sd: Number
    """Standard deviation; 0 where values agree up to rounding."""
    low: Number
    """Lower end of its interval with level 1 - alpha; null with fewer than five seeds, and for values that agree."""
    high: Number
    """Upper end."""


class VarianceShare(Record):
    """A share of the variance of the arm in which everything follows the seed."""

    value: Number
    """The share; shares need not sum to 1."""
    low: Number
    """Lower end of its interval with level 1 - alpha; null where any arm has fewer than five seeds, or for 0."""
    high: Number
    """Upper end."""


class StreamShare(Record):
    """What one random stream alone does to results."""

    stream: str
    """``split``, ``weights`` or ``order``."""
    spread: ArmSpread
    """Of the arm in which it alone follows the seed."""
    share: VarianceShare
    """Its variance beyond that of repeated runs."""
    f: Number
    """Variance of the arm over that of repeated runs; null where these agree exactly."""
    p_repeat: Number
    """Test that it spreads no more than repeated runs, corrected over streams and looks."""
    moves: bool
    """Whether it is shown to spread more than repeated runs."""
    p_largest: Number
    """The larger p-value of its tests against the other streams, corrected over pairs and looks; 1 unless it is the
    widest."""


class Variance(Record):
    """What the spread over seeds consists of."""

    around: int
    """The seed that streams are fixed at."""
    total: ArmSpread
    """Everything follows the seed."""
    repeat: ArmSpread
    """Nothing does."""
    streams: tuple[StreamShare, ...]
    """Each stream alone."""
    repeated: VarianceShare
    """Share of runs that do not repeat."""
    together: VarianceShare
    """What is left; below 0 where the shares add up to more than all."""
    named: str
    """The stream that stands out; empty if none does."""
    open: OpenReason
    """Why none does; empty if one does."""
    wider: tuple[tuple[str, str], ...]
    """Pairs of streams of which the first is shown to spread results more than the second."""
    next_step: str
    """What would show more; empty where nothing is wanting."""


def parts_record(found: PartsSummary | None) -> Parts | None:
    """The parts of an ablation for programs."""
    if found is None:
        return None
    shares = tuple(
        PartShare(
            part=each.part,
            n=each.contrast.n,
            share=each.contrast.estimate.mean,
            low=each.contrast.estimate.low,
            high=each.contrast.estimate.high,
            p_adjusted=each.p_adjusted,
            lost_low=each.bounds[0],
            lost_high=each.bounds[1],
        )
        for each in found.shares
    )
    return Parts(
        planned=found.planned,
        single=tuple(map(_gain, found.parts)),
        pairs=tuple(map(_gain, found.pairs)),
        averaged=found.averaged,
        shares=shares,
        total=None if found.total is None else found.total.estimate.mean,
    )


def _gain(effect: JointEffect) -> JointGain:
    estimate, judgement = effect.contrast.estimate, effect.judgement
    return JointGain(
        parts=effect.parts,
        n=effect.contrast.n,
        difference=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        beside=effect.beside.estimate.mean,
        without=effect.without.estimate.mean,
        p_adjusted=judgement.p_adjusted,
        p_equivalent=judgement.p_equivalent,
        called=effect.name,
        reason=judgement.reason,
        doubt=judgement.doubt,
        sentence=effect.sentence,
    )


def profiles_record(found: ProfilesSummary | None) -> Profiles | None:
    """The levels of each factor for programs."""
    return None if found is None else Profiles(planned=found.planned, factors=tuple(map(_profile, found.factors)))


def _profile(profile: FactorProfile) -> Profile:
    levels = tuple(
        LevelNearBest(
            arm=each.arm,
            level=each.tick,
            n=each.seeds,
            worse_by_at_most=each.shortfall,
            p_adjusted=each.p_adjusted,
            within=each.within,
            doubt=each.doubt,
        )
        for each in profile.levels
    )
    slope = None if profile.elasticity is None else _slope(profile.elasticity)
    sides = tuple(map(_sides, profile.sides))
    return Profile(factor=profile.factor, levels=levels, elasticity=slope, sides=sides, sentence=profile.sentence)


def _slope(found: Elasticity) -> Slope:
    estimate = found.slope.estimate
    return Slope(relative=found.relative, n=found.slope.n, slope=estimate.mean, low=estimate.low, high=estimate.high)


def _sides(side: SideContrast) -> SidesOfBaseline:
    estimate, judgement = side.contrast.estimate, side.judgement
    return SidesOfBaseline(
        above=side.above,
        below=side.below,
        distance=side.distance,
        n=side.contrast.n,
        difference=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        p_adjusted=judgement.p_adjusted,
        verdict=judgement.verdict,
        reason=judgement.reason,
        sentence=side.sentence,
    )


def variance_record(found: VarianceSummary | None) -> Variance | None:
    """What the spread over seeds consists of, for programs."""
    if found is None:
        return None
    plain = asdict(found)
    del plain["looks"], plain["sentence"]  # looks stand there once, and the sentence is in the answer
    streams = [{"stream": each.pop("name"), **each} for each in plain.pop("streams")]
    advice = plain.pop("advice")
    return Variance.model_validate({**plain, "streams": streams, "next_step": advice})
