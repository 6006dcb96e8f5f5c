"""Tables (CSV and Parquet) that claim, hide or cost more than they hold, or are odd and sound."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from support.hostile_images import ESCAPES, Make

ROWS = "a,1\nb,3\n" * 10


def _sparse(path: Path, head: bytes, size: int) -> None:
    """A file with a hole of many gigabytes, which takes no room on the disk."""
    path.write_bytes(head)
    os.truncate(path, size)


def _csv(path: Path, columns: int, rows: int) -> None:
    with path.open("w") as file:
        file.write(",".join(["coarse", *(f"f{n}" for n in range(columns - 1))]) + "\n")
        for row in range(rows):
            file.write(",".join(["ab"[row % 2], *(["0.5"] * (columns - 1))]) + "\n")


def _parquet(path: Path, columns: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    column = pa.array([0.5])
    pyarrow.parquet.write_table(pa.table([column] * columns, [f"f{n}" for n in range(columns)]), path)


def _cut_parquet(path: Path, keep: float) -> None:
    _parquet(path, 4)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def _long_runs(path: Path) -> None:
    """A Parquet file of a few hundred kB in which 300 million rows of one text are one run."""
    import pyarrow as pa
    import pyarrow.parquet

    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**7, dtype=np.int32)), pa.array(["x" * 1000]))
    table = pa.table({"coarse": words, "f": words})
    with pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(30):
            writer.write_table(table)


def _arrow(columns: Callable[[Any], Mapping[str, Any]], **options: object) -> Make:
    """Makes a Parquet file of columns that are built from Arrow's module."""

    def make(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.table(dict(columns(pa))), path, compression="zstd", **options)

    return make


def _shared(pa: Any, rows: int, length: int) -> Any:
    """A column in which all rows share two texts."""
    return pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % 2, pa.int32()), ["x" * length, "y" * length])


def _long_list(pa: Any) -> Any:
    """One row that is a list of 50 million zeros, which a file holds in a few kB."""
    return pa.array([np.zeros(5 * 10**7, np.int8)], pa.list_(pa.int8()))


def _text(text: str, encoding: str = "utf-8") -> Make:
    return lambda path: path.write_bytes(text.encode(encoding))


def _lines(head: str, line: Callable[[int], str], rows: int = 20) -> Make:
    """Makes a table of lines that are made one by one."""
    return lambda path: path.write_text("".join([head, "\n", *(line(row) + "\n" for row in range(rows))]), "utf-8")


TABLES: dict[str, Make] = {
    "very_wide.csv": lambda path: _csv(path, 2_000_000, 2),
    "cell.csv": lambda path: path.write_text("coarse,f\na," + "x" * 100_000_000 + "\n"),
    "quoted_cell.csv": lambda path: path.write_text('coarse,f\na,"' + "x\n" * 50_000_000),
    "name.csv": lambda path: path.write_text("coarse," + "x" * 100_000_000 + "\na,1\n"),
    "one_line.csv": lambda path: path.write_text("x" * 200_000_000),
    "commas.csv": lambda path: path.write_text("," * 20_000_000),
    "twice.csv": lambda path: path.write_text("coarse,f,f\n" + "a,1,2\nb,1,2\n" * 10),
    "ragged.csv": lambda path: path.write_text("coarse,f\n" + "a,1\nb\n" * 10),
    "zeros.csv": lambda path: path.write_bytes(bytes(10**6)),
    "escapes.csv": lambda path: path.write_text("coarse,\x1b[31mf\n" + "a,\x1b]0;title\x07\nb,x\n" * 10),
    "hole.csv": lambda path: _sparse(path, b"coarse,f\n", 10**12),
    "zero.csv": lambda path: path.symlink_to("/dev/zero"),
    "pipe.csv": os.mkfifo,
    "loop.csv": lambda path: path.symlink_to(path.name),
    "folder.csv": lambda path: path.mkdir(),
    "empty.csv": lambda path: path.write_bytes(b""),
    "binary.csv": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "zero.parquet": lambda path: path.symlink_to("/dev/zero"),
    "pipe.parquet": os.mkfifo,
    "cut.parquet": lambda path: _cut_parquet(path, 0.6),
    "footer.parquet": lambda path: path.write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1"),
    "junk_footer.parquet": lambda path: path.write_bytes(
        b"PAR1" + bytes(range(256)) * 10 + struct.pack("<I", 2000) + b"PAR1"
    ),
    "wide.parquet": lambda path: _parquet(path, 300_000),
    "runs.parquet": _long_runs,
    "hole.parquet": lambda path: _sparse(path, b"PAR1", 10**12),
    "csv.parquet": lambda path: path.write_text("coarse,f\na,1\n"),
    "utf16.csv": _text("coarse,f\n" + ROWS, "utf-16"),
    "utf32.csv": _text("coarse,f\n" + ROWS, "utf-32"),
    "latin.csv": _text("coarse,f\n" + "\u00e9,1\n" * 20, "latin-1"),
    "header.csv": lambda path: path.write_text("coarse,f" + " " * 40_000_000 + "\n" + ROWS),
    "no_rows.csv": _text("coarse,f\n"),
    "only_header_end.csv": _text("coarse,f"),
    "open_quote.csv": _text('coarse,f\n"a,1\n' + ROWS),
    "ragged_late.csv": lambda path: path.write_text("coarse,f\n" + ROWS * 50_000 + "a,1" + ",1" * 2_000_000 + "\n"),
    "zero_in_cell.csv": _text("coarse,f\n" + "a\0b,1\n" * 20),
    "decimal_comma.csv": _text("coarse;f\n" + "a;0,5\nb;0,7\n" * 10),
    "thousands.csv": _text("coarse,f\n" + 'a,"1,234.5"\nb,"2,000.1"\n' * 10),
    "infinite.csv": _text("coarse,f\n" + "a,inf\nb,1e999\n" * 10),
    "every_label_missing.csv": _text("coarse,f\n" + ",1\n,3\n" * 10),
    "one_class.csv": _text("coarse,f\n" + "-1,1\n-1,3\n" * 10),
    "shared_texts.parquet": _arrow(lambda pa: {"coarse": _shared(pa, 10**6, 10**5)}, store_schema=False),
    "shared_categories.parquet": _arrow(lambda pa: {"coarse": _shared(pa, 10**6, 10**5), "f": np.arange(10**6)}),
    "long_list.parquet": _arrow(lambda pa: {"coarse": ["a"], "f": _long_list(pa)}),
    "lists.parquet": _arrow(lambda pa: {"coarse": ["a", "b"] * 10, "f": [[1.0], []] * 10}),
    "mappings.parquet": _arrow(lambda pa: {"coarse": ["a", "b"] * 10, "f": [{"x": 1}] * 20}),
    "nested_lists.parquet": _arrow(lambda pa: {"coarse": ["a", "b"] * 10, "f": [[[[1]]]] * 20}),
    "list_labels.parquet": _arrow(lambda pa: {"coarse": [["a"], ["b"]] * 10, "f": np.arange(20.0)}),
    "wide_bytes.parquet": _arrow(lambda pa: {"coarse": pa.array([bytes(10**7)] * 20, pa.binary(10**7))}),
    "large_labels.parquet": _arrow(lambda pa: {"coarse": [2.0**60, 2.0**60 + 512] * 10, "f": np.arange(20.0) ** 2}),
    "nothing.parquet": _arrow(lambda pa: {"coarse": pa.nulls(20), "f": pa.nulls(20)}),
    "no_columns.parquet": _arrow(lambda pa: {}),
    "times.parquet": _arrow(lambda pa: {"coarse": ["a", "b"] * 10, "f": pa.array([1] * 20, pa.time64("ns"))}),
    "years.parquet": _arrow(
        lambda pa: {"coarse": pa.array([2**60] * 20, pa.timestamp("us")), "f": np.arange(20.0) ** 2}
    ),
}
"""Tables that are the ``path`` of data of kind ``arrays`` with columns."""

LARGE_TABLES: dict[str, Make] = {"wide.csv": lambda path: _csv(path, 50_000, 40)}
"""Tables that are large and otherwise sound: read, in bounded time."""

_ODD = np.random.default_rng(0).normal(size=20).round(3)

SOUND_TABLES: dict[str, Make] = {
    "bom.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + b"coarse,f\r\n" + b"a,1.5\r\nb,3.5\r\n" * 10),
    "mixed_ends.csv": _text("coarse,f\r\n" + "a,1.5\nb,3.5\r\nb,2.5\r\n" * 10),
    "escapes.csv": _text(f"coarse,{ESCAPES}\n" + "".join(f"{'ab'[n % 2]}{ESCAPES},{_ODD[n]}\n" for n in range(20))),
    "markup.csv": _text("coarse,<b>\n" + "".join(f"<script>{'ab'[n % 2]},{_ODD[n]}\n" for n in range(20))),
    "formula.csv": _text("coarse,=1+1\n" + "".join(f"=cmd|' /c{'ab'[n % 2]}'!A1,{_ODD[n]}\n" for n in range(20))),
    "own_class_each.csv": _lines("coarse,f", lambda row: f"c{row},{row % 97 / 7}", 200_000),
    "long_labels.csv": _lines("coarse,f", lambda row: f"{'ab'[row % 2] * 100_000},{_ODD[row]}"),
    "turned.csv": _text("coarse,f\n" + "".join(f"{'ab'[n % 2]}\u202e\ufeff\u200b,{_ODD[n]}\n" for n in range(20))),
    "folder=x.parquet": _arrow(lambda pa: {"coarse": ["a", "b"] * 10, "f": _ODD}),
    "categories.parquet": _arrow(
        lambda pa: {"coarse": pa.DictionaryArray.from_arrays([0, 2] * 10, ["b", "unused", "a"]), "f": _ODD}
    ),
    "decimals.parquet": _arrow(
        lambda pa: {"coarse": ["a", "b"] * 10, "f": pa.array(_ODD.astype(str)).cast(pa.decimal128(10, 3))}
    ),
}
"""Tables that are odd and can be read, or are refused with a word."""
MANY_ROWS = {"own_class_each.csv"}
"""What is trained on for long."""
