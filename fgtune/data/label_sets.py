"""Sets of coarse labels: every label is a source of its own, which says of a sample that it has the label or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.schema.base import LabelSetsConfig
from fgtune.data.base import Dataset
from fgtune.data.labels import number_classes
from fgtune.errors import DataError
from fgtune.text import first_of

MAX_LABELS = 1000
"""Each label has relations of its own; more are a column of something else, or a wrong delimiter."""


def as_label_sets(dataset: Dataset, config: LabelSetsConfig) -> Dataset:
    """The data set with its coarse labels read as sets.

    One column of coarse labels holds names with a delimiter between them (``a|b``, and the delimiter alone for a sample
    that has none); several hold 0 and 1, a column a label. A missing label, or a row with one, is a set that is not
    known.

    Returns:
        Coarse labels (N, labels) with 1 for a label that a sample has, 0 for one that it has not, and -1 in all columns
        for a set that is not known; one source of two classes a label.

    Raises:
        DataError: Several columns hold something else than 0 and 1, or a label is had by all samples or by none.
    """
    found = _of_names(dataset, config.delimiter) if dataset.num_sources == 1 else _of_columns(dataset)
    coarse, names = found
    known = coarse[:, 0] >= 0
    idle = [name for name, column in zip(names, coarse[known].T, strict=True) if len(np.unique(column)) < 2]
    if idle:
        rule = f"every label must be had by some samples and not by others; {first_of(idle)} is not"
        raise _error(dataset, rule, "leave these labels out")
    return sets_of(dataset, coarse, names)


def sets_of(dataset: Dataset, coarse: IntArray, names: tuple[str, ...]) -> Dataset:
    """The data set with the sets (N, labels) of 0, 1 and -1 that these labels form."""
    return replace(
        dataset,
        coarse=coarse,
        num_coarse=(2,) * len(names),
        coarse_names=tuple((f"without {name}", f"with {name}") for name in names),
        label_sets=True,
    )


def set_groups(coarse: IntArray, most: int) -> tuple[IntArray, IntArray]:
    """Which samples have the same set.

    Args:
        coarse: (n, labels) of 0 and 1, -1 for a set that is not known.
        most: So many sets are told apart, those of most samples; of equally frequent ones the first in order.

    Returns:
        (n,) number of each sample's set, -1 where it is not known or not told apart; and (sets, labels) the sets, in
        lexicographic order.

    Example:
        >>> groups, sets = set_groups(np.array([[0, 1], [1, 1], [0, 1], [-1, -1]]), most=2)
        >>> groups.tolist(), sets.tolist()
        ([0, 1, 0, -1], [[0, 1], [1, 1]])
    """
    rows = np.flatnonzero((coarse >= 0).all(axis=1))
    sets, number, counts = np.unique(coarse[rows], axis=0, return_inverse=True, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:most])
    renumbered = np.full(len(sets), -1, dtype=np.int64)
    renumbered[kept] = np.arange(len(kept))
    groups = np.full(len(coarse), -1, dtype=np.int64)
    groups[rows] = renumbered[number.reshape(-1)]
    return groups, sets[kept].astype(np.int64)


def _of_names(dataset: Dataset, delimiter: str) -> tuple[IntArray, tuple[str, ...]]:
    codes = dataset.coarse[:, 0]
    if dataset.coarse_names is None:
        rule = "one column of coarse labels holds sets only where it holds text"
        raise _error(
            dataset, rule, f"write names with {delimiter!r} between them, or a column of 0 and 1 for each label"
        )
    listed = [[part.strip() for part in name.split(delimiter) if part.strip()] for name in dataset.coarse_names[0]]
    _, labels = number_classes(sorted({part for parts in listed for part in parts}))
    if not labels:
        raise _error(dataset, "no sample has a label", "name the column of the sets")
    if len(labels) > MAX_LABELS:
        rule = f"holds {len(labels):,} different labels, at most {MAX_LABELS:,} can form sets"
        raise _error(dataset, rule, "name the column of the sets, and check the delimiter")
    place = {label: number for number, label in enumerate(labels)}
    rows = np.zeros((len(listed), len(labels)), dtype=np.int64)
    for row, parts in zip(rows, listed, strict=True):
        row[[place[part] for part in parts]] = 1
    coarse = np.where(codes[:, None] >= 0, rows[codes], -1)
    return coarse, labels


def _of_columns(dataset: Dataset) -> tuple[IntArray, tuple[str, ...]]:
    columns = []
    for source, codes in enumerate(dataset.coarse.T):
        names = None if dataset.coarse_names is None else dataset.coarse_names[source]
        values = np.arange(dataset.num_coarse[source]).astype(str).tolist() if names is None else list(names)
        if not {*values} <= {"0", "1"}:
            rule = f"several columns are a set only if each holds 0 and 1; column {source} holds {first_of(values)}"
            raise _error(dataset, rule, "write 1 where a sample has the label and 0 where it has not")
        known = np.array([int(value) for value in values], dtype=np.int64)
        columns.append(np.where(codes >= 0, known[codes], -1))
    coarse = np.stack(columns, axis=1)
    coarse[(coarse < 0).any(axis=1)] = -1
    return coarse, tuple(f"label {number}" for number in range(coarse.shape[1]))


def _error(dataset: Dataset, rule: str, fix: str) -> DataError:
    return DataError(rule, where=dataset.name, path="trial.data.coarse_sets", fix=fix)
