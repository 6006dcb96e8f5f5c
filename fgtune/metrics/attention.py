"""Activation-based attention maps, and the share of their energy that falls into a region.

Source: Zagoruyko and Komodakis, "Paying more attention to attention" (ICLR 2017), section 3.1, with p = 2; used by
Xu et al. (arXiv 2005.09681) to show that a model trained only on coarse labels ignores small patches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray
from fgtune.errors import TrialError
from fgtune.metrics.checks import same_length


def attention_map(feature_map: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Sum of squared activations over channels, each map scaled to Euclidean norm 1.

    Args:
        feature_map: (n, C, H, W) activations of a convolutional layer, finite, C, H, W >= 1.

    Returns:
        (n, H, W) float32 in [0, 1], the squares of each map summing to 1; an all-zero map stays 0.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> attention_map([[[[3.0, 0.0], [0.0, 0.0]]]]).tolist()
        [[[1.0, 0.0], [0.0, 0.0]]]
    """
    activations = np.asarray(feature_map)
    if activations.ndim != 4 or 0 in activations.shape[1:]:
        raise ValueError(f"feature_map must be (n, C, H, W) with C, H, W >= 1, got shape {activations.shape}")
    energy = np.einsum("nchw,nchw->nhw", activations, activations, dtype=np.float64)
    broken = int((~np.isfinite(energy)).any(axis=(1, 2)).sum())
    if broken:
        raise TrialError(f"feature_map must be finite, {broken} of {len(energy)} samples hold NaN or infinity")
    peak = energy.max(axis=(1, 2), keepdims=True, initial=0.0)
    scaled = energy / np.where(peak > 0.0, peak, 1.0)  # squares of large energies would overflow
    length = np.sqrt(np.square(scaled).sum(axis=(1, 2), keepdims=True))
    unit: npt.NDArray[np.float32] = (scaled / np.where(length > 0.0, length, 1.0)).astype(np.float32)
    return unit


def attention_share(maps: npt.ArrayLike, masks: npt.ArrayLike) -> FloatArray:
    """Share of each map's attention that lies inside a mask.

    The attention of a map's cell is spread evenly over the part of the image that it covers, so a mask may have a
    higher resolution than the map. A map that ignores the region scores the share of the area that the mask covers.

    Args:
        maps: (n, H, W) attention, >= 0, as from ``attention_map``.
        masks: (n, H0, W0) booleans, or shares in [0, 1]; H0 and W0 need not be multiples of H and W.

    Returns:
        (n,) float64 in [0, 1]; nan for a map without attention.

    Raises:
        ValueError: Another shape or range.

    Example:
        >>> attention_share([[[1.0, 0.0]]], masks=[[[0, 1, 0, 0]]]).tolist()  # half of the cell lies inside
        [0.5]
    """
    attention, inside = np.asarray(maps, dtype=np.float64), np.asarray(masks, dtype=np.float64)
    for name, array in (("maps", attention), ("masks", inside)):
        if array.ndim != 3 or 0 in array.shape[1:]:
            raise ValueError(f"{name} must be (n, H, W) with H, W >= 1, got shape {array.shape}")
    same_length(len(attention), len(inside), "maps and masks")
    if attention.size and not (attention.min() >= 0.0 and np.isfinite(attention.max())):
        raise ValueError(f"maps must be finite and >= 0, got values from {attention.min()} to {attention.max()}")
    if inside.size and not (inside.min() >= 0.0 and inside.max() <= 1.0):
        raise ValueError(f"masks must be in [0, 1], got values from {inside.min()} to {inside.max()}")
    rows = _covered(attention.shape[1], inside.shape[1])
    columns = _covered(attention.shape[2], inside.shape[2])
    in_cell = np.einsum("ip,npq,jq->nij", rows, inside, columns, optimize=True)
    total = attention.sum(axis=(1, 2))
    shares: FloatArray = np.full(len(attention), np.nan)
    np.divide((attention * in_cell).sum(axis=(1, 2)), total, out=shares, where=total > 0.0)
    return np.minimum(shares, 1.0)


def _covered(cells: int, pixels: int) -> FloatArray:
    """(cells, pixels) share of each cell that each pixel makes up, along one axis; rows sum to 1."""
    edges = np.arange(cells + 1) * pixels / cells
    starts = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    covered: FloatArray = np.maximum(overlap, 0.0) * cells / pixels
    return covered
