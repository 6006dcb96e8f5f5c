"""Checks of metric inputs; an error states the array's name, the rule and the value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fgtune.arrays import AnyArray, FloatArray, IntArray
from fgtune.errors import TrialError

BLOCK = 2**22
"""Numbers that are converted to float64 at a time (32 MiB)."""
SUM_TOLERANCE = 1e-3
"""How far the sum of a row of probabilities may be from 1."""


def integers(array: npt.ArrayLike, name: str, ndim: tuple[int, ...], low: int, high: int | None = None) -> IntArray:
    """``array`` as int64 after checking its type, number of dimensions and range.

    Args:
        array: Anything that NumPy reads as integers; an empty list counts as integers.
        name: Its name, for messages.
        ndim: Allowed numbers of dimensions.
        low: Smallest allowed value.
        high: Smallest value that is too large, or None.

    Raises:
        ValueError: Another type, number of dimensions or range.

    Example:
        >>> integers([0, 3], "preds", ndim=(1,), low=0, high=3)
        Traceback (most recent call last):
            ...
        ValueError: preds must be in [0, 2], got values from 0 to 3
    """
    values = np.asarray(array)
    if values.size == 0 and values.dtype == np.float64:
        values = values.astype(np.int64)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} must be integers, got dtype {values.dtype}")
    if values.ndim not in ndim:
        allowed = " or ".join(map(str, ndim))
        raise ValueError(f"{name} must have {allowed} dimension(s), got shape {values.shape}")
    if values.size and (values.min() < low or (high is not None and values.max() >= high)):
        rule = f">= {low}" if high is None else f"in [{low}, {high - 1}]"
        raise ValueError(f"{name} must be {rule}, got values from {values.min()} to {values.max()}")
    return values.astype(np.int64, copy=False)


def counts_matrix(counts: npt.ArrayLike) -> IntArray:
    """``counts`` as a (predicted, true) contingency matrix of int64, >= 0.

    Raises:
        ValueError: Not a matrix of non-negative integers.

    Example:
        >>> counts_matrix([[1, 2]]).shape
        (1, 2)
    """
    return integers(counts, "counts", (2,), 0)


def reals(array: npt.ArrayLike, name: str) -> FloatArray:
    """``array`` as a finite float64 matrix.

    Raises:
        ValueError: Not two-dimensional, or without columns.
        TrialError: NaN or infinity, as from a diverged model.

    Example:
        >>> reals([[1, 2]], "features").tolist()
        [[1.0, 2.0]]
    """
    return finite(array, name).astype(np.float64, copy=False)


def finite(array: npt.ArrayLike, name: str) -> AnyArray:
    """``array`` as the matrix that it is after the checks of ``reals``, not converted.

    Raises:
        ValueError: Not two-dimensional, or without columns.
        TrialError: NaN or infinity.

    Example:
        >>> finite(np.ones((1, 2), dtype=np.float32), "probs").dtype.name
        'float32'
    """
    values = np.asarray(array)
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix with at least one column, got shape {values.shape}")
    bad = sum(int((~np.isfinite(values[rows])).any(axis=1).sum()) for rows in blocks(values))
    if bad:
        raise TrialError(f"{name} must be finite, {bad} of {len(values)} rows hold NaN or infinity")
    return values


def blocks(values: AnyArray) -> Iterator[slice]:
    """Rows of a matrix, in order, so many at a time that a block in float64 is small beside the matrix of many classes.

    Example:
        >>> list(blocks(np.zeros((3, 2))))
        [slice(0, 3, None)]
    """
    rows = max(1, BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        yield slice(start, min(start + rows, len(values)))


def check_probabilities(values: FloatArray, name: str, first_row: int = 0) -> None:
    """Raise ``ValueError`` unless every row of a matrix is >= 0 and sums to 1.

    Args:
        values: (n, K).
        name: Its name, for messages.
        first_row: Number of its first row, for messages, where it is a part of a matrix.

    Example:
        >>> check_probabilities(np.array([[0.5, 0.5], [0.5, 0.6]]), "probs")
        Traceback (most recent call last):
            ...
        ValueError: rows of probs must be >= 0 and sum to 1, got sum 1.1 and minimum 0.5 in row 1
    """
    wrong = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"rows of {name} must be >= 0 and sum to 1, got sum {values[row].sum():g} and "
            f"minimum {values[row].min():g} in row {first_row + row}"
        )


def same_length(first: int, second: int, names: str) -> None:
    """Raise ``ValueError`` unless two lengths are equal.

    Example:
        >>> same_length(2, 3, "preds and target")
        Traceback (most recent call last):
            ...
        ValueError: preds and target must have the same length, got 2 and 3
    """
    if first != second:
        raise ValueError(f"{names} must have the same length, got {first} and {second}")
