"""Samples on the principal components of their own cloud."""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.data.principal import gram_spectrum


def principal_scores(values: FloatArray, share: float) -> FloatArray:
    """(m, d) scores of samples on their leading principal components, the largest first.

    Args:
        values: (m, p), at least one sample; centred.
        share: Share of the variance that the components keep together; 1 keeps all that have any.

    Returns:
        One column of zeros where nothing varies.
    """
    variances, vectors = gram_spectrum(values)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    total = variances.sum()
    if total <= 0:
        return values[:, :1] * 0.0
    kept = min(int(np.searchsorted(np.cumsum(variances), share * total * (1 - 1e-12))) + 1, len(variances))
    wide = values.shape[1] > len(values)
    scores = vectors[:, :kept] * np.sqrt(variances[:kept]) if wide else values @ vectors[:, :kept]
    return np.ascontiguousarray(scores)
