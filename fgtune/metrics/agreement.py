"""Agreement of two runs on the fine classes inside coarse classes, corrected for chance; reads no fine label.

Two runs of one setting that find the same division of every coarse class have found something that does not depend on
initial weights and data order. A run that finds nothing agrees with others, too, where it puts everything into one
class; so that gets no credit here, and ``class_share`` says how many of its classes a run uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import integers, same_length


def group_agreement(
    one: npt.ArrayLike, two: npt.ArrayLike, groups: npt.ArrayLike, num_groups: int
) -> tuple[FloatArray, FloatArray]:
    """The adjusted Rand index of two labellings inside each group, without credit for a group that is not divided.

    Hubert and Arabie (1985), but 0 instead of 1 where both labellings put a whole group into one class, or give every
    sample a class of its own: then nothing was found that could agree.

    Args:
        one: (n,) integers >= 0.
        two: (n,) integers >= 0.
        groups: (n,) integers in [-1, num_groups); -1 leaves a sample out.
        num_groups: Number of groups, >= 1.

    Returns:
        (num_groups,) agreement in [-0.5, 1], 0 expected by chance; nan in a group of fewer than two samples.
        (num_groups,) number of samples.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> values, sizes = group_agreement([0, 0, 1, 1, 2, 2], [5, 5, 3, 3, 4, 4], [0, 0, 0, 0, 1, 1], 2)
        >>> values.tolist(), sizes.tolist()  # the second group is not divided
        ([1.0, 0.0], [4.0, 2.0])
    """
    first, second = integers(one, "one", (1,), 0), integers(two, "two", (1,), 0)
    group = integers(groups, "groups", (1,), -1, num_groups)
    same_length(len(first), len(second), "one and two")
    same_length(len(first), len(group), "one and groups")
    kept = group >= 0
    first, second, group = first[kept], second[kept], group[kept]
    rows, columns = (int(labels.max(initial=0)) + 1 for labels in (first, second))
    sizes = np.bincount(group, minlength=num_groups).astype(np.float64)
    both = _pairs_inside((group * rows + first) * columns + second, rows * columns, num_groups)
    left = _pairs_inside(group * rows + first, rows, num_groups)
    right = _pairs_inside(group * columns + second, columns, num_groups)
    every = _pairs(sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = left * right / every
        room = (left + right) / 2 - expected
        values = np.where(room > 0, (both - expected) / room, 0.0)
    return np.where(sizes >= 2, values, np.nan), sizes


def pair_agreement(
    one: npt.ArrayLike, two: npt.ArrayLike, groups: npt.ArrayLike, num_groups: int | Sequence[int]
) -> float:
    """The mean of ``group_agreement`` over groups, weighted by their samples; nan if no group has two samples.

    Args:
        one: (n,) integers >= 0.
        two: (n,) integers >= 0.
        groups: (n,), or (n, sources) where samples are grouped in several ways, as for ``group_agreement``.
        num_groups: Number of groups, of each source where there are several.

    Raises:
        ValueError: As for ``group_agreement``, or the number of sources differs.

    Example:
        >>> round(pair_agreement([0, 0, 1, 1, 2, 2], [5, 5, 3, 3, 4, 4], [0, 0, 0, 0, 1, 1], 2), 3)
        0.667
    """
    sources = np.asarray(groups)
    sources = sources[:, None] if sources.ndim == 1 else sources
    numbers = np.atleast_1d(num_groups).tolist()
    parts = [group_agreement(one, two, own, number) for own, number in zip(sources.T, numbers, strict=True)]
    values, sizes = (np.concatenate(part) for part in zip(*parts, strict=True))
    defined = np.isfinite(values)
    weight = float(sizes[defined].sum())
    return float(values[defined] @ sizes[defined]) / weight if weight else math.nan


def class_share(preds: npt.ArrayLike, num_classes: int) -> float:
    """Effective number of classes used, relative to how many there are: exp of the entropy of their shares / K_F.

    Args:
        preds: (n,) integers in [0, num_classes).
        num_classes: K_F >= 1.

    Returns:
        In (0, 1]: 1 / K_F if one class has all samples, 1 if all are equally large; nan without samples.

    Example:
        >>> class_share([0, 0, 2, 2], 4)
        0.5
    """
    found = integers(preds, "preds", (1,), 0, num_classes)
    if not len(found):
        return math.nan
    shares = np.bincount(found)[np.unique(found)] / len(found)
    return min(1.0, math.exp(-float((shares * np.log(shares)).sum())) / num_classes)


def _pairs_inside(classes: IntArray, per_group: int, num_groups: int) -> FloatArray:
    """(num_groups,) pairs of samples of one class, summed over the classes of each group.

    Only classes that have samples take memory: with 100 groups, two labellings of 1,000 classes could have 10^8.

    Args:
        classes: (n,) in [0, num_groups * per_group), those of each group beside each other.
        per_group: Classes that a group may have.
        num_groups: Number of groups.
    """
    if per_group * num_groups <= 4 * len(classes):  # counting is ten times as fast as sorting; sums of whole numbers
        table = np.bincount(classes, minlength=per_group * num_groups).reshape(num_groups, per_group)
        inside: FloatArray = _pairs(table.astype(np.float64)).sum(axis=1)
        return inside
    used, counts = np.unique(classes, return_counts=True)
    pairs = _pairs(counts.astype(np.float64))
    return np.bincount(used // per_group, weights=pairs, minlength=num_groups).astype(np.float64)


def _pairs(counts: FloatArray) -> FloatArray:
    """Number of pairs among so many samples."""
    pairs: FloatArray = counts * (counts - 1) / 2
    return pairs
