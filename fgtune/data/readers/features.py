"""Which columns of a table are features: row numbers, identifiers and disguised labels are not, unless named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.config.schema.data_tables import TableColumnsConfig
from fgtune.data.labels import number_classes
from fgtune.data.readers.number_columns import numbers, written_numbers
from fgtune.data.readers.tables import cells, check_columns, label_cells
from fgtune.errors import DataError
from fgtune.text import first_of

if TYPE_CHECKING:
    import pandas as pd

COARSE_NAMES = (
    "coarse", "coarse_label", "coarse_class", "coarse_labels", "superclass", "super_class", "supercategory",
)  # fmt: skip
"""Names that can mean nothing but coarse labels."""
FINE_NAMES = ("fine", "fine_label", "fine_class", "fine_labels", "subclass", "sub_class", "subtype", "leaf")
"""Names that say that a column holds what is to be found."""
_LABELS = frozenset({*COARSE_NAMES, *FINE_NAMES, "label", "labels", "class", "classes", "target", "targets"})
_UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)*|__index_level_\d+__|\.\.\.\d+")
"""What pandas, Arrow and R call the row names that they write or read."""
_IDENTIFIER = re.compile(r"(?i:(^|.*[_ .-])(id|ids|uuid|guid|identifier|barcode))|.*[a-z0-9](Id|ID)")
_ROWS = re.compile(
    r"(?i)(row|index|idx|rownames?|row[_ .-]?(index|number|num|nr|no|id)|sample|sample[_ .-]?(number|nr|no))"
)
_MANY_CATEGORIES = 50
"""A column of text with more categories is warned of when each becomes a feature."""


def feature_columns(
    frame: pd.DataFrame, columns: TableColumnsConfig, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that are features, in order, and warnings of what was left out or looks wrong.

    Only coarse labels decide anything here: fine labels must not reach training, not even through its columns.

    Args:
        frame: The table.
        columns: What its columns mean; its features are taken as they are if it names some. Those to be left out
            need not be in the table.
        where: The file, for messages.

    Raises:
        DataError: A column to be kept does not exist, or no feature is left.
    """
    if columns.features is not None:
        return tuple(dict.fromkeys((*columns.features, *columns.one_hot))), ()
    check_columns([str(name) for name in frame.columns], (*columns.keep, *columns.one_hot), where)
    labels = {*columns.coarse, *columns.fine_values, columns.fine, columns.split, *columns.exclude}
    sources = [number_classes(label_cells(frame[name], where))[0] for name in columns.coarse]
    kept: list[str] = []
    left: dict[str, list[str]] = {}
    ordered: list[str] = []
    for title, column in frame.items():  # a wide table is asked for a column by name ten times as slowly
        name = str(title)
        if name in labels:
            continue
        wanted = name in columns.keep or name in columns.one_hot
        reason = None if wanted else why_left_out(name, column, sources)
        if reason is not None:
            left.setdefault(reason, []).append(name or "(no name)")
            continue
        kept.append(name)
        if not wanted and _follows_order(column):
            ordered.append(name)
    notes = []
    if left:
        listed = "; ".join(f"{first_of(names)} ({reason})" for reason, names in left.items())
        notes.append(
            f"{where}: left out of the features: {listed}. Name a column under data.columns.keep to use it, or under "
            "data.columns.exclude to silence this"
        )
    if ordered:
        notes.append(
            f"{where}: features whose values rise or fall from row to row: {first_of(ordered)}. They show the order of "
            "the file, in which samples of a class often stand together; name them under data.columns.exclude, or keep"
        )
    if not kept:
        fix = "Name them under data.columns.features or data.columns.keep."
        raise DataError("no column is left for the features", where=where, fix=fix)
    return tuple(kept), tuple(notes)


def why_left_out(name: str, column: pd.Series, sources: Sequence[IntArray]) -> str | None:
    """Why a column is no feature unless it is named; None where nothing speaks against it.

    Args:
        name: Its name.
        column: Its cells.
        sources: (N,) coarse classes of each source, -1 for none.
    """
    if _UNNAMED.fullmatch(name):
        return "without a name, as row names and numbers are written"
    real = column.dtype.kind == "f" and not _is_whole(column)
    if name.lower() in _LABELS and not real:
        return "labels, by the name"
    if _IDENTIFIER.fullmatch(name) and not real:
        return "identifiers, by the name"
    if _numbers_rows(name, column):
        return "row numbers, or in the order of the rows"
    if column.dtype.kind not in "buif":
        written = written_numbers(column)
        if written and 2 * sum(written) >= len(written):
            return None  # numbers that could not be read as such, which is told
        return "another text in every row" if column.is_unique and not column.isna().any() else None
    if not real and any(_is_one_to_one(column, codes) for codes in sources):
        return "one value for each coarse class"
    return None


def _real(column: pd.Series) -> FloatArray:
    """(N,) a column of numbers, NaN for missing ones."""
    values: FloatArray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _is_whole(column: pd.Series) -> bool:
    values = _real(column)
    known = values[~np.isnan(values)]
    return bool(len(known)) and bool(np.isfinite(known).all()) and bool((known % 1 == 0).all())


def _numbers_rows(name: str, column: pd.Series) -> bool:
    """Whether whole numbers or dates rise or fall from row to row, numbers are equally spaced, or the name says so."""
    if column.dtype.kind == "M":
        return bool(column.is_unique and (column.is_monotonic_increasing or column.is_monotonic_decreasing))
    if column.dtype.kind not in "iuf":
        return False
    values = _real(column)
    if np.isnan(values).any():
        return False
    steps = np.diff(values)
    ordered = bool((steps > 0).all() or (steps < 0).all())
    if ordered and steps.size and bool(np.ptp(steps) <= 1e-6 * np.abs(steps).max()):
        return True
    whole = column.dtype.kind != "f" or _is_whole(column)
    return whole and (ordered or bool(_ROWS.fullmatch(name) and column.is_unique))


def _follows_order(column: pd.Series) -> bool:
    """Whether numbers rise, or fall, from row to row."""
    if column.dtype.kind not in "iuf":
        return False
    steps = np.diff(_real(column))  # NaN beside one that is missing
    return bool((steps > 0).all() or (steps < 0).all())


def _is_one_to_one(column: pd.Series, coarse: IntArray) -> bool:
    """Whether a column and a source of coarse labels, of two classes or more, are names for each other."""
    values = np.unique(column.to_numpy(dtype=np.float64, na_value=np.nan), return_inverse=True)[1].reshape(-1)
    known = coarse >= 0
    pairs = np.unique(np.stack([values[known], coarse[known]]), axis=1)
    return pairs.shape[1] > 1 and all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def feature_values(
    frame: pd.DataFrame, names: Sequence[str], one_hot: Sequence[str], where: str
) -> tuple[Float32Array, tuple[str, ...], tuple[str, ...]]:
    """Features as numbers, their names, and warnings.

    Args:
        frame: The table.
        names: Columns, in order.
        one_hot: Those of which every value becomes a feature of its own, 1 where a row has it; an empty cell has none.
        where: The file, for messages.

    Returns:
        (N, features) float32, names such as ``colour=red`` for values of ``one_hot`` columns, and warnings.

    Raises:
        DataError: A column that is not in ``one_hot`` holds anything but real numbers.
    """
    blocks, titles, notes = [], [], []
    given = [name for name in names if name not in one_hot]
    values = numbers(frame, given, where)
    plain = iter(values.T)
    for name in names:
        if name not in one_hot:
            blocks.append(next(plain)[:, None])
            titles.append(name)
            continue
        codes, known = number_classes(cells(frame[name]))
        blocks.append((codes[:, None] == np.arange(len(known))).astype(np.float32))
        titles += [f"{name}={value}" for value in known]
        if len(known) > _MANY_CATEGORIES:
            notes.append(f"{where}: column {name!r} becomes {len(known):,} features, one for each of its values")
    notes += resolution_warnings(values, lambda place: _real(frame[given[place]]), given, where)
    return np.concatenate(blocks, axis=1), tuple(titles), tuple(notes)


STEPS = 64
"""A feature with fewer steps of float32 between its least and its greatest value is warned of."""


def resolution_warnings(
    values: Float32Array, exact: Callable[[int], npt.NDArray[Any]], names: Sequence[str] | None, where: str
) -> Iterator[str]:
    """A warning where values that differ become the same in float32, such as seconds since 1970.

    Args:
        values: (N, features) in float32.
        exact: (N,) a feature as the file has it, by its place.
        names: Names of the features, where they have some.
        where: The file, for messages.
    """
    if not values.size:
        return
    known = np.isfinite(values)
    least, most = values.min(axis=0, where=known, initial=np.inf), values.max(axis=0, where=known, initial=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # a feature without a number gives NaN, and no suspect
        step = np.spacing(np.maximum(np.abs(least), np.abs(most)))
        suspects = np.flatnonzero(most - least < STEPS * step)
    coarse = []
    for place in suspects.tolist():
        column = np.asarray(exact(place), dtype=np.float64)
        column = column[np.isfinite(column)]
        if column.size and 0 < np.ptp(column) < STEPS * step[place]:
            coarse.append(str(place) if names is None else names[place])
    if coarse:
        yield (
            f"{where}: float32, in which inputs are held, has less than {STEPS} steps for the values of some features "
            f"({first_of(coarse)}); samples that differ there become alike, so subtract the least value in the file"
        )


SCALES_DIFFER = 100.0
"""Features whose standard deviations differ by more are warned of."""


def scale_warnings(values: Float32Array, names: Sequence[str] | None, where: str) -> Iterator[str]:
    """A warning where some features outweigh others in every distance.

    Args:
        values: (N, features), NaN where one is missing.
        names: Names of the features, where they have some.
        where: The file, for messages.
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    seen = np.isfinite(finite).sum(axis=0) > 1
    spread: FloatArray = np.zeros(values.shape[1])
    spread[seen] = np.nanstd(finite[:, seen], axis=0, dtype=np.float64)
    varying = np.flatnonzero(spread > 0)
    if varying.size < 2:
        return
    least, most = (int(varying[place(spread[varying])]) for place in (np.argmin, np.argmax))
    if spread[most] > SCALES_DIFFER * spread[least]:
        first, second = (str(number) if names is None else repr(names[number]) for number in (most, least))
        yield (
            f"{where}: feature {first} has a standard deviation of {spread[most]:.3g} and feature {second} one of "
            f"{spread[least]:.3g}, so the first outweighs the second in every distance; set data.standardize: true (or "
            "robust), or none to keep the scales"
        )
