"""Nearest neighbours by cosine similarity within groups of samples, found exactly with FAISS.

FALCON (ICML 2024), section 4.2, searches among samples of the same coarse class. The released code drops the first hit
as the sample itself, which keeps a sample among its own neighbours where it has duplicates; here a sample is left out
by its index.
"""

from __future__ import annotations

import math

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.errors import TrialError

_MARGIN = 8
"""Candidates beyond k, so that rounding in FAISS decides nothing unless this many samples are equally near."""

_BLOCK_NUMBERS = 1 << 22
"""Numbers gathered at once when candidates are re-ranked (32 MiB in float64)."""


def coarse_groups(coarse: IntArray) -> IntArray:
    """Group of each sample: samples share one when their coarse labels agree in every source, -1 included.

    Args:
        coarse: (n, sources) int64.

    Returns:
        (n,) int64, groups numbered from 0 in lexicographic order of their labels.
    """
    _, group = np.unique(coarse, axis=0, return_inverse=True)
    return group.reshape(-1).astype(np.int64)


def find_neighbors(features: Float32Array, groups: IntArray | None, k: int, threads: int) -> IntArray:
    """The k nearest other samples of the same group, by cosine similarity.

    FAISS proposes candidates in float32; they are ranked again in float64, ties by lower index, so the result depends
    neither on the number of threads nor on how FAISS cuts its blocks. A zero vector has similarity 0 to all.

    Args:
        features: (n, ...) float32, finite; trailing dimensions are flattened.
        groups: (n,) group ids, or None to search among all samples.
        k: Neighbours per sample, >= 1.
        threads: Threads of the search, >= 1.

    Returns:
        (n, k) int64 indices, nearest first, -1 at the end where a group has fewer than k other samples.

    Raises:
        TrialError: If a feature is not finite.
    """
    if k < 1 or threads < 1:
        raise ValueError(f"k and threads must be >= 1, got {k} and {threads}")
    flat = np.ascontiguousarray(features.reshape(len(features), math.prod(features.shape[1:])), dtype=np.float32)
    broken = int(flat.size - np.isfinite(flat).sum())
    if broken:
        raise TrialError(f"the neighbour search met {broken} features that are not finite")
    if groups is None:
        groups = np.zeros(len(flat), dtype=np.int64)
    elif groups.shape != (len(flat),):
        raise ValueError(f"groups must be ({len(flat)},), got {groups.shape}")
    neighbors = np.full((len(flat), k), -1, dtype=np.int64)
    if not len(flat):
        return neighbors
    by_group = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[by_group], return_index=True)
    for members in np.split(by_group, starts[1:]):
        if len(members) > 1:
            found = _within(flat[members], min(k, len(members) - 1), threads)
            neighbors[members, : found.shape[1]] = members[found]
    return neighbors


def _within(features: Float32Array, k: int, threads: int) -> IntArray:
    """Neighbours within one group of more than k samples, (m, k) positions."""
    norms = np.sqrt(np.einsum("md,md->m", features, features, dtype=np.float64))
    unit = (features / np.where(norms > 0.0, norms, 1.0)[:, None]).astype(np.float32)
    candidates = _search(unit, min(k + 1 + _MARGIN, len(unit)), threads)
    neighbors = np.empty((len(unit), k), dtype=np.int64)
    block = max(1, _BLOCK_NUMBERS // (candidates.shape[1] * max(1, unit.shape[1])))
    for start in range(0, len(unit), block):
        rows = np.arange(start, min(start + block, len(unit)))
        chosen = np.sort(candidates[rows], axis=1)
        similarity = np.einsum("md,mcd->mc", unit[rows], unit[chosen], dtype=np.float64)
        similarity[chosen == rows[:, None]] = -np.inf  # the sample itself, wherever it stands among its duplicates
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        neighbors[rows] = np.take_along_axis(chosen, order, axis=1)
    return neighbors


def _search(unit: Float32Array, count: int, threads: int) -> IntArray:
    """The ``count`` rows of largest inner product with each row, (m, count)."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        index = faiss.IndexFlatIP(unit.shape[1])
        index.add(unit)
        found: IntArray = index.search(unit, count)[1]
    finally:
        faiss.omp_set_num_threads(before)
    return found
