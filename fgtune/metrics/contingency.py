"""The contingency matrix of two labellings, from which every clustering metric is computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.metrics.checks import IntArray, integers, same_length


def contingency(preds: npt.ArrayLike, target: npt.ArrayLike, num_preds: int, num_target: int) -> IntArray:
    """Count samples by predicted and true class.

    Args:
        preds: (n,) integers in [0, num_preds).
        target: (n,) integers in [0, num_target).
        num_preds: Number of predicted classes P >= 1; classes that win no sample keep their (zero) row.
        num_target: Number of true classes T >= 1.

    Returns:
        (P, T) int64; all zero when there are no samples.

    Raises:
        ValueError: Another type, shape or range, or lengths that differ.
    """
    for name, number in (("num_preds", num_preds), ("num_target", num_target)):
        if number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}")
    rows = integers(preds, "preds", (1,), 0, num_preds)
    columns = integers(target, "target", (1,), 0, num_target)
    same_length(len(rows), len(columns), "preds and target")
    flat = np.bincount(rows * num_target + columns, minlength=num_preds * num_target)
    return flat.astype(np.int64, copy=False).reshape(num_preds, num_target)
