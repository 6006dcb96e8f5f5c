"""How large the effects are that a scan found, with their spread over resamples of the points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.search.effect_terms import Term
from fgtune.analysis.search.effect_tests import Scan
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

Subject = tuple[int, ...]
"""The position of a parameter, or the positions of two."""


@dataclass(frozen=True)
class Sizes:
    """Shares of the variation by what they are shares of.

    Attributes:
        found: What stands out.
        share: Share in [0, 1], less what something without effect takes up on average: of what stands out, all terms
            that do so, fitted together; of anything else, its strongest term.
        spread: Standard deviation of the share over resamples.
        chance: What the share of the strongest term has to exceed.
        explained: Share of the variation that the fit predicts of points left out, at most 1; 0 without anything found.
    """

    found: tuple[Subject, ...]
    share: Mapping[Subject, float]
    spread: Mapping[Subject, float]
    chance: Mapping[Subject, float]
    explained: float

    def joint(self, rank: int) -> tuple[float, float]:
        """Share of a parameter's pairs, all that stand out or the strongest, and what chance reaches; else 0, nan."""
        own = [subject for subject in self.share if len(subject) == 2 and rank in subject]
        if not own:
            return 0.0, math.nan
        strongest = max(own, key=lambda subject: self.share[subject] / self.chance[subject])
        found = [self.share[subject] for subject in own if subject in self.found]
        return (sum(found) if found else self.share[strongest]), self.chance[strongest]


def sizes_of(terms: Sequence[Term], found: Scan, values: FloatArray, *, seed: int, replicates: int) -> Sizes:
    """Sizes of every parameter and every pair that has terms.

    Shares are those of the sum of all fitted effects' variation and of the rest: points where two parameters happen to
    vary together make effects that add up to more or less than the variation of the values.

    Args:
        terms: What the values may depend on, over the same n points.
        found: What stands out.
        values: (n,) finite, not all the same.
        seed: Seed of the resamples.
        replicates: Number of resamples of the points.
    """
    by_subject: dict[Subject, list[int]] = {}
    for rank, term in enumerate(terms):
        by_subject.setdefault(term.parameters, []).append(rank)
    counted = {
        subject: [rank for rank in ranks if rank in found.found] or [_strongest(ranks, found)]
        for subject, ranks in by_subject.items()
    }
    standing = {subject: ranks for subject, ranks in counted.items() if ranks[0] in found.found}
    centred, fitted = values - values.mean(), _Columns.of(terms, standing)
    fit = _fit(fitted, centred)
    n, total = len(values), float(centred @ centred)
    noise = float(fit.rest @ fit.rest) / (n - 1 - fitted.columns.shape[1])
    share = {
        subject: max(0.0, fit.taken[subject] - noise * (place.stop - place.start)) / fit.total
        for subject, place in fitted.places.items()
    }
    scale = total / fit.total
    for subject, (rank, *_) in counted.items():
        if subject not in standing:
            share[subject] = scale * max(0.0, float(np.nan_to_num(found.shares[rank])))
    chance = {subject: scale * float(found.chance[ranks[0]]) for subject, ranks in counted.items()}
    others = {subject: ranks for subject, ranks in counted.items() if subject not in standing}
    spread = _spread(fitted, _Columns.of(terms, others), values, seed, replicates)
    return Sizes(tuple(standing), share, spread, chance, _predicted(fitted.columns, fit.rest, centred))


def _strongest(ranks: Sequence[int], found: Scan) -> int:
    """The term that comes closest to what chance reaches."""
    return max(ranks, key=lambda rank: float(np.nan_to_num(found.shares[rank] / found.chance[rank], nan=-1.0)))


@dataclass(frozen=True)
class _Columns:
    """The columns (n, p) of several subjects side by side, and where each subject's are."""

    columns: FloatArray
    places: Mapping[Subject, slice]

    @classmethod
    def of(cls, terms: Sequence[Term], counted: Mapping[Subject, Sequence[int]]) -> _Columns:
        """Those of the terms that count for each subject."""
        parts, places, start = [np.empty((len(terms[0].columns), 0))], {}, 0
        for subject, ranks in counted.items():
            own = np.concatenate([terms[rank].columns for rank in ranks], axis=1)
            parts.append(own)
            places[subject] = slice(start, start + own.shape[1])
            start += own.shape[1]
        return cls(np.concatenate(parts, axis=1), places)


@dataclass(frozen=True)
class _Fit:
    """A joint fit: sum of squares of each subject's effect, residuals (n,), and the sum of all squares."""

    taken: Mapping[Subject, float]
    rest: FloatArray
    total: float


def _fit(fitted: _Columns, centred: FloatArray) -> _Fit:
    weights, *_ = np.linalg.lstsq(fitted.columns, centred, rcond=None)
    effects = {subject: fitted.columns[:, place] @ weights[place] for subject, place in fitted.places.items()}
    taken = {subject: float(effect @ effect) for subject, effect in effects.items()}
    rest = centred - fitted.columns @ weights
    return _Fit(taken, rest, sum(taken.values()) + float(rest @ rest))


def _predicted(columns: FloatArray, rest: FloatArray, centred: FloatArray) -> float:
    """Share of the variation that a fit predicts of each point if it is left out (Allen's PRESS); at least 0."""
    n = len(rest)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(n), columns]))
    left_out = rest / np.maximum(1.0 - (basis**2).sum(axis=1), 1e-9)
    alone = centred * n / (n - 1)
    return max(0.0, 1.0 - float(left_out @ left_out) / float(alone @ alone))


def _spread(fitted: _Columns, others: _Columns, values: FloatArray, seed: int, replicates: int) -> dict[Subject, float]:
    """Standard deviation of each share over points drawn with replacement; what stands out stays the same."""
    drawn: dict[Subject, list[float]] = {subject: [] for subject in (*fitted.places, *others.places)}
    for rank in range(replicates):
        rows = numpy_stream(seed, "rows", rank).integers(0, len(values), len(values))
        centred = values[rows] - values[rows].mean()
        if not centred.any():
            continue
        own = _Columns(fitted.columns[rows] - fitted.columns[rows].mean(axis=0), fitted.places)
        fit = _fit(own, centred)
        for subject, taken in fit.taken.items():
            drawn[subject].append(taken / fit.total)
        beside = others.columns[rows] - others.columns[rows].mean(axis=0)
        basis = np.linalg.qr(own.columns)[0]
        beside = beside - basis @ (basis.T @ beside)
        beside = beside / np.maximum(np.linalg.norm(beside, axis=0), 1e-6)
        products = (beside.T @ fit.rest) ** 2
        for subject, place in others.places.items():
            drawn[subject].append(float(products[place].sum()) / fit.total)
    return {subject: float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for subject, each in drawn.items()}
