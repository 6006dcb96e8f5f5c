"""Whether the spread over seeds looks normal, judged over all arms together: collapsed seeds, two groups, skew.

A t-test believes a handful of seeds. One seed in ten that collapses is missed by five seeds in 59 of 100 cases, and an
arm whose tail was not drawn looks better, and surer, than it is. One arm cannot show that; all arms of a study
together often can. The statistics here are therefore taken over the whole table of arms by seeds, and their
distribution for normal values comes from simulating the same table, so that they are exact for any number of arms and
seeds. They depend on neither location nor scale of an arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

LEVEL = 0.05
"""Share of studies with normal values that are taken for something else."""
SUSPECT = 0.1
"""The same for a warning alone."""
_DRAWS = 2000
_FEWEST = 3
"""Seeds below which nothing has a shape."""
_FEWEST_SHAPED = 5
_APART = 6.0
"""Distance from the arm's median, in robust standard deviations of all arms, at which a seed may be named."""
_NEAR_WORST = 0.5
"""Share of the largest distance below which it is not named: less is what a far cell does to the medians of others."""
_TO_SD = 1.4826  # median absolute deviation to standard deviation, for normal values


@dataclass(frozen=True)
class Shape:
    """What the seeds of all arms (of one data set) look like.

    Attributes:
        p: Share of studies with normal values that look as odd or odder; 1 where there is too little to judge.
        cells: Cells of the arms other than the baseline that it is based on.
        arms: Number of these arms.
        worst: The largest distance of any cell from what its arm and its seed would have it; 0 without cells.
        apart: Cells that stand apart, as (arm, seed, distance from the arm's median), the farthest first.
    """

    p: float
    cells: int
    arms: int
    worst: float
    apart: tuple[tuple[str, int, float], ...]

    @property
    def normal(self) -> bool:
        """Whether the values are taken for normal."""
        return self.p > LEVEL

    @property
    def suspect(self) -> bool:
        """Whether they are taken for normal, but only just."""
        return LEVEL < self.p <= SUSPECT

    def pairs_needed(self, alpha: float, rate: float) -> int:
        """The fewest pairs with which collapses of a share ``rate`` of seeds would show, but for a chance of ``alpha``.

        Cells count alike, whichever arm they are of; below five pairs even many arms hardly show anything.
        """
        return max(_FEWEST_SHAPED, math.ceil(cells_needed(alpha, rate) / max(1, self.arms))) if rate > 0 else 0

    def sees(self, pairs: int, alpha: float, rate: float) -> bool:
        """Whether a contrast of so many pairs, in a table of so many cells, would show such collapses."""
        return rate == 0 or (pairs >= _FEWEST_SHAPED and self.cells >= cells_needed(alpha, rate))


UNKNOWN = Shape(1.0, 0, 0, 0.0, ())
"""The shape of nothing."""


def cells_needed(alpha: float, rate: float) -> int:
    """The fewest cells among which at least one would collapse with probability 1 - alpha, at a share ``rate``."""
    return math.ceil(math.log(alpha) / math.log(1.0 - rate)) if rate > 0 else 0


def shape_of(values: Mapping[str, Mapping[int, float]], baseline: str) -> Shape:
    """Judge the shape of a table of arms by seeds.

    Args:
        values: Finite values by arm and seed; an arm may lack seeds.
        baseline: The arm that others are compared with.
    """
    base = values.get(baseline, {})
    arms = [arm for arm in values if arm != baseline and len(values[arm].keys() & base.keys()) >= _FEWEST]
    seeds = sorted(base.keys() & {seed for arm in arms for seed in values[arm]})
    others = [len(values[arm]) for arm in values if arm != baseline and values[arm]]
    cells = sum(others)
    if not arms:
        return Shape(1.0, cells, len(others), 0.0, ())
    rows = [baseline, *arms]
    table = np.array([[values[arm].get(seed, math.nan) for seed in seeds] for arm in rows])  # (r, n)
    table = table - np.nanmean(table, axis=1, keepdims=True)
    known = ~np.isnan(table)
    residuals = _residuals(table[None], known)[0]
    worst = float(np.nanmax(np.abs(residuals)))
    if float(np.nanmax(np.abs(table))) == 0.0 or worst == 0.0:
        return Shape(1.0, cells, len(others), worst, ())
    found = _statistics(table[None], known)[:, 0]
    null, smallest = _null(known.tobytes(), known.shape)
    tail = float(_tails(null, found[:, None]).min())
    p = float(np.searchsorted(smallest, tail, side="right") + 1) / (_DRAWS + 1)
    apart = _apart(rows[-len(residuals) :], seeds, residuals) if p <= SUSPECT else ()
    return Shape(p, cells, len(others), worst, apart)


def _apart(rows: list[str], seeds: list[int], residuals: FloatArray) -> tuple[tuple[str, int, float], ...]:
    """The cells that stand apart from the others of their arm, by their distance."""
    from_median = residuals - np.nanmedian(residuals, axis=1, keepdims=True)
    scale = _TO_SD * float(np.nanmedian(np.abs(from_median)))
    least = max(_APART * scale, _NEAR_WORST * float(np.nanmax(np.abs(from_median))))
    far = np.argwhere(np.nan_to_num(np.abs(from_median)) >= least)
    named = [(rows[i], seeds[j], float(from_median[i, j])) for i, j in far.tolist()]
    return tuple(sorted(named, key=lambda cell: -abs(cell[2])))


def _residuals(tables: FloatArray, known: FloatArray) -> FloatArray:
    """(S, r, n) what is left of each cell without its arm's and its seed's median; nan where unknown.

    With two arms only their difference is left, so the residuals (S, 1, n) are those of the differences.
    """
    if tables.shape[1] == 2:
        differences = tables[:, 1] - tables[:, 0]
        left = differences - np.nanmedian(differences, axis=-1, keepdims=True)
        return np.asarray(left)[:, None]
    median = np.median if known.all() else np.nanmedian
    left = tables
    for _ in range(2):
        left = left - median(left, axis=1, keepdims=True)
        left = left - median(left, axis=2, keepdims=True)
    return np.asarray(left)


def _statistics(tables: FloatArray, known: FloatArray) -> FloatArray:
    """(k, S) statistics that are large where a table (S, r, n) does not look normal.

    Over the paired differences of each arm: how cleanly they fall into two groups (largest of all arms), their skew
    (mean over arms, and mean square). Over the cells without the effects of arm and seed, with three rows or more:
    the farthest cell on the scale of all, where its own arm falls into two groups; skew as above.
    """
    pairs = [np.flatnonzero(known[0] & known[row]) for row in range(1, known.shape[0])]
    differences = [tables[:, row + 1, seeds] - tables[:, 0, seeds] for row, seeds in enumerate(pairs)]
    found = [np.max([_two_groups(each) for each in differences], axis=0), *_skews(differences)]
    if known.shape[0] > 2:
        cells = _residuals(tables, known)
        rows = [cells[:, row, known[row]] for row in range(known.shape[0]) if known[row].sum() >= _FEWEST]
        sizes = np.abs(np.stack([np.nanmax(np.abs(row), axis=1) for row in rows]))  # (r, S)
        scale = np.nanmedian(np.abs(cells.reshape(len(cells), -1)), axis=1)
        grouped = np.stack([_two_groups(row) for row in rows])  # (r, S)
        distance = np.where(grouped > -math.log(0.1), sizes, 0.0).max(axis=0)
        far = np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)
        found += [far, *_skews(rows)]
    return np.stack(found)


def _skews(rows: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """(S,) size of the mean and mean square of the rows' skewness, each in its standard deviations."""
    skews = []
    for row in rows:
        n = row.shape[1]
        left = row - row.mean(axis=1, keepdims=True)
        second, third = (left**2).mean(axis=1), (left**3).mean(axis=1)
        sd = math.sqrt(6.0 * (n - 2) / ((n + 1) * (n + 3)))
        skews.append(third / np.maximum(second, 1e-100) ** 1.5 / sd)  # 0 without variation
    stacked = np.stack(skews)  # (rows, S)
    return np.abs(stacked.mean(axis=0)), (stacked**2).mean(axis=0)


def _two_groups(row: FloatArray) -> FloatArray:
    """(S,) minus the logarithm of the chance that normal values (S, n) fall into two groups as cleanly as these."""
    n = row.shape[1]
    null = _null_ratios(n)
    ratio = np.maximum(_within(row), 1e-300)
    rank = np.searchsorted(null, ratio, side="right")
    tail = np.maximum(rank, 1) / (len(null) + 1)
    beyond = np.minimum(0.0, (n - 2) / 2 * np.log(ratio / null[0]))  # below every draw: the tail is a power
    return -np.log(tail) - np.where(rank == 0, beyond, 0.0)


def _within(row: FloatArray) -> FloatArray:
    """(S,) sum of squares within the best two groups of values (S, n), as a share of all; 1 without variation."""
    n = row.shape[1]
    ordered = np.sort(row, axis=1)
    ordered = ordered - ordered.mean(axis=1, keepdims=True)
    total = (ordered**2).sum(axis=1)
    sums, sizes = np.cumsum(ordered, axis=1)[:, :-1], np.arange(1, n)
    between = (sums**2 * (1.0 / sizes + 1.0 / (n - sizes))).max(axis=1)
    share = np.where(total > 0, 1.0 - between / np.maximum(total, np.finfo(float).tiny), 1.0)
    return np.asarray(np.maximum(share, 0.0), dtype=np.float64)


@lru_cache(maxsize=64)
def _null_ratios(n: int) -> FloatArray:
    """(draws,) sorted within-group shares of n normal values."""
    return np.sort(_within(numpy_stream(0, "two groups", n).standard_normal((10 * _DRAWS, n))))


@lru_cache(maxsize=64)
def _null(known: bytes, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """The statistics of normal tables with the same cells, sorted (k, draws), and their smallest tails, sorted."""
    mask = np.frombuffer(known, dtype=bool).reshape(shape)
    tables = numpy_stream(0, "shape", *shape, int(mask.sum())).standard_normal((_DRAWS, *shape))
    tables = np.where(mask, tables, math.nan)
    found = _statistics(tables - np.nanmean(tables, axis=2, keepdims=True), mask)
    null = np.sort(found, axis=1)
    own = 1.0 / (_DRAWS + 1)  # a draw is among its own null
    return null, np.sort(_tails(null, found).min(axis=0) - own)


def _tails(null: FloatArray, found: FloatArray) -> FloatArray:
    """(k, S) share of the null and of the value itself at or above each statistic."""
    draws = null.shape[1]
    above = [draws - np.searchsorted(row, values, side="left") for row, values in zip(null, found, strict=True)]
    share: FloatArray = (np.stack(above) + 1) / (draws + 1)
    return share
