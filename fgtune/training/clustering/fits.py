"""Clustering one set of points by each kind of algorithm, all scikit-learn's, also where there is little to cluster."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.clustering import (
    AgglomerativeClusteringConfig,
    GeorgeClusteringConfig,
    GmmClusteringConfig,
    SpectralClusteringConfig,
)
from fgtune.errors import TrialError
from fgtune.streams import drawn_rows
from fgtune.training.clustering.george import george_members
from fgtune.training.clustering.rules import FloatMatrix

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

KMEANS_RESTARTS = 10
"""Of the k-means that divides clusters among coarse classes, where the kind itself has no restarts."""


def check_size(samples: int, clusters: int) -> None:
    """Raise ``TrialError`` unless there are as many samples as clusters."""
    if samples < clusters:
        raise TrialError(f"{clusters} clusters need as many training samples, there are {samples}")


def kmeans_of(
    points: npt.NDArray[np.floating], clusters: int, restarts: int, seed: int, start: FloatMatrix | None = None
) -> KMeans:
    """The best of some runs of k-means, or the one that starts from centres (clusters, d)."""
    from sklearn.cluster import KMeans

    check_size(len(points), clusters)
    first = {"n_init": restarts} if start is None else {"n_init": 1, "init": start.astype(points.dtype)}
    return KMeans(clusters, random_state=seed % 2**32, **first).fit(points)


def fit_kmeans(
    points: npt.NDArray[np.floating], clusters: int, restarts: int, seed: int, start: FloatMatrix | None = None
) -> tuple[float, FloatMatrix]:
    """Sum of squared distances to the nearest centre, and centres (clusters, d); arguments as for ``kmeans_of``."""
    fitted = kmeans_of(points, clusters, restarts, seed, start)
    return float(fitted.inertia_), np.asarray(fitted.cluster_centers_, dtype=np.float64)


@dataclass(frozen=True)
class FittedMixture:
    """A Gaussian mixture: weights (k,), means (k, d), and factors as in ``rules.Mixture``."""

    weights: FloatMatrix
    means: FloatMatrix
    factors: FloatMatrix


def fit_mixture(config: GmmClusteringConfig, points: FloatMatrix, clusters: int, seed: int) -> FittedMixture:
    """A mixture of ``clusters`` Gaussians; covariances get a share of the mean variance, so that none is singular."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    check_size(len(points), clusters)
    floor = max(config.regularization * float(points.var(axis=0).mean()), 1e-9)
    if len(points) == 1:  # scikit-learn wants two samples
        root = 1 / np.sqrt(floor)
        shape = points.shape[1]
        factor = np.full(shape, root) if config.covariance == "diag" else np.eye(shape) * root
        return FittedMixture(np.ones(1), points, factor[None])
    fitted = GaussianMixture(
        clusters,
        covariance_type=config.covariance,
        reg_covar=floor,
        n_init=config.restarts,
        max_iter=200,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after 200 steps, or among duplicates
        fitted.fit(points)
    factors = fitted.precisions_cholesky_
    if config.covariance == "tied":
        factors = np.repeat(factors[None], clusters, axis=0)
    return FittedMixture(fitted.weights_, fitted.means_, factors)


def fit_members(
    config: SpectralClusteringConfig | AgglomerativeClusteringConfig | GeorgeClusteringConfig,
    points: FloatMatrix,
    clusters: int,
    seed: int,
    losses: FloatMatrix | None = None,
) -> IntArray:
    """(n,) cluster of each point, in [0, clusters); ``losses`` (n,) are those of the points, for GEORGE alone."""
    check_size(len(points), clusters)
    if isinstance(config, GeorgeClusteringConfig):
        return george_members(config, points, clusters, seed, losses)
    if clusters == 1:
        return np.zeros(len(points), dtype=np.int64)
    if clusters == len(points):
        return np.arange(clusters, dtype=np.int64)
    if isinstance(config, SpectralClusteringConfig):
        return _spectral(config, points, clusters, seed)
    from sklearn.cluster import AgglomerativeClustering

    members: IntArray = AgglomerativeClustering(clusters, linkage=config.linkage).fit_predict(points).astype(np.int64)
    return members


def _spectral(config: SpectralClusteringConfig, points: FloatMatrix, clusters: int, seed: int) -> IntArray:
    """Spectral clustering of the graph of nearest neighbours.

    A graph with more parts than there are clusters says too little, so that neighbours are doubled until it has fewer;
    with fewer, or as many, the embedding tells the parts apart.
    """
    from scipy.sparse.csgraph import connected_components
    from sklearn.cluster import SpectralClustering
    from sklearn.neighbors import kneighbors_graph

    neighbors = min(config.neighbors, len(points) - 1)
    while True:
        directed = kneighbors_graph(points, neighbors + 1, include_self=True)
        graph = (0.5 * (directed + directed.T)).tocsr()
        parts, members = connected_components(graph, directed=False)
        if parts <= clusters or neighbors == len(points) - 1:
            break
        neighbors = min(2 * neighbors, len(points) - 1)
    if parts == clusters:
        exact: IntArray = members.astype(np.int64)
        return exact
    fitted = SpectralClustering(
        clusters, affinity="precomputed", n_init=config.restarts, random_state=seed % 2**32, eigen_tol=1e-8
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        found: IntArray = fitted.fit_predict(graph).astype(np.int64)
    return found


def subsample(points: FloatMatrix, limit: int, seed: int, part: int) -> FloatMatrix:
    """At most ``limit`` of the points, drawn by seed, in their order."""
    return points[drawn_rows(len(points), limit, seed, "clustered", part)]
