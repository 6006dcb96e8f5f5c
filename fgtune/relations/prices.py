"""Prices of the columns that the flow solver starts from: found by all columns at once, or taken from an earlier solve.

A price p_j is what a place in column j costs (``lagrangian_bound`` in ``fgtune.relations.structure``). Any prices are a
valid start for exact successive shortest paths; the better they are, the fewer units remain to be sent. The search here
is an auction without a last word: every column with more members than slots raises its price to where just as many
as its slots would stay, and the others move to the column that is best for them now. It is stopped when it slows
down, since the paths of ``fgtune.relations.flow`` finish more quickly than small raises do.
"""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.relations.base import RelationsProblem
from fgtune.relations.structure import balanced_size, lagrangian_bound

MAX_ROUNDS = 200
FEW = 0.1
"""A surplus of so many units a column is left to the paths."""
PATIENCE = 4
"""After so many rounds the surplus must have fallen by a tenth, or the auction ends."""
FINEST = 1e-9
"""Below this step of the slots' costs (values of a normal form are near 1) prices are not searched for: all near 0."""


def starting_prices(problem: RelationsProblem) -> FloatArray:
    """Prices near those of an optimum.

    Args:
        problem: In normal form. Its ``prices`` are where the search starts if they prove more than what a search
            without them starts from: each column's mean affinity, so that a column that all fine classes prefer is
            dear from the start.

    Returns:
        (num_coarse,) finite prices.

    Example:
        >>> problem = RelationsProblem(np.array([[0.0, -0.5], [0.0, -0.5], [0.0, -0.1], [0.0, -0.7]]), beta=2.0)
        >>> first, second = starting_prices(problem)
        >>> bool(first - second > 0.1)  # all four prefer the first column, and two are to leave it
        True
    """
    unit = 2.0 * problem.beta / problem.affinity.shape[1]
    if unit < FINEST:
        prices = np.zeros(problem.affinity.shape[1])  # lower only for a column that nobody would choose
    else:
        quotient, _ = balanced_size(problem)
        means = problem.affinity.mean(axis=0)
        prices = _levelled(problem, np.clip(means - means.mean(), -quotient * unit, quotient * unit))
    # In normal form costs range over 1, and slots over their prices; prices of another scale are no useful start, and
    # would lose the numbers that they are to be told apart by.
    num_fine, num_coarse = problem.affinity.shape
    if problem.prices is not None and np.ptp(problem.prices) <= num_coarse + unit * num_fine:
        kept = np.minimum(problem.prices - problem.prices.max(), 0.0)
        kept = kept if unit < FINEST else _levelled(problem, kept)
        if lagrangian_bound(problem, kept) > lagrangian_bound(problem, prices):
            prices = kept
    return prices if unit < FINEST else _auction(problem, prices)


def slots_between(problem: RelationsProblem, prices: FloatArray) -> tuple[IntArray, IntArray]:
    """The fewest and the most slots that each column would provide at its price; they differ where it is indifferent.

    The slot that brings a column to size q + d costs u (d - 1), and is provided at a price of at least that.

    Example:
        >>> problem = RelationsProblem(np.zeros((4, 2)), beta=1.0)  # q = 2, u = 1
        >>> low, high = slots_between(problem, np.array([0.0, 0.5]))
        >>> low.tolist(), high.tolist()
        ([2, 3], [3, 3])
    """
    num_fine, num_coarse = problem.affinity.shape
    quotient, _ = balanced_size(problem)
    unit = 2.0 * problem.beta / num_coarse
    most = num_fine - num_coarse + 1
    if unit == 0.0:
        free = prices >= 0.0
        return np.where(prices > 0.0, most, 1), np.where(free, most, 1)
    with np.errstate(over="ignore"):
        steps = prices / unit
    low = np.clip(np.ceil(steps) + quotient, 1, most)
    high = np.clip(np.floor(steps) + 1 + quotient, 1, most)
    return low.astype(np.int64), high.astype(np.int64)


def _levelled(problem: RelationsProblem, prices: FloatArray) -> FloatArray:
    """``prices`` shifted, all by the same amount, so that all columns together provide num_fine slots.

    A shift changes no choice of a fine class. Without the rule n_j >= 1 the slots at prices p are the sum of
    q + 1 + floor(p_j / u), which a shift raises one by one in the order of the fractions; columns that the rule would
    give a slot although their price does not are set aside until none is left of them.
    """
    num_fine, num_coarse = problem.affinity.shape
    quotient, _ = balanced_size(problem)
    unit = 2.0 * problem.beta / num_coarse
    steps = prices / unit
    whole = np.floor(steps)
    free = np.arange(num_coarse)
    while True:
        wanted = num_fine - (num_coarse - free.size) - free.size * (quotient + 1) - whole[free].sum()
        shift = np.floor(wanted / free.size)
        carried = int(wanted - shift * free.size)  # columns whose fraction is carried over the next whole number
        fractions = np.sort(steps[free] - whole[free])[::-1]
        above = 1.0 if carried == 0 else fractions[carried - 1]
        shift += 1.0 - 0.5 * (above + fractions[carried])
        kept = free[np.floor(steps[free] + shift) + 1 + quotient >= 1]
        if kept.size in (0, free.size):
            levelled: FloatArray = prices + shift * unit
            return levelled
        free = kept


def _auction(problem: RelationsProblem, prices: FloatArray) -> FloatArray:
    affinity = problem.affinity
    num_fine, num_coarse = affinity.shape
    unit = 2.0 * problem.beta / num_coarse
    parents: IntArray = (affinity - prices).argmax(axis=1)
    history: list[int] = []
    few = int(FEW * num_coarse)
    while len(history) < MAX_ROUNDS:
        slots = slots_between(problem, prices)[1]
        if slots.sum() > num_fine:
            prices = _levelled(problem, prices)
            slots = slots_between(problem, prices)[1]
        surplus = np.maximum(np.bincount(parents, minlength=num_coarse) - slots, 0)
        history.append(int(surplus.sum()))
        if history[-1] <= few or (len(history) > PATIENCE and history[-1] > 0.9 * history[-1 - PATIENCE]):
            break
        _raise_prices(affinity, unit, prices, parents, surplus)
    return prices


def _raise_prices(affinity: FloatArray, unit: float, prices: FloatArray, parents: IntArray, surplus: IntArray) -> None:
    """One round of the auction; changes ``prices`` and ``parents``.

    A member's margin is what it would lose by its second best column. A column with s members too many raises its price
    as little as suffices: k of them leave, at a price between the margins of the last that leaves and the first that
    stays, and the other s - k find a slot, each of which costs ``unit`` more than the one before.
    """
    members = np.flatnonzero(surplus[parents] > 0)
    column = parents[members]
    values = affinity[members] - prices
    here = np.arange(members.size)
    own = values[here, column]
    values[here, column] = -np.inf
    margin = np.maximum(own - values.max(axis=1), 0.0)
    order = np.lexsort((margin, column))
    members, column, margin = members[order], column[order], margin[order]
    starts = np.append(True, column[1:] != column[:-1])
    first, group = np.flatnonzero(starts), starts.cumsum() - 1  # of each full column, and the one of each member
    full = column[first]
    staying = (first + surplus[full])[group] - here - 1  # of the s, if this member is the last to leave
    between = 0.5 * (margin + np.append(margin[1:], np.inf))
    enough = np.where(staying >= 0, np.maximum(between, staying * unit), np.inf)
    increase = np.minimum(np.minimum.reduceat(enough, first), surplus[full] * unit)
    prices[full] += increase
    movers = members[margin < increase[group]]
    parents[movers] = (affinity[movers] - prices).argmax(axis=1)
