"""Metrics of predictions and features that read no labels, and may therefore select models."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import blocks, check_probabilities, finite, integers, reals, same_length


def neighbor_agreement(preds: npt.ArrayLike, neighbors: npt.ArrayLike) -> float:
    """Share of pairs (sample, neighbour) with the same predicted class.

    Args:
        preds: (n,) integers >= 0.
        neighbors: (n, k) positions in [0, n), -1 where a sample has fewer than k neighbours.

    Returns:
        In [0, 1], larger is better (a collapsed prediction has 1); nan if there are no pairs.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> neighbor_agreement([0, 0, 1], neighbors=[[1, 2], [0, -1], [0, 1]])  # 2 of 5 pairs
        0.4
    """
    predicted = integers(preds, "preds", (1,), 0)
    positions = integers(neighbors, "neighbors", (2,), -1, len(predicted))
    same_length(len(predicted), len(positions), "preds and neighbors")
    valid = positions >= 0
    pairs = int(valid.sum())
    if pairs == 0:
        return math.nan
    return int((predicted[positions] == predicted[:, None])[valid].sum()) / pairs


def _probabilities(probs: npt.ArrayLike) -> Iterator[FloatArray]:
    """Checked blocks of rows, in float64."""
    matrix = finite(probs, "probs")
    for rows in blocks(matrix):
        values = matrix[rows].astype(np.float64, copy=False)
        check_probabilities(values, "probs", rows.start)
        yield values


def mean_confidence(probs: npt.ArrayLike) -> float:
    """Mean over samples of the largest class probability.

    Args:
        probs: (n, K_F) probabilities, rows sum to 1.

    Returns:
        In [1 / K_F, 1]; nan without samples.

    Raises:
        ValueError: Not a matrix of probabilities.
        TrialError: NaN or infinity.

    Example:
        >>> mean_confidence([[0.75, 0.25], [0.5, 0.5]])
        0.625
    """
    largest = [values.max(axis=1) for values in _probabilities(probs)]
    return min(1.0, float(np.concatenate(largest).mean())) if largest else math.nan


def effective_classes(probs: npt.ArrayLike) -> float:
    """Effective number of classes in use: exp of the entropy of the mean prediction (Hill number of order 1).

    Args:
        probs: (n, K_F) probabilities, rows sum to 1.

    Returns:
        In [1, K_F]: 1 if all mass is on one class, K_F if the mean is uniform; nan without samples.

    Raises:
        ValueError: Not a matrix of probabilities.
        TrialError: NaN or infinity.

    Example:
        >>> effective_classes([[1.0, 0.0], [0.0, 1.0]])
        2.0
        >>> effective_classes([[1.0, 0.0], [1.0, 0.0]])
        1.0
    """
    mass: FloatArray | None = None
    for values in _probabilities(probs):  # row is added to row, as in the sum of the whole matrix
        mass = values.sum(axis=0) if mass is None else np.concatenate([mass[None], values]).sum(axis=0)
    if mass is None:
        return math.nan
    shares = mass[mass > 0] / mass.sum()
    entropy = -float((shares * np.log(shares)).sum())
    return min(max(math.exp(entropy), 1.0), float(len(mass)))


def num_used_classes(preds: npt.ArrayLike) -> float:
    """Number of fine classes predicted for at least one sample; 0 without samples.

    Args:
        preds: (n,) integers >= 0.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> num_used_classes([0, 3, 3])
        2.0
    """
    return float(len(np.unique(integers(preds, "preds", (1,), 0))))


def silhouette(features: npt.ArrayLike, preds: npt.ArrayLike, max_samples: int, rng: np.random.Generator) -> float:
    """Mean silhouette (Rousseeuw 1987, Euclidean) of the predicted classes in feature space.

    Args:
        features: (n, d) finite.
        preds: (n,) integers >= 0.
        max_samples: At least 2; from more samples this many are drawn without replacement (the cost is quadratic).
        rng: Draws the subsample; unused if nothing is drawn.

    Returns:
        In [-1, 1], larger is better; nan if the (sub)sample has fewer than two predicted classes, or every sample is
        alone in its class.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> features = [[0.0], [0.1], [1.0], [1.1]]
        >>> round(silhouette(features, [0, 0, 1, 1], max_samples=4, rng=np.random.default_rng(0)), 3)
        0.9
    """
    if max_samples < 2:
        raise ValueError(f"max_samples must be >= 2, got {max_samples}")
    values = reals(features, "features")
    predicted = integers(preds, "preds", (1,), 0)
    same_length(len(values), len(predicted), "features and preds")
    if len(values) > max_samples:
        drawn = np.sort(rng.choice(len(values), size=max_samples, replace=False))
        values, predicted = values[drawn], predicted[drawn]
    if not 2 <= len(np.unique(predicted)) <= len(predicted) - 1:
        return math.nan
    return mean_silhouette(distances(values), predicted)


def distances(points: FloatArray) -> FloatArray:
    """(n, n) Euclidean distances between points (n, d).

    Example:
        >>> distances(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    centred = points - points.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    found: FloatArray = np.sqrt(np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0.0))
    np.fill_diagonal(found, 0.0)
    return found


def mean_silhouette(distances: FloatArray, predicted: IntArray) -> float:
    """The mean of (b - a) / max(a, b), with mean distances a to the sample's class, b to the nearest other class.

    A sample that is alone in its class counts as 0. This takes a tenth of the time of scikit-learn's function, which a
    training process need not import.

    Args:
        distances: (n, n) between the samples, 0 on the diagonal.
        predicted: (n,) of at least two classes and fewer than n.

    Example:
        >>> mean_silhouette(np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 4.0], [4.0, 4.0, 0.0]]), np.array([0, 0, 1]))
        0.5
    """
    _, labels, sizes = np.unique(predicted, return_inverse=True, return_counts=True)
    sums = distances @ np.eye(len(sizes))[labels]  # (n, classes)
    rows, class_sizes = np.arange(len(labels)), sizes[labels]
    within = sums[rows, labels] / np.maximum(class_sizes - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    nearest = means.min(axis=1)
    widths = (nearest - within) / np.maximum(np.maximum(within, nearest), np.finfo(np.float64).tiny)
    return float(np.where(class_sizes > 1, widths, 0.0).mean())
