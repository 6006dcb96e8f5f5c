"""GEORGE's clustering of a coarse class: reduced, clustered, over-clustered (Sohoni et al., NeurIPS 2020)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.schema.clustering import GeorgeClusteringConfig
from fgtune.errors import TrialError
from fgtune.training.clustering.rules import FloatMatrix

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_SHORTEST = 1e-6
"""Least norm that a sample is divided by, as released."""


def george_members(
    config: GeorgeClusteringConfig, points: FloatMatrix, clusters: int, seed: int, losses: FloatMatrix | None = None
) -> IntArray:
    """(n,) cluster of each point in [0, clusters); clusters that are not found stay empty.

    Args:
        config: Reduction, search, over-clustering.
        points: (n, d), normalised here sample by sample.
        clusters: How many there may be.
        seed: Seed of reduction and mixtures.
        losses: (n,) coarse cross-entropy of each sample, for the over-clustering; None where it is not known.
    """
    if clusters == 1 or len(points) <= max(config.components, 2):
        return np.zeros(len(points), dtype=np.int64)
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    reduced = _reduced(config, points / np.maximum(norms, _SHORTEST), seed)
    members = base_clusters(reduced, clusters, config.restarts, seed, search=config.search)
    if config.overcluster > 1:
        members = overclustered(config, reduced, members, losses, seed, most=clusters)
    return members


def _reduced(config: GeorgeClusteringConfig, points: FloatMatrix, seed: int) -> FloatMatrix:
    """(n, components) coordinates; the points themselves where there are too few for a reduction."""
    if config.reduction == "none" or len(points) <= max(config.neighbors, config.components + 2):
        return points
    if config.reduction == "pca":
        from sklearn.decomposition import PCA

        found: FloatMatrix = PCA(min(config.components, *points.shape)).fit_transform(points)
        return found
    try:
        from umap import UMAP  # here: it compiles for seconds
    except ImportError as error:
        raise TrialError("clustering.reduction: umap needs umap-learn: pip install 'fgtune[umap]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one thread, as a seed makes it; small graphs
        settings = {"n_components": config.components, "n_neighbors": config.neighbors, "min_dist": 0.0}
        return np.asarray(UMAP(random_state=seed % 2**32, **settings).fit_transform(points), dtype=np.float64)


def base_clusters(points: FloatMatrix, most: int, restarts: int, seed: int, *, search: bool) -> IntArray:
    """(n,) members of a Gaussian mixture of ``most`` components, or of so many that clusters' silhouettes are largest.

    The score of a number is the mean over its clusters of the mean silhouette of each; of equal ones the last counts.
    """
    from sklearn.metrics import silhouette_samples

    most = min(most, len(points) - 1)
    best, found = -np.inf, np.zeros(len(points), dtype=np.int64)
    for number in range(2, most + 1) if search else [most]:
        members = _mixture(points, number, restarts, seed).predict(points)
        present = np.unique(members)
        if len(present) < 2:
            continue
        silhouettes = silhouette_samples(points, members)
        score = float(np.mean([silhouettes[members == cluster].mean() for cluster in present]))
        if score >= best:
            best, found = score, members
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def overclustered(
    config: GeorgeClusteringConfig,
    points: FloatMatrix,
    members: IntArray,
    losses: FloatMatrix | None,
    seed: int,
    most: int | None = None,
) -> IntArray:
    """(n,) members, once parts of clusters that stand apart have become clusters of their own.

    Each cluster is divided into parts. A part is kept if its samples' mean silhouette among all parts is above 0 and
    above that among the clusters, if their mean loss is not below that of the cluster, and if it has enough samples;
    the other parts of a cluster stay together.

    Args:
        config: Parts of a cluster, and how many samples one needs.
        points: (n, d).
        members: (n,) clusters, numbered without gaps.
        losses: (n,) or None, for no condition on losses.
        seed: Seed of the mixtures.
        most: Clusters there may be; of more parts, those whose silhouette gains most are kept. None for any number.
    """
    from sklearn.metrics import silhouette_samples

    number = int(members.max()) + 1
    parts = np.zeros(len(points), dtype=np.int64)
    for cluster in range(number):
        own = members == cluster
        if own.sum() > config.overcluster:
            parts[own] = _mixture(points[own], config.overcluster, config.restarts, seed).predict(points[own])
    parts += members * config.overcluster
    if number < 2 or len(np.unique(parts)) == number:
        return members
    before, after = silhouette_samples(points, members), silhouette_samples(points, parts)
    least = max(config.min_share * len(points), config.min_samples)
    gains: dict[int, float] = {}
    for part in np.unique(parts).tolist():
        own, whole = parts == part, members == part // config.overcluster
        apart = after[own].mean() > max(before[own].mean(), 0.0)
        hard = losses is None or losses[own].mean() >= losses[whole].mean()
        if apart and hard and own.sum() >= least:
            gains[part] = float(after[own].mean() - before[own].mean())
    kept: list[int] = []
    for part in sorted(gains, key=lambda each: (-gains[each], each)):
        if most is None or len(np.unique(_merged(parts, members, [*kept, part]))) <= most:
            kept.append(part)
    return np.unique(_merged(parts, members, kept), return_inverse=True)[1].astype(np.int64)


def _merged(parts: IntArray, members: IntArray, kept: list[int]) -> IntArray:
    """(n,) the part of each sample where it is kept, else minus 1 minus its cluster."""
    return np.where(np.isin(parts, kept), parts, -1 - members)


def _mixture(points: FloatMatrix, clusters: int, restarts: int, seed: int) -> GaussianMixture:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(clusters, n_init=restarts, random_state=seed % 2**32).fit(points)
