"""Distances between learned and true relations of fine to coarse classes; all are oracle metrics, 0 is best.

Relations are graphs: one node per coarse class, one node per fine class, and an edge from each fine class to its
parent. Coarse nodes have names and occur in both graphs. Inserting or deleting a node or an edge costs 1; a coarse node
may only be substituted by itself and a fine node by any fine node, at no cost. With unit costs the edit distance is the
smallest cost over all partial one-to-one alignments of fine nodes (deleting and reinserting a coarse node costs 2 and
saves no edge), and an alignment costs

    0 for an aligned pair with the same parent,
    2 for an aligned pair with different parents (one edge deleted, one inserted: a rewired edge),
    2 for an unaligned fine node (the node and its edge).

``ged`` restricts the alignments to those that agree best with the data, ``ged_structure`` allows all, so
``size_distance <= ged_structure <= ged``. Every function takes ``learned``: (K_F,) or (S, K_F) and ``true``: (K*,) or
(S, K*) integers and returns the mean over the S sources. A true parent may be -1 for unknown; sources with unknown
parents are left out, and if none is left the value is nan.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.metrics.checks import integers
from fgtune.metrics.clustering import LARGE, Table, assign, assign_cells

_REFERENCE_CAP = 4


def _both(learned: npt.ArrayLike, true: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """(S, K_F) and (S, K*) parents, checked."""
    ours = np.atleast_2d(integers(learned, "learned", (1, 2), 0))
    theirs = np.atleast_2d(integers(true, "true", (1, 2), -1))
    if len(ours) != len(theirs):
        raise ValueError(f"learned and true must have the same sources, got {len(ours)} and {len(theirs)}")
    return ours, theirs


def _mean_over_complete(values: npt.NDArray[np.int64], true: IntArray) -> float:
    complete = (true >= 0).all(axis=1)
    return float(np.mean(values[complete])) if complete.any() else math.nan


def _memberships(parents: IntArray, num_coarse: int) -> npt.NDArray[np.bool_]:
    """(S, K, K_C): whether coarse class j is the parent of fine class i in source s."""
    membership: npt.NDArray[np.bool_] = parents[:, :, None] == np.arange(num_coarse)
    return membership


def _size_differences(ours: IntArray, theirs: IntArray) -> IntArray:
    """n_j - n*_j as (S, K_C) int64."""
    num_coarse = 1 + int(max(ours.max(initial=0), theirs.max(initial=0)))
    sizes, true_sizes = (_memberships(parents, num_coarse).sum(axis=1, dtype=np.int64) for parents in (ours, theirs))
    difference: IntArray = sizes - true_sizes
    return difference


def align(learned: npt.ArrayLike, true: npt.ArrayLike, counts: npt.ArrayLike | Table) -> IntArray:
    """Align learned with true fine classes on the data (Hungarian matching), breaking ties by agreement of parents.

    Because of classes without samples and other ties, several matchings may agree with the data equally well. The one
    whose parents agree most often over all sources is chosen, so that ``ged`` does not depend on how classes are
    numbered.

    Args:
        learned: (K_F,) or (S, K_F) learned parents.
        true: (K*,) or (S, K*) true parents.
        counts: (K_F, K*) samples by predicted x true class.

    Returns:
        (K_F,) int64: the true class of each learned one, -1 for surplus ones.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> align([0, 0, 1], [0, 1, 1], counts=[[4, 0, 0], [0, 0, 5], [0, 3, 0]]).tolist()
        [0, 2, 1]
    """
    ours, theirs = _both(learned, true)
    table = Table.of(counts)
    if table.shape != (ours.shape[1], theirs.shape[1]):
        raise ValueError(f"counts must have shape {(ours.shape[1], theirs.shape[1])}, got {table.shape}")
    # One sample must outweigh all agreements that a matching can gain; integers are exact in float64.
    one_sample = len(ours) * min(table.shape) + 1
    if _is_sparse(ours, theirs):
        weights = _agreeing_cells(ours, theirs, table, one_sample)
        return assign_cells(table.shape, weights.row, weights.col, weights.data)
    agreement = (ours[:, :, None] == theirs[:, None, :]).sum(axis=0)  # (K_F, K*)
    return assign((table.matrix() * one_sample + agreement).astype(np.float64))


def _is_sparse(ours: IntArray, theirs: IntArray) -> bool:
    """Whether a table of these classes is large, and few of its pairs share a parent."""
    cells = ours.shape[1] * theirs.shape[1]
    number = 1 + int(max(ours.max(initial=0), theirs.max(initial=0)))
    sharing = sum(
        int(np.bincount(mine, minlength=number) @ np.bincount(known[known >= 0], minlength=number))
        for mine, known in zip(ours, theirs, strict=True)
    )
    return bool(cells >= LARGE and sharing <= cells // 20)


def _agreeing_cells(ours: IntArray, theirs: IntArray, table: Table, one_sample: int) -> Any:
    """The (K_F, K*) weights that are not 0, as a sparse array: ``one_sample`` a sample, 1 a source with one parent."""
    from scipy.sparse import coo_array

    number = 1 + int(max(ours.max(initial=0), theirs.max(initial=0)))
    weights = coo_array((table.cells * float(one_sample), (table.rows, table.columns)), shape=table.shape).tocsr()
    for mine, known in zip(ours, theirs, strict=True):
        sides = []
        for parents in (mine, known):
            classes = np.flatnonzero(parents >= 0)
            members = (np.ones(classes.size), (classes, parents[classes]))
            sides.append(coo_array(members, shape=(parents.size, number)).tocsr())
        weights = weights + sides[0] @ sides[1].T
    return weights.tocoo()


def ged(learned: npt.ArrayLike, true: npt.ArrayLike, counts: npt.ArrayLike | Table) -> float:
    """Exact edit distance between learned and true relations with fine nodes aligned on the data.

    2 for every rewired edge and 2 for every surplus or missing fine node with its edge: the smallest cost over
    alignments that match most samples (fewer than min(K_F, K*) pairs are never cheaper, since a pair costs at most 2
    and its two nodes unaligned cost 4).

    Args:
        learned: (K_F,) or (S, K_F) learned parents.
        true: (K*,) or (S, K*) true parents.
        counts: (K_F, K*) samples by predicted x true class.

    Returns:
        Even for one source, in [2 |K_F - K*|, 2 max(K_F, K*)]; nan without samples or without truth.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> ged([0, 0, 1], [0, 1, 1], counts=[[4, 0, 0], [0, 0, 5], [0, 3, 0]])  # one edge to rewire
        2.0
    """
    ours, theirs = _both(learned, true)
    table = Table.of(counts)
    aligned = align(ours, theirs, table)
    if not table.total:
        return math.nan
    pairs = np.flatnonzero(aligned >= 0)
    rewired = (ours[:, pairs] != theirs[:, aligned[pairs]]).sum(axis=1)
    return _mean_over_complete(2 * rewired + 2 * abs(ours.shape[1] - theirs.shape[1]), theirs)


def ged_structure(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Exact edit distance between learned and true relations with anonymous fine nodes.

    With n_j and n*_j the numbers of fine classes of coarse class j, (x)+ = max(x, 0), the distance is

        2 max( sum_j (n_j - n*_j)+ , sum_j (n*_j - n_j)+ )  =  sum_j |n_j - n*_j| + |K_F - K*|.

    Proof. Let an alignment hold s pairs with the same parent and d pairs with different ones. By the costs in the
    module docstring it costs 2 d + 2 (K_F - s - d) + 2 (K* - s - d) = 2 (K_F + K* - s - (s + d)). At most
    min(n_j, n*_j) pairs share the parent j, so s <= m := sum_j min(n_j, n*_j); and s + d <= min(K_F, K*). Hence the
    cost is at least 2 (K_F + K* - m - min(K_F, K*)) = 2 (max(K_F, K*) - m). This is attained: pair min(n_j, n*_j) fine
    nodes within every j, then pair leftovers until one side has none; both bounds hold with equality, since the
    leftovers of one j lie all on one side and so never share their parent, and m <= min(K_F, K*).
    Finally K_F - m = sum_j (n_j - n*_j)+ and K* - m = sum_j (n*_j - n_j)+, which gives the first form, and
    2 max(x, y) = x + y + |x - y| with x - y = K_F - K* gives the second.

    So for K_F = K* it equals ``size_distance`` and depends only on column sizes; ``ged`` sees which classes they hold.

    Args:
        learned: (K_F,) or (S, K_F) learned parents.
        true: (K*,) or (S, K*) true parents.

    Returns:
        Even for one source, in [2 |K_F - K*|, 2 max(K_F, K*)]; nan without truth.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> ged_structure([0, 0, 1], [0, 1, 1])
        2.0
        >>> ged_structure([0, 1, 0, 1], [0, 0, 1, 1])  # fine nodes are anonymous
        0.0
    """
    ours, theirs = _both(learned, true)
    difference = _size_differences(ours, theirs)
    surplus, missing = np.maximum(difference, 0).sum(axis=1), np.maximum(-difference, 0).sum(axis=1)
    return _mean_over_complete(2 * np.maximum(surplus, missing), theirs)


def size_distance(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Sum over coarse classes of |n_j - n*_j|, in [|K_F - K*|, K_F + K*]; nan without truth.

    Args:
        learned: (K_F,) or (S, K_F) learned parents.
        true: (K*,) or (S, K*) true parents.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> size_distance([0, 0, 1], [0, 1, 1])
        2.0
    """
    ours, theirs = _both(learned, true)
    return _mean_over_complete(np.abs(_size_differences(ours, theirs)).sum(axis=1), theirs)


def ged_reference(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """The value that the published evaluation reports as graph edit distance; only for comparison with its tables.

    FALCON's evaluation uses GMatch4py's approximation with nodes identified by position. It equals the sum, over the
    coarse classes j with n_j != n*_j, of min(|symmetric difference of the two sets of fine ids of j|, 4). Fine ids are
    not aligned with the data, and columns of the right size cost nothing whatever they hold: a random balanced M has 0.

    Args:
        learned: (K,) or (S, K) learned parents.
        true: (K,) or (S, K) true parents.

    Returns:
        In [0, 4 K_C]; nan without truth, and if K_F differs from K*, in which case positions are meaningless.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> ged_reference([0, 1, 0, 1], [0, 0, 1, 1])  # wrong, but of the right sizes
        0.0
    """
    ours, theirs = _both(learned, true)
    if ours.shape[1] != theirs.shape[1]:
        return math.nan
    difference = _size_differences(ours, theirs)
    num_coarse = difference.shape[1]
    unshared = (_memberships(ours, num_coarse) ^ _memberships(theirs, num_coarse)).sum(axis=1)  # (S, K_C)
    capped = np.where(difference != 0, np.minimum(unshared, _REFERENCE_CAP), 0)
    return _mean_over_complete(capped.sum(axis=1), theirs)
