"""Parquet files from anywhere: read once it is known what their values take, of which a file may hold few."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.memory import LARGE, MOST_PACKED, bytes_text, machine_memory

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DESCRIBED = 1 << 25
"""Bytes of the description of a file's columns."""
_OBJECT = 56
"""Bytes that a text takes as an object of Python's, besides its characters; and that the labels of a row take."""


class NestedError(ValueError):
    """A column holds lists or mappings."""


def parquet_schema(source: Path | io.BytesIO) -> pa.Schema:
    """The columns of a file, whose description is not larger than that of any table.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: It is no such file.
    """
    return _described(source)[0]


def parquet_shape(source: Path | io.BytesIO) -> tuple[int, int]:
    """Rows and columns (of nested ones, their parts) of a file.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: It is no such file.
    """
    found = _described(source)[1]
    return int(found.num_rows), int(found.num_columns)


def read_parquet(source: Path | io.BytesIO, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of numbers, dates and texts; of texts that repeat, no copy is made before it is known what all take.

    Args:
        source: The file, or its content.
        columns: Those to read; None for all.

    Raises:
        NestedError: A column holds lists or mappings.
        ValueError: The values take more than half of the machine's memory, or far more than a file of this size can
            mean.
        pyarrow.ArrowException, OSError: It is no such file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema, found, size = _described(source)
    wanted = None if columns is None else set(columns)
    fields = [field for field in schema if wanted is None or field.name in wanted]
    nested = next((field for field in fields if pa.types.is_nested(field.type)), None)
    if nested is not None:
        raise NestedError(f"column {nested.name!r} holds {nested.type}, and a value must be a number or a text")
    needed = found.num_rows * (_OBJECT + sum(_width(field.type) for field in fields))
    what = f"{found.num_rows:,} rows of {len(fields):,} values"
    _check(needed, what, size)
    # Of groups, not of columns: asked for a column of a damaged description, Arrow ends the process.
    _check_packed(sum(found.row_group(group).total_byte_size for group in range(found.num_row_groups)), what, size)
    texts = [field.name for field in fields if _is_text(field.type)]
    chosen = None if columns is None else list(columns)
    table = parquet.read_table(source, columns=chosen, read_dictionary=texts, partitioning=None)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):  # categories too
            needed += sum(map(_length, column.chunks))
            _check(needed, f"the texts of column {name!r}", size)
    plain = {field.name: field.type for field in fields if field.name in texts}
    arrays = [
        table.column(place).cast(_unviewed(plain[name])) if name in plain else table.column(place)
        for place, name in enumerate(table.column_names)
    ]
    kept = [field.with_type(array.type) for field, array in zip(table.schema, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(kept, metadata=table.schema.metadata))


def _described(source: Path | io.BytesIO) -> tuple[pa.Schema, Any, int]:
    """The schema, the description and the size of a file."""
    from pyarrow import parquet

    stream = source.open("rb") if isinstance(source, Path) else source
    try:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - 8))
        described = int.from_bytes(stream.read(4), "little")
    finally:
        stream.seek(0)
        if isinstance(source, Path):
            stream.close()
    if described > MOST_DESCRIBED:
        raise ValueError(f"the description of its columns has {described >> 20} MiB, more than {MOST_DESCRIBED >> 20}")
    found = parquet.read_metadata(source)
    if not isinstance(source, Path):
        source.seek(0)
    return found.schema.to_arrow_schema(), found, size


def _check_packed(needed: int, what: str, size: int) -> None:
    if needed > LARGE and needed > MOST_PACKED * size:
        raise ValueError(f"{what} in {size:,} bytes hold nothing: they would take {bytes_text(needed)}")


def _check(needed: int, what: str, size: int) -> None:
    _check_packed(needed, what, size)
    if needed > machine_memory() // 2:
        raise ValueError(f"{what} take {bytes_text(needed)}, more than half of this machine's memory")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(of(kind) for of in (*kinds, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _unviewed(kind: pa.DataType) -> pa.DataType:
    """A type of text that pandas knows."""
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _width(kind: pa.DataType) -> int:
    """Bytes that a value takes at least, as pandas holds it."""
    try:
        bits: int = kind.bit_width
    except ValueError:  # a text: those that repeat are one object, until they are not
        return _OBJECT
    return max(8, bits // 8)


def _length(chunk: pa.DictionaryArray) -> int:
    """Bytes of the texts that a chunk repeats."""
    from pyarrow import compute

    lengths = compute.binary_length(chunk.dictionary).cast("int64")
    total: int | None = compute.sum(lengths.take(chunk.indices)).as_py()
    return total or 0
