"""What can be said about a data set before training: nesting, agreement of sources, neighbour purity, duplicates.

Functions that read fine labels, and so give oracle information, say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.data.base import Dataset, Inputs
from fgtune.data.views import true_relations

_BLOCK = 1024


@dataclass(frozen=True)
class SourcePair:
    """How two coarse labellings relate.

    Attributes:
        first: Number of the first source.
        second: Number of the second.
        cells: (K_C of first, K_C of second) counts of samples that both label, or else of fine classes (oracle).
        by_fine_classes: Whether ``cells`` counts fine classes, because no sample is labelled by both.
    """

    first: int
    second: int
    cells: IntArray
    by_fine_classes: bool

    @property
    def non_empty(self) -> int:
        """Number of pairs of labels that occur."""
        return int((self.cells > 0).sum())

    def surprise(self, given_first: bool) -> float:
        """Share of the counts whose label is not the most frequent one given the label in the other source."""
        axis = 1 if given_first else 0
        return 1.0 - float(self.cells.max(axis=axis).sum()) / max(1, int(self.cells.sum()))


def source_pairs(dataset: Dataset) -> Iterator[SourcePair]:
    """Every pair of sources that can be compared."""
    relations = true_relations(dataset)
    for second in range(dataset.num_sources):
        for first in range(second):
            labels = dataset.coarse[:, [first, second]]
            by_fine = not (labels >= 0).all(axis=1).any()
            if by_fine and relations is None:
                continue
            if by_fine and relations is not None:
                labels = relations[[first, second]].T
            labels = labels[(labels >= 0).all(axis=1)]
            cells = np.zeros((dataset.num_coarse[first], dataset.num_coarse[second]), dtype=np.int64)
            np.add.at(cells, (labels[:, 0], labels[:, 1]), 1)
            yield SourcePair(first, second, cells, by_fine)


def nesting(dataset: Dataset, source: int) -> tuple[float, float] | None:
    """To what extent fine classes nest in the coarse classes of a source; oracle.

    Returns:
        Share of fine classes all of whose labelled samples have one parent, and share of labelled samples that carry
        the most frequent parent of their fine class; None without fine labels.
    """
    if dataset.fine is None or dataset.num_fine is None:
        return None
    labels = dataset.coarse[:, source]
    known = labels >= 0
    counts = np.zeros((dataset.num_fine, dataset.num_coarse[source]), dtype=np.int64)
    np.add.at(counts, (dataset.fine[known], labels[known]), 1)
    counts = counts[counts.any(axis=1)]
    return float(((counts > 0).sum(axis=1) == 1).mean()), float(counts.max(axis=1).sum() / counts.sum())


def purity(fine: IntArray, coarse: IntArray, neighbors: IntArray, num_coarse: int) -> Float32Array:
    """Share of neighbours with the sample's own fine class, by coarse class; oracle.

    Args:
        fine: (n,) fine classes.
        coarse: (n,) coarse labels of one source, -1 for none.
        neighbors: (n, k) positions, -1 for none.
        num_coarse: K_C of the source.

    Returns:
        (num_coarse,) in [0, 1]; NaN where no sample has a neighbour.
    """
    found = neighbors >= 0
    same = (fine[neighbors] == fine[:, None]) & found
    hits, all_found = (
        np.bincount(coarse[coarse >= 0], weights=each.sum(axis=1)[coarse >= 0], minlength=num_coarse)
        for each in (same, found)
    )
    shares: Float32Array = np.full(num_coarse, np.nan, dtype=np.float32)
    met = all_found > 0
    shares[met] = hits[met] / all_found[met]
    return shares


@dataclass(frozen=True)
class Leak:
    """A feature that gives a label away by itself.

    Attributes:
        column: Number of the feature.
        skill: How far it goes beyond the most frequent class towards perfection, in [0, 1], on samples held out.
        others: The same for a feature in the middle of all.
    """

    column: int
    skill: float
    others: float


LEAK, LEAD = 0.9, 0.3


def leaks(values: Float32Array, labels: IntArray, rng: np.random.Generator) -> list[Leak]:
    """Features that give the label away almost perfectly and far better than most others do; the best first.

    A feature predicts the label of a sample by that of the nearest value in one half of the samples (the most frequent
    one of equal values), and is judged by the other half. Its skill is (accuracy - share of the most frequent class) /
    (1 - that share).

    Args:
        values: (n, d) finite features.
        labels: (n,) labels, -1 for none.
        rng: Divides the samples.

    Returns:
        Those of skill ``LEAK`` or more that lead the median feature by ``LEAD`` or more; none where there is only one
        feature or one class.
    """
    known = rng.permutation(np.flatnonzero(labels >= 0))
    codes = np.unique(labels[known], return_inverse=True)[1].reshape(-1)
    if values.shape[1] < 2 or len(known) < 20 or codes.max(initial=0) == 0:
        return []
    half = len(known) // 2
    most = float(np.bincount(codes[half:]).max()) / (len(known) - half)
    skills = np.zeros(values.shape[1])
    for column in range(values.shape[1]):
        predicted = _by_nearest(values[known[:half], column], codes[:half], values[known[half:], column])
        right = predicted == codes[half:]
        skills[column] = max(0.0, (float(right.mean()) - most) / max(1.0 - most, 1e-12))
    middle = float(np.sort(skills)[(len(skills) - 1) // 2])
    found = np.flatnonzero((skills >= LEAK) & (skills >= middle + LEAD))
    return [Leak(int(each), float(skills[each]), middle) for each in found[np.argsort(-skills[found], kind="stable")]]


def _by_nearest(values: Float32Array, labels: IntArray, asked: Float32Array) -> IntArray:
    """The most frequent label of the value nearest to each of ``asked`` (m,), among ``values`` (n,)."""
    order = np.lexsort((labels, values))
    points, starts = np.unique(values[order], return_index=True)
    best = labels[order][starts]
    if len(points) < len(values):  # equal values: their pairs with labels are counted
        place = np.repeat(np.arange(len(points)), np.diff([*starts, len(values)]))
        classes = int(labels.max()) + 1
        pairs, counts = np.unique(place * classes + labels[order], return_counts=True)
        ranked = np.lexsort((-counts, pairs // classes))
        best = pairs[ranked[np.unique(pairs[ranked] // classes, return_index=True)[1]]] % classes
    found: IntArray = best[np.searchsorted((points[1:] + points[:-1]) / 2, asked)]
    return found


def duplicate_groups(inputs: Inputs) -> IntArray:
    """Group of each sample, (N,), numbered from 0: samples share a group when their inputs are bit-identical."""
    digests = np.empty(len(inputs), dtype="S16")
    for start in range(0, len(inputs), _BLOCK):
        block = np.ascontiguousarray(inputs[start : start + _BLOCK])
        digests[start : start + len(block)] = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in block]
    padded = np.array([bytes(digest).ljust(16, b"\0") for digest in digests])
    group: npt.NDArray[np.int64] = np.unique(padded, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return group
