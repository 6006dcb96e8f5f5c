"""Which terms of a metric's dependence on its parameters stand out from chance: a step-down test by permutation.

A term's statistic is the share of the variation that it takes up (an extra sum of squares). Its F distribution makes
shares of terms with one and with many columns comparable; what the smallest of all p values reaches by chance is read
off outcomes by chance (Westfall and Young 1993, min-P), so that the error rate holds for all parameters together and
for outcomes of any distribution. The term that stands out most is fitted, and the residuals are tested next (Freedman
and Lane 1983): a weak parameter is not measured against the variation that a strong one causes.

Chance is tried in two ways, and the stricter one counts. Outcomes are permuted, which is exact where nothing has an
effect; and signs of residuals are flipped (the wild bootstrap, Wu 1986), which leaves noise where it is: noise that is
larger at some levels than at others would otherwise look like an effect of the levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fgtune.analysis.search.effect_terms import Term, orthonormal
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

SHUFFLES = 499
_PARTS = {False: 0.8, True: 0.2}  # of the error rate: for parameters alone, and for pairs
_POINTS_PER_COLUMN = 3  # that is fitted
_EXACT = 1e-12  # a smaller share of the variation is rounding


@dataclass(frozen=True)
class Scan:
    """What the test found.

    Attributes:
        found: Ranks of the terms that stand out, the clearest first.
        shares: (terms,) share of the variation that each takes up when it is tested, less what one without effect takes
            up on average: a term that was found beside those found earlier, any other beside all that were found. nan
            if it says the same as those.
        chance: (terms,) what such a share has to exceed beside all that were found.
    """

    found: tuple[int, ...]
    shares: FloatArray
    chance: FloatArray


@dataclass(frozen=True)
class _Round:
    """One round of the test, over the terms that are left of those that were found before.

    Attributes:
        ranks: (live,) which terms.
        df: (live,) their degrees of freedom.
        free: Degrees of freedom of the residuals.
        taken: (live,) share of the residuals' variation that each takes up.
        limits: What the p value over the weight of a term alone, and of a pair, has to be below.
    """

    ranks: NDArray[np.intp]
    df: FloatArray
    free: int
    taken: FloatArray
    limits: tuple[float, float]


def scan(terms: Sequence[Term], values: FloatArray, *, alpha: float, seed: int, shuffles: int = SHUFFLES) -> Scan:
    """Test all terms together.

    Args:
        terms: What the values may depend on, over the same n points.
        values: (n,) finite, not all the same.
        alpha: Largest probability that any term without effect stands out, in (0, 1).
        seed: Seed of the permutations.
        shuffles: Number of permutations of each round.
    """
    n, centred = len(values), values - values.mean()
    total, rest, basis = float(centred @ centred), centred, np.empty((len(values), 0))
    is_pair = np.array([term.is_pair for term in terms], dtype=int)
    weights = np.array([term.weight for term in terms])
    df, shares = np.array([term.df for term in terms], dtype=float), np.full(len(terms), np.nan)
    found: list[int] = []
    while True:
        left = float(rest @ rest) / total
        now = _round(terms, found, basis, rest, alpha, numpy_stream(seed, "shuffle", len(found)), shuffles)
        beyond = now.taken - now.df / now.free
        p = _p_values(now.taken, now.df, now.free)
        allowed = np.array(now.limits)[is_pair] * weights  # (terms,)
        excess = allowed[now.ranks] / np.maximum(p, np.finfo(float).tiny)
        best = int(np.argmax(excess)) if len(excess) and left > _EXACT else -1
        if best < 0 or excess[best] <= 1 or (basis.shape[1] + now.df[best]) * _POINTS_PER_COLUMN > n:
            break
        found.append(int(now.ranks[best]))
        shares[found[-1]] = left * beyond[best]
        basis = orthonormal(np.concatenate([basis, terms[found[-1]].columns], axis=1))
        rest = centred - basis @ (basis.T @ centred)
    shares[now.ranks] = left * beyond
    reach = np.clip((now.free - df) / 2, 0.5, None)
    chance = special.betainccinv(df / 2, reach, allowed) - df / now.free
    return Scan(tuple(found), shares, left * chance)


def _round(
    terms: Sequence[Term],
    found: Sequence[int],
    basis: FloatArray,
    rest: FloatArray,
    alpha: float,
    rng: np.random.Generator,
    shuffles: int,
) -> _Round:
    """Test what is left of the terms beside a basis (n, p) on the residuals, and on residuals with what chance does."""
    free = len(rest) - 1 - basis.shape[1]
    beside = {rank: term.beside(basis) for rank, term in enumerate(terms) if rank not in found}
    live = {rank: term for rank, term in beside.items() if term is not None and term.df < free}
    if not live:
        return _Round(np.empty(0, dtype=np.intp), np.empty(0), free, np.empty(0), (alpha, alpha))
    columns = np.concatenate([term.columns for term in live.values()], axis=1)
    sizes = np.array([term.df for term in live.values()])
    starts = np.cumsum(sizes) - sizes
    kinds = [(term.is_pair, term.df, term.weight) for term in live.values()]
    mixed = np.column_stack([rng.permutation(rest) for _ in range(shuffles)])
    signs = rng.choice([-1.0, 1.0], (len(rest), shuffles))
    by_chance = [_taken(columns, starts, _cleared(each, basis)) for each in (mixed, rest[:, None] * signs)]
    single = sizes == 1
    by_chance[1][single] = _taken_without_own(columns[:, starts[single]], rest, signs)
    limits = [
        min(_limit(each, kinds, free, alpha * part, pairs=pairs) for each in by_chance)
        for pairs, part in _PARTS.items()
    ]
    taken = _taken(columns, starts, rest[:, None])[:, 0]
    return _Round(np.array(list(live)), sizes.astype(np.float64), free, taken, (limits[0], limits[1]))


def _cleared(outcomes: FloatArray, basis: FloatArray) -> FloatArray:
    """Outcomes (n, shuffles) without their means and without what a basis explains of them."""
    cleared: FloatArray = outcomes - outcomes.mean(axis=0)
    cleared -= basis @ (basis.T @ cleared)
    return cleared


def _taken(columns: FloatArray, starts: NDArray[np.intp], outcomes: FloatArray) -> FloatArray:
    """(terms, shuffles) share of the variation of outcomes (n, shuffles) that each term takes up."""
    squares = (columns.T @ outcomes) ** 2 / np.maximum((outcomes**2).sum(axis=0), np.finfo(float).tiny)
    return np.asarray(np.add.reduceat(squares, starts, axis=0), dtype=np.float64)


def _taken_without_own(columns: FloatArray, rest: FloatArray, signs: FloatArray) -> FloatArray:
    """(terms, shuffles) the same for residuals with flipped signs, from which each term of one column is taken first.

    Otherwise an effect would widen its own chance, since residuals are large where the effect is.
    """
    effects = columns.T @ rest  # (terms,)
    products = columns.T @ (rest[:, None] * signs) - effects[:, None] * ((columns**2).T @ signs)
    whole = float(rest @ rest)
    left = whole - effects**2
    exact = left <= _EXACT * whole
    return np.where(exact[:, None], 0.0, products**2 / np.where(exact, 1.0, left)[:, None])


def _limit(
    taken: FloatArray, kinds: Sequence[tuple[bool, int, float]], free: int, alpha: float, *, pairs: bool
) -> float:
    """What p over weight has to be below so that (1 + shuffles whose smallest is not larger) / (1 + shuffles) <= alpha.

    Args:
        taken: (terms, shuffles) shares by chance.
        kinds: Whether each term is a pair, its degrees of freedom, its weight. Terms of one kind have their smallest p
            where they have the largest share, so that few p values are computed.
        free: Degrees of freedom of the residuals.
        alpha: The error rate of these terms.
        pairs: Whether the terms are the pairs, or those of single parameters.
    """
    allowed = math.floor(alpha * (taken.shape[1] + 1))
    least = np.full(taken.shape[1], np.inf)
    for kind in {kind for kind in kinds if kind[0] == pairs and allowed > 0}:
        most = taken[[own == kind for own in kinds]].max(axis=0)
        top = np.argpartition(most, -allowed)[-allowed:]  # no other one can be among the smallest
        least[top] = np.minimum(least[top], _p_values(most[top], kind[1], free) / kind[2])
    limit = float(np.sort(least)[allowed - 1]) if allowed > 0 else 0.0
    return limit if math.isfinite(limit) else alpha


def _p_values(taken: FloatArray, df: FloatArray | int, free: int) -> FloatArray:
    """The F test's p values of shares of a variation with ``free`` degrees of freedom, from the beta distribution."""
    return np.asarray(special.betaincc(df / 2, (free - df) / 2, np.clip(taken, 0.0, 1.0)), dtype=np.float64)
