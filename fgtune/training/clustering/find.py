"""Finding clusters of training features, within coarse classes or globally (as in GEORGE).

Clusters are found on the training split. A training sample belongs to a cluster of its own coarse class, among whose
samples it was clustered; a sample that was held out comes without its label, as for a fine head, and belongs to the
best of all clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.clustering import (
    ClusteringConfig,
    GmmClusteringConfig,
    KMeansClusteringConfig,
    PointClusteringConfig,
)
from fgtune.data.base import TrainingView
from fgtune.data.label_sets import set_groups
from fgtune.errors import TrialError
from fgtune.training.clustering.fits import KMEANS_RESTARTS, fit_kmeans, fit_members, fit_mixture, subsample
from fgtune.training.clustering.rules import (
    Clusters,
    FloatMatrix,
    Mixture,
    NearestCentre,
    NearestSample,
    projected,
    squared_distances,
)
from fgtune.training.clustering.sizes import grown_clusters

Points = npt.NDArray[np.floating]


def clustered_groups(view: TrainingView, num_fine: int) -> tuple[IntArray, IntArray | None]:
    """The groups of training samples that clusters are found within.

    Args:
        view: What training sees.
        num_fine: K_F.

    Returns:
        (n_train,) coarse class in the first source, or number of the sample's set of labels, -1 for none; and, with
        sets of labels, (sets, labels) the at most K_F sets that are numbered, those of most samples.
    """
    if not view.label_sets:
        return view.train_coarse[:, 0], None
    return set_groups(view.train_coarse, num_fine)


def find_clusters(
    config: PointClusteringConfig,
    features: Float32Array,
    groups: IntArray,
    num_fine: int,
    seed: int,
    sizes: Sequence[int] | None = None,
    near: Clusters | None = None,
    losses: Float32Array | None = None,
) -> Clusters:
    """Divide features into ``num_fine`` clusters.

    Args:
        config: Kind, scope, sizes, projection.
        features: (n, d) of the training split.
        groups: (n,) coarse class of each sample in the first source, -1 for none; used only by ``scope: coarse``.
        num_fine: K_F.
        seed: Seed of restarts and subsamples.
        sizes: Clusters of each coarse class that has samples, summing to ``num_fine``, in place of ``config.sizes``;
            only with ``scope: coarse``.
        near: Clusters of nearly the same features: k-means goes on from their centres, and they keep their sizes.
        losses: (n,) coarse cross-entropy of each sample, where a coarse head has one; only GEORGE asks for it.

    Raises:
        TrialError: There are fewer samples than clusters, overall or in a coarse class; fewer features or samples than
            principal components.
    """
    projection = None if config.pca is None else _components(features, config.pca)
    points: Points = features if projection is None else projected(features.astype(np.float64), projection)
    centers = None
    if config.scope == "global":
        parts, numbers, of_parts = [points], [num_fine], [-1]
        hard = [None if losses is None else losses.astype(np.float64)]
    else:
        of_parts = np.unique(groups[groups >= 0]).tolist()
        hard = [None if losses is None else losses[groups == group].astype(np.float64) for group in of_parts]
        parts = [points[groups == group] for group in of_parts]
        if sizes is not None:
            numbers = list(sizes)
        elif near is not None:
            numbers = [int((near.groups == group).sum()) for group in of_parts]
        else:
            numbers, centers = divided(config, parts, num_fine, seed)
    owners = np.repeat(np.array(of_parts, dtype=np.int64), numbers)
    if near is not None and isinstance(config, KMeansClusteringConfig) and isinstance(near.rule, NearestCentre):
        old = [near.rule.centers[near.groups == part] for part in of_parts]
        fits = zip(parts, numbers, old, strict=True)
        centers = [fit_kmeans(part, number, 1, seed, start)[1] for part, number, start in fits]
    return Clusters(_rule(config, points, parts, numbers, seed, centers, hard), owners, projection)


def _components(features: Float32Array, wanted: float) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean (d,) and principal components (p, d): so many, or as many as explain this share of the variance."""
    from sklearn.decomposition import PCA

    most = min(features.shape)
    if isinstance(wanted, int) and wanted > most:
        samples, dim = features.shape
        needed = f"{wanted} principal components need as many features and training samples"
        raise TrialError(f"clustering.pca: {needed}, there are {dim} and {samples}")
    fitted = PCA(wanted, svd_solver="full").fit(features.astype(np.float64))
    return fitted.mean_, fitted.components_


def _rule(
    config: PointClusteringConfig,
    points: Points,
    parts: list[Points],
    sizes: list[int],
    seed: int,
    grown: list[FloatMatrix] | None,
    losses: Sequence[FloatMatrix | None],
) -> NearestCentre | Mixture | NearestSample:
    """The clusters of all parts together; ``grown`` are the centres of k-means, where sizes came of it."""
    if isinstance(config, KMeansClusteringConfig):
        pairs = zip(parts, sizes, strict=True)
        centers = np.concatenate(grown or [fit_kmeans(part, size, config.restarts, seed)[1] for part, size in pairs])
        squares = squared_distances(points.astype(np.float64), centers).min(axis=1)
        return NearestCentre(centers, np.array(max(float(squares.mean()) / points.shape[1], 1e-12)))
    exact = [part.astype(np.float64) for part in parts]
    if isinstance(config, GmmClusteringConfig):
        mixtures = [fit_mixture(config, part, size, seed) for part, size in zip(exact, sizes, strict=True)]
        shares = np.array([len(part) for part in parts]) / sum(map(len, parts))
        weights = np.concatenate([share * each.weights for share, each in zip(shares, mixtures, strict=True)])
        means, factors = (np.concatenate([getattr(each, name) for each in mixtures]) for name in ("means", "factors"))
        return Mixture(means, factors, np.log(weights))
    kept = [subsample(part, config.max_samples, seed, rank) for rank, part in enumerate(exact)]
    starts = np.cumsum([0, *sizes])
    hard = [
        None if each is None else subsample(each, config.max_samples, seed, rank) for rank, each in enumerate(losses)
    ]
    members = [
        start + fit_members(config, part, size, seed, loss)
        for start, part, size, loss in zip(starts, kept, sizes, hard, strict=False)
    ]
    return _nearest_sample(np.concatenate(kept), np.concatenate(members), sum(sizes))


def _nearest_sample(samples: FloatMatrix, members: IntArray, clusters: int) -> NearestSample:
    """The rule of clustered samples, with the mean squared distance to the nearest other one of the same cluster."""
    from sklearn.neighbors import NearestNeighbors

    squares = []
    for cluster in range(clusters):
        own = samples[members == cluster]
        if len(own) > 1:
            squares.append(NearestNeighbors(n_neighbors=1).fit(own).kneighbors()[0][:, 0] ** 2)
    near = float(np.concatenate(squares).mean()) if squares else 1.0
    variance = max(near / samples.shape[1], 1e-12)
    return NearestSample(samples, members, np.full(clusters, variance))


def divided(
    config: ClusteringConfig, parts: list[Points], num_fine: int, seed: int
) -> tuple[list[int], list[FloatMatrix] | None]:
    """The number of clusters of each coarse class, and the centres of k-means where that has said it."""
    if len(parts) > num_fine:
        raise TrialError(f"{num_fine} clusters cannot cover {len(parts)} coarse classes")
    if config.sizes == "balanced":
        return [num_fine // len(parts) + (rank < num_fine % len(parts)) for rank in range(len(parts))], None
    centers = grown_clusters(parts, num_fine, getattr(config, "restarts", KMEANS_RESTARTS), seed)
    return [len(each) for each in centers], centers
