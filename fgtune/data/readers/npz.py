"""Reads ``.npz`` and ``.npy`` without trusting them: no pickle is run, and sizes are checked before allocation."""

from __future__ import annotations

import lzma
import math
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from fgtune.arrays import AnyArray
from fgtune.data.given import file_at
from fgtune.data.readers.data_files import check_memory, reason_of
from fgtune.data.readers.safe_pickle import read_object_array
from fgtune.errors import DataError
from fgtune.memory import LARGE, MOST_PACKED
from fgtune.text import first_of

# What zipfile, its decompressors and NumPy's header parser raise on damaged or hostile bytes.
_DAMAGE = (
    ValueError,
    LookupError,  # a damaged pickle
    AttributeError,
    OSError,
    EOFError,
    RuntimeError,  # encrypted members, unknown compression (NotImplementedError), header nested too deep
    MemoryError,  # the parser's stack on a nested header
    OverflowError,
    TypeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
MOST_EMPTY = 1_000_000
"""Rows of an array whose rows hold nothing, and of which any number takes no byte of the file."""
_REWRITE = "Write the file again with numpy.savez(path, inputs=..., coarse=...)."


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    payload: int
    """Bytes after the header."""


def read_npz(
    path: Path, required: Sequence[str], optional: Sequence[str] | None, objects: Sequence[str] = ()
) -> dict[str, AnyArray]:
    """Read all arrays of an ``.npz``.

    Args:
        path: The file.
        required: Names that must be present.
        optional: Names that may be present; any other name is an error. None lets all be.
        objects: Names of arrays that may hold text, numbers and missing values as Python objects, as labels do.

    Returns:
        The arrays by name.

    Raises:
        DataError: If the file is missing or damaged, a name is missing or unknown, an array holds Python objects (they
            are not unpickled), or the arrays would fill more than half of the machine's memory.
    """
    where, path = str(path), file_at(path)
    if not path.is_file():
        rule = "is not a regular file" if path.exists() else "no such file"
        fix = f"Name an .npz file; relative paths start from {Path.cwd()}."
        raise DataError(rule, where=where, path="trial.data.path", fix=fix)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, where, required, optional)
            streams = {name: partial(archive.open, member) for name, member in members.items()}
            headers = {
                name: _header(streams[name], member.file_size, name, where, name in objects)
                for name, member in members.items()
            }
            unpacked = sum(header.payload for header in headers.values())
            check_memory(unpacked, "unpacks to", where)
            packed = path.stat().st_size
            if unpacked > LARGE and unpacked > MOST_PACKED * packed:
                rule = f"unpacks to {unpacked / 2**30:.1f} GiB, {unpacked // packed:,} times its size: it holds nothing"
                raise DataError(rule, where=where, path="trial.data.path", fix="Check where the file comes from.")
            return {name: _array(stream, name, where) for name, stream in streams.items()}
    except _DAMAGE as error:
        raise DataError(
            f"is not a readable .npz archive ({reason_of(error)})", where=where, path="trial.data.path", fix=_REWRITE
        ) from error


def read_npy(path: Path, name: str, objects: bool = False) -> AnyArray:
    """Read one array from an ``.npy``.

    Args:
        path: The file.
        name: What the array is, for messages.
        objects: Whether it may hold text, numbers and missing values as Python objects.

    Raises:
        DataError: As for ``read_npz``.
    """
    where = str(path)
    if not path.is_file():
        fix = f"Name an .npy file; relative paths start from {Path.cwd()}."
        raise DataError("no such file", where=where, path=name, fix=fix)
    try:
        header = _header(lambda: path.open("rb"), path.stat().st_size, name, where, objects)
        check_memory(header.payload, "unpacks to", where)
        return _array(lambda: path.open("rb"), name, where)
    except OSError as error:
        raise _unreadable(name, where, error) from error


def _members(
    archive: zipfile.ZipFile, where: str, required: Sequence[str], optional: Sequence[str] | None
) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise DataError(f"array {name!r} occurs twice", where=where, fix=_REWRITE)
        members[name] = info
    known = (*required, *(members if optional is None else optional))
    present = first_of(sorted(members)) or "nothing"
    if missing := [name for name in required if name not in members]:
        raise DataError(
            f"array {missing[0]!r} is missing; the file holds {present}",
            where=where,
            fix=f"Save the arrays under the names {', '.join(known)}.",
        )
    if unknown := sorted(name for name in members if name not in known):
        raise DataError(
            f"unknown array {unknown[0]!r}; the file holds {present}",
            where=where,
            fix=f"Keep only {', '.join(known)}.",
        )
    return members


def _header(opened: Callable[[], IO[bytes]], size: int, name: str, where: str, objects: bool) -> _Header:
    """Parse one array's header, and check that as many bytes follow as it promises."""
    try:
        with opened() as stream:
            shape, dtype = _read_header(stream)
            header = _Header(shape, dtype, size - stream.tell())
    except _DAMAGE as error:
        raise _unreadable(name, where, error) from error
    if dtype == np.dtype(object) and objects:
        return header
    if dtype.hasobject:
        rule = "holds Python objects, which would have to be unpickled; fgtune never does that"
        fix = "Convert the array to numbers, or to fixed-width strings for 'split', before saving it."
        raise DataError(rule, where=where, path=name, fix=fix)
    if dtype.itemsize == 0:  # any number of them takes no byte of the file
        raise DataError("holds items without content", where=where, path=name, value=str(dtype), fix=_REWRITE)
    promised = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or promised != header.payload:
        rule = f"is damaged: {header.payload} bytes of data where shape {shape} of {dtype} takes {promised}"
        fix = _REWRITE
        raise DataError(rule, where=where, path=name, fix=fix)
    if 0 in shape and max(shape) > MOST_EMPTY:
        raise DataError(
            f"claims {max(shape):,} rows that hold nothing", where=where, path=name, value=shape, fix=_REWRITE
        )
    return header


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"format version {version} is for records only")
    return shape, dtype


def _array(opened: Callable[[], IO[bytes]], name: str, where: str) -> AnyArray:
    try:
        with opened() as stream:
            shape, dtype = _read_header(stream)
            if dtype.hasobject:
                return read_object_array(stream, shape)
        with opened() as stream:
            array: AnyArray = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except pickle.UnpicklingError as error:
        rule = f"holds Python objects that are no labels ({reason_of(error)}); nothing in it was run"
        fix = "Save labels as numbers or as text, with None, NaN or an empty text where one is missing."
        raise DataError(rule, where=where, path=name, fix=fix) from error
    except _DAMAGE as error:
        raise _unreadable(name, where, error) from error


def _unreadable(name: str, where: str, error: BaseException) -> DataError:
    return DataError(f"cannot be read ({reason_of(error)})", where=where, path=name, fix=_REWRITE)
