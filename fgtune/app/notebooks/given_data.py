"""Data that are given in memory, as arrays, a table or a dataset of samples, in place of the file that a study names.

They are written once to a temporary ``.npz`` or ``.parquet``, and from there on are data of kind ``arrays``: the same
reader, checks, warnings and settings, and the study folder keeps the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.errors import DataError
from fgtune.text import first_of

_ARRAYS = ("inputs", "coarse", "fine", "fine_values", "split")
_LABELS = ("coarse", "fine", "split")
_TABLE = "table"
_SHARED = ("split", "limit")
"""Settings of any kind of data that stay when its place is taken."""
_SETTINGS = ("standardize", "impute", "derive_coarse")
FORMS = (
    "a tuple (inputs, coarse) or (inputs, coarse, fine), a dict of these arrays, a pandas or Arrow table, a dict with "
    "'table' and what its columns mean, or a dataset of (input, coarse) or (input, coarse, fine) samples"
)


@dataclass(frozen=True)
class GivenData:
    """Data in a temporary file.

    Attributes:
        file: The file, which lives as long as this object.
        settings: Their config without a path.
        home: The folder of the file.
    """

    file: Path
    settings: Mapping[str, Any]
    home: tempfile.TemporaryDirectory[str] = field(repr=False)

    def place(self, folder: Path) -> Path:
        """Where the study folder keeps them."""
        return folder / self.file.name

    def config(self, folder: Path) -> dict[str, Any]:
        """The data config of a study in ``folder``, as plain data."""
        return {"kind": "arrays", "path": str(self.place(folder)), **self.settings}


@dataclass(frozen=True)
class WrittenData:
    """Data in a temporary file as they were given, whatever they mean.

    Attributes:
        file: The file, which lives as long as ``home``.
        names: Of its arrays or columns.
        columns: What the columns of a table mean, as far as the call says; None for arrays, whose names say it.
        home: The folder of the file.
    """

    file: Path
    names: tuple[str, ...]
    columns: Mapping[str, Any] | None
    home: tempfile.TemporaryDirectory[str] = field(repr=False)


def write_data(data: Any, stem: str = "data") -> WrittenData:
    """Write data to a temporary ``.parquet`` or ``.npz``.

    Args:
        data: See ``FORMS``.
        stem: Name of the file, without its suffix.

    Raises:
        DataError: They are none of these forms.
    """
    home = tempfile.TemporaryDirectory(prefix="fgtune-data-")
    table, columns = _table_of(data)
    if table is not None:
        file = Path(home.name) / f"{stem}.parquet"
        return WrittenData(file, tuple(_write_table(table, file)), columns, home)
    arrays = {name: _array(value, name) for name, value in _arrays_of(data).items() if value is not None}
    file = Path(home.name) / f"{stem}.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the arrays for allow_pickle
    return WrittenData(file, tuple(arrays), None, home)


def keep_data(data: Any, own: Mapping[str, Any]) -> GivenData:
    """Write data to a temporary file.

    Args:
        data: See ``FORMS``.
        own: The data config of the study as far as it is given, whose settings stay where they fit.

    Raises:
        DataError: They are none of these forms, or labels are missing.
    """
    kept = {key: own[key] for key in _SHARED if key in own}
    of_arrays = own if own.get("kind") == "arrays" else {}
    kept |= {key: of_arrays[key] for key in _SETTINGS if key in of_arrays}
    written = write_data(data)
    names = written.names
    if written.columns is not None:
        meaning = written.columns or of_arrays.get("columns") or {each: each for each in _LABELS if each in names}
        if "coarse" not in meaning and "derive_coarse" not in kept:
            rule = f"no column is called 'coarse'; the table has {first_of(names) or 'no columns'}"
            fix = "say which one holds the coarse classes: data={'table': table, 'coarse': 'COLUMN'}"
            raise DataError(rule, where="data", fix=fix)
        return GivenData(written.file, {**kept, "columns": dict(meaning)}, written.home)
    if "coarse" not in names and "derive_coarse" not in kept:
        raise DataError("has no coarse labels", where="data", fix=f"give {FORMS}")
    kept |= {"fine_as": of_arrays["fine_as"]} if "fine_as" in of_arrays else {}
    return GivenData(written.file, kept, written.home)


def _table_of(data: Any) -> tuple[Any, dict[str, Any]]:
    """A table, and what its columns mean where the call says so; None for other data."""
    columns: dict[str, Any] = {}
    if isinstance(data, Mapping) and _TABLE in data:
        columns = {str(key): value for key, value in data.items() if key != _TABLE}
        data = data[_TABLE]
        if not _is_table(data):
            rule, fix = "must be a pandas or Arrow table", "give arrays by their names: inputs, coarse, fine"
            raise DataError(rule, where="data", path=_TABLE, value=type(data).__name__, fix=fix)
    return (data, columns) if _is_table(data) else (None, columns)


def _is_table(data: Any) -> bool:
    is_pandas = hasattr(data, "columns") and hasattr(data, "iloc")
    return is_pandas or (hasattr(data, "column_names") and hasattr(data, "schema"))


def _write_table(table: Any, file: Path) -> list[str]:
    """Write a table without the names of its rows; returns the names of its columns."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        if hasattr(table, "iloc"):
            table = pa.Table.from_pandas(table.rename(columns=str), preserve_index=False)
        pyarrow.parquet.write_table(table, file)
    except (pa.ArrowException, ValueError, TypeError) as error:  # a column of mixed types, a name given twice
        rule, fix = f"is no table that can be stored ({error})", "give every column one type and a name of its own"
        raise DataError(rule, where="data", fix=fix) from error
    return [str(name) for name in table.column_names]


def _arrays_of(data: Any) -> dict[str, Any]:
    """The arrays by name."""
    if isinstance(data, Mapping):
        unknown = [str(name) for name in data if name not in _ARRAYS]
        if unknown or "inputs" not in data:
            rule = f"unknown array {unknown[0]!r}" if unknown else "has no 'inputs'"
            raise DataError(rule, where="data", fix=f"known names: {', '.join(_ARRAYS)}; or 'table'")
        return dict(data)
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return dict(zip(("inputs", "coarse", "fine"), data, strict=False))
    is_samples = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if not is_samples or isinstance(data, str | bytes | tuple) or hasattr(data, "dtype"):
        raise DataError(
            "is no form of data that fgtune takes", where="data", value=type(data).__name__, fix=f"give {FORMS}"
        )
    return _samples(data)


def _samples(data: Any) -> dict[str, Any]:
    """The arrays of a dataset of samples, one after the other, as torch's data loaders read it."""
    columns: list[list[Any]] = []
    for row in range(len(data)):
        sample = data[row]
        if not isinstance(sample, tuple | list) or not 2 <= len(sample) <= 3 or len(sample) != len(columns or sample):
            rule = f"every sample must be (input, coarse) or (input, coarse, fine); sample {row} is not like the first"
            fix = "wrap the dataset in one that returns such tuples"
            raise DataError(rule, where="data", value=type(sample).__name__, fix=fix)
        columns = columns or [[] for _ in sample]
        for column, value, name in zip(columns, sample, ("inputs", "coarse", "fine"), strict=False):
            column.append(_array(value, name))
    if not columns:
        raise DataError("has no samples", where="data")
    shapes = {array.shape for array in columns[0]}
    if len(shapes) > 1:
        rule, fix = f"all inputs must have one shape, there are {len(shapes)}", "resize them in the dataset"
        raise DataError(rule, where="data", value=sorted(shapes)[:3], fix=fix)
    return dict(zip(("inputs", "coarse", "fine"), map(np.stack, columns), strict=False))


def _array(value: Any, name: str) -> np.ndarray[Any, Any]:
    """An array from a list, NumPy, pandas or torch, on whatever device; an image as (channels, height, width)."""
    for step in ("detach", "cpu"):  # of a tensor
        value = getattr(value, step)() if callable(getattr(value, step, None)) else value
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"cannot be made an array ({error})", where="data", path=name) from error
    if name == "inputs" and hasattr(value, "getbands"):  # a picture of Pillow: as image files are read
        pixels = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        return pixels.astype(np.float32) / 255
    return array
