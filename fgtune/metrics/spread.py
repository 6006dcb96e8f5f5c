"""How evenly features are spread: the entropy of their use of fixed directions, or of a histogram of one feature."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray
from fgtune.metrics.checks import reals
from fgtune.streams import numpy_stream

CELLS = 100
"""Directions, or bins of a single feature; as in FIERCE."""


def feature_entropy(features: npt.ArrayLike) -> float:
    """Entropy in bits of the cells that samples fall into (FIERCE).

    Several features: each sample belongs to the direction with which its cosine is largest, of 100 that are drawn
    uniformly from a cube once and for all. A single feature: 100 bins of equal width from its least to its largest
    value.

    Args:
        features: (n, d) finite.

    Returns:
        In [0, log2 100], at most log2 n: 0 where all samples fall into one cell, large where they are spread; nan
        without samples.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> feature_entropy([[0.0], [0.0], [5.0], [5.0]]), feature_entropy([[1.0, 2.0], [2.0, 4.0]])
        (1.0, 0.0)
    """
    values = reals(features, "features")
    if not values.size:
        return math.nan
    counts = np.bincount(_cells(values), minlength=CELLS)
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _cells(values: FloatArray) -> npt.NDArray[np.int64]:
    if values.shape[1] == 1:
        column = values[:, 0]
        low, width = column.min(), np.ptp(column)
        places = np.zeros(len(column)) if width == 0 else (column - low) / width * CELLS
        found: npt.NDArray[np.int64] = np.minimum(places, CELLS - 1).astype(np.int64)
        return found
    directions = numpy_stream(0, "feature_entropy", values.shape[1]).uniform(-1.0, 1.0, (CELLS, values.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    nearest: npt.NDArray[np.int64] = (values @ directions.T).argmax(axis=1).astype(np.int64)
    return nearest
