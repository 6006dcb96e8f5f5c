"""Whether a class is found again by another run: the Jaccard similarity to the class there that is most like it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray
from fgtune.metrics.checks import integers, same_length

RECOVERED = 0.75
"""From this similarity on, a class counts as found again (Hennig 2007 calls classes above it stable)."""


def best_jaccard(one: npt.ArrayLike, two: npt.ArrayLike, num_classes: int) -> FloatArray:
    """The largest Jaccard similarity of each class of one labelling to any class of another.

    Hennig (2007), Cluster-wise assessment of cluster stability.

    Args:
        one: (n,) integers in [-1, num_classes); -1 leaves a sample out.
        two: (n,) integers >= -1; -1 leaves a sample out.
        num_classes: Number of classes of the first labelling, >= 1.

    Returns:
        (num_classes,) in [0, 1]; nan for a class without samples that both label.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> best_jaccard([0, 0, 0, 1, 1], [4, 4, 2, 2, 2], 2).round(3).tolist()
        [0.667, 0.667]
    """
    first, second = integers(one, "one", (1,), -1, num_classes), integers(two, "two", (1,), -1)
    same_length(len(first), len(second), "one and two")
    kept = (first >= 0) & (second >= 0)
    first, second = first[kept], second[kept]
    columns = int(second.max(initial=0)) + 1
    both = np.bincount(first * columns + second, minlength=num_classes * columns).reshape(num_classes, columns)
    sizes = both.sum(axis=1)
    either = sizes[:, None] + both.sum(axis=0) - both
    similarity = np.divide(both, either, out=np.zeros(both.shape), where=either > 0)
    found: FloatArray = np.where(sizes > 0, similarity.max(axis=1), np.nan)
    return found
