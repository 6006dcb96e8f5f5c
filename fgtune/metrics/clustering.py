"""The contingency matrix of predicted and true fine classes, and the measures of agreement computed from it.

Every measure takes ``counts``: (P, T) integers >= 0, samples by predicted x true class, and does not depend on how
classes are numbered. P and T may differ. Without samples (all counts 0) every value is nan. All are oracle metrics.

Sources: Hungarian-matched accuracy as in FALCON's evaluation (unmatched predicted and true classes count as errors);
ARI by Hubert and Arabie (1985); homogeneity, completeness and V-measure by Rosenberg and Hirschberg (2007). Values
agree with scikit-learn's, except that scikit-learn gives 1 without samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import counts_matrix, integers, same_length

LARGE = 1_000_000
"""Tables with so many cells are matched by their cells with samples; of smaller ones the whole matrix is."""


@dataclass(frozen=True)
class Table:
    """The cells with samples of a (P, T) contingency matrix, row by row; every measure takes one in place of counts.

    Attributes:
        shape: (P, T).
        rows: (cells,) predicted class of each.
        columns: (cells,) true class of each.
        cells: (cells,) int64 samples of each, >= 1.
    """

    shape: tuple[int, int]
    rows: IntArray
    columns: IntArray
    cells: IntArray

    @staticmethod
    def of(counts: npt.ArrayLike | Table) -> Table:
        """The table of a matrix of counts.

        Raises:
            ValueError: Not a matrix of non-negative integers.

        Example:
            >>> Table.of([[0, 3], [2, 0]]).cells.tolist()
            [3, 2]
        """
        if isinstance(counts, Table):
            return counts
        matrix = counts_matrix(counts)
        rows, columns = matrix.nonzero()
        return Table((matrix.shape[0], matrix.shape[1]), rows, columns, matrix[rows, columns])

    @staticmethod
    def counted(preds: npt.ArrayLike, target: npt.ArrayLike, num_preds: int, num_target: int) -> Table:
        """The table of ``contingency``, whose arguments it takes, without the matrix.

        Example:
            >>> Table.counted([0, 0, 1, 2], [1, 1, 0, 0], num_preds=3, num_target=2).cells.tolist()
            [2, 1, 1]
        """
        places, cells = np.unique(_places(preds, target, num_preds, num_target), return_counts=True)
        return Table((num_preds, num_target), *np.divmod(places, num_target), cells)

    @cached_property
    def total(self) -> int:
        """The number of samples."""
        return int(self.cells.sum())

    @cached_property
    def predicted(self) -> IntArray:
        """(P,) samples of each predicted class."""
        return self._sums(self.rows, self.shape[0])

    @cached_property
    def true(self) -> IntArray:
        """(T,) samples of each true class."""
        return self._sums(self.columns, self.shape[1])

    @cached_property
    def matched(self) -> IntArray:
        """(T,) samples of each true class that are in its matched predicted class."""
        paired = matching(self)
        agreeing = paired[self.rows] == self.columns
        samples: IntArray = np.zeros(self.shape[1], dtype=np.int64)
        samples[self.columns[agreeing]] = self.cells[agreeing]
        return samples

    def _sums(self, classes: IntArray, number: int) -> IntArray:
        sums: IntArray = np.zeros(number, dtype=np.int64)
        np.add.at(sums, classes, self.cells)
        return sums

    def matrix(self) -> IntArray:
        """(P, T) int64."""
        matrix: IntArray = np.zeros(self.shape, dtype=np.int64)
        matrix[self.rows, self.columns] = self.cells
        return matrix


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
    flat = np.bincount(_places(preds, target, num_preds, num_target), minlength=num_preds * num_target)
    return flat.astype(np.int64, copy=False).reshape(num_preds, num_target)


def _places(preds: npt.ArrayLike, target: npt.ArrayLike, num_preds: int, num_target: int) -> IntArray:
    """(n,) cell of each sample in the flattened matrix."""
    for name, number in (("num_preds", num_preds), ("num_target", num_target)):
        if number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}")
    rows = integers(preds, "preds", (1,), 0, num_preds)
    columns = integers(target, "target", (1,), 0, num_target)
    same_length(len(rows), len(columns), "preds and target")
    places: IntArray = rows * num_target + columns
    return places


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


def assign_cells(shape: tuple[int, int], rows: IntArray, columns: IntArray, weights: FloatArray) -> IntArray:
    """``assign`` for a matrix that is 0 but for some cells, which alone are looked at.

    Every row may also stay alone, for nothing: one further column a row makes that a full matching, which SciPy finds
    along sparse paths. Rows left alone are paired with the columns that are left, in their order.

    Args:
        shape: (P, T).
        rows: (cells,) their rows.
        columns: (cells,) their columns.
        weights: (cells,) > 0.

    Returns:
        (P,) int64: the column of each row, -1 for surplus rows if P > T.

    Example:
        >>> assign_cells((3, 2), np.array([0, 1, 2]), np.array([1, 1, 0]), np.array([5.0, 4.0, 2.0])).tolist()
        [1, -1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    count, width = shape
    alone = np.arange(count)
    # A matching has one entry in every row, so 1 more for all of them changes none; entries of 0 would not be edges.
    entries = np.append(weights + 1.0, np.ones(count))
    places = (np.append(rows, alone), np.append(columns, width + alone))
    edges = coo_array((entries, places), shape=(count, width + count)).tocsr()
    matched, chosen = min_weight_full_bipartite_matching(edges, maximize=True)
    paired = np.full(count, -1, dtype=np.int64)
    paired[matched] = np.where(chosen < width, chosen, -1)
    left = np.setdiff1d(np.arange(width), paired)
    single = np.flatnonzero(paired < 0)
    pairs = min(left.size, single.size)
    paired[single[:pairs]] = left[:pairs]
    return paired


def matching(counts: npt.ArrayLike | Table) -> IntArray:
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
    table = Table.of(counts)
    # Accuracies over min(P, T) pairs sum to less than min(P, T) + 1, so the second term never outweighs a sample.
    least = min(table.shape) + 1
    if math.prod(table.shape) >= LARGE:
        weights = table.cells + table.cells / table.true[table.columns] / least
        return assign_cells(table.shape, table.rows, table.columns, weights)
    matrix = table.matrix()
    return assign(matrix + matrix / np.maximum(table.true, 1) / least)


def clustering_accuracy_from_counts(counts: npt.ArrayLike | Table) -> float:
    """Share of samples in matched pairs of classes, in [0, 1], larger is better; nan without samples.

    Example:
        >>> clustering_accuracy_from_counts([[0, 3], [4, 0], [1, 0]])  # 7 of 8 samples are matched
        0.875
    """
    table = Table.of(counts)
    return int(table.matched.sum()) / table.total if table.total else math.nan


def macro_accuracy_from_counts(counts: npt.ArrayLike | Table) -> float:
    """Mean per-class accuracy over the true classes with samples, under ``matching``; in [0, 1] or nan.

    Example:
        >>> macro_accuracy_from_counts([[0, 3], [1, 0], [1, 0]])  # (1/2 + 3/3) / 2
        0.75
    """
    table = Table.of(counts)
    present = table.true > 0
    if not present.any():
        return math.nan
    return float(np.mean(table.matched[present] / table.true[present]))


def ari_from_counts(counts: npt.ArrayLike | Table) -> float:
    """Adjusted Rand index, in [-0.5, 1], 0 expected by chance, larger is better; nan without samples.

    Two labellings without any disagreeing pair (such as those of a single sample) score 1.

    Example:
        >>> ari_from_counts([[0, 3], [3, 0]])
        1.0
        >>> round(ari_from_counts([[2, 2], [2, 2]]), 3)  # less agreement than chance gives
        -0.167
    """
    table = Table.of(counts)
    total = table.total
    if total == 0:
        return math.nan
    # Python integers: products of pair counts exceed 64 bits from about ten thousand samples.
    together_both = int((table.cells**2).sum())
    together_pred = int((table.predicted**2).sum())
    together_true = int((table.true**2).sum())
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


def _information(table: Table) -> tuple[float, float, float]:
    """Mutual information, entropy of the predicted and of the true classes, in nats."""
    cells, predicted, true = table.cells, table.predicted, table.true
    entropy_pred, entropy_true = _entropy(predicted), _entropy(true)
    log_ratio = np.log(cells) + math.log(table.total) - np.log(predicted[table.rows]) - np.log(true[table.columns])
    mutual = float((cells * log_ratio).sum()) / table.total
    # It is within these bounds in exact arithmetic, but not always after rounding.
    return min(max(mutual, 0.0), entropy_pred, entropy_true), entropy_pred, entropy_true


def nmi_from_counts(counts: npt.ArrayLike | Table) -> float:
    """Mutual information over the mean of both entropies, in [0, 1], larger is better; nan without samples.

    1 if both labellings have a single class. Equals ``v_measure_from_counts`` up to rounding.

    Example:
        >>> round(nmi_from_counts([[0, 3], [3, 0]]), 3)
        1.0
        >>> nmi_from_counts([[2, 2], [2, 2]])
        0.0
    """
    table = Table.of(counts)
    if not table.total:
        return math.nan
    mutual, entropy_pred, entropy_true = _information(table)
    mean_entropy = (entropy_pred + entropy_true) / 2
    return mutual / mean_entropy if mean_entropy > 0 else 1.0


def homogeneity_from_counts(counts: npt.ArrayLike | Table) -> float:
    """1 - H(true | predicted) / H(true): 1 if each predicted class holds only one true class; in [0, 1] or nan.

    Example:
        >>> round(homogeneity_from_counts([[2, 0], [1, 0], [0, 3]]), 3)  # a true class may be split
        1.0
    """
    table = Table.of(counts)
    if not table.total:
        return math.nan
    mutual, _, entropy_true = _information(table)
    return mutual / entropy_true if entropy_true > 0 else 1.0


def completeness_from_counts(counts: npt.ArrayLike | Table) -> float:
    """1 - H(predicted | true) / H(predicted): 1 if each true class lies in one predicted class; in [0, 1] or nan.

    Example:
        >>> completeness_from_counts([[2, 1], [0, 0]])  # a predicted class may hold several true ones
        1.0
    """
    table = Table.of(counts)
    order = np.lexsort((table.rows, table.columns))  # row by row of the transposed matrix
    turned = (table.columns[order], table.rows[order], table.cells[order])
    return homogeneity_from_counts(Table(table.shape[::-1], *turned))


def v_measure_from_counts(counts: npt.ArrayLike | Table) -> float:
    """Harmonic mean of homogeneity and completeness, in [0, 1], larger is better; nan without samples.

    Example:
        >>> round(v_measure_from_counts([[2, 0], [1, 0], [0, 3]]), 3)
        0.813
    """
    table = Table.of(counts)
    homogeneity, completeness = homogeneity_from_counts(table), completeness_from_counts(table)
    total = homogeneity + completeness
    return total if math.isnan(total) or total == 0 else 2 * homogeneity * completeness / total
