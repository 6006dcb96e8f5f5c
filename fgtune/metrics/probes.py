"""Probes of frozen features: a classifier of fine classes is fitted on the training split and evaluated on another.

They read fine labels and measure what the features contain, not what the model predicts: k nearest neighbours (Wu et
al. 2018, with unweighted votes) and multinomial logistic regression. Both are deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import integers, reals, same_length
from fgtune.metrics.retrieval import nearest_blocks, unit_rows

LINEAR_ITERATIONS = 1000
"""Largest number of steps of the linear probe's optimiser (L-BFGS); a few dozen are usual."""

_CONSTANT = 1e-6
"""A feature whose standard deviation is below this share of its magnitude is constant to within float32."""


@dataclass(frozen=True)
class Standardizer:
    """Shifts and scales features to mean 0 and standard deviation 1 on the samples that it was fitted on.

    Attributes:
        mean: (d,) float64.
        scale: (d,) float64 population standard deviation, infinite for a constant feature, which so becomes 0.
    """

    mean: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, features: npt.ArrayLike) -> Standardizer:
        """Fit to ``features`` (n, d), n >= 1, finite.

        Raises:
            ValueError: No samples, or not a matrix.
            TrialError: NaN or infinity.
        """
        values = reals(features, "train features")
        if len(values) == 0:
            raise ValueError("a probe needs at least one training sample")
        scale = values.std(axis=0)
        constant = scale <= _CONSTANT * np.abs(values).max(axis=0)
        return cls(values.mean(axis=0), np.where(constant, np.inf, scale))

    def __call__(self, features: npt.ArrayLike) -> FloatArray:
        """Standardised ``features`` (n, d), float64.

        Raises:
            ValueError: The number of features differs from the fitted one.
            TrialError: NaN or infinity.
        """
        values = reals(features, "features")
        if values.shape[1] != len(self.mean):
            raise ValueError(f"features must have {len(self.mean)} columns as in training, got {values.shape[1]}")
        return (values - self.mean) / self.scale


def accuracy(preds: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Share of ``preds`` (n,) that equal ``target`` (n,), integers >= 0; nan without samples.

    Example:
        >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
        0.75
    """
    predicted, true = integers(preds, "preds", (1,), 0), integers(target, "target", (1,), 0)
    same_length(len(predicted), len(true), "preds and target")
    return float((predicted == true).mean()) if len(true) else math.nan


def knn_predict(
    train_features: npt.ArrayLike, train_labels: npt.ArrayLike, features: npt.ArrayLike, k: int
) -> IntArray:
    """Majority class among the k nearest training samples by cosine similarity.

    Ties go to the class with the nearest sample, so that the numbering of classes does not matter.

    Args:
        train_features: (n, d) finite, n >= 1.
        train_labels: (n,) integers >= 0.
        features: (m, d) finite.
        k: Number of voting neighbours, at least 1; all n if there are fewer.

    Returns:
        (m,) int64.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> knn_predict([[1, 0], [2, 0], [0, 1]], [4, 4, 7], [[3, 1], [0, 5]], k=1).tolist()
        [4, 7]
    """
    gallery, queries = unit_rows(train_features, "train features"), unit_rows(features, "features")
    labels = integers(train_labels, "train_labels", (1,), 0)
    same_length(len(gallery), len(labels), "train features and train_labels")
    if len(gallery) == 0:
        raise ValueError("a probe needs at least one training sample")
    if gallery.shape[1] != queries.shape[1]:
        raise ValueError(f"features must have {gallery.shape[1]} columns as in training, got {queries.shape[1]}")
    preds = np.empty(len(queries), dtype=np.int64)
    for rows, neighbors in nearest_blocks(queries, gallery, k):
        preds[rows] = _majority(labels[neighbors])
    return preds


def _majority(votes: IntArray) -> IntArray:
    """Most frequent value in each row of ``votes`` (m, k); ties go to the first."""
    keys = np.arange(len(votes))[:, None] * (votes.max() + 1) + votes
    _, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
    winner = counts[which.reshape(votes.shape)].argmax(axis=1)  # position of the first vote for a most frequent class
    return np.take_along_axis(votes, winner[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression on standardised features, as from ``fit_linear``."""

    standardizer: Standardizer
    model: Any

    def predict(self, features: npt.ArrayLike) -> IntArray:
        """(m,) int64 most probable training class of ``features`` (m, d)."""
        values = self.standardizer(features)
        if len(values) == 0:
            return np.empty(0, dtype=np.int64)
        preds: IntArray = self.model.predict(values).astype(np.int64)
        return preds


def fit_linear(train_features: npt.ArrayLike, train_labels: npt.ArrayLike) -> LinearProbe:
    """Fit the linear probe: the sum of cross-entropies plus half the squared weights (scikit-learn's C = 1).

    The penalty is the same for all models, so that probes differ only by features; the intercepts are not penalised. If
    the optimiser does not converge, scikit-learn warns and the last iterate is used.

    Args:
        train_features: (n, d) finite, n >= 1; standardised here.
        train_labels: (n,) integers >= 0.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> fit_linear([[0.0], [0.2], [0.8], [1.0]], [0, 0, 1, 1]).predict([[0.1], [0.9]]).tolist()
        [0, 1]
    """
    standardizer = Standardizer.fit(train_features)
    values = standardizer(train_features)
    labels = integers(train_labels, "train_labels", (1,), 0)
    same_length(len(values), len(labels), "train features and train_labels")
    if len(np.unique(labels)) == 1:
        from sklearn.dummy import DummyClassifier

        return LinearProbe(standardizer, DummyClassifier(strategy="most_frequent").fit(values, labels))
    from sklearn.linear_model import LogisticRegression

    return LinearProbe(standardizer, LogisticRegression(C=1.0, max_iter=LINEAR_ITERATIONS).fit(values, labels))
