"""Agreement of two runs on the fine classes inside coarse classes, corrected for chance; reads no fine label.

Two runs of one setting that find the same division of every coarse class have found something that does not depend on
initial weights and data order. A run that finds nothing agrees with others, too, where it puts everything into one
class; so that gets no credit here, and ``class_share`` says how many of its classes a run uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    return _adjusted(both, left, right, sizes), sizes


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


def agreement_table(labels: npt.ArrayLike, groups: npt.ArrayLike, num_groups: int | Sequence[int]) -> FloatArray:
    """``pair_agreement`` of every two of several labellings, each on the samples that both label.

    What the pairs share is worked out once, so that a pair costs an addition and a count a sample.

    Args:
        labels: (m, n) integers >= -1; -1 leaves a sample out.
        groups: As for ``pair_agreement``.
        num_groups: As for ``pair_agreement``.

    Returns:
        (m, m) symmetric; nan on the diagonal, and where ``pair_agreement`` is.

    Raises:
        ValueError: As for ``pair_agreement``.

    Example:
        >>> agreement_table([[0, 0, 1, 1], [3, 3, 2, 2], [0, 1, 0, 1]], [0, 0, 0, 0], 1).round(3).tolist()
        [[nan, 1.0, -0.5], [1.0, nan, -0.5], [-0.5, -0.5, nan]]
    """
    found = integers(labels, "labels", (2,), -1)
    sources = np.asarray(groups)
    sources = sources[:, None] if sources.ndim == 1 else sources
    numbers = np.atleast_1d(num_groups).tolist()
    known = found >= 0
    if (known == known[:1]).all():
        return _whole_table(found[:, known.all(axis=0)], sources[known.all(axis=0)], numbers)
    table = np.full((len(found), len(found)), math.nan)
    for one, two in zip(*np.triu_indices(len(found), 1), strict=True):
        both = known[one] & known[two]
        value = pair_agreement(found[one][both], found[two][both], sources[both], numbers)
        table[one, two] = table[two, one] = value
    return table


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


def _whole_table(labels: IntArray, sources: IntArray, numbers: Sequence[int]) -> FloatArray:
    """``agreement_table`` of labellings (m, n) that leave no sample out."""
    parts = [_Ranked.of(labels, own, number) for own, number in zip(sources.T, numbers, strict=True)]
    sizes = np.concatenate([part.sizes for part in parts])
    weights = np.where(sizes >= 2, sizes, 0.0)
    table = np.full((len(labels), len(labels)), math.nan)
    step = min(part.step for part in parts)
    for first in range(0, len(labels), step):
        values = np.concatenate([part.against_later(first, first + step) for part in parts], axis=2)
        for one, rows in enumerate(values, first):
            with np.errstate(invalid="ignore"):  # no group of two samples: nan
                found = np.where(sizes >= 2, rows[one + 1 - first :], 0.0) @ weights / weights.sum()
            table[one, one + 1 :] = table[one + 1 :, one] = found
    return table


_MOST_AT_ONCE = 2**16
"""Samples of pairs that are counted together: half a MiB, so that they stay in the cache."""
_MANY = 16
"""Labellings from which on tables come from products of matrices."""
_NARROW = 12
"""Labels of a group, at most, on average: counting takes a sample a pair the time of some 300 products."""
_ROWS, _COLUMNS = 512, 1024
"""Rows of a product, and samples that it sums over, at once."""


@dataclass(frozen=True)
class _Ranked:
    """Labellings of grouped samples, laid out so that every pair of them fills a table of the same form.

    A group has a square of cells in it, with a side of the most labels that any labelling uses there, so that the cell
    of a sample is its row's start by one labelling plus its rank by the other.

    Attributes:
        sizes: (groups,) samples, which lie side by side.
        sides: (groups,) labels that any labelling uses there, at most.
        present: The groups that have samples.
        starts: Where the square of each of these begins.
        cells: Number of cells.
        rows: (m, n) start of each sample's row.
        ranks: (m, n) rank of each sample's label among those that its group has.
        own: (m, groups) pairs of samples of one label.
    """

    sizes: FloatArray
    sides: IntArray
    present: IntArray
    starts: IntArray
    cells: int
    rows: IntArray
    ranks: IntArray
    own: FloatArray

    @classmethod
    def of(cls, labels: IntArray, groups: IntArray, number: int) -> _Ranked:
        """Lay out labellings (m, n) >= 0 of samples in ``groups`` (n,), -1 for none."""
        group = integers(groups, "groups", (1,), -1, number)
        same_length(labels.shape[1], len(group), "labels and groups")
        order = np.argsort(group, kind="stable")[np.count_nonzero(group < 0) :]
        labels, group = labels[:, order], group[order]
        most = int(labels.max(initial=0)) + 1
        ranks, sides = np.empty_like(labels), np.zeros(number, dtype=np.int64)
        own = np.zeros((len(labels), number))
        for rank, each in enumerate(labels):
            used, place, counts = np.unique(group * most + each, return_inverse=True, return_counts=True)
            firsts = np.searchsorted(used, np.arange(number + 1) * most)
            ranks[rank] = place - firsts[group]
            sides = np.maximum(sides, np.diff(firsts))
            own[rank] = np.bincount(used // most, weights=_pairs(counts.astype(np.float64)), minlength=number)
        ends = np.cumsum(sides**2)
        begins = ends - sides**2
        sizes = np.bincount(group, minlength=number).astype(np.float64)
        present = np.flatnonzero(sizes)
        rows = begins[group] + ranks * sides[group]
        return cls(sizes, sides, present, begins[present], int(ends[-1]), rows, ranks, own)

    @property
    def step(self) -> int:
        """Labellings that are set against all later ones at once."""
        return max(1, _ROWS // int(self.sides.max(initial=1))) if self._multiplies else 1

    @property
    def _multiplies(self) -> bool:
        cost = float(self.sizes @ self.sides.astype(np.float64) ** 2)
        return len(self.ranks) >= _MANY and cost <= _NARROW**2 * self.ranks.shape[1]

    def against_later(self, first: int, last: int) -> FloatArray:
        """(last - first, m - first, groups) agreement of labellings [first, last) with each from ``first`` on."""
        both = self._multiplied(first, last) if self._multiplies else self._counted(first, last)
        return _adjusted(both, self.own[first:last, None], self.own[first:], self.sizes)

    def _multiplied(self, first: int, last: int) -> FloatArray:
        """Pairs of samples in one cell of each table, which is a product of two matrices of zeros and ones.

        Exact: a table's counts are whole numbers below 2^24, and their squares are summed in double precision.
        """
        ranks = self.ranks[first:]
        found = np.zeros((min(last, len(self.ranks)) - first, len(ranks), len(self.sizes)))
        ends = np.cumsum(self.sizes).astype(np.int64)
        for group in self.present:
            side, size, end = int(self.sides[group]), int(self.sizes[group]), int(ends[group])
            tables = np.zeros((len(found) * side, len(ranks) * side), dtype=np.float32)
            for start in range(end - size, end, _COLUMNS):
                labels = ranks[:, None, start : min(start + _COLUMNS, end)]
                is_one = np.equal(labels, np.arange(side)[:, None], order="C")
                marks = is_one.reshape(len(ranks) * side, -1).astype(np.float32)
                tables += marks[: len(found) * side] @ marks.T
            apart = tables.reshape(len(found), side, len(ranks), side)
            found[:, :, group] = (np.einsum("asbt,asbt->ab", apart, apart, dtype=np.float64) - size) / 2
        return found

    def _counted(self, first: int, last: int) -> FloatArray:
        """The same, each sample counted in its cell."""
        rows = range(first, min(last, len(self.ranks)))
        samples = self.ranks.shape[1]
        found = np.zeros((len(rows), len(self.ranks) - first, len(self.sizes)))
        dense = self.cells <= 4 * samples  # counting is ten times as fast as sorting
        step = max(1, _MOST_AT_ONCE // max(1, samples)) if dense else 1
        for one in rows:
            for begin in range(one + 1, len(self.ranks), step) if samples else ():
                cells = self.rows[one] + self.ranks[begin : begin + step]
                found[one - first][begin - first :][:step, self.present] = self._pairs_of(cells, dense)
        return found

    def _pairs_of(self, cells: IntArray, dense: bool) -> FloatArray:
        """(k, present) pairs of samples in one cell, summed over the cells of each group; k is 1 unless ``dense``."""
        if dense:
            apart = (cells + np.arange(len(cells))[:, None] * self.cells).ravel()
            counts = np.bincount(apart, minlength=len(cells) * self.cells).reshape(len(cells), self.cells)
            found: FloatArray = np.add.reduceat(_pairs(counts.astype(np.float64)), self.starts, axis=1)
            return found
        used, counts = np.unique(cells[0], return_counts=True)
        owners = np.searchsorted(self.starts, used, side="right") - 1
        inside = np.bincount(owners, weights=_pairs(counts.astype(np.float64)), minlength=len(self.starts))
        return inside[None].astype(np.float64)


def _adjusted(both: FloatArray, left: FloatArray, right: FloatArray, sizes: FloatArray) -> FloatArray:
    """The adjusted Rand index of groups from numbers of pairs together in both labellings and in each; see above.

    Args:
        both: (..., groups).
        left: (..., groups) of the first labelling.
        right: (..., groups) of the second.
        sizes: (groups,) samples; nan is what fewer than two have.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = left * right / _pairs(sizes)
        room = (left + right) / 2 - expected
        values = np.where(room > 0, (both - expected) / room, 0.0)
    return np.where(sizes >= 2, values, np.nan)


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
