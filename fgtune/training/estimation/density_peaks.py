"""Clusters around peaks of the density, as many as there are.

Sources: Rodriguez and Laio (Science 2014) for density and distance to the nearest denser sample; Ren et al. (2020),
"Deep density-based image clustering", for the kernel, for which peaks count, and for merging peaks without a valley.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from fgtune.arrays import FloatArray, IntArray

_BLOCK = 512
"""Samples whose distances to all are in memory at a time."""


@dataclass(frozen=True)
class Densities:
    """What density peaks knows of each of m samples.

    Attributes:
        density: (m,) sum over the other samples of exp(-(distance / cutoff)^2).
        denser: (m,) int64 nearest sample that is denser, or as dense and earlier; itself for the densest.
        delta: (m,) distance to it, as in Rodriguez and Laio; infinite for the densest.
    """

    density: FloatArray
    denser: IntArray
    delta: FloatArray


def cutoff_distance(points: FloatArray, ratio: float, neighbors: int) -> float:
    """The cut-off distance d_c: ``ratio`` times the mean distance of two samples, and more where samples are few.

    Ren et al. (2020) have the ratio alone, 0.1 on tens of thousands of samples. Among hundreds no other is that near,
    and many a sample would be a peak; so d_c is at least the mean distance to the ``neighbors``-th nearest, which is
    ours.

    Args:
        points: (m, d) finite, m >= 2.
        ratio: Above 0.
        neighbors: At least 1; of fewer other samples, the furthest counts.
    """
    count = len(points)
    mean = sum(float(block.sum()) for _, block in _distances(points)) / (count * (count - 1))
    nearest = KDTree(points).query(points, [min(neighbors, count - 1) + 1])[0]  # the first is the sample itself
    return max(ratio * mean, float(np.mean(nearest)))


def densities(points: FloatArray, cutoff: float) -> Densities:
    """Density of (m, d) points, and how far the nearest denser one is; ``cutoff`` > 0 is in their unit."""
    count = len(points)
    density = np.empty(count)
    for rows, block in _distances(points):
        block[np.arange(len(rows)), rows] = np.inf  # less 1 afterwards would lose the densities of lonely samples
        density[rows] = np.exp(-((block / cutoff) ** 2)).sum(axis=1)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(-density, kind="stable")] = np.arange(count)
    denser, delta = np.arange(count), np.full(count, np.inf)
    for rows, block in _distances(points):
        block[rank[None, :] >= rank[rows, None]] = np.inf
        nearest = block.argmin(axis=1)
        delta[rows] = block[np.arange(len(rows)), nearest]
        denser[rows] = np.where(np.isfinite(delta[rows]), nearest, rows)
    return Densities(density, denser, delta)


def peak_clusters(points: FloatArray, cutoff: float) -> IntArray:
    """(m,) int64 clusters 0 .. k-1 of (m, d) points; their number is found.

    A local cluster has a centre: a sample of more than mean density whose nearest denser sample is further than the
    cut-off, and the densest sample in any case. All others belong to the cluster of their nearest denser sample. Core
    samples are at least as dense as the mean of their local cluster; clusters with core samples within the cut-off of
    each other are one.

    Args:
        points: (m, d) finite, m >= 1.
        cutoff: In the unit of the points; at 0, as where all points are one, there is one cluster.
    """
    if cutoff <= 0:
        return np.zeros(len(points), dtype=np.int64)
    found = densities(points, cutoff)
    order = np.argsort(-found.density, kind="stable")
    centre = (found.density > found.density.mean()) & (found.delta > cutoff)
    centre[order[0]] = True
    local = np.empty(len(points), dtype=np.int64)
    local[centre] = np.arange(centre.sum())
    for row in order[~centre[order]]:  # the denser one comes first
        local[row] = local[found.denser[row]]
    means = np.bincount(local, weights=found.density) / np.bincount(local)
    core = np.flatnonzero(found.density >= means[local] * (1 - 1e-12))
    pairs = local[core[KDTree(points[core]).query_pairs(cutoff, output_type="ndarray")]]
    clusters = len(means)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(clusters, clusters))
    merged: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return merged[local]


def _distances(points: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Rows, and their distances (rows, m) to all points."""
    for rows in np.split(np.arange(len(points)), range(_BLOCK, len(points), _BLOCK)):
        yield rows, cdist(points[rows], points)
