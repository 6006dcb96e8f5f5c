"""Text tables (CSV, TSV) through Arrow, wide ones in seconds: their columns are not guessed at block by block."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MOST_HEADER = 1 << 25
"""Bytes that describe the columns of a file."""
_WIDE = 1000
"""Columns from which on Arrow takes longer for a column in a block than for its values."""
_BLOCK = 1 << 28
"""Bytes of a block of a wide table, which by default are a megabyte, or a row of 100,000 numbers."""
_LOOKED_AT = 5
"""Rows whose values say what a column may hold."""


def read_header(path: Path, between: str) -> list[str]:
    """The column names as written; pandas would rename a repeated one.

    Args:
        path: The file.
        between: What separates its values.

    Raises:
        ValueError: The first line is too long.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        start = stream.read(MOST_HEADER)
    if len(start) == MOST_HEADER and "\n" not in start and "\r" not in start:
        raise ValueError(f"its first line has more than {MOST_HEADER >> 20} million characters")
    return next(csv.reader(io.StringIO(start, newline=""), delimiter=between), [])


def read_csv(
    path: Path,
    between: str,
    names: Sequence[str],
    taken: Sequence[str] | None,
    texts: set[str],
    *,
    has_header: bool = True,
) -> pa.Table:
    """The table of a file.

    Args:
        path: The file.
        between: What separates its values.
        names: Its columns.
        taken: The columns to read; None for all.
        texts: Those among them that are read as text, whatever they hold.
        has_header: Whether the first line has the names, and is no row.

    Raises:
        pyarrow.ArrowException: It is no such table.
        ValueError: It holds a NUL byte, as no text does.
    """
    import pyarrow as pa
    import pyarrow.csv

    _check_text(path)
    parsing = pyarrow.csv.ParseOptions(delimiter=between)
    as_text = {name: pa.string() for name in texts}
    wanted = names if taken is None else taken
    named = None if has_header else list(names)
    if len(wanted) <= _WIDE:
        reading = pyarrow.csv.ReadOptions(column_names=named)
        options = pyarrow.csv.ConvertOptions(include_columns=taken, column_types=as_text)
        return pyarrow.csv.read_csv(path, read_options=reading, parse_options=parsing, convert_options=options)
    reading = pyarrow.csv.ReadOptions(block_size=min(path.stat().st_size + 1, _BLOCK), column_names=named)
    kinds = _kinds(path, between, names, int(has_header))
    found = {name: pa.type_for_alias(kind) for name, kind in kinds if name not in texts}
    for types in (found | as_text, as_text):
        options = pyarrow.csv.ConvertOptions(include_columns=taken, column_types=types)
        try:
            return pyarrow.csv.read_csv(path, read_options=reading, parse_options=parsing, convert_options=options)
        except pa.ArrowInvalid:
            if types is as_text or not found:
                raise
    raise AssertionError


def _check_text(path: Path) -> None:
    """Raise ``ValueError`` at the first NUL byte: Arrow would take it for a letter, of a class's name say."""
    line = 1
    with path.open("rb") as stream:
        while content := stream.read(1 << 20):
            place = content.find(b"\0")
            if place >= 0:
                line += content.count(b"\n", 0, place)
                raise ValueError(f"a NUL byte in line {line:,}")
            line += content.count(b"\n")


def _kinds(path: Path, between: str, names: Sequence[str], first: int) -> Iterator[tuple[str, str]]:
    """The columns that hold whole or real numbers if their first rows do not deceive, with Arrow's name of the type.

    Arrow tries whole numbers before real ones, and these before dates and text: where every value of a column can be
    read as the type that one of them needs, it would have found that type itself, only 50 times as slowly.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        start = io.StringIO(stream.read(MOST_HEADER), newline="")
    rows = [
        row for row in islice(csv.reader(start, delimiter=between), first, first + _LOOKED_AT) if len(row) == len(names)
    ]
    for name, values in zip(names, zip(*rows, strict=True), strict=True) if rows else ():
        kinds = {_kind(value) for value in values if value}
        if kinds and None not in kinds:
            yield name, "double" if "double" in kinds else "int64"


def _kind(value: str) -> str | None:
    """The type that a value needs; None if it may be no number."""
    digits = value[1:] if value[0] in "+-" else value
    if digits.isascii() and digits.isdigit():
        return "int64" if value[0] != "+" and len(digits) < 18 else None  # Arrow takes +5 for a real number
    whole, _, part = digits.partition(".")
    return "double" if (whole + part).isascii() and (whole + part).isdigit() and "." in digits else None
