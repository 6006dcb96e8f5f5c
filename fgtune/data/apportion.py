"""Whole numbers in proportion to weights (largest remainders, Hamilton's method), with at least one for each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.data.base import IntArray


def apportion(weights: npt.ArrayLike, total: int) -> IntArray:
    """Divide ``total`` among groups in proportion to ``weights``, every group getting at least one.

    Groups whose share is below one get one; the others then give way where rounding hurts them least. Ties go to the
    lower index. A share never exceeds its quota rounded up, unless the quota is below one.

    Args:
        weights: (groups,) positive numbers.
        total: What is divided, >= number of groups.

    Returns:
        (groups,) int64, summing to ``total``.

    Raises:
        ValueError: If there is less than one for each group.
    """
    weight = np.asarray(weights, dtype=np.float64)
    if total < weight.size:
        raise ValueError(f"cannot give {weight.size} groups at least one of {total}")
    quota = weight * (total / weight.sum())
    count: IntArray = np.maximum(1, np.floor(quota + 1e-9)).astype(np.int64)
    while (missing := total - int(count.sum())) > 0:
        count[np.argsort(count - quota, kind="stable")[:missing]] += 1
    while count.sum() > total:
        excess = np.where(count > 1, count - quota, -np.inf)
        count[int(np.argmax(excess))] -= 1
    return count
