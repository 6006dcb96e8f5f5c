"""How far clusterings of subsamples agree over the number of clusters, above what a structureless class would show.

A division into too many or too few clusters depends on the samples drawn, so that clusterings of two subsamples differ
(Ben-Hur, Elisseeff and Guyon 2002). Any cloud is divided reproducibly along its longest axes, though, and more so into
few clusters; so agreement is related to that of Gaussian samples of the same covariance, as kappa relates agreement to
chance. Whether there is anything to divide is asked by how tight the clusters are, against the same Gaussian samples
(Tibshirani, Walther and Hastie 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import AgreementEstimatorConfig
from fgtune.metrics.agreement import group_agreement
from fgtune.training.clustering.fits import fit_kmeans, kmeans_of

_FEWEST = 10
"""Fewest samples that a cluster has on average, at the largest number of clusters tried."""


def reproducible_clusters(points: FloatArray, config: AgreementEstimatorConfig, rng: np.random.Generator) -> int:
    """The number of clusters in the points of one coarse class.

    Args:
        points: (m, d) scores on principal components, so that their covariance is diagonal.
        config: Largest number, subsamples, references, tolerance and threshold.
        rng: Draws of subsamples, k-means starts and references.
    """
    scale = points.std(axis=0)
    drawn = [rng.standard_normal(points.shape) * scale for _ in range(config.references)]
    curve = agreement_curve(points, drawn, config, rng)
    chosen = most_reproducible(curve, config.tolerance, config.threshold)
    if chosen == 1:
        return 1
    own = unexplained(points, chosen, config.restarts, rng)
    return chosen if all(own < unexplained(each, chosen, config.restarts, rng) for each in drawn) else 1


def agreement_curve(
    points: FloatArray, drawn: Sequence[FloatArray], config: AgreementEstimatorConfig, rng: np.random.Generator
) -> Mapping[int, float]:
    """For each number of clusters from 2 on, how much of the room above the references' agreement is reached.

    Args:
        points: (m, d).
        drawn: References, each (m, d).
        config: Largest number, subsamples.
        rng: Draws of subsamples and k-means starts.

    Returns:
        (A - R) / (1 - R) by number of clusters, at most 1: A is the mean adjusted Rand index between pairs of
        subsamples' clusterings of all points, R the same for the references. Empty where points are too few.
    """
    numbers = range(2, min(config.max_per_coarse, len(np.unique(points, axis=0)) // _FEWEST) + 1)
    if not len(numbers):
        return {}
    own = _agreements(points, numbers, config, rng)
    expected = np.mean([_agreements(each, numbers, config, rng) for each in drawn], axis=0)
    return dict(zip(numbers, relative_to_expected(own, expected).tolist(), strict=True))


def relative_to_expected(found: FloatArray, expected: FloatArray) -> FloatArray:
    """(found - expected) / (1 - expected); 1 where agreement is perfect, whatever was expected.

    Example:
        >>> relative_to_expected(np.array([0.9, 1.0]), np.array([0.6, 1.0])).tolist()
        [0.75, 1.0]
    """
    perfect = found >= 1 - 1e-9
    return np.where(perfect, 1.0, (found - expected) / np.maximum(1 - expected, 1e-9))


def most_reproducible(curve: Mapping[int, float], tolerance: float, threshold: float) -> int:
    """The largest number that comes within the tolerance of the best; 1 where none reaches the threshold.

    Groups of classes are as reproducible as the classes themselves, so a smaller number that is as good says nothing
    against a larger one.

    Example:
        >>> curve = {2: 0.84, 3: 0.4, 4: 0.8, 5: 0.5}
        >>> most_reproducible(curve, tolerance=0.05, threshold=0.25), most_reproducible(curve, 0.0, 0.25)
        (4, 2)
        >>> most_reproducible(curve, 0.0, threshold=0.9)
        1
    """
    best = max(curve.values(), default=-np.inf)
    if best < threshold:
        return 1
    return max(number for number, value in curve.items() if value >= best - tolerance)


def unexplained(points: FloatArray, clusters: int, restarts: int, rng: np.random.Generator) -> float:
    """Share of the sum of squares that k-means leaves within clusters."""
    left, _ = fit_kmeans(points, clusters, restarts, int(rng.integers(2**32)))
    return float(left / ((points - points.mean(axis=0)) ** 2).sum())


def _agreements(
    points: FloatArray, numbers: range, config: AgreementEstimatorConfig, rng: np.random.Generator
) -> FloatArray:
    """(numbers,) mean adjusted Rand index over pairs of subsamples."""
    size = max(round(config.share * len(points)), numbers[-1])
    parts = [rng.choice(len(points), size=size, replace=False) for _ in range(config.repeats)]
    return np.array([_agreement(points, parts, number, config.restarts, rng) for number in numbers])


def _agreement(
    points: FloatArray, parts: Sequence[IntArray], number: int, restarts: int, rng: np.random.Generator
) -> float:
    labels = []
    for part in parts:
        fitted = kmeans_of(points[part], number, restarts, int(rng.integers(2**32)))
        labels.append(fitted.predict(points).astype(np.int64))
    whole = np.zeros(len(points), dtype=np.int64)
    return float(np.mean([group_agreement(one, two, whole, 1)[0][0] for one, two in combinations(labels, 2)]))
