"""Samples on the principal components of their own cloud."""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray


def principal_scores(values: FloatArray, share: float) -> FloatArray:
    """(m, d) scores of samples on their leading principal components, the largest first.

    Args:
        values: (m, p), at least one sample; not centred.
        share: Share of the variance that the components keep together; 1 keeps all that have any.

    Returns:
        One column of zeros where nothing varies.
    """
    values = values - values.mean(axis=0)
    wide = values.shape[1] > len(values)
    gram = values @ values.T if wide else values.T @ values
    variances, vectors = np.linalg.eigh(gram)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    total = variances.sum()
    if total <= 0:
        return values[:, :1] * 0.0
    kept = min(int(np.searchsorted(np.cumsum(variances), share * total * (1 - 1e-12))) + 1, len(variances))
    scores = vectors[:, :kept] * np.sqrt(variances[:kept]) if wide else values @ vectors[:, :kept]
    return np.ascontiguousarray(scores)
