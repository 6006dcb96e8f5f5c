"""Estimates K_F from the training split without fine labels: clusters within each coarse class, summed.

FALCON (ICML 2024), table 6, estimates K_F in advance with a deep embedding (Wang et al. 2018), of which
``deep_embedding`` has the steps. The others find clusters in the raw inputs, projected on the principal components of
their coarse class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import (
    AgreementEstimatorConfig,
    ClassesConfig,
    DeepEmbeddingEstimatorConfig,
    EstimatorConfig,
    KMeansEstimatorConfig,
    PruningEstimatorConfig,
    SilhouetteEstimatorConfig,
    StabilityEstimatorConfig,
)
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Inputs, TrainingView
from fgtune.errors import TrialError
from fgtune.metrics.label_free import silhouette
from fgtune.streams import numpy_stream
from fgtune.training.clustering.fits import fit_kmeans
from fgtune.training.estimation.agreement import reproducible_clusters
from fgtune.training.estimation.components import principal_scores
from fgtune.training.estimation.deep_embedding import embedded_clusters
from fgtune.training.estimation.pruning import merge_redundant, mixture_labels

Count = Callable[[FloatArray, EstimatorConfig, np.random.Generator], int]
"""Number of clusters in (m, d) points, of which at least four differ."""

_DEVIATIONS = 2.0
"""Standard deviations by which a silhouette must exceed the prediction for a new Gaussian sample."""
_FEWEST = 4
"""A coarse class with fewer distinct samples counts as one fine class."""


def with_num_fine(config: TrialConfig, view: TrainingView, seed: int) -> tuple[TrialConfig, int]:
    """The config with ``classes.num_fine`` as a number, estimated if it says ``estimate``; and that number.

    Args:
        config: Resolved trial config.
        view: What training may see.
        seed: The block, which determines the estimate.

    Raises:
        TrialError: The config is not resolved (it has a ratio), or an input is not finite.
    """
    classes = config.classes
    if classes.number is not None:
        return config, classes.number
    if classes.estimator is None:
        raise TrialError("the trial config is not resolved: classes.num_fine is None")
    found = estimate_num_fine(classes.estimator, view, seed)
    return config.model_copy(update={"classes": ClassesConfig(num_fine=found)}), found


def estimate_num_fine(config: EstimatorConfig, view: TrainingView, seed: int) -> int:
    """K_F, at least the number of coarse classes.

    With several sources the largest estimate counts, since a source that labels few samples sees few of the fine
    classes. Unlabelled samples are left out; a coarse class without samples counts as one fine class. An estimator with
    ``scope: all`` reads no labels: it counts clusters among all training samples.

    Args:
        config: The estimator.
        view: Inputs and coarse labels of the training split.
        seed: Seed of all that is drawn: subsamples, starts, reference samples, weights.

    Raises:
        TrialError: An input is not finite.
    """
    if _counts_all(config):
        found = _clusters(config, view.inputs, view.train, numpy_stream(seed, "num_fine", "all"))
        return max(found, *view.num_coarse)
    return max(sum(found) for found in estimate_per_coarse(config, view, seed))


def estimate_per_coarse(config: EstimatorConfig, view: TrainingView, seed: int) -> tuple[tuple[int, ...], ...]:
    """For each source, the number of fine classes found in each of its coarse classes, each at least 1.

    Raises:
        TrialError: An input is not finite, or the estimator has ``scope: all`` and so counts in no coarse class alone.
    """
    if _counts_all(config):
        raise TrialError("classes.estimator has scope: all and counts in no coarse class alone; use scope: coarse")
    found = []
    for source, num_coarse in enumerate(view.num_coarse):
        numbers = []
        for coarse in range(num_coarse):
            rows = view.train[view.train_coarse[:, source] == coarse]
            numbers.append(_clusters(config, view.inputs, rows, numpy_stream(seed, "num_fine", source, coarse)))
        found.append(tuple(numbers))
    return tuple(found)


def _counts_all(config: EstimatorConfig) -> bool:
    """Whether an estimator counts among all training samples at once."""
    return isinstance(config, DeepEmbeddingEstimatorConfig) and config.scope == "all"


def _clusters(config: EstimatorConfig, inputs: Inputs, rows: IntArray, rng: np.random.Generator) -> int:
    """The number of clusters among these rows, at least 1."""
    if len(rows) > config.max_samples:
        rows = np.sort(rng.choice(rows, size=config.max_samples, replace=False))
    points = _values(inputs, rows)
    if len(points) < _FEWEST:
        return 1
    points -= points.mean(axis=0)
    if isinstance(config, KMeansEstimatorConfig):
        points = principal_scores(points, config.pca_variance)
    return ESTIMATORS[config.kind](points, config, rng) if _has_enough(points) else 1


def _has_enough(points: FloatArray) -> bool:
    """Whether so many samples differ that there may be more than one class; reads no further than it must."""
    distinct: list[FloatArray] = []
    for point in points:
        if not any(np.array_equal(point, each) for each in distinct):
            distinct.append(point)
            if len(distinct) == _FEWEST:
                return True
    return False


def _values(inputs: Inputs, rows: IntArray) -> FloatArray:
    """(m, p) these rows as flat vectors; ``TrialError`` where one is not finite."""
    samples = inputs[rows]
    values = samples.reshape(len(rows), math.prod(samples.shape[1:])).astype(np.float64)
    if not np.isfinite(values).all():
        raise TrialError("the estimate of num_fine met inputs that are not finite")
    return values


def kmeans(points: FloatArray, clusters: int, config: KMeansEstimatorConfig, rng: np.random.Generator) -> FloatArray:
    """(clusters, d) centres of the best of ``config.restarts`` runs."""
    return fit_kmeans(points, clusters, config.restarts, int(rng.integers(2**32)))[1]


def nearest(points: FloatArray, centers: FloatArray) -> IntArray:
    """(m,) int64 nearest centre of each point."""
    found: IntArray = ((centers**2).sum(axis=1) - 2 * points @ centers.T).argmin(axis=1).astype(np.int64)
    return found


def _by_agreement(points: FloatArray, config: EstimatorConfig, rng: np.random.Generator) -> int:
    if not isinstance(config, AgreementEstimatorConfig):
        raise TypeError(f"expected an agreement estimator, got {config.kind}")
    return reproducible_clusters(points, config, rng)


def _by_deep_embedding(points: FloatArray, config: EstimatorConfig, rng: np.random.Generator) -> int:
    if not isinstance(config, DeepEmbeddingEstimatorConfig):
        raise TypeError(f"expected a deep embedding estimator, got {config.kind}")
    return embedded_clusters(points, config, int(rng.integers(2**32)))


def _by_pruning(points: FloatArray, config: EstimatorConfig, rng: np.random.Generator) -> int:
    if not isinstance(config, PruningEstimatorConfig):
        raise TypeError(f"expected a pruning estimator, got {config.kind}")
    # A component needs at least two points to say anything about the variance.
    most = min(config.max_per_coarse, len(np.unique(points, axis=0)) // 2)
    labels = mixture_labels(points, kmeans(points, most, config, rng))
    if config.axis_cost is not None:
        labels = merge_redundant(points, labels, config.axis_cost)
    return len(np.unique(labels))


def _by_silhouette(points: FloatArray, config: EstimatorConfig, rng: np.random.Generator) -> int:
    if not isinstance(config, SilhouetteEstimatorConfig):
        raise TypeError(f"expected a silhouette estimator, got {config.kind}")

    def best(values: FloatArray) -> tuple[float, int]:
        """The largest mean silhouette and its number of clusters, the smaller one if tied."""
        most = min(config.max_per_coarse, len(np.unique(values, axis=0)) - 1)
        scores = [
            (silhouette(values, nearest(values, kmeans(values, k, config, rng)), len(values), rng), -k)
            for k in range(2, most + 1)
        ]
        score, negative = max(scores)
        return score, -negative

    score, clusters = best(points)
    scale = points.std(axis=0)  # of principal components: their covariance is diagonal
    expected = [best(rng.standard_normal(points.shape) * scale)[0] for _ in range(config.references)]
    margin = _DEVIATIONS * float(np.std(expected, ddof=1)) * math.sqrt(1 + 1 / config.references)
    return clusters if score > float(np.mean(expected)) + margin else 1


def _by_stability(points: FloatArray, config: EstimatorConfig, rng: np.random.Generator) -> int:
    """The largest k with a mean prediction strength of at least the threshold; 1 always has strength 1."""
    if not isinstance(config, StabilityEstimatorConfig):
        raise TypeError(f"expected a stability estimator, got {config.kind}")
    half = len(points) // 2
    chosen = 1
    for k in range(2, min(config.max_per_coarse, half // 2) + 1):
        strengths = []
        for _ in range(config.repeats):
            order = rng.permutation(len(points))
            first, second = points[order[:half]], points[order[half:]]
            if min(len(np.unique(part, axis=0)) for part in (first, second)) < k:
                strengths.append(0.0)
                continue
            centers = kmeans(first, k, config, rng), kmeans(second, k, config, rng)
            strengths.append(prediction_strength(nearest(second, centers[0]), nearest(second, centers[1]), k))
        if float(np.mean(strengths)) >= config.threshold:
            chosen = k
    return chosen


def prediction_strength(predicted: IntArray, labels: IntArray, clusters: int) -> float:
    """Smallest share, over the clusters of one half, of pairs that the other half's centres keep together.

    Tibshirani and Walther (2005), equation 2.1.

    Args:
        predicted: (n,) in [0, clusters): nearest of the other half's centres.
        labels: (n,) in [0, clusters): nearest of this half's centres.
        clusters: Number of clusters in each half.

    Returns:
        In [0, 1]; a cluster of fewer than two points has strength 0.
    """
    counts = np.bincount(labels * clusters + predicted, minlength=clusters**2).reshape(clusters, clusters)
    sizes = counts.sum(axis=1)
    together = (counts * (counts - 1)).sum(axis=1)
    return float(np.min(together / np.maximum(sizes * (sizes - 1), 1)))


ESTIMATORS: Mapping[str, Count] = {
    "agreement": _by_agreement,
    "deep_embedding": _by_deep_embedding,
    "pruning": _by_pruning,
    "silhouette": _by_silhouette,
    "stability": _by_stability,
}
"""Estimators by the ``kind`` of their config."""
