"""The rows of a table of runs as text, from a file or from a pandas table, with the place of each for messages."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.errors import ConfigError
from fgtune.files import read_bytes
from fgtune.memory import bytes_text
from fgtune.parquet import parquet_shape, read_parquet
from fgtune.text import first_line

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ",;\t"
MOST_TABLE = 1 << 28
"""Bytes of a table of runs."""
MOST_UNPACKED = 1 << 26
"""Bytes of the values of a Parquet file; as texts they take many times as many."""
MOST_COLUMNS = 300
"""Columns of a table of runs, nearly all of which are metrics: each becomes a figure of the report."""
MOST_ROWS = 300_000
"""Rows of a table of runs: a thousand runs of 300 epochs."""
MOST_VALUES = 5_000_000
"""Values of a table of runs; as texts they take a gigabyte."""
_MOST_SEPARATORS = 4 * MOST_VALUES
"""Commas of a table of runs, those inside texts included."""
_MOST_HEADER = 1 << 20
"""Characters of the line that names the columns."""


@dataclass(frozen=True)
class Rows:
    """A table of texts.

    Attributes:
        name: What it is called in messages.
        digest: SHA-256, in hex, of its content.
        columns: Their names, without spaces around them.
        cells: One tuple a row, as long as the columns, without spaces around the texts; empty for nothing.
        first: Number of the first row in messages: 2 in a file, whose first row is the header, 0 in a table of pandas.
    """

    name: str
    digest: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    first: int

    def place(self, index: int) -> str:
        """A row as it is called in messages."""
        return f"{self.name}, row {index + self.first}"


def read_rows(source: Path | pd.DataFrame) -> Rows:
    """The rows of a CSV or Parquet file, or of a pandas table.

    Commas, semicolons or tabs separate the values of a text file, whichever its header has.

    Raises:
        ConfigError: The file cannot be read, has no header or no row, or a row has another number of values.
    """
    if not isinstance(source, Path):
        return _of_frame(source, "table")
    if source.suffix.lower() == ".parquet":
        return _of_frame(_parquet(source), str(source))
    content = _content(source)
    try:
        return _of_text(content, str(source), hashlib.sha256(content).hexdigest())
    except UnicodeDecodeError as error:
        raise ConfigError("must be UTF-8 text", where=str(source), fix="save it as UTF-8") from error


def _content(source: Path) -> bytes:
    return read_bytes(source, MOST_TABLE, what="table of runs")


def _of_text(content: bytes, name: str, digest: str) -> Rows:
    first = re.split(rb"[\r\n]", content[:_MOST_HEADER], maxsplit=1)[0]
    separator = max(SEPARATORS, key=lambda sign: first.count(sign.encode()))
    columns = first.count(separator.encode()) + 1
    _check_size(columns, max(0, content.count(b"\n") - 1, content.count(b"\r") - 1), name)
    if content.count(separator.encode()) > _MOST_SEPARATORS:  # of which a single row may hold all
        rule, fix = f"must have at most {MOST_VALUES:,} values", "keep fewer epochs of each run, or fewer columns"
        raise ConfigError(rule, where=name, fix=fix)
    try:
        table = list(_rows(content, name, separator))
    except csv.Error as error:
        raise ConfigError(f"is no table of comma-separated values ({error})", where=name) from error
    while table and not any(table[-1]):
        table.pop()
    header = table[0] if table else ()
    short = next((number for number, row in enumerate(table[1:], start=2) if len(row) != len(header)), None)
    if short is not None:
        raise _uneven(name, short, table[short - 1], header)
    return Rows(name, digest, header, tuple(table[1:]), first=2)


def _rows(content: bytes, name: str, separator: str) -> Iterator[tuple[str, ...]]:
    """The rows without spaces around their values; one that holds nothing may have another number of them."""
    header: tuple[str, ...] | None = None
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    for number, cells in enumerate(csv.reader(lines, delimiter=separator, strict=True), start=1):
        row = tuple(map(str.strip, cells))
        header = row if header is None else header
        if len(row) != len(header) and any(row):
            raise _uneven(name, number, row, header)
        yield row


def _uneven(name: str, number: int, row: Sequence[str], header: Sequence[str]) -> ConfigError:
    rule = f"has {len(row)} values, the header names {len(header)} columns"
    return ConfigError(rule, where=f"{name}, row {number}", fix="put texts that hold commas in quotes")


def _check_size(columns: int, rows: int, name: str) -> None:
    """Raise for a table that is too large to be read as texts."""
    if columns > MOST_COLUMNS:
        rule, fix = f"must have at most {MOST_COLUMNS:,} columns", "keep those of arm, seed and a few metrics"
        raise ConfigError(rule, where=name, value=columns, fix=fix)
    if columns * rows > MOST_VALUES:
        rule, fix = f"must have at most {MOST_VALUES:,} values", "keep fewer epochs of each run, or fewer columns"
        raise ConfigError(rule, where=name, value=f"{rows:,} rows of {columns:,}", fix=fix)
    if rows > MOST_ROWS:
        rule, fix = f"must have at most {MOST_ROWS:,} rows", "keep fewer epochs of each run"
        raise ConfigError(rule, where=name, value=rows, fix=fix)


def _parquet(source: Path) -> pd.DataFrame:
    content = io.BytesIO(_content(source))
    try:
        rows, columns = parquet_shape(content)
        _check_size(columns, rows, str(source))
        table = read_parquet(content)
        if table.nbytes > MOST_UNPACKED:
            rule = f"holds {bytes_text(table.nbytes)} of values, and at most {bytes_text(MOST_UNPACKED)} are read"
            raise ConfigError(rule, where=str(source), fix="keep the columns of arm, seed and a few metrics")
        frame: pd.DataFrame = table.to_pandas()
        return frame
    except ConfigError:
        raise
    except Exception as error:  # Arrow raises nothing narrower in common
        raise ConfigError(f"cannot be read as Parquet ({first_line(error)})", where=str(source)) from error


def _of_frame(frame: pd.DataFrame, name: str) -> Rows:
    if not hasattr(frame, "itertuples") or not hasattr(frame, "columns"):
        rule, fix = "must be a file or a pandas table", "give the path of a CSV file, or a DataFrame"
        raise ConfigError(rule, where="import_results", value=type(frame).__name__, fix=fix)
    _check_size(len(frame.columns), len(frame), name)
    columns = tuple(str(each).strip() for each in frame.columns)
    cells = tuple(tuple(_texts(row)) for row in frame.itertuples(index=False, name=None))
    digest = hashlib.sha256(repr((columns, cells)).encode()).hexdigest()
    return Rows(name, digest, columns, cells, first=0)


def _texts(row: Sequence[Any]) -> Iterator[str]:
    """The values of a row as the texts that a CSV file would have, floats exactly."""
    for value in row:
        if value is None or type(value).__name__ in {"NAType", "NaTType"}:
            yield ""
        elif isinstance(value, float):
            yield repr(float(value))  # NumPy's floats too, without the name of their type
        else:
            yield str(value).strip()
