"""Which of many levels can decide how far a level is from the best: the tests of all pairs would take minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgtune.analysis.verdicts.combining import Gains, combine, rules_of
from fgtune.analysis.verdicts.judgement import LostCells
from fgtune.analysis.verdicts.statistics import t_quantile
from fgtune.arrays import FloatArray

FEW = 16
"""Up to this many levels, each is tested against every other one."""
_KEPT = 2  # of each order, since sums in another order may rank two that are nearly equal differently


def deciding_rivals(gains: Gains, arms: Sequence[str], level: float) -> dict[str, list[str]]:
    """For each level of a factor the others that it has to be tested against.

    A level is judged by its largest p, its smallest bound and the first doubt, over all others. With paired t-tests of
    the same seeds at a single look, which rival yields each of these follows from means and standard deviations, and
    so the rest need no test. Levels that lost cells, or have other seeds, are always kept.

    Args:
        gains: The arms' values.
        arms: The levels of one factor.
        level: Of the one-sided bounds.
    """
    every = {arm: [other for other in arms if other != arm] for arm in arms}
    if len(arms) <= FEW or gains.rules.kind != "mean" or len(gains.looks) > 1:
        return every
    seeds = [frozenset(gains.values[arm]) for arm in arms]
    common = max(set(seeds), key=lambda each: (seeds.count(each), sorted(each)))
    intact = {arm for arm in arms if not len(gains.lost.get(arm, LostCells()))}
    whole = [arm for arm, own in zip(arms, seeds, strict=True) if own == common and arm in intact]
    if len(common) < 3 or len(whole) < 2:
        return every
    values = np.array([[gains.values[arm][seed] for seed in sorted(common)] for arm in whole])  # (L, n)
    quantile = t_quantile(1 - level, len(common) - 1)
    least = rules_of(gains, [combine(gains, {whole[0]: 1.0, whole[1]: -1.0}, exact=False)]).least_sd
    rest = [arm for arm in arms if arm not in set(whole)]
    for row, arm in enumerate(whole):
        kept = {whole[rank] for rank in _deciding(gains, values, row, least, quantile)}
        every[arm] = [other for other in every[arm] if other in kept or other in rest]
    return every


def _deciding(gains: Gains, values: FloatArray, row: int, least: float, quantile: float) -> set[int]:
    """The rows that give a row its largest p, its smallest bound, its first doubt, or no p at all."""
    others = np.delete(np.arange(len(values)), row)
    differences, margin, n = values[row] - values[others], gains.margin or 0.0, values.shape[1]  # (L - 1, n)
    mean, sd = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    error = np.maximum(np.maximum(sd, least), 1e-300) / np.sqrt(n)
    orders = [(mean + margin) / error, sd, mean - quantile * error]
    if not gains.shape.normal:
        farther = np.median(differences, axis=1) - gains.shape.worst
        more = np.column_stack([differences, farther])
        spread = np.maximum(np.maximum(more.std(axis=1, ddof=1), least), 1e-300) / np.sqrt(n + 1)
        orders.append((more.mean(axis=1) + margin) / spread)
    return {int(others[rank]) for order in orders for rank in np.argsort(order, kind="stable")[:_KEPT]}
