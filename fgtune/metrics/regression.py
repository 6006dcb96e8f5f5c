"""Continuous fine targets: what features learned from coarse labels reveal about a quantity that training never saw.

FIERCE (arXiv 2208.03684) evaluates its models in this way: by a probe from features to abundances, and by how one
feature orders ages. Its probe was trained by gradient descent on unscaled features, which is ill-conditioned; here it
is ridge regression in closed form on standardised features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray
from fgtune.metrics.checks import reals, same_length
from fgtune.metrics.probes import Standardizer

PENALTIES: FloatArray = np.logspace(3, -6, 37)
"""Candidates for the penalty per training sample, strongest first, four per decade."""

_FLAT = 1e-14
"""A target whose variance is below this share of its mean square is constant."""


@dataclass(frozen=True)
class RidgeProbe:
    """A linear map from features to targets, as from ``fit_ridge``.

    Attributes:
        standardizer: Fitted to the training features.
        weights: (d, columns) for standardised features.
        intercept: (columns,) mean training target.
        penalty: (columns,) chosen penalty per training sample.
    """

    standardizer: Standardizer
    weights: FloatArray
    intercept: FloatArray
    penalty: FloatArray

    def predict(self, features: npt.ArrayLike) -> FloatArray:
        """(m, columns) float64 predicted targets of ``features`` (m, d)."""
        return self.standardizer(features) @ self.weights + self.intercept


def fit_ridge(train_features: npt.ArrayLike, train_values: npt.ArrayLike) -> RidgeProbe:
    """Fit ridge regression, for each column with the penalty that best predicts left-out training samples.

    With X the (n, d) standardised features, y a column and c the penalty per sample, the weights minimise
    |y - mean(y) - X w|^2 + n c |w|^2. The leave-one-out error has a closed form: the residual over 1 - 1/n - h, with h
    the sample's leverage (Allen's PRESS). The scaling of features is not refitted. Ties go to the strongest penalty.

    Args:
        train_features: (n, d) finite, n >= 2.
        train_values: (n, columns) finite.

    Raises:
        ValueError: Another shape, or fewer than two samples.
        TrialError: NaN or infinity.

    Example:
        >>> probe = fit_ridge([[0.0], [1.0], [2.0]], [[1.0], [3.0], [5.0]])
        >>> probe.predict([[4.0]]).round(2).tolist()
        [[9.0]]
    """
    targets = reals(train_values, "train values")
    if len(targets) < 2:
        raise ValueError(f"the ridge probe needs at least two training samples, got {len(targets)}")
    standardizer = Standardizer.fit(train_features)
    values = standardizer(train_features)
    same_length(len(values), len(targets), "train features and train values")
    intercept = targets.mean(axis=0)
    centred = targets - intercept
    spectrum, vectors = np.linalg.eigh(values.T @ values)
    spectrum = np.maximum(spectrum, 0.0)  # rounding
    rotated = values @ vectors  # (n, d), orthogonal columns
    loadings = rotated.T @ centred  # (d, columns)
    strengths = len(values) * PENALTIES
    errors = np.empty((len(strengths), targets.shape[1]))
    squares = np.square(rotated)
    for number, strength in enumerate(strengths):
        shrink = 1.0 / (spectrum + strength)
        leverage = squares @ shrink + 1.0 / len(values)
        residuals = centred - rotated @ (shrink[:, None] * loadings)
        errors[number] = np.square(residuals / (1.0 - leverage)[:, None]).mean(axis=0)
    best = errors.argmin(axis=0)
    weights = vectors @ (loadings / (spectrum[:, None] + strengths[best]))
    return RidgeProbe(standardizer, weights, intercept, PENALTIES[best])


def r_squared(preds: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Coefficient of determination relative to the mean of the evaluated samples, averaged over columns.

    Args:
        preds: (n, columns) finite.
        target: (n, columns) finite.

    Returns:
        At most 1, which is a perfect prediction; 0 is as good as the mean. Constant columns are left out; nan if none
        is left.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> r_squared([[0.0], [2.0]], [[0.0], [2.0]])
        1.0
        >>> r_squared([[1.0], [1.0]], [[0.0], [2.0]])  # the mean
        0.0
    """
    predicted, true = _both(preds, target)
    if len(true) == 0:
        return math.nan
    variance = true.var(axis=0)
    varies = variance > _FLAT * np.square(true).mean(axis=0)
    unexplained = np.square(predicted - true).mean(axis=0)[varies] / variance[varies]
    return float(1.0 - unexplained.mean()) if varies.any() else math.nan


def mean_squared_error(preds: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Mean squared error over samples and columns, >= 0, in the square of the targets' unit; nan without samples.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> mean_squared_error([[1.0], [1.0]], [[0.0], [3.0]])
        2.5
    """
    predicted, true = _both(preds, target)
    return float(np.square(predicted - true).mean()) if len(true) else math.nan


def _both(preds: npt.ArrayLike, target: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    predicted, true = reals(preds, "preds"), reals(target, "target")
    if predicted.shape != true.shape:
        raise ValueError(f"preds and target must have one shape, got {predicted.shape} and {true.shape}")
    return predicted, true


def rank_mse(scores: npt.ArrayLike, target: npt.ArrayLike, *, either_order: bool) -> float:
    """Mean squared error if targets are predicted from the order of ``scores`` (FIERCE, age study).

    The sample with the r-th smallest score is predicted to have the r-th smallest target; tied samples share the mean
    of their ranks' targets. A perfect order has 0, a constant score the targets' variance, and a random order on
    average twice the variance.

    Args:
        scores: (n,) finite.
        target: (n,) finite.
        either_order: Also try descending order and use the better one: for a raw feature, whose sign is arbitrary,
            but not for a prediction of the target.

    Returns:
        At least 0, smaller is better; nan without samples.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> rank_mse([0.1, 0.2, 0.9], [30.0, 20.0, 10.0], either_order=True)
        0.0
        >>> rank_mse([5.0, 5.0], [10.0, 20.0], either_order=False)  # ties share the mean target
        25.0
    """
    if np.ndim(scores) != 1 or np.ndim(target) != 1:
        raise ValueError(f"scores and target must be (n,), got shapes {np.shape(scores)} and {np.shape(target)}")
    column = reals(np.asarray(scores)[:, None], "scores")[:, 0]
    true = reals(np.asarray(target)[:, None], "target")[:, 0]
    same_length(len(column), len(true), "scores and target")
    if len(true) == 0:
        return math.nan
    _, place, sizes = np.unique(column, return_inverse=True, return_counts=True)
    ranked = np.sort(true)
    errors = []
    for ordered in (ranked, ranked[::-1])[: 1 + either_order]:
        sums = np.add.reduceat(ordered, np.cumsum(sizes) - sizes)
        errors.append(float(np.square((sums / sizes)[place] - true).mean()))
    return min(errors)
