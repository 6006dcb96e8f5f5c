"""Validity of fine classes inside coarse classes, in a space that does not depend on the model; reads no fine label.

In its own feature space a model can look valid by collapsing; here all candidates are judged in the leading principal
components of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.metrics.label_free import distances, mean_silhouette


class FixedJudge:
    """Judges predictions on a sample of a split, inside each coarse class of each source.

    Args:
        positions: (m,) positions of the sample within the split.
        points: (m, dimensions) its coordinates in the fixed space.
        coarse: (m, sources) its coarse labels, -1 for none.
    """

    def __init__(self, positions: IntArray, points: Float32Array, coarse: IntArray) -> None:
        self._positions = positions
        self._groups: list[tuple[IntArray, FloatArray, FloatArray]] = []  # members, points, distances
        for labels in coarse.T:
            for label in np.unique(labels[labels >= 0]):
                members = np.flatnonzero(labels == label)
                if len(members) > 1:
                    own = points[members].astype(np.float64)
                    self._groups.append((members, own, distances(own)))

    def silhouette(self, preds: npt.ArrayLike) -> float:
        """Mean silhouette inside coarse classes, weighted by their samples; in [-1, 1], larger is better.

        A coarse class that is not divided, or in which every sample is alone, counts as 0.

        Args:
            preds: (n,) predicted fine classes on the whole split.

        Returns:
            nan where no coarse class has two samples.
        """
        return self._mean(preds, lambda _, between, labels: mean_silhouette(between, labels))

    def calinski_harabasz(self, preds: npt.ArrayLike) -> float:
        """The same for the index of Calinski and Harabasz (1974): variance between over variance within; >= 0."""
        return self._mean(preds, lambda points, _, labels: calinski_harabasz(points, labels))

    def _mean(self, preds: npt.ArrayLike, index: Callable[[FloatArray, FloatArray, IntArray], float]) -> float:
        sample = np.asarray(preds, dtype=np.int64)[self._positions]
        values = [_divided(index, points, between, sample[members]) for members, points, between in self._groups]
        sizes = [len(members) for members, _, _ in self._groups]
        total = sum(sizes)
        return math.fsum(value * size for value, size in zip(values, sizes, strict=True)) / total if total else math.nan


def _divided(
    index: Callable[[FloatArray, FloatArray, IntArray], float], points: FloatArray, between: FloatArray, preds: IntArray
) -> float:
    """An index of one coarse class; 0 where its samples are in one class, or each in one of its own."""
    return index(points, between, preds) if 1 < len(np.unique(preds)) < len(preds) else 0.0


def calinski_harabasz(points: FloatArray, preds: IntArray) -> float:
    """Variance between classes over variance within, each by its degrees of freedom; inf if there is none within.

    Args:
        points: (n, d).
        preds: (n,) of at least two classes and fewer than n.

    Example:
        >>> calinski_harabasz(np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1]))  # (100 / 1) / (4 / 2)
        50.0
    """
    _, labels, sizes = np.unique(preds, return_inverse=True, return_counts=True)
    classes = len(sizes)
    means = np.zeros((classes, points.shape[1]))
    np.add.at(means, labels, points)
    means /= sizes[:, None]
    within = float(((points - means[labels]) ** 2).sum())
    between = float((sizes * ((means - points.mean(axis=0)) ** 2).sum(axis=1)).sum())
    return between * (len(points) - classes) / (within * (classes - 1)) if within > 0 else math.inf
