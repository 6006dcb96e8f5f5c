"""What coarse probabilities are worth: calibration, information, stability, error against shares (FIERCE)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import SUM_TOLERANCE, check_probabilities, integers, reals, same_length

BINS = 10
"""Bins of confidence, of equal width."""


@dataclass(frozen=True)
class Reliability:
    """Predictions by confidence, which is the probability of the most probable class.

    Attributes:
        counts: (bins,) labelled samples whose confidence lies in each bin (low, high]; the lowest bin holds 0 as well.
        confidence: (bins,) their mean confidence; 0 for an empty bin.
        accuracy: (bins,) share of them whose label is the most probable class; 0 for an empty bin.
    """

    counts: IntArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def gaps(self) -> FloatArray:
        """(bins,) distance between accuracy and confidence; 0 for an empty bin."""
        found: FloatArray = np.abs(self.accuracy - self.confidence)
        return found

    @property
    def expected_error(self) -> float:
        """Mean gap over samples (Naeini et al. 2015), in [0, 1]; nan without samples."""
        total = int(self.counts.sum())
        return float((self.counts * self.gaps).sum() / total) if total else math.nan

    @property
    def largest_error(self) -> float:
        """Largest gap of a bin that has samples, in [0, 1]; nan without samples."""
        return float(self.gaps.max()) if self.counts.any() else math.nan


def reliability(probs: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Predictions by confidence, of samples that have a label.

    Args:
        probs: (n, K) probabilities, rows sum to 1.
        labels: (n,) classes, -1 for none.
        bins: Number of bins.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity.

    Example:
        >>> found = reliability([[0.9, 0.1], [0.2, 0.8], [0.35, 0.65]], labels=[0, 0, -1])
        >>> found.counts.tolist(), round(found.expected_error, 2), round(found.largest_error, 2)
        ([0, 0, 0, 0, 0, 0, 0, 1, 1, 0], 0.45, 0.8)
    """
    values, true = _probabilities(probs), integers(labels, "labels", (1,), -1)
    same_length(len(values), len(true), "probs and labels")
    known = true >= 0
    values, true = values[known], true[known]
    confidence, hit = values.max(axis=1, initial=0.0), values.argmax(axis=1) == true
    # A float32 probability of 0.9 is not below the edge at 0.9 that it was meant for.
    places = np.clip(np.ceil(np.round(confidence * bins, 5)).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    shares = np.maximum(counts, 1)
    sums = (np.bincount(places, weights=each, minlength=bins) / shares for each in (confidence, hit))
    return Reliability(counts.astype(np.int64), *sums)


def information(probs: npt.ArrayLike) -> float:
    """Mutual information between sample and predicted class in bits: entropy of the mean minus mean entropy.

    Args:
        probs: (n, K) probabilities, rows sum to 1.

    Returns:
        In [0, log2 K]: log2 K for predictions that are certain and use all classes alike, 0 where all are the same; nan
        without samples.

    Raises:
        ValueError: Not a matrix of probabilities.
        TrialError: NaN or infinity.

    Example:
        >>> information([[1.0, 0.0], [0.0, 1.0]]), information([[0.3, 0.7], [0.3, 0.7]])
        (1.0, 0.0)
    """
    values = _probabilities(probs)
    if not len(values):
        return math.nan
    difference = _entropy(values.mean(axis=0)) - float(np.mean(_entropy(values)))
    return max(0.0, float(difference))


def stability(probs: npt.ArrayLike) -> float:
    """1 minus the standard deviation over samples of a class's probability, mean over classes.

    Args:
        probs: (n, K) probabilities, rows sum to 1.

    Returns:
        In [0, 1]: 1 where all samples are predicted alike, small where predictions are certain and differ. Neither is
        better by itself. nan for fewer than two samples.

    Raises:
        ValueError: Not a matrix of probabilities.
        TrialError: NaN or infinity.

    Example:
        >>> stability([[0.5, 0.5], [0.5, 0.5]])
        1.0
    """
    values = _probabilities(probs)
    return float(1.0 - values.std(axis=0, ddof=1).mean()) if len(values) > 1 else math.nan


def share_error(probs: npt.ArrayLike, shares: npt.ArrayLike) -> float:
    """Squared error of class probabilities against true shares, summed over classes, mean over samples (raw MSE).

    Args:
        probs: (n, K) probabilities, rows sum to 1.
        shares: (n, K) what they are taken for.

    Returns:
        At least 0, smaller is better; nan without samples.

    Raises:
        ValueError: Another shape.
        TrialError: NaN or infinity.

    Example:
        >>> share_error([[1.0, 0.0]], [[0.5, 0.5]])
        0.5
    """
    values, true = _probabilities(probs), reals(shares, "shares")
    if values.shape != true.shape:
        raise ValueError(f"probs and shares must have one shape, got {values.shape} and {true.shape}")
    return float(np.square(values - true).sum(axis=1).mean()) if len(values) else math.nan


def are_shares(values: npt.ArrayLike) -> bool:
    """Whether rows of (n, columns) numbers are shares of several things, which sum to 1.

    Example:
        >>> are_shares([[0.2, 0.8], [1.0, 0.0]]), are_shares([[0.2, 0.9]]), are_shares([[1.0]])
        (True, False, False)
    """
    numbers = np.asarray(values, dtype=np.float64)
    whole = np.abs(numbers.sum(axis=1) - 1.0) < SUM_TOLERANCE
    return numbers.shape[1] > 1 and bool(whole.all()) and bool((numbers >= 0).all())


def mean_known(values: Sequence[float]) -> float:
    """The mean of those that are defined; nan if none is.

    Example:
        >>> mean_known([1.0, math.nan, 2.0])
        1.5
    """
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _probabilities(probs: npt.ArrayLike) -> FloatArray:
    values = reals(probs, "probs")
    check_probabilities(values, "probs")
    return values


def _entropy(values: FloatArray) -> FloatArray:
    """Over the last axis, in bits."""
    logs = np.log2(values, out=np.zeros_like(values), where=values > 0)
    found: FloatArray = -(values * logs).sum(axis=-1)
    return found
