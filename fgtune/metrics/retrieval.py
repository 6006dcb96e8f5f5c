"""Nearest neighbours by cosine similarity over whole splits, in blocks, and Recall@k (Xu et al., arXiv 2005.09681).

The published code fills an n x n similarity matrix and sorts all of it. Here FAISS proposes a few candidates per query,
block by block, which are reranked in float64 with ties going to the lower index. So the result depends neither on the
number of threads nor on the size of blocks, unless more than ``_MARGIN`` items are equally near to within float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.errors import TrialError
from fgtune.metrics.checks import integers, same_length

_QUERY_BLOCK = 4096
"""Queries searched at once; only the candidates of a block are kept."""

_MARGIN = 8
"""Candidates beyond those needed, so that float32 rounding has no effect unless this many are equally near."""

_BLOCK_NUMBERS = 1 << 22
"""Values gathered at once when candidates are reranked (16 MiB in float32)."""


def unit_rows(features: npt.ArrayLike, name: str) -> Float32Array:
    """``features`` (n, d) as float32 rows of norm 1, contiguous; a zero row stays zero.

    Raises:
        ValueError: Not a matrix with columns.
        TrialError: NaN or infinity, as from a diverged model.

    Example:
        >>> unit_rows([[3, 0], [0, 0]], "features").tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    values = np.asarray(features)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix with at least one column, got shape {values.shape}")
    unit = np.empty(values.shape, dtype=np.float32)
    broken = 0
    for start in range(0, len(values), _QUERY_BLOCK):  # in blocks: a full float64 copy would double the memory
        block = values[start : start + _QUERY_BLOCK].astype(np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", block, block))
        finite = np.isfinite(norms)
        broken += int((~finite).sum())
        unit[start : start + _QUERY_BLOCK] = block / np.where(finite & (norms > 0.0), norms, 1.0)[:, None]
    if broken:
        raise TrialError(f"{name} must be finite, {broken} of {len(values)} rows hold NaN or infinity")
    return unit


def nearest_blocks(
    queries: Float32Array, gallery: Float32Array, k: int, *, same: bool = False
) -> Iterator[tuple[slice, IntArray]]:
    """The k items of the gallery nearest to each query, in blocks of queries.

    Args:
        queries: (m, d) float32 rows of norm 1 or 0, as from ``unit_rows``.
        gallery: (n, d) likewise.
        k: At least 1.
        same: Queries and gallery are the same array, and each query excludes itself, by index, from its results.

    Yields:
        The slice of the block, and (block, k) int64 positions in the gallery, nearest first, ties by lower index; fewer
        columns if the gallery has fewer items. Nothing if there are no queries.

    Raises:
        ValueError: k below 1, or ``same`` with two arrays.
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    if same and queries is not gallery:
        raise ValueError("same: queries and gallery must be one array")
    import faiss

    wanted = min(k, len(gallery) - same)
    count = min(k + same + _MARGIN, len(gallery))
    for start in range(0, len(queries), _QUERY_BLOCK):
        rows = slice(start, min(start + _QUERY_BLOCK, len(queries)))
        if wanted < 1:
            yield rows, np.empty((rows.stop - start, 0), dtype=np.int64)
            continue
        candidates = faiss.knn(queries[rows], gallery, count, metric=faiss.METRIC_INNER_PRODUCT)[1]
        own = np.arange(rows.start, rows.stop) if same else None
        yield rows, _ranked(queries[rows], gallery, candidates, own)[:, :wanted]


def _ranked(queries: Float32Array, gallery: Float32Array, candidates: IntArray, own: IntArray | None) -> IntArray:
    """``candidates`` (m, c) by descending similarity in float64, ties by lower index, the ``own`` index (m,) last."""
    candidates.sort(axis=1)
    similarity = np.empty(candidates.shape)
    step = max(1, _BLOCK_NUMBERS // (candidates.shape[1] * gallery.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        # einsum sums every dot product in the same order, so duplicates tie exactly; a matrix product may not.
        similarity[part] = np.einsum("md,mcd->mc", queries[part], gallery[candidates[part]], dtype=np.float64)
    if own is not None:
        similarity[candidates == own[:, None]] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1)


def recall_at_k(features: npt.ArrayLike, labels: npt.ArrayLike, ks: Sequence[int]) -> dict[int, float]:
    """Recall@k: share of samples with at least one other sample of their label among the k nearest by cosine.

    Every labelled sample is a query against all other labelled ones; it is excluded from its results by index, not by
    rank, so duplicates cannot keep it in. A sample with a unique label is a miss.

    Args:
        features: (n, d) finite.
        labels: (n,) integers, -1 for none; unlabelled samples are neither queries nor results.
        ks: Each at least 1; if k exceeds the number of other samples, all of them count.

    Returns:
        Value in [0, 1] by k, larger is better and non-decreasing in k; nan with fewer than two labelled samples.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> recall_at_k([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], [0, 0, 0, 1], ks=[1, 3])  # class 1 has one sample
        {1: 0.5, 3: 0.75}
    """
    column = integers(labels, "labels", (1,), -1)[:, None]
    return {k: float(value) for k, value in zip(ks, recalls(features, column, ks)[:, 0], strict=True)}


def recalls(features: npt.ArrayLike, labels: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    """``recall_at_k`` of several labellings, with one search for all that label the same samples.

    Args:
        features: (n, d) finite.
        labels: (n, L) integers, -1 for none.
        ks: Each at least 1.

    Returns:
        (len(ks), L) float64; nan for a labelling with fewer than two labelled samples.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> recalls([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], [[0, 0], [0, 1], [1, 1], [1, 0]], ks=[1]).tolist()
        [[1.0, 0.0]]
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must be one or more numbers >= 1, got {list(ks)}")
    unit = unit_rows(features, "features")
    table = integers(labels, "labels", (2,), -1)
    same_length(len(unit), len(table), "features and labels")
    known = table >= 0
    values = np.full((len(ks), table.shape[1]), np.nan)
    masks, which = np.unique(known, axis=1, return_inverse=True) if table.shape[1] else (known, np.empty(0, np.int64))
    for number, mask in enumerate(masks.T):
        if mask.sum() < 2:
            continue
        columns = np.flatnonzero(which.reshape(-1) == number)
        first = _first_hits(unit if mask.all() else unit[mask], table[np.ix_(mask, columns)], max(ks))
        values[:, columns] = [(first < k).mean(axis=0) for k in ks]
    return values


def _first_hits(unit: Float32Array, labels: IntArray, k: int) -> IntArray:
    """(n, L) rank of the nearest other sample with the same label in each labelling, k if none is among the k."""
    first = np.full(labels.shape, k, dtype=np.int64)
    for rows, neighbors in nearest_blocks(unit, unit, k, same=True):
        for column in range(labels.shape[1]):
            hits = labels[neighbors, column] == labels[rows, column, None]
            first[rows, column] = np.where(hits.any(axis=1), hits.argmax(axis=1), k)
    return first
