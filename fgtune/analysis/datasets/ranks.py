"""Arms ranked on every data set: the test of Friedman, and the critical difference of Nemenyi as in Demšar (2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

_PERMUTATIONS = 9999


@dataclass(frozen=True)
class RankTest:
    """Mean ranks of arms over data sets.

    Attributes:
        arms: From the best to the worst mean rank.
        ranks: Their mean ranks, 1 the best.
        datasets: The data sets on which every arm has a value.
        statistic: Friedman's chi square, corrected for ties.
        p: Its p, from ranks shuffled within data sets: exact but for 9,999 draws, however few data sets there are.
        critical: Mean ranks that differ by less are not told apart (Nemenyi 1963), all pairs together.
        groups: (first, last) positions in ``arms`` of the largest runs of arms that are not told apart.
    """

    arms: tuple[str, ...]
    ranks: tuple[float, ...]
    datasets: tuple[str, ...]
    statistic: float
    p: float
    critical: float
    groups: tuple[tuple[int, int], ...]


def rank_test(scores: FloatArray, arms: Sequence[str], datasets: Sequence[str], alpha: float) -> RankTest:
    """Rank arms on every data set and test whether they differ at all.

    Args:
        scores: (data sets, arms), finite, larger is better; at least two data sets and three arms.
        arms: Names of the columns.
        datasets: Names of the rows.
        alpha: Level of the critical difference.
    """
    ranks = stats.rankdata(-scores, axis=1)
    k, m = ranks.shape
    mean = ranks.mean(axis=0)
    statistic = _friedman(ranks)
    rng = numpy_stream(0, "friedman", k, m)
    shuffled = rng.permuted(np.broadcast_to(ranks, (_PERMUTATIONS, k, m)), axis=2)
    sums = ((shuffled.mean(axis=1) - (m + 1) / 2) ** 2).sum(axis=1)
    observed = float(((mean - (m + 1) / 2) ** 2).sum())
    p = (1 + int((sums >= observed - 1e-9).sum())) / (1 + _PERMUTATIONS)
    critical = critical_difference(k, m, alpha)
    order = np.argsort(mean, kind="stable")
    ordered = mean[order]
    return RankTest(
        arms=tuple(arms[position] for position in order),
        ranks=tuple(ordered.tolist()),
        datasets=tuple(datasets),
        statistic=statistic,
        p=p,
        critical=critical,
        groups=_groups(ordered.tolist(), critical),
    )


def _friedman(ranks: FloatArray) -> float:
    """Friedman's chi square with the correction for ties; 0 where all arms tie everywhere."""
    k, m = ranks.shape
    between = k**2 * float(((ranks.mean(axis=0) - (m + 1) / 2) ** 2).sum())
    within = float(((ranks - (m + 1) / 2) ** 2).sum())
    return (m - 1) * between / within if within else 0.0


def critical_difference(datasets: int, arms: int, alpha: float) -> float:
    """Nemenyi's critical difference of mean ranks: the studentised range / sqrt 2 times sqrt(m (m + 1) / (6 k))."""
    quantile = float(stats.studentized_range.ppf(1 - alpha, arms, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(arms * (arms + 1) / (6 * datasets))


def _groups(ranks: Sequence[float], critical: float) -> tuple[tuple[int, int], ...]:
    """The largest runs of sorted ranks within the critical difference."""
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(position for position, other in enumerate(ranks) if other - rank <= critical)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return tuple(runs)
