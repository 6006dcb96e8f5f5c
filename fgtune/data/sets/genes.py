"""Highly variable genes by the two usual rules; both need only means, variances and a smoother.

Sources: Stuart et al. 2019, "Comprehensive integration of single-cell data" (variance-stabilised counts, here
``seurat_v3``); Satija et al. 2015, "Spatial reconstruction of single-cell gene expression data" (dispersions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fgtune.arrays import IntArray

Float64Array = npt.NDArray[np.float64]

_NODES = 1000
"""Points at which the smoother is evaluated; between them it is linear."""


def variable_by_counts(counts: csr_array, count: int, span: float, batches: Sequence[str] | None) -> IntArray:
    """Genes of largest variance after counts are standardised by the variance expected from their mean (``seurat_v3``).

    Within a batch, log10 variance is smoothed over log10 mean by local quadratic regression; counts are standardised
    with the smoothed deviation and clipped at sqrt(cells); a gene's score is the variance of the result. Over batches,
    genes are ordered by the median of their ranks among the ``count`` best, then by how many batches have them there.

    Args:
        counts: (cells, genes) raw counts.
        count: Number of genes wanted.
        span: Share of genes in each local regression.
        batches: Batch of each cell, or None.

    Returns:
        Sorted columns, (min(count, genes),).
    """
    labels = (
        np.zeros(counts.shape[0], dtype=np.int64) if batches is None else np.unique(batches, return_inverse=True)[1]
    )
    ranks = np.full((int(labels.max()) + 1, counts.shape[1]), np.nan)
    for batch in range(len(ranks)):
        score = _standardised_variance(counts[np.flatnonzero(labels == batch)], span)
        order = np.argsort(-score, kind="stable")[:count]
        ranks[batch, order] = np.arange(len(order))
    chosen_in = np.isfinite(ranks).sum(axis=0)
    median = np.full(counts.shape[1], np.inf)
    ever = chosen_in > 0
    median[ever] = np.nanmedian(ranks[:, ever], axis=0)
    return np.sort(np.lexsort((-chosen_in, median))[:count]).astype(np.int64)


def _standardised_variance(counts: csr_array, span: float) -> Float64Array:
    """(genes,) variance of clipped standardised counts; 0 for genes that never vary."""
    cells = counts.shape[0]
    mean, variance = moments(counts)
    varies = variance > 0
    score = np.zeros(len(mean))
    if cells < 2 or not varies.any():
        return score
    smooth = loess(np.log10(mean[varies]), np.log10(variance[varies]), span)
    deviation = np.ones(len(mean))
    deviation[varies] = np.sqrt(10.0**smooth)
    ceiling = deviation * np.sqrt(cells) + mean
    columns = counts.indices
    clipped = np.minimum(counts.data.astype(np.float64), ceiling[columns])
    total = np.bincount(columns, weights=clipped, minlength=len(mean))
    squares = np.bincount(columns, weights=clipped**2, minlength=len(mean))
    spread = cells * mean**2 + squares - 2.0 * total * mean
    score[varies] = (spread / ((cells - 1) * deviation**2))[varies]
    return score


def variable_by_dispersion(expression: csr_array, count: int, bins: int) -> IntArray:
    """Genes of largest dispersion (variance / mean) among genes of similar mean.

    Args:
        expression: (cells, genes) normalised, before the logarithm.
        count: Number of genes wanted.
        bins: Equal bins of log(1 + mean), within which log dispersions are standardised; a gene alone in one scores 1.

    Returns:
        Sorted columns, (min(count, genes),).
    """
    mean, variance = moments(expression)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(variance / np.where(mean > 0, mean, 1e-12))
    dispersion[~np.isfinite(dispersion)] = np.nan
    place = np.log1p(mean)
    edges = np.linspace(place.min(), place.max(), bins + 1)[1:-1]
    group = np.searchsorted(edges, place, side="left")
    score = np.full(len(mean), -np.inf)
    for number in np.unique(group):
        members = np.flatnonzero((group == number) & np.isfinite(dispersion))
        if members.size == 1:
            score[members] = 1.0
        elif members.size:
            values = dispersion[members]
            spread = values.std(ddof=1)
            score[members] = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return np.sort(np.argsort(-score, kind="stable")[:count]).astype(np.int64)


def moments(matrix: csr_array) -> tuple[Float64Array, Float64Array]:
    """Mean and sample variance (n - 1) of every column, (genes,) each, implicit zeros included."""
    cells = matrix.shape[0]
    values = matrix.data.astype(np.float64)
    mean = np.bincount(matrix.indices, weights=values, minlength=matrix.shape[1]) / cells
    centred = np.bincount(matrix.indices, weights=(values - mean[matrix.indices]) ** 2, minlength=matrix.shape[1])
    stored = np.bincount(matrix.indices, minlength=matrix.shape[1])
    variance = (centred + (cells - stored) * mean**2) / max(1, cells - 1)
    return mean, variance


def loess(x: Float64Array, y: Float64Array, span: float) -> Float64Array:
    """Local quadratic regression with tricube weights (Cleveland and Devlin 1988), without robustness iterations.

    Args:
        x: (n,) positions.
        y: (n,) values.
        span: Share of the points in each regression.

    Returns:
        (n,) smoothed values at ``x``; with more than 1,000 distinct positions, linear between that many of them.
    """
    order = np.argsort(x, kind="stable")
    places, values = x[order], y[order]
    size = min(len(x), max(3, int(np.floor(len(x) * span + 1e-5))))
    nodes = np.unique(places)
    if len(nodes) > _NODES:
        nodes = nodes[np.unique(np.linspace(0, len(nodes) - 1, _NODES).round().astype(np.int64))]
    smooth = np.empty(len(nodes))
    first = 0
    for index, node in enumerate(nodes):
        while first + size < len(places) and node - places[first] > places[first + size] - node:
            first += 1
        window = slice(first, first + size)
        smooth[index] = _local_value(places[window] - node, values[window])
    return np.asarray(np.interp(x, nodes, smooth))


def _local_value(offset: Float64Array, values: Float64Array) -> Any:
    """Value at offset 0 of the weighted quadratic fit to a window."""
    width = np.abs(offset).max()
    if width == 0:
        return values.mean()
    scaled = offset / width
    weight = np.sqrt((1.0 - np.minimum(np.abs(scaled), 1.0) ** 3) ** 3)
    terms = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1) * weight[:, None]
    return np.linalg.lstsq(terms, values * weight, rcond=None)[0][0]
