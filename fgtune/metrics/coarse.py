"""Agreement of predictions with coarse labels through the learned relations; reads no fine labels.

A data set has one or more sources of coarse labels, -1 for none. Values are means over the sources that label at least
one sample, so that a source with many labels does not hide one with few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fgtune.arrays import AnyArray, FloatArray, IntArray
from fgtune.metrics.checks import blocks, finite, integers, reals, same_length
from fgtune.metrics.clustering import contingency

SPARSE = 1_000_000
"""Number of pairs of a fine and a coarse class from which on probabilities are summed group by group."""


def _columns(labels: IntArray) -> IntArray:
    return labels[:, None] if labels.ndim == 1 else labels


def coarse_counts(preds: npt.ArrayLike, coarse: npt.ArrayLike, num_fine: int, num_coarse: Sequence[int]) -> IntArray:
    """Count samples by predicted fine class and coarse label, source by source.

    Args:
        preds: (n,) integers in [0, num_fine).
        coarse: (n,) or (n, S) integers; source s uses [0, num_coarse[s]) and -1 for none.
        num_fine: K_F.
        num_coarse: K_C of each of the S sources.

    Returns:
        (S, K_F, max K_C) int64; columns beyond a source's K_C are zero.

    Raises:
        ValueError: Another type, shape or range, or another number of sources.

    Example:
        >>> coarse_counts([0, 1, 2, 2], [0, 0, 1, -1], num_fine=3, num_coarse=[2]).tolist()
        [[[1, 0], [1, 0], [0, 1]]]
    """
    predicted = integers(preds, "preds", (1,), 0, num_fine)
    labels = _columns(integers(coarse, "coarse", (1, 2), -1))
    same_length(len(predicted), len(labels), "preds and coarse")
    if labels.shape[1] != len(num_coarse):
        raise ValueError(f"coarse has {labels.shape[1]} source(s), num_coarse names {len(num_coarse)}")
    counts = np.zeros((len(num_coarse), num_fine, max(num_coarse, default=0)), dtype=np.int64)
    for source, classes in enumerate(num_coarse):
        labelled = labels[:, source] >= 0
        counts[source, :, :classes] = contingency(predicted[labelled], labels[labelled, source], num_fine, classes)
    return counts


def _mean_of_shares(hits: IntArray, totals: IntArray) -> float:
    labelled = totals > 0
    return float(np.mean(hits[labelled] / totals[labelled])) if labelled.any() else math.nan


def coarse_accuracy(preds: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> float:
    """Share of labelled samples whose predicted fine class has their coarse label as parent.

    Args:
        preds: (n,) integers in [0, K_F).
        fine_to_coarse: (K_F,) or (S, K_F) learned parents, >= 0.
        coarse: (n,) or (n, S) coarse labels, -1 for none.

    Returns:
        In [0, 1], larger is better, mean over sources; nan if no sample is labelled.

    Raises:
        ValueError: Another type, shape or range, or another number of sources.

    Example:
        >>> coarse_accuracy([0, 1, 2, 2], fine_to_coarse=[0, 0, 1], coarse=[0, 1, -1, -1])  # 1 of 2 labelled samples
        0.5
    """
    parents = np.atleast_2d(integers(fine_to_coarse, "fine_to_coarse", (1, 2), 0))
    predicted = integers(preds, "preds", (1,), 0, parents.shape[1])
    labels = _columns(integers(coarse, "coarse", (1, 2), -1))
    same_length(len(predicted), len(labels), "preds and coarse")
    if labels.shape[1] != len(parents):
        raise ValueError(f"coarse has {labels.shape[1]} source(s), fine_to_coarse has {len(parents)}")
    hits = (labels == parents[:, predicted].T).sum(axis=0)  # (S,); parents are >= 0, so -1 never hits
    return _mean_of_shares(hits, (labels >= 0).sum(axis=0))


def coarse_accuracy_from_counts(counts: npt.ArrayLike, fine_to_coarse: npt.ArrayLike) -> float:
    """``coarse_accuracy`` from stored counts, to the last bit.

    Args:
        counts: (S, K_F, max K_C) as from ``coarse_counts``.
        fine_to_coarse: (S, K_F) learned parents in [0, max K_C).

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> coarse_accuracy_from_counts([[[1, 0], [0, 1], [0, 0]]], fine_to_coarse=[[0, 0, 1]])
        0.5
    """
    table = integers(counts, "counts", (3,), 0)
    parents = integers(fine_to_coarse, "fine_to_coarse", (2,), 0, table.shape[2])
    if parents.shape != table.shape[:2]:
        raise ValueError(f"fine_to_coarse must have shape {table.shape[:2]} as the counts say, got {parents.shape}")
    hits = np.take_along_axis(table, parents[:, :, None], axis=2).sum(axis=(1, 2))
    return _mean_of_shares(hits, table.sum(axis=(1, 2)))


def allowed_classes(fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """The fine classes that the known coarse labels of each sample leave, by the learned parents.

    With several sources these are the classes whose parents agree with all known labels; where there are none, those
    that agree with the first source that leaves any. A sample without a label, or none of whose labels is the parent of
    any class, is not restricted.

    Args:
        fine_to_coarse: (K_F,) or (S, K_F) learned parents, >= 0.
        coarse: (n,) or (n, S) coarse labels, -1 for none.

    Returns:
        (n, K_F) bool, with at least one True in every row.

    Raises:
        ValueError: Another type, shape or range, or another number of sources.

    Example:
        >>> allowed_classes([0, 0, 1], coarse=[0, 1, -1]).astype(int).tolist()
        [[1, 1, 0], [0, 0, 1], [1, 1, 1]]
    """
    parents = np.atleast_2d(integers(fine_to_coarse, "fine_to_coarse", (1, 2), 0))
    labels = _columns(integers(coarse, "coarse", (1, 2), -1))
    if labels.shape[1] != len(parents):
        raise ValueError(f"coarse has {labels.shape[1]} source(s), fine_to_coarse has {len(parents)}")
    agrees = [(labels[:, [source]] == each) | (labels[:, [source]] < 0) for source, each in enumerate(parents)]
    allowed: npt.NDArray[np.bool_] = np.logical_and.reduce(agrees)
    for source, each in enumerate(agrees):
        left = ~allowed.any(axis=1) & (labels[:, source] >= 0)
        allowed[left] = each[left]
    allowed[~allowed.any(axis=1)] = True
    return allowed


def predict_within(scores: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> IntArray:
    """The best fine class of each sample among those that its known coarse labels leave (``allowed_classes``).

    Args:
        scores: (n, K_F) finite; larger is better. Logarithms of probabilities, rather than probabilities, tell apart
            classes that are all next to impossible without the label.
        fine_to_coarse: (K_F,) or (S, K_F) learned parents, >= 0.
        coarse: (n,) or (n, S) coarse labels, -1 for none.

    Returns:
        (n,) int64; of equal scores the class with the lower number.

    Raises:
        ValueError: Another type, shape or range, or another number of sources.
        TrialError: NaN or infinity in the scores.

    Example:
        >>> predict_within([[0.7, 0.2, 0.1]] * 2, fine_to_coarse=[0, 1, 1], coarse=[1, -1]).tolist()
        [1, 0]
    """
    values = finite(scores, "scores")
    labels = _columns(integers(coarse, "coarse", (1, 2), -1))
    same_length(len(values), len(labels), "scores and coarse")
    best: IntArray = np.zeros(len(values), dtype=np.int64)
    for rows in blocks(values) if len(values) else [slice(0, 0)]:
        allowed = allowed_classes(fine_to_coarse, labels[rows])
        same_length(values.shape[1], allowed.shape[1], "columns of scores and fine_to_coarse")
        best[rows] = np.where(allowed, values[rows], -np.inf).argmax(axis=1)
    return best


def set_accuracy(preds: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> float:
    """Share of samples whose predicted fine class has exactly their set of labels.

    Args:
        preds: (n,) integers in [0, K_F).
        fine_to_coarse: (L, K_F) of 0 and 1: whether a fine class has label l.
        coarse: (n, L) whether a sample has label l, -1 where its set is not known.

    Returns:
        In [0, 1], larger is better; nan if no set is known.

    Example:
        >>> set_accuracy([0, 1, 1, 1], [[1, 0], [1, 1]], coarse=[[1, 1], [0, 1], [0, 0], [-1, -1]])  # 2 of 3
        0.6666666666666666
    """
    having, sets = _sets(preds, fine_to_coarse, coarse)
    return float((having == sets).all(axis=1).mean()) if len(sets) else math.nan


def set_f1(preds: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> float:
    """F1 over all pairs of a sample and a label that it has or is given: 2 TP / (2 TP + FP + FN), micro-averaged.

    Args:
        preds: As for ``set_accuracy``.
        fine_to_coarse: As for ``set_accuracy``.
        coarse: As for ``set_accuracy``.

    Returns:
        In [0, 1], larger is better; nan if no sample has a label or is given one.

    Example:
        >>> set_f1([0, 1, 1], fine_to_coarse=[[1, 0], [1, 1]], coarse=[[1, 1], [0, 1], [0, 0]])  # TP 3, FP 1, FN 0
        0.8571428571428571
    """
    having, sets = _sets(preds, fine_to_coarse, coarse)
    total = int(having.sum() + sets.sum())
    return 2 * int((having & sets).sum()) / total if total else math.nan


def _sets(preds: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, coarse: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """(m, L) the sets of the predicted classes and of the samples, of samples whose set is known."""
    relations = integers(fine_to_coarse, "fine_to_coarse", (2,), 0, 2)
    predicted = integers(preds, "preds", (1,), 0, relations.shape[1])
    labels = integers(coarse, "coarse", (2,), -1, 2)
    same_length(len(predicted), len(labels), "preds and coarse")
    same_length(len(relations), labels.shape[1], "fine_to_coarse and columns of coarse")
    known = (labels >= 0).all(axis=1)
    return relations[:, predicted[known]].T, labels[known]


def coarse_probabilities(probs: npt.ArrayLike, fine_to_coarse: npt.ArrayLike, num_coarse: int) -> FloatArray:
    """Probability of each coarse class of one source: the sum of those of its fine classes.

    Args:
        probs: (n, K_F) finite.
        fine_to_coarse: (K_F,) learned parents in [0, num_coarse).
        num_coarse: K_C of the source.

    Returns:
        (n, K_C) float64.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the probabilities.

    Example:
        >>> coarse_probabilities([[0.5, 0.25, 0.25]], fine_to_coarse=[0, 1, 1], num_coarse=2).tolist()
        [[0.5, 0.5]]
    """
    values = finite(probs, "probs")
    parents = integers(fine_to_coarse, "fine_to_coarse", (1,), 0, num_coarse)
    same_length(values.shape[1], len(parents), "columns of probs and fine_to_coarse")
    if len(parents) * num_coarse >= SPARSE:
        return _grouped_sums(values, parents, num_coarse)
    member = np.zeros((len(parents), num_coarse))
    member[np.arange(len(parents)), parents] = 1.0
    return values.astype(np.float64, copy=False) @ member


def _grouped_sums(values: AnyArray, parents: IntArray, num_coarse: int) -> FloatArray:
    """(n, K_C) sums of the columns with the same parent, without a (K_F, K_C) matrix."""
    from scipy.sparse import csr_array

    fine = np.arange(len(parents))
    member = csr_array((np.ones(len(parents)), (parents, fine)), shape=(num_coarse, len(parents)))
    sums = np.empty((len(values), num_coarse))
    for rows in blocks(values):
        sums[rows] = np.asarray(member @ values[rows].astype(np.float64).T).T
    return sums


def coarse_top(probs: Sequence[npt.ArrayLike], coarse: npt.ArrayLike, k: int) -> float:
    """Share of labelled samples whose coarse label is among the k most probable coarse classes.

    Ties go to the class with the lower number.

    Args:
        probs: For each source, (n, K_C) finite probabilities or scores of its coarse classes.
        coarse: (n,) or (n, S) coarse labels, -1 for none.
        k: At least 1; the value is 1 for a source with at most k classes.

    Returns:
        In [0, 1], larger is better, mean over sources; nan if no sample is labelled.

    Raises:
        ValueError: Another type, shape or range, or another number of sources.
        TrialError: NaN or infinity in the probabilities.

    Example:
        >>> coarse_top([[[0.5, 0.3, 0.2], [0.6, 0.1, 0.3]]], coarse=[1, 1], k=2)
        0.5
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    labels = _columns(integers(coarse, "coarse", (1, 2), -1))
    if labels.shape[1] != len(probs):
        raise ValueError(f"coarse has {labels.shape[1]} source(s), probs has {len(probs)}")
    hits = np.zeros(len(probs), dtype=np.int64)
    for source, source_probs in enumerate(probs):
        values = reals(source_probs, "probs")
        same_length(len(values), len(labels), "probs and coarse")
        rows = np.flatnonzero(labels[:, source] >= 0)
        true = integers(labels[rows, source], "coarse", (1,), 0, values.shape[1])
        score = values[rows, true][:, None]
        before = np.arange(values.shape[1]) < true[:, None]
        rank = ((values[rows] > score) | ((values[rows] == score) & before)).sum(axis=1)
        hits[source] = (rank < k).sum()
    return _mean_of_shares(hits, (labels >= 0).sum(axis=0))
