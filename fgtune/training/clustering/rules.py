"""Which cluster a sample belongs to, once clusters are found: by centres, by a mixture, by the nearest sample.

A rule gives every cluster a score, a logarithm of its probability up to a constant, so that the same scores serve with
and without a coarse label: the label leaves some clusters, and the best of these is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray

FloatMatrix = npt.NDArray[np.float64]

IMPOSSIBLE = -1e30
"""Score of a cluster without samples: below any other, and finite in float32."""
_ROWS = 4096


class Rule(Protocol):
    """Scores of clusters; a rule is made of arrays alone, by name."""

    def scores(self, points: FloatMatrix) -> FloatMatrix:
        """(n, K_F) logarithm of each cluster's probability, up to a constant a sample, for points (n, d)."""


@dataclass(frozen=True)
class NearestCentre:
    """The rule of k-means: the posterior over equal spherical Gaussians.

    Attributes:
        centers: (K_F, d) float64.
        variance: () float64 variance of a coordinate around the nearest centre, for the confidence.
    """

    centers: FloatMatrix
    variance: FloatMatrix

    def scores(self, points: FloatMatrix) -> FloatMatrix:
        """As ``Rule.scores``."""
        return -squared_distances(points, self.centers) / (2 * float(self.variance))


@dataclass(frozen=True)
class Mixture:
    """The rule of Gaussian mixtures: the posterior over all components, weighted by their shares of the samples.

    Attributes:
        means: (K_F, d) float64.
        factors: (K_F, d, d) upper Cholesky factors U of the precisions U U', or (K_F, d) of diagonal ones.
        log_weights: (K_F,) logarithms of the shares.
    """

    means: FloatMatrix
    factors: FloatMatrix
    log_weights: FloatMatrix

    def scores(self, points: FloatMatrix) -> FloatMatrix:
        """As ``Rule.scores``."""
        scores = np.empty((len(points), len(self.means)))
        for cluster, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            centred = points - mean
            scaled = centred @ factor if factor.ndim == 2 else centred * factor
            root = np.log(np.diagonal(factor) if factor.ndim == 2 else factor).sum()
            scores[:, cluster] = self.log_weights[cluster] + root - (scaled**2).sum(axis=1) / 2
        return scores


@dataclass(frozen=True)
class NearestSample:
    """The rule of clusterings that have none of their own: a sample joins the nearest one that was clustered.

    With more than the nearest sample, or with centres, a sample that was clustered itself could fall to another
    cluster than its own; clusters of these kinds need not be round, either.

    Attributes:
        samples: (m, d) float64 samples that were clustered.
        members: (m,) int64 cluster of each.
        variance: (K_F,) float64, the same number for each cluster: variance of a coordinate around the nearest other
            sample of the cluster, for the confidence.
    """

    samples: FloatMatrix
    members: IntArray
    variance: FloatMatrix

    def scores(self, points: FloatMatrix) -> FloatMatrix:
        """As ``Rule.scores``."""
        scores = np.full((len(points), len(self.variance)), IMPOSSIBLE)
        for cluster in np.unique(self.members):
            own = self.samples[self.members == cluster]
            for start in range(0, len(points), _ROWS):
                nearest = squared_distances(points[start : start + _ROWS], own).min(axis=1)
                scores[start : start + _ROWS, cluster] = -nearest / (2 * self.variance[cluster])
        return scores


_RULES: dict[str, type[NearestCentre | Mixture | NearestSample]] = {
    "centers": NearestCentre,
    "means": Mixture,
    "samples": NearestSample,
}
"""By the array that only it has."""


@dataclass(frozen=True)
class Clusters:
    """Fine classes of a model without a fine head.

    Attributes:
        rule: How a sample gets its cluster, in the projected space if there is one.
        groups: (K_F,) int64 coarse class in the first source in which each cluster was found; -1 for all samples.
        projection: Mean (d,) and principal components (p, d) of the features; None for the features themselves.
    """

    rule: NearestCentre | Mixture | NearestSample
    groups: IntArray
    projection: tuple[FloatMatrix, FloatMatrix] | None = None

    def log_scores(self, features: Float32Array) -> FloatMatrix:
        """(n, K_F) logarithms of the posterior over all clusters, up to a constant a sample, for features (n, d)."""
        return self.rule.scores(projected(features.astype(np.float64), self.projection))

    def allowed(self, scores: FloatMatrix, known: IntArray) -> FloatMatrix:
        """``scores`` (n, K_F), with -inf for clusters of other coarse classes than a sample's own.

        Args:
            scores: From ``log_scores``.
            known: (n,) coarse label in the first source where it belongs to what the clusters were found with, else -1.
        """
        return allowed(scores, self.groups, known)

    def posterior(self, features: Float32Array, known: IntArray | None = None) -> tuple[Float32Array, Float32Array]:
        """Probabilities (n, K_F) of features (n, d), and their logarithms up to a constant a sample.

        Args:
            features: (n, d).
            known: As for ``allowed``; it limits the probabilities, not the logarithms. None limits nothing.
        """
        scores = self.log_scores(features)
        return softmax(scores if known is None else self.allowed(scores, known)), relative(scores)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, by name; ``clusters_of`` reads it back."""
        arrays: dict[str, npt.NDArray[Any]] = {**vars(self.rule), "groups": self.groups}
        if self.projection is not None:
            arrays |= {"projection_mean": self.projection[0], "projection_components": self.projection[1]}
        return arrays


def clusters_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Clusters | None:
    """The clusters that ``Clusters.arrays`` gave, among other arrays; None if there are none.

    Raises:
        KeyError: Some of their arrays are missing.
    """
    for name, rule in _RULES.items():
        if name in arrays:
            fields = {field: arrays[field] for field in rule.__dataclass_fields__}
            size = len(arrays[name]) if rule is not NearestSample else len(arrays["variance"])
            groups = arrays.get("groups", np.full(size, -1, dtype=np.int64))  # earlier versions did not keep them
            projection = None
            if "projection_mean" in arrays:
                projection = arrays["projection_mean"], arrays["projection_components"]
            return Clusters(rule(**fields), groups, projection)
    return None


def allowed(scores: FloatMatrix, groups: IntArray, known: IntArray) -> FloatMatrix:
    """``scores`` (n, K_F), with -inf for classes of other ``groups`` (K_F,) than the one ``known`` (n,); -1 is none."""
    own = known[:, None] == groups
    limited = (known[:, None] >= 0) & own.any(axis=1, keepdims=True) & ~own
    return np.where(limited, -np.inf, scores)


def projected(points: FloatMatrix, projection: tuple[FloatMatrix, FloatMatrix] | None) -> FloatMatrix:
    """Points (n, d), or their (n, p) coordinates on principal components."""
    return points if projection is None else (points - projection[0]) @ projection[1].T


def squared_distances(points: FloatMatrix, centers: FloatMatrix) -> FloatMatrix:
    """(n, k) squared distances of points (n, d) to centres (k, d)."""
    cross = points @ centers.T
    squares = (points**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)
    distances: FloatMatrix = np.maximum(squares - 2 * cross, 0.0)
    return distances


def softmax(scores: FloatMatrix) -> Float32Array:
    """(n, K) probabilities whose logarithms are ``scores`` (n, K) up to a constant a row; -inf is impossible."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs: Float32Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


def relative(scores: FloatMatrix) -> Float32Array:
    """(n, K) ``scores`` relative to the largest of each row, in float32."""
    values: Float32Array = (scores - scores.max(axis=1, keepdims=True)).astype(np.float32)
    return values
