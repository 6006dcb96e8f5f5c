"""Tables (CSV and Parquet) read by column names; errors name the file and the column."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data_tables import CoarseRule
from fgtune.data.base import Dataset, Inputs
from fgtune.data.labels import count_classes, derive_coarse, number_classes, parts_of
from fgtune.data.readers.data_files import check_memory, reason_of
from fgtune.errors import DataError
from fgtune.text import first_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableLabels:
    """The labels of a table's rows, as ``Dataset`` holds them."""

    coarse: IntArray
    coarse_names: tuple[tuple[str, ...], ...] | None
    fine: IntArray | None
    fine_names: tuple[str, ...] | None
    fine_values: Float32Array | None
    given_split: IntArray | None

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
        )


def read_table(
    path: Path, columns: Sequence[str], others: bool = False, config_path: str = "trial.data.path"
) -> pd.DataFrame:
    """Read columns of a ``.csv``, ``.tsv`` or ``.parquet``.

    Args:
        path: The file.
        columns: Columns that must be present.
        others: Read all other columns as well.
        config_path: Where the config names the file.

    Raises:
        DataError: If the file is missing or damaged, a column is missing or occurs twice, or the table would take more
            than half of the machine's memory.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    where = str(path)
    if not path.is_file():
        fix = f"Name a .csv or .parquet file; relative paths start from {Path.cwd()}."
        raise DataError("no such file", where=where, path=config_path, fix=fix)
    suffix = path.suffix.lower()
    parquet, between = suffix == ".parquet", "\t" if suffix == ".tsv" else ","
    try:
        taken = None if others else list(columns)
        names = pyarrow.parquet.read_schema(path).names if parquet else _header(path, between)
        _check_columns(names, columns, where)
        check_memory(path.stat().st_size, "takes", where, config_path)
        if parquet:
            frame: pd.DataFrame = pyarrow.parquet.read_table(path, columns=taken).to_pandas()
        else:
            options = pyarrow.csv.ConvertOptions(include_columns=taken, strings_can_be_null=True)
            parsing = pyarrow.csv.ParseOptions(delimiter=between)
            frame = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options).to_pandas()
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        kind = "Parquet file" if parquet else f"{suffix[1:].upper()} file in UTF-8"
        raise DataError(f"is not a readable {kind} ({reason_of(error)})", where=where, path=config_path) from error
    return frame


def _header(path: Path, between: str) -> list[str]:
    """The column names as written; pandas would rename a repeated one."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return next(csv.reader(stream, delimiter=between), [])


def _check_columns(names: Sequence[str], columns: Sequence[str], where: str) -> None:
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"column {repeated!r} occurs twice", where=where, fix="Rename one of them.")
    missing = next((name for name in columns if name not in names), None)
    if missing is not None:
        raise DataError(
            f"no column {missing!r}; the table has {first_of(names) or 'no columns'}",
            where=where,
            fix="Name the columns as the first line of the table does.",
        )


def numbers(frame: pd.DataFrame, columns: Sequence[str], where: str) -> Float32Array:
    """Columns of real numbers as (N, columns) float32; empty cells become NaN, which ``check_dataset`` reports.

    Raises:
        DataError: If a column holds anything else.
    """
    taken = []
    for name in columns:
        column = frame[name]
        if column.dtype.kind not in "buif":
            rule = "must be a column of real numbers"
            fix = "Name the columns of features under data.columns.features, and leave text out."
            raise DataError(rule, where=where, path=name, value=str(column.dtype), fix=fix)
        with np.errstate(over="ignore"):
            taken.append(column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32))
    if not taken:
        raise DataError("no column is left for the features", where=where, fix="Name them under data.columns.features.")
    return np.stack(taken, axis=1)


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
    numbered = [number_classes(frame[name].tolist()) for name in coarse]
    fine_numbers, fine_names = (None, None) if fine is None else number_classes(frame[fine].tolist())
    if fine_numbers is not None and (fine_numbers < 0).any():
        row = int(np.argmax(fine_numbers < 0))
        rule = f"every sample needs a fine class, row {row} has none"
        fix = "Fill the column, or leave fine out altogether."
        raise DataError(rule, where=where, path=str(fine), fix=fix)
    values = numbers(frame, fine_values, where) if fine_values else None
    if derived is None:
        labels = np.stack([labels for labels, _ in numbered], axis=1)
    else:
        labels = derive_coarse(values, derived, where)
    return TableLabels(
        coarse=labels,
        coarse_names=tuple(names for _, names in numbered) or None,
        fine=fine_numbers,
        fine_names=fine_names,
        fine_values=values,
        given_split=None if split is None else parts_of(frame[split].to_numpy(), where, split),
    )
