"""From labels of any kind to what a data set holds: class numbers with names, continuous targets, parts of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data_tables import CoarseRule
from fgtune.data.check import SPLIT_NAMES
from fgtune.errors import DataError

NO_LABEL = ("", "-1", "nan", "na", "<na>", "none", "null")
"""What an empty cell of a table may look like, in lower case."""


def number_classes(labels: Sequence[object] | npt.NDArray[Any]) -> tuple[IntArray, tuple[str, ...]]:
    """Number classes by name: whole numbers in numerical order, other names alphabetically.

    Args:
        labels: (N,) names or numbers; ``NO_LABEL`` stands for none.

    Returns:
        (N,) int64, -1 for none; and the names.
    """
    text = [_name(label) for label in labels]
    distinct = {name for name in text if name.lower() not in NO_LABEL}
    names = sorted(distinct, key=int) if all(_is_whole(name) for name in distinct) else sorted(distinct)
    number = {name: index for index, name in enumerate(names)}
    return np.array([number.get(name, -1) for name in text], dtype=np.int64), tuple(names)


def count_classes(coarse: IntArray) -> tuple[int, ...]:
    """K_C of each source of (N, sources) labels: its highest label + 1."""
    return tuple(int(labels.max(initial=-1)) + 1 for labels in coarse.T)


def _name(label: object) -> str:
    """A label as text; 3.0, which tables make of 3 in a column with empty cells, is 3."""
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label).strip()


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isascii() and name.removeprefix("-").isdigit()


def as_values(array: npt.NDArray[Any], where: str, path: str) -> Float32Array:
    """Continuous targets (N,) or (N, columns) of any real dtype as (N, columns) float32."""
    if array.dtype.kind not in "buif" or not 1 <= array.ndim <= 2:
        rule = "continuous fine targets must be real numbers, (N,) or (N, columns)"
        raise DataError(rule, where=where, path=path, value=f"{array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):  # the check reports what float32 cannot hold
        return np.ascontiguousarray(array[:, None] if array.ndim == 1 else array, dtype=np.float32)


def parts_of(labels: npt.NDArray[Any], where: str, path: str = "split") -> IntArray:
    """Parts of a split, (N,) in {0, 1, 2}, from these numbers or from 'train', 'val', 'test'.

    Raises:
        DataError: At the first entry that is neither; the text names its row.
    """
    known = {name: part for part, name in enumerate(SPLIT_NAMES)} | {str(part): part for part in range(3)}
    parts = np.array([known.get(_name(label), -1) for label in labels], dtype=np.int64)
    unknown = np.flatnonzero(parts < 0)
    if unknown.size:
        rule = f"must be one of {', '.join(map(repr, SPLIT_NAMES))}, row {unknown[0]} is not"
        fix = "Use these names, or 0, 1, 2."
        raise DataError(rule, where=where, path=path, value=str(labels[unknown[0]]), fix=fix)
    return parts


def derive_coarse(values: Float32Array | None, rule: CoarseRule, where: str) -> IntArray:
    """Coarse labels from continuous fine targets, as in FIERCE.

    Args:
        values: (N, columns); None is an error.
        rule: ``median``: 1 where the first column is above its median, else 0 (ages); ``argmax``: the column of the
            largest value (abundances), renumbered without gaps.
        where: For messages.

    Returns:
        (N, 1) int64.
    """
    path = "trial.data.derive_coarse"
    if values is None:
        raise DataError("needs continuous fine targets", where=where, path=path, value=rule, fix="Give fine_values.")
    if rule == "argmax" and values.shape[1] < 2:
        raise DataError("needs several columns of targets", where=where, path=path, value=rule, fix="Use median.")
    if rule == "median":
        coarse = (values[:, 0] > np.median(values[:, 0])).astype(np.int64)
    else:
        coarse = np.unique(values.argmax(axis=1), return_inverse=True)[1].astype(np.int64)
    return coarse[:, None]
