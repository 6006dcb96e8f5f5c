"""Which column holds the coarse labels, and which columns are labels in disguise and must not be used as inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import IntArray
from fgtune.data.labels import class_name, is_missing, number_classes
from fgtune.data.readers.features import COARSE_NAMES, FINE_NAMES
from fgtune.errors import DataError
from fgtune.text import first_of

LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "target",
    "group",
    "type",
    "y",
    "cell_type",
    "celltype",
)
"""Names of labels."""
MOST_CLASSES = 100
"""A column with more classes is no column of coarse labels."""
SAMPLES_A_CLASS = 5
"""Mean number of samples of a class, at least."""
CHANCE = 1e-4
"""A column of many values divides the coarse classes as labels would if chance would do it less often."""


@dataclass(frozen=True)
class Column:
    """A column that may hold labels.

    Attributes:
        name: Its name.
        codes: (N,) classes, -1 for none.
        classes: Their names.
        text: Whether the column holds words rather than numbers.
    """

    name: str
    codes: IntArray
    classes: tuple[str, ...]
    text: bool


def label_column(name: str, values: Sequence[object], text: bool) -> Column | None:
    """The column as labels; None if it holds too many classes, or one, to be coarse labels."""
    codes, classes = number_classes(values)
    known = int((codes >= 0).sum())
    if not 2 <= len(classes) <= MOST_CLASSES or known < SAMPLES_A_CLASS * len(classes):
        return None
    return Column(name, codes, classes, text)


def choose_coarse(columns: Mapping[str, Column], where: str) -> Column:
    """The column of coarse labels, where there is no doubt about it.

    Args:
        columns: All that may hold labels.
        where: The file, for messages.

    Raises:
        DataError: None, or more than one; the text lists them.
    """
    named = [
        [column for column in columns.values() if column.name.lower() in names] for names in (COARSE_NAMES, LABEL_NAMES)
    ]
    words = [column for column in columns.values() if column.text and column.name.lower() not in FINE_NAMES]
    for group in (named[0], named[1], words, list(columns.values())):
        if len(group) == 1:
            return group[0]
        if len(group) > 1:
            listed = first_of([f"{column.name} ({len(column.classes)} classes)" for column in group], 12)
            rule = f"several columns may hold the coarse labels: {listed}"
            raise DataError(rule, where=where, path="--coarse", fix=f"name one, e.g. --coarse {group[0].name}")
    rule = f"no column looks like coarse labels: 2 to {MOST_CLASSES} classes of {SAMPLES_A_CLASS} samples or more"
    raise DataError(rule, where=where, path="--coarse", fix="name the column with --coarse COLUMN")


def fine_labels(name: str | None, values: Sequence[object], where: str) -> list[str] | None:
    """Fine labels by name, for the comparison at the end; None where no column was named.

    Raises:
        DataError: There is no label among them.
    """
    if name is None:
        return None
    labels = ["" if is_missing(value) else class_name(value) for value in values]
    if not number_classes(labels)[1]:
        raise DataError("holds no label", where=where, path=name, fix="name another one with --fine")
    return labels


def refines(column: Column, coarse: Column) -> bool:
    """Whether a column divides coarse classes without ever crossing them, as fine labels do, or repeats them."""
    both = (column.codes >= 0) & (coarse.codes >= 0)
    pairs = np.unique(column.codes[both] * len(coarse.classes) + coarse.codes[both])
    return len(pairs) == len(np.unique(column.codes[both])) and len(column.classes) >= len(coarse.classes)


def refines_by_chance(column: Column, coarse: Column) -> bool:
    """Whether values that have nothing to do with the coarse classes would divide them as well, for want of repeats.

    A value in m samples stays in one coarse class with probability sum of p^m over the classes, p being their shares.
    """
    both = (column.codes >= 0) & (coarse.codes >= 0)
    shares = np.bincount(coarse.codes[both]) / max(1, int(both.sum()))
    repeats, times = np.unique(np.unique(column.codes[both], return_counts=True)[1], return_counts=True)
    single = (shares[shares > 0, None] ** repeats).sum(axis=0)
    return float(times @ np.log(np.maximum(single, 1e-300))) > math.log(CHANCE)
