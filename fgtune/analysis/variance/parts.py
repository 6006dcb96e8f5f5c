"""What the spread over seeds consists of: each stream's share of the variance, and whether one stands out.

An arm in which one stream alone follows the seed has the variance that this stream causes, the others being as in one
seed, and that of runs that do not repeat; the arm ``repeat`` has only the latter. One stream *stands out* if it spreads
results more than each of the others. The three comparisons of streams are corrected together (Shaffer 1986: once two
spreads differ, at most one of the other two comparisons can be of equal ones); the tests are Brown and Forsythe's,
since F tests tell equal spreads apart in up to 64 % of studies where seeds are not normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from fgtune.analysis.variance.intervals import (
    Term,
    brown_forsythe,
    degrees_of_freedom,
    ratio_interval,
    sd_interval,
    share_interval,
)
from fgtune.analysis.verdicts.statistics import holm, mean_interval
from fgtune.arrays import FloatArray
from fgtune.config.schema.streams import STREAMS
from fgtune.config.schema.variance import ALL, REPEAT

FEWEST = 5
"""Seeds of an arm below which there are no intervals."""

SEEDS_TO_NAME: Mapping[float, int] = {2.0: 30, 3.0: 17}
"""Seeds with which a stream is named in 80 % of studies, by how many times the others' standard deviation it has."""

OpenReason = Literal["", "few seeds", "lost cells", "no spread", "not told apart"]


@dataclass(frozen=True)
class Spread:
    """The spread of an arm over its seeds.

    Attributes:
        arm: Its name.
        n: Seeds with a value.
        lost: Seeds that ended without one.
        sd: Standard deviation; nan if n < 2, exactly 0 for values that differ by rounding alone.
        low: Lower end of its interval; nan below ``FEWEST`` seeds, and for values that agree.
        high: Upper end.
    """

    arm: str
    n: int
    lost: int
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """A share of the variance of the arm in which everything follows the seed.

    Attributes:
        value: The share; shares need not sum to 1, nor be positive; nan without a spread to share.
        low: Lower end of its interval; nan below ``FEWEST`` seeds, and for 0 of values that agree.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class StreamPart:
    """What one stream alone does to results.

    Attributes:
        name: The stream.
        spread: Of its arm.
        share: Its variance beyond that of repeated runs.
        f: Variance of the arm over that of repeated runs; infinite where these agree exactly.
        p_repeat: Test that it spreads no more than repeated runs, Holm-corrected over the streams; 0 where these agree
            exactly and it spreads.
        moves: Whether that is shown.
        p_largest: The larger corrected p-value of its tests against the other two; 1 unless it is the widest.
    """

    name: str
    spread: Spread
    share: Share
    f: float
    p_repeat: float
    moves: bool
    p_largest: float


@dataclass(frozen=True)
class VarianceSummary:
    """What the spread over seeds consists of.

    Attributes:
        around: The seed that streams are fixed at.
        total: The arm in which everything follows the seed.
        repeat: The arm in which nothing does.
        streams: Each stream alone.
        repeated: Share of runs that do not repeat.
        together: What is left of the total; below 0 where the shares add up to more than all.
        named: The stream that stands out; empty if none does.
        open: Why none does.
        wider: Pairs of streams of which the first is shown to spread results more than the second.
        looks: Looks at the results so far, among which alpha is divided.
        sentence: All of it in words.
        advice: What would show more; empty where nothing is wanting.
    """

    around: int
    total: Spread
    repeat: Spread
    streams: tuple[StreamPart, ...]
    repeated: Share
    together: Share
    named: str
    open: OpenReason
    wider: tuple[tuple[str, str], ...]
    looks: int
    sentence: str = ""
    advice: str = ""


def summarise_variance(
    values: Mapping[str, Mapping[int, float]],
    lost: Mapping[str, int],
    *,
    around: int,
    alpha: float = 0.05,
    looks: int = 1,
) -> VarianceSummary:
    """The parts of the variance of a metric.

    Args:
        values: Value by seed, for every arm of the design.
        lost: Number of seeds of each arm that ended without a value.
        around: The seed that streams are fixed at.
        alpha: Level of the tests, all looks together; intervals have 1 - alpha.
        looks: Number of looks at the results so far.
    """
    groups = {arm: np.array([of[seed] for seed in sorted(of)], dtype=np.float64) for arm, of in values.items()}
    known = {arm: group for arm, group in groups.items() if len(group) >= 2}
    df = dict(zip(known, degrees_of_freedom(list(known.values())), strict=True))
    terms = {arm: Term(1.0, _variance(group), df.get(arm, math.nan)) for arm, group in groups.items()}
    enough = all(len(group) >= FEWEST for group in groups.values())
    level = 1 - alpha
    spreads = {arm: _spread(arm, len(group), lost.get(arm, 0), terms[arm], level) for arm, group in groups.items()}
    p_repeat = _against_repeat(groups, terms, looks)
    p_wider = _against_each_other(groups, terms, looks)
    total, repeat = terms[ALL], terms[REPEAT]
    streams = tuple(
        _part(name, spreads[name], terms, p_repeat[name], p_wider, alpha, enough=enough) for name in STREAMS
    )
    parts = [*(terms[name] for name in STREAMS), Term(1.0 - len(STREAMS), repeat.variance, repeat.df)]
    explained = _share(parts, total, level, enough=enough)
    repeated = _share([repeat], total, level, enough=enough)
    if enough and repeat.variance > 0 and total.variance > 0:
        repeated = Share(repeated.value, *ratio_interval(repeat, total, level))
    comparable = enough and not any(spread.lost for spread in spreads.values())
    moving = {part.name for part in streams if part.moves}
    wider = tuple(pair for pair, p in p_wider.items() if comparable and p <= alpha and pair[0] in moving)
    named, why = _named(streams, spreads, wider, enough=enough)
    return VarianceSummary(
        around=around,
        total=spreads[ALL],
        repeat=spreads[REPEAT],
        streams=streams,
        repeated=repeated,
        together=Share(1 - explained.value, 1 - explained.high, 1 - explained.low),
        named=named,
        open=why,
        wider=wider,
        looks=looks,
    )


def _variance(group: FloatArray) -> float:
    """Sample variance; exactly 0 for values that differ by rounding alone, nan below two values."""
    return mean_interval(group).sd ** 2


def _spread(arm: str, n: int, lost: int, term: Term, level: float) -> Spread:
    is_known = n >= FEWEST and term.variance > 0  # how far from 0 values that agree may be, they do not say
    ends = sd_interval(term.variance, term.df, level) if is_known else (math.nan, math.nan)
    return Spread(arm, n, lost, math.sqrt(term.variance), *ends)


def _share(terms: list[Term], total: Term, level: float, *, enough: bool) -> Share:
    if not total.variance > 0:
        return Share(math.nan, math.nan, math.nan)
    value = sum(term.weight * term.variance for term in terms) / total.variance
    is_known = enough and any(term.variance > 0 for term in terms)
    return Share(value, *(share_interval(terms, total, level) if is_known else (math.nan, math.nan)))


def _part(
    name: str,
    spread: Spread,
    terms: Mapping[str, Term],
    p_repeat: float,
    p_wider: Mapping[tuple[str, str], float],
    alpha: float,
    *,
    enough: bool,
) -> StreamPart:
    """What one stream adds to repeated runs."""
    own, repeat = terms[name], terms[REPEAT]
    return StreamPart(
        name,
        spread,
        _share([own, Term(-1.0, repeat.variance, repeat.df)], terms[ALL], 1 - alpha, enough=enough),
        _ratio(own.variance, repeat.variance),
        p_repeat,
        p_repeat <= alpha,
        max(p_wider.get((name, other), 1.0) for other in STREAMS if other != name),
    )


def _ratio(top: float, bottom: float) -> float:
    if bottom == 0:
        return math.inf if top > 0 else math.nan
    return top / bottom


def _against_repeat(groups: Mapping[str, FloatArray], terms: Mapping[str, Term], looks: int) -> dict[str, float]:
    """Whether each stream spreads more than repeated runs, one-sided, corrected over streams and looks."""
    found = []
    for name in STREAMS:
        own, repeat = terms[name].variance, terms[REPEAT].variance
        if math.isnan(own) or math.isnan(repeat):
            found.append(math.nan)
        elif repeat == 0:
            found.append(0.0 if own > 0 else 1.0)  # runs repeat exactly, so that any spread is the stream's
        else:
            p = brown_forsythe(groups[name], groups[REPEAT])
            found.append(p / 2 if own > repeat else 1 - p / 2)
    return {name: min(1.0, p * looks) for name, p in zip(STREAMS, holm(found), strict=True)}


def _against_each_other(
    groups: Mapping[str, FloatArray], terms: Mapping[str, Term], looks: int
) -> dict[tuple[str, str], float]:
    """Whether the wider of two streams spreads results more, corrected over the three pairs and over looks."""
    found = []
    for one, other in combinations(STREAMS, 2):
        pair = (one, other) if terms[one].variance >= terms[other].variance else (other, one)
        p = brown_forsythe(groups[one], groups[other]) if min(len(groups[one]), len(groups[other])) >= 2 else 1.0
        found.append((1.0 if math.isnan(p) else p, pair))
    found.sort(key=lambda each: each[0])
    adjusted = holm([p for p, _ in found], (3, 1, 1))  # one difference among three rules out that all are alike
    return {pair: min(1.0, looks * p) for (_, pair), p in zip(found, adjusted, strict=True)}


def _named(
    streams: tuple[StreamPart, ...],
    spreads: Mapping[str, Spread],
    wider: tuple[tuple[str, str], ...],
    *,
    enough: bool,
) -> tuple[str, OpenReason]:
    """The stream that stands out, or why none does."""
    if any(spread.lost for spread in spreads.values()):
        return "", "lost cells"
    if not enough:
        return "", "few seeds"
    if not any(part.spread.sd > 0 for part in streams):
        return "", "no spread"
    above = [first for first, _ in wider]
    names = [name for name in STREAMS if above.count(name) == len(STREAMS) - 1]
    return (names[0], "") if names else ("", "not told apart")
