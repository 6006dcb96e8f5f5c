"""Tables (CSV and Parquet) read by column names, cells as the file has them; errors name the file and the column."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data_tables import CoarseRule
from fgtune.config.schema.paths import nearest
from fgtune.data.base import Dataset, Inputs
from fgtune.data.given import file_at
from fgtune.data.labels import (
    check_exact,
    count_classes,
    derive_coarse,
    doubtful_names,
    is_whole,
    number_classes,
    parts_of,
    plain_cells,
)
from fgtune.data.readers.csv_files import read_csv, read_header
from fgtune.data.readers.data_files import check_memory, reason_of
from fgtune.data.readers.number_columns import SINGLY, numbers
from fgtune.errors import DataError
from fgtune.parquet import NestedError, parquet_schema, read_parquet
from fgtune.text import first_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


MOST_COLUMNS = 100_000
"""Columns of a table; there are fewer genes in any genome."""


@dataclass(frozen=True)
class TableLabels:
    """The labels of a table's rows, as ``Dataset`` holds them."""

    coarse: IntArray
    coarse_names: tuple[tuple[str, ...], ...] | None
    fine: IntArray | None
    fine_names: tuple[str, ...] | None
    fine_values: Float32Array | None
    given_split: IntArray | None
    notes: tuple[str, ...] = ()

    def dataset(self, name: str, inputs: Inputs) -> Dataset:
        """The data set of ``inputs`` with these labels."""
        return Dataset(
            name=name,
            inputs=inputs,
            coarse=self.coarse,
            num_coarse=count_classes(self.coarse),
            fine=self.fine,
            fine_values=self.fine_values,
            given_split=self.given_split,
            coarse_names=self.coarse_names,
            fine_names=self.fine_names,
            notes=self.notes,
        )


def read_table(
    path: Path,
    columns: Sequence[str],
    others: bool = False,
    config_path: str = "trial.data.path",
    labels: Sequence[str] = (),
    header: Sequence[str] = (),
    without: Sequence[str] = (),
) -> pd.DataFrame:
    """Read columns of a ``.csv``, ``.tsv`` or ``.parquet``.

    Whole numbers beside empty cells stay whole numbers. In a CSV a cell of text is what stands there, ``NA`` too, and
    empty ones are missing; ``NA`` is missing in a column of numbers.

    Args:
        path: The file.
        columns: Columns that must be present.
        others: Read all other columns as well, apart from the index that pandas stored beside a Parquet table.
        config_path: Where the config names the file.
        labels: Columns among these that hold names: of a CSV, they are read as text (``plain_cells``).
        header: Names of all columns, for a CSV whose first line is a row; empty where it has them.
        without: Columns that must be present and are not read.

    Raises:
        DataError: If the file is missing or damaged, a column is missing or occurs twice, or holds lists, or the table
            would take more than half of the machine's memory.
    """
    import pyarrow as pa

    where, path = str(path), file_at(path)
    if not path.is_file():
        fix = f"Name a .csv or .parquet file; relative paths start from {Path.cwd()}."
        raise DataError("no such file", where=where, path=config_path, fix=fix)
    suffix = path.suffix.lower()
    parquet, between = suffix == ".parquet", "\t" if suffix == ".tsv" else ","
    try:
        names = parquet_schema(path).names if parquet else read_header(path, between)
        if header:
            _check_header(header, None if parquet else len(names), where, config_path)
            names = list(header)
        check_columns(names, [*columns, *without], where)
        check_memory(path.stat().st_size, "takes", where, config_path)
        unread = set(without)
        every = [name for name in names if name not in unread] if unread else None
        taken = every if others else list(dict.fromkeys(columns))
        if parquet:
            table = _without_index(read_parquet(path, taken), columns)
        else:
            texts = {name for name in labels if name in names}
            table = read_csv(path, between, names, taken, texts, has_header=not header)
        return _frame(table, labels, is_typed=parquet)
    except NestedError as error:
        fix = "Store its numbers in columns of their own, or leave it out (data.columns.exclude; discover --leave-out)."
        raise DataError(str(error), where=where, path=config_path, fix=fix) from error
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        kind = "Parquet file" if parquet else f"{suffix[1:].upper()} file in UTF-8"
        fix = "Save it as text in UTF-8." if isinstance(error, UnicodeError) else ""
        rule = f"is not a readable {kind} ({reason_of(error)})"
        raise DataError(rule, where=where, path=config_path, fix=fix) from error


def _check_header(header: Sequence[str], first: int | None, where: str, config_path: str) -> None:
    """Raise unless the names given for a table fit its first line, of so many values; None for one that has names."""
    if len(header) != first:
        rule = "names its columns itself" if first is None else f"has {first} columns, and {len(header)} are named"
        fix = "Name the columns of a table without a header line."
        raise DataError(rule, where=where, path=config_path, fix=fix)


def _without_index(table: pa.Table, named: Sequence[str]) -> pa.Table:
    """A Parquet table without the columns in which pandas stored the names of its rows, unless they are named."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    unwanted = [name for name in index if isinstance(name, str) and name in table.column_names and name not in named]
    return table.drop_columns(unwanted) if unwanted else table


def _frame(table: pa.Table, labels: Sequence[str], is_typed: bool) -> pd.DataFrame:
    """The table in pandas, in which no whole number became a float, no cell of text is empty, and decimals are numbers.

    Args:
        table: The table.
        labels: Columns that hold names: their decimals stay as they are, and texts may be numbers by ``plain_cells``.
        is_typed: Whether texts are texts, whatever they hold.
    """
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    again: dict[str, Any] = {}
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_integer(field.type) and column.null_count:
            whole = "UInt64" if pa.types.is_uint64(field.type) else "Int64"
            again[field.name] = pd.array(column.to_pylist(), dtype=whole)
        elif pa.types.is_boolean(field.type) and column.null_count:
            again[field.name] = pd.array(column.to_pylist(), dtype="boolean")
        elif pa.types.is_decimal(field.type) and field.name not in labels:
            again[field.name] = column.cast(pa.float64()).to_pandas()
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = column.to_pylist()
            if field.name in labels and not is_typed:
                again[field.name] = pd.array(plain_cells(text), dtype="str")
            elif any(cell == "" for cell in text):
                again[field.name] = pd.array([cell or None for cell in text], dtype="str")
    if len(again) > SINGLY:
        return pd.DataFrame({name: again.get(str(name), column) for name, column in frame.items()})
    for name, values in again.items():
        frame[name] = values
    return frame


def cells(column: pd.Series) -> list[object]:
    """The cells of a column of any type as Python has them, None for missing ones; no number becomes a float."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = cells(column.cat.categories.to_series())
        return [None if code < 0 else categories[code] for code in column.cat.codes.tolist()]
    gone = column.isna().tolist()
    return [None if missing else cell for cell, missing in zip(column.astype(object).tolist(), gone, strict=True)]


def label_cells(column: pd.Series, where: str) -> list[object]:
    """The cells of a column of labels.

    Raises:
        DataError: They are real numbers too large to be told apart.
    """
    if column.dtype.kind == "f":
        check_exact(column.to_numpy(), where, str(column.name))
    return cells(column)


def check_columns(names: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Raise ``DataError`` unless no name of a table's columns occurs twice and each of ``columns`` is among them."""
    if len(names) > MOST_COLUMNS:
        rule, fix = f"a table must have at most {MOST_COLUMNS:,} columns", "Save the numbers as an .npz or an .h5ad."
        raise DataError(rule, where=where, value=len(names), fix=fix)
    counted = Counter(names)
    repeated = next((name for name in names if counted[name] > 1), None)
    if repeated is not None:
        raise DataError(f"column {repeated!r} occurs twice", where=where, fix="Rename one of them.")
    missing = next((name for name in columns if name not in counted), None)
    if missing is not None:
        near = nearest(missing, names)
        fix = f"Did you mean {near!r}? " if near else ""
        raise DataError(
            f"no column {missing!r}; the table has {first_of(names) or 'no columns'}",
            where=where,
            fix=_one_name(names) or f"{fix}Name the columns as the first line of the table does.",
        )


def _one_name(names: Sequence[str]) -> str:
    """What helps where all columns have one name, since something else separates them; empty elsewhere."""
    sign = next((sign for sign in ";\t|" if len(names) == 1 and sign in names[0]), None)
    if sign is None:
        return ""
    shown = "tabs" if sign == "\t" else repr(sign)
    return f"Its first line is separated by {shown}: write commas, or save it as .tsv with tabs."


def labels_of(
    frame: pd.DataFrame,
    where: str,
    coarse: Sequence[str] = (),
    fine: str | None = None,
    fine_values: Sequence[str] = (),
    split: str | None = None,
    derived: CoarseRule | None = None,
) -> TableLabels:
    """The labels in the named columns; an empty sequence or None means that the data lack this label.

    Args:
        frame: The table.
        where: Its file, for messages.
        coarse: Columns of coarse classes, one per source; empty where ``derived`` says how they are made.
        fine: Column of fine classes.
        fine_values: Columns of continuous targets.
        split: Column of the parts.
        derived: How coarse classes are made from ``fine_values``.

    Raises:
        DataError: If a sample has no fine class, a target is not a number, or a split has an unknown part.
    """
    notes: list[str] = []
    numbered = []
    for name in coarse:
        labels = label_cells(frame[name], where)
        codes, names = number_classes(labels)
        numbered.append((codes, names))
        notes += doubtful_names(names, codes, f"{where}: coarse column {name!r}", labels)
    fine_numbers, fine_names = (None, None) if fine is None else _fine_classes(frame, fine, where, notes)
    values = numbers(frame, fine_values, where) if fine_values else None
    if derived is None:
        coarse_codes = np.stack([codes for codes, _ in numbered], axis=1)
    else:
        coarse_codes = derive_coarse(values, derived, where)
    return TableLabels(
        coarse=coarse_codes,
        coarse_names=tuple(names for _, names in numbered) or None,
        fine=fine_numbers,
        fine_names=fine_names,
        fine_values=values,
        given_split=None if split is None else parts_of(cells(frame[split]), where, split),
        notes=tuple(notes),
    )


def _fine_classes(frame: pd.DataFrame, column: str, where: str, notes: list[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Fine classes (N,) and their names; adds to ``notes`` what looks wrong."""
    codes, names = number_classes(label_cells(frame[column], where))
    if (codes < 0).any():
        row, rows = int(np.argmax(codes < 0)), int((codes < 0).sum())
        more = f", and {rows - 1:,} more rows have none" if rows > 1 else ""
        rule = f"every sample needs a fine class, row {row} has none{more}"
        fix = "Fill the column, or leave fine out altogether."
        raise DataError(rule, where=where, path=column, fix=fix)
    notes += doubtful_names(names, codes, f"{where}: fine column {column!r}")
    fractions = [name for name in names if not is_whole(name) and _is_number(name)]
    if fractions and len(fractions) + sum(map(is_whole, names)) == len(names):
        notes.append(
            f"{where}: fine column {column!r} holds real numbers such as {fractions[0]}, and each of its "
            f"{len(names):,} values is taken as a class; name it under fine_values if it holds continuous targets"
        )
    return codes, names


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
