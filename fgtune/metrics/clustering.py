"""The contingency matrix of predicted and true fine classes, and the measures of agreement computed from it.

Every measure takes ``counts``: (P, T) integers >= 0, samples by predicted x true class, and does not depend on how
classes are numbered. P and T may differ. Without samples (all counts 0) every value is nan. All are oracle metrics.

Sources: Hungarian-matched accuracy as in FALCON's evaluation (unmatched predicted and true classes count as errors);
ARI by Hubert and Arabie (1985); homogeneity, completeness and V-measure by Rosenberg and Hirschberg (2007). Values
agree with scikit-learn's, except that scikit-learn gives 1 without samples.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import counts_matrix, integers, same_length


def contingency(preds: npt.ArrayLike, target: npt.ArrayLike, num_preds: int, num_target: int) -> IntArray:
    """Count samples by predicted and true class.

    Args:
        preds: (n,) integers in [0, num_preds).
        target: (n,) integers in [0, num_target).
        num_preds: Number of predicted classes P >= 1; classes without samples keep their (zero) row.
        num_target: Number of true classes T >= 1.

    Returns:
        (P, T) int64; all zero if there are no samples.

    Raises:
        ValueError: Another type, shape or range, or lengths that differ.

    Example:
        >>> contingency([0, 0, 1, 2], [1, 1, 0, 0], num_preds=3, num_target=2).tolist()
        [[0, 2], [1, 0], [1, 0]]
    """
    for name, number in (("num_preds", num_preds), ("num_target", num_target)):
        if number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}")
    rows = integers(preds, "preds", (1,), 0, num_preds)
    columns = integers(target, "target", (1,), 0, num_target)
    same_length(len(rows), len(columns), "preds and target")
    flat = np.bincount(rows * num_target + columns, minlength=num_preds * num_target)
    return flat.astype(np.int64, copy=False).reshape(num_preds, num_target)


def assign(weights: FloatArray) -> IntArray:
    """Pair rows with columns one to one so that the sum of ``weights`` over the pairs is maximal.

    Args:
        weights: (P, T) float64, finite.

    Returns:
        (P,) int64: the column of each row, -1 for surplus rows if P > T.

    Example:
        >>> assign(np.array([[1.0, 5.0], [0.0, 4.0], [2.0, 2.0]])).tolist()
        [1, -1, 0]
    """
    rows, columns = linear_sum_assignment(weights, maximize=True)
    paired = np.full(weights.shape[0], -1, dtype=np.int64)
    paired[rows] = columns
    return paired


def matching(counts: npt.ArrayLike) -> IntArray:
    """Match predicted to true classes one to one, in min(P, T) pairs, so that as many samples as possible agree.

    Among these matchings, one with the largest mean per-class accuracy is chosen, so that
    ``macro_accuracy_from_counts`` does not depend on how classes are numbered. A pair may share no sample.

    Returns:
        (P,) int64: the true class of each predicted one, -1 for surplus predicted classes.

    Raises:
        ValueError: Counts that are not a matrix of non-negative integers.

    Example:
        >>> matching([[0, 3], [2, 0], [1, 0]]).tolist()
        [1, 0, -1]
    """
    table = counts_matrix(counts)
    class_sizes = np.maximum(table.sum(axis=0), 1)
    # Accuracies over min(P, T) pairs sum to less than min(P, T) + 1, so the second term never outweighs a sample.
    return assign(table + table / class_sizes / (min(table.shape) + 1))


def _matched_per_class(table: IntArray) -> IntArray:
    paired = matching(table)
    rows = np.flatnonzero(paired >= 0)
    matched = np.zeros(table.shape[1], dtype=np.int64)
    matched[paired[rows]] = table[rows, paired[rows]]
    return matched  # (T,) samples of each true class that are in its matched predicted class


def clustering_accuracy_from_counts(counts: npt.ArrayLike) -> float:
    """Share of samples in matched pairs of classes, in [0, 1], larger is better; nan without samples.

    Example:
        >>> clustering_accuracy_from_counts([[0, 3], [4, 0], [1, 0]])  # 7 of 8 samples are matched
        0.875
    """
    table = counts_matrix(counts)
    total = int(table.sum())
    return int(_matched_per_class(table).sum()) / total if total else math.nan


def macro_accuracy_from_counts(counts: npt.ArrayLike) -> float:
    """Mean per-class accuracy over the true classes with samples, under ``matching``; in [0, 1] or nan.

    Example:
        >>> macro_accuracy_from_counts([[0, 3], [1, 0], [1, 0]])  # (1/2 + 3/3) / 2
        0.75
    """
    table = counts_matrix(counts)
    sizes = table.sum(axis=0)
    present = sizes > 0
    if not present.any():
        return math.nan
    return float(np.mean(_matched_per_class(table)[present] / sizes[present]))


def ari_from_counts(counts: npt.ArrayLike) -> float:
    """Adjusted Rand index, in [-0.5, 1], 0 expected by chance, larger is better; nan without samples.

    Two labellings without any disagreeing pair (such as those of a single sample) score 1.

    Example:
        >>> ari_from_counts([[0, 3], [3, 0]])
        1.0
        >>> round(ari_from_counts([[2, 2], [2, 2]]), 3)  # less agreement than chance gives
        -0.167
    """
    table = counts_matrix(counts)
    total = int(table.sum())
    if total == 0:
        return math.nan
    # Python integers: products of pair counts exceed 64 bits from about ten thousand samples.
    together_both = int((table**2).sum())
    together_pred = int((table.sum(axis=1) ** 2).sum())
    together_true = int((table.sum(axis=0) ** 2).sum())
    both = together_both - total
    only_pred, only_true = together_pred - together_both, together_true - together_both
    neither = total**2 - together_pred - together_true + together_both
    if only_pred == 0 and only_true == 0:
        return 1.0
    expected = (both + only_true) * (only_true + neither) + (both + only_pred) * (only_pred + neither)
    return 2 * (both * neither - only_pred * only_true) / expected


def _entropy(sizes: IntArray) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log(shares)).sum()) if len(shares) > 1 else 0.0


def _information(table: IntArray) -> tuple[float, float, float]:
    """Mutual information, entropy of the predicted and of the true classes, in nats."""
    predicted, true = table.sum(axis=1), table.sum(axis=0)
    entropy_pred, entropy_true = _entropy(predicted), _entropy(true)
    rows, columns = np.nonzero(table)
    cells = table[rows, columns]
    log_ratio = np.log(cells) + math.log(table.sum()) - np.log(predicted[rows]) - np.log(true[columns])
    mutual = float((cells * log_ratio).sum()) / int(table.sum())
    # It is within these bounds in exact arithmetic, but not always after rounding.
    return min(max(mutual, 0.0), entropy_pred, entropy_true), entropy_pred, entropy_true


def nmi_from_counts(counts: npt.ArrayLike) -> float:
    """Mutual information over the mean of both entropies, in [0, 1], larger is better; nan without samples.

    1 if both labellings have a single class. Equals ``v_measure_from_counts`` up to rounding.

    Example:
        >>> round(nmi_from_counts([[0, 3], [3, 0]]), 3)
        1.0
        >>> nmi_from_counts([[2, 2], [2, 2]])
        0.0
    """
    table = counts_matrix(counts)
    if not table.any():
        return math.nan
    mutual, entropy_pred, entropy_true = _information(table)
    mean_entropy = (entropy_pred + entropy_true) / 2
    return mutual / mean_entropy if mean_entropy > 0 else 1.0


def homogeneity_from_counts(counts: npt.ArrayLike) -> float:
    """1 - H(true | predicted) / H(true): 1 if each predicted class holds only one true class; in [0, 1] or nan.

    Example:
        >>> round(homogeneity_from_counts([[2, 0], [1, 0], [0, 3]]), 3)  # a true class may be split
        1.0
    """
    table = counts_matrix(counts)
    if not table.any():
        return math.nan
    mutual, _, entropy_true = _information(table)
    return mutual / entropy_true if entropy_true > 0 else 1.0


def completeness_from_counts(counts: npt.ArrayLike) -> float:
    """1 - H(predicted | true) / H(predicted): 1 if each true class lies in one predicted class; in [0, 1] or nan.

    Example:
        >>> completeness_from_counts([[2, 1], [0, 0]])  # a predicted class may hold several true ones
        1.0
    """
    return homogeneity_from_counts(counts_matrix(counts).T)


def v_measure_from_counts(counts: npt.ArrayLike) -> float:
    """Harmonic mean of homogeneity and completeness, in [0, 1], larger is better; nan without samples.

    Example:
        >>> round(v_measure_from_counts([[2, 0], [1, 0], [0, 3]]), 3)
        0.813
    """
    homogeneity, completeness = homogeneity_from_counts(counts), completeness_from_counts(counts)
    total = homogeneity + completeness
    return total if math.isnan(total) or total == 0 else 2 * homogeneity * completeness / total
