"""Fine classes for methods that learn none: k-means on features, within coarse classes or globally (as in GEORGE).

Clusters are found on the training split. A training sample belongs to the nearest centre of its own coarse class, among
whose samples it was clustered; a sample that was held out comes without its label, as for a fine head, and belongs to
the nearest centre of all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.classes import ClusteringConfig
from fgtune.errors import TrialError


class ClusteredClasses:
    """Centres of ``num_fine`` clusters of training features.

    Args:
        config: Scope, sizes, restarts.
        features: (n, d) of the training split.
        groups: (n,) coarse class of each sample in the first source, -1 for none; used only by ``scope: coarse``.
        num_fine: K_F.
        seed: Seed of the k-means restarts.

    Attributes:
        centers: (num_fine, d) float64.
        groups: (num_fine,) int64 coarse class in the first source that each cluster was found in; -1 for all samples.
        variance: Variance of a feature around its nearest centre, pooled over clusters and dimensions.

    Raises:
        TrialError: There are fewer samples than clusters, overall or in a coarse class.
    """

    def __init__(
        self, config: ClusteringConfig, features: Float32Array, groups: IntArray, num_fine: int, seed: int
    ) -> None:
        self._config, self._seed = config, seed
        if config.scope == "global":
            self.centers = self._fit(features, num_fine)[1]
            self.groups: IntArray = np.full(num_fine, -1, dtype=np.int64)
        else:
            found = self._fit_within(features, groups, num_fine)
            self.centers = np.concatenate(found)
            self.groups = np.repeat(np.unique(groups[groups >= 0]), [len(each) for each in found])
        squares = squared_distances(features, self.centers).min(axis=1)
        self.variance = max(float(squares.mean()) / features.shape[1], 1e-12)

    def _fit(self, features: Float32Array, clusters: int) -> tuple[float, npt.NDArray[np.float64]]:
        """Sum of squared distances to the nearest centre, and centres (clusters, d)."""
        from sklearn.cluster import KMeans

        if len(features) < clusters:
            raise TrialError(f"{clusters} clusters need as many training samples, there are {len(features)}")
        fitted = KMeans(clusters, n_init=self._config.restarts, random_state=self._seed % 2**32).fit(features)
        return float(fitted.inertia_), np.asarray(fitted.cluster_centers_, dtype=np.float64)

    def _fit_within(self, features: Float32Array, groups: IntArray, num_fine: int) -> list[npt.NDArray[np.float64]]:
        parts = [features[groups == group] for group in np.unique(groups[groups >= 0])]
        if len(parts) > num_fine:
            raise TrialError(f"{num_fine} clusters cannot cover {len(parts)} coarse classes")
        if self._config.sizes == "balanced":
            sizes = [num_fine // len(parts) + (rank < num_fine % len(parts)) for rank in range(len(parts))]
            return [self._fit(part, size)[1] for part, size in zip(parts, sizes, strict=True)]
        return self._grow(parts, num_fine)

    def _grow(self, parts: list[Float32Array], num_fine: int) -> list[npt.NDArray[np.float64]]:
        """Give each coarse class one cluster, then each further cluster where it lowers the sum of squares most."""
        fits = [[self._fit(part, 1)] for part in parts]
        sizes = [1] * len(parts)
        for _ in range(num_fine - len(parts)):
            for part, fit, size in zip(parts, fits, sizes, strict=True):
                if len(fit) == size and len(part) > size:
                    fit.append(self._fit(part, size + 1))
            gains = [
                fit[size - 1][0] - fit[size][0] if len(fit) > size else -np.inf
                for fit, size in zip(fits, sizes, strict=True)
            ]
            best = int(np.argmax(gains))
            if gains[best] == -np.inf:
                raise TrialError(f"{num_fine} clusters need as many training samples with a coarse label")
            sizes[best] += 1
        return [fit[size - 1][1] for fit, size in zip(fits, sizes, strict=True)]

    def log_scores(self, features: Float32Array) -> npt.NDArray[np.float64]:
        """(n, K_F) logarithm of the posterior over all clusters, up to a constant a sample; see ``log_scores``."""
        return log_scores(features, self.centers, self.variance)

    def probabilities(self, features: Float32Array, known: IntArray | None = None) -> Float32Array:
        """(n, K_F) posterior over the clusters.

        Args:
            features: (n, d).
            known: (n,) coarse label in the first source where it belongs to what the clusters were found with, else -1:
                such a sample belongs to a cluster of its own coarse class. None for no labels.
        """
        scores = self.log_scores(features)
        if known is not None:
            own = known[:, None] == self.groups
            scores[(known[:, None] >= 0) & own.any(axis=1, keepdims=True) & ~own] = -np.inf
        return softmax(scores)


def squared_distances(features: Float32Array, centers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, K_F) squared distances of features (n, d) to centres (K_F, d)."""
    values = features.astype(np.float64)
    cross = values @ centers.T
    squares = (values**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)
    distances: npt.NDArray[np.float64] = np.maximum(squares - 2 * cross, 0.0)
    return distances


def log_scores(features: Float32Array, centers: npt.NDArray[np.float64], variance: float) -> npt.NDArray[np.float64]:
    """(n, K_F) log-posterior, up to a constant a sample, of equal spherical Gaussians at centres (K_F, d)."""
    return -squared_distances(features, centers) / (2 * variance)


def relative(scores: npt.NDArray[np.float64]) -> Float32Array:
    """(n, K) ``scores`` relative to the largest of each row, in float32."""
    values: Float32Array = (scores - scores.max(axis=1, keepdims=True)).astype(np.float32)
    return values


def softmax(scores: npt.NDArray[np.float64]) -> Float32Array:
    """(n, K) probabilities whose logarithms are ``scores`` (n, K) up to a constant a row; -inf is impossible."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs: Float32Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs
