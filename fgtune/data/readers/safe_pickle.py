"""Reads pickles of arrays, dicts, lists, text and numbers, and nothing else: no class or function in a file is run.

The data sets of the CIFAR family are pickles, and a pickle is a program. This unpickler knows a handful of names and
replaces even those by stand-ins: NumPy never sees a header that has not been checked.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fgtune.data.readers.data_files import reason_of
from fgtune.errors import DataError

MAX_BYTES = 1 << 31
"""A larger file is refused; CIFAR-100's largest has 155 MB."""

_DEEPEST = 16
"""Levels of dicts and lists in a pickle of arrays."""
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|S\d{1,4}|U\d{1,4})")
_OBJECTS = re.compile(r"[|]?O[48]?")


class _Dtype:
    """Stands in for ``numpy.dtype``: a plain type of numbers or fixed-width text, and its byte order."""

    def __init__(self, name: object, *_alignment: object) -> None:
        if not isinstance(name, str | bytes) or not _DTYPE.fullmatch(_text(name)):
            raise pickle.UnpicklingError(f"a dtype must be plain numbers or text, not {name!r:.60}")
        self.dtype = np.dtype(_text(name))

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order in ("<", b"<", "=", b"=", "|", b"|"):  # written on a little-endian machine, or of single bytes
            self.dtype = self.dtype.newbyteorder("<")
        elif order in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")
        else:
            raise pickle.UnpicklingError("a dtype's byte order is damaged")


class _Array:
    """Stands in for ``numpy.ndarray``; its content is checked before NumPy makes an array of it."""

    array: npt.NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array's state is damaged")
        _, shape, dtype, fortran, content = state
        if isinstance(content, str):  # written by Python 2, read as latin-1
            content = content.encode("latin-1")
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError("an array's shape is damaged")
        if type(dtype) is not _Dtype or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array must hold plain numbers or text")
        if math.prod(shape) * dtype.dtype.itemsize != len(content):
            raise pickle.UnpicklingError(f"an array of shape {shape} must not have {len(content)} bytes")
        self.array = np.frombuffer(content, dtype=dtype.dtype).reshape(shape, order="F" if fortran else "C")


class _ArrayType:
    """Stands in for the name ``numpy.ndarray``; it cannot be called."""

    def __new__(cls) -> _ArrayType:
        raise pickle.UnpicklingError("an array must be made by NumPy's own function")


def _reconstruct(kind: object, *_placeholder: object) -> _Array:
    if kind is not _ArrayType:
        raise pickle.UnpicklingError("only plain arrays are read")
    return _Array()


def _scalar(dtype: object, content: object) -> int | float | str | bytes:
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(dtype, _Dtype) or getattr(dtype, "objects", False):
        raise pickle.UnpicklingError("a number is damaged")
    if not isinstance(content, bytes) or len(content) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError("a number is damaged")
    number: int | float | str | bytes = np.frombuffer(content, dtype=dtype.dtype)[0].item()
    return number


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes are damaged")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    return b""


_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,  # how protocol 2 writes bytes
    ("__builtin__", "bytes"): _empty_bytes,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a permitted name."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not data")
        return _NAMES[module, name]


class _ObjectsType(_Dtype):
    """Stands in for ``numpy.dtype`` where arrays may also hold Python's own text and numbers."""

    def __init__(self, name: object, *alignment: object) -> None:
        self.objects = isinstance(name, str | bytes) and bool(_OBJECTS.fullmatch(_text(name)))
        if not self.objects:
            super().__init__(name, *alignment)

    def __setstate__(self, state: object) -> None:
        if not self.objects:
            super().__setstate__(state)


class _Objects(_Array):
    """Stands in for an array of objects; its content stays a list."""

    content: list[object] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not getattr(state[2], "objects", False):
            raise pickle.UnpicklingError("an array of objects is damaged")
        _, shape, _, fortran, content = state
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError("an array's shape is damaged")
        if not isinstance(content, list) or math.prod(shape) != len(content) or (fortran and len(shape) > 1):
            raise pickle.UnpicklingError("an array of objects is damaged, or not in C order")
        self.content = content


def _reconstruct_objects(kind: object, *_placeholder: object) -> _Objects:
    if kind is not _ArrayType:
        raise pickle.UnpicklingError("only plain arrays are read")
    return _Objects()


def _nothing(*_: object) -> None:
    return None


class _NoValue:
    """Stands in for the name ``pandas.NA``."""


class _ObjectUnpickler(pickle.Unpickler):
    names: ClassVar[dict[tuple[str, str], Any]] = {
        **_NAMES,
        ("numpy", "dtype"): _ObjectsType,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct_objects,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct_objects,
        ("pandas", "NA"): _NoValue,
        ("pandas._libs.missing", "NA"): _NoValue,
        ("pandas._libs.tslibs.nattype", "_nat_unpickle"): _nothing,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a permitted name."""
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not data")
        return self.names[module, name]


def read_object_array(stream: IO[bytes], shape: tuple[int, ...]) -> npt.NDArray[np.object_]:
    """An array of text, numbers and missing values that NumPy wrote as Python objects; nothing in it is run.

    Args:
        stream: At the start of the pickle.
        shape: What the header promised.

    Returns:
        Of this shape; None for missing values.

    Raises:
        pickle.UnpicklingError: It is damaged, or holds anything else.
    """
    loaded = _ObjectUnpickler(stream, encoding="latin1").load()
    if type(loaded) is not _Objects or loaded.content is None or len(loaded.content) != math.prod(shape):
        raise pickle.UnpicklingError("an array of objects is expected")
    plain: npt.NDArray[np.object_] = np.empty(len(loaded.content), dtype=object)
    for place, value in enumerate(loaded.content):
        if value is not None and value is not _NoValue and type(value) not in (str, bytes, int, float, bool):
            raise pickle.UnpicklingError(f"a label must be text or a number, entry {place} is neither")
        plain[place] = None if value is _NoValue else value
    return plain.reshape(shape)


def read_pickled_dict(path: Path) -> dict[str, Any]:
    """Read a pickled dict with text keys, whose values are arrays, flat lists of text or numbers, text, or numbers.

    Args:
        path: The file; the caller has checked that it exists.

    Returns:
        The dict, its arrays read-only; text written by Python 2 is read as latin-1.

    Raises:
        DataError: If the file is damaged or holds anything else. Nothing that it names is imported or run.
    """
    with _readable(path), path.open("rb") as stream:
        return _plain_dict(_load(stream))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a damaged pickle raises into one error that names the file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise pickle.UnpicklingError(f"a file of more than {MAX_BYTES >> 30} GiB is no such set")
        yield
    except Exception as error:  # a damaged pickle may raise nearly anything
        rule = f"is not a readable pickle of arrays and lists ({reason_of(error)})"
        fix = "Nothing in it was run. Fetch the file again from the official source."
        raise DataError(rule, where=str(path), path="trial.data.path", fix=fix) from error


def read_pickled_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array in a pickle of nested dicts, lists and tuples, by the keys and places that lead to it.

    Args:
        path: The file; the caller has checked that it exists.

    Returns:
        Arrays by dotted name (``train.0`` is the first of what ``train`` holds), read-only; an array that is the whole
        file is called ``array``. Flat lists of numbers are arrays, too; all else is left out. A dict or list that
        stands in several places is looked into at the first of them.

    Raises:
        DataError: As for ``read_pickled_dict``.
    """
    with _readable(path), path.open("rb") as stream:
        return dict(_arrays_in(_load(stream), (), set()))


def _arrays_in(content: object, place: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if type(content) is _Array and content.array is not None:
        yield ".".join(place) or "array", content.array
    if not isinstance(content, dict | list | tuple) or id(content) in seen:
        return
    seen.add(id(content))
    if type(content) is list and content and all(type(item) in (int, float) for item in content):
        numbers = np.asarray(content)
        if not numbers.dtype.hasobject:  # as those beyond 64 bits have
            yield ".".join(place) or "array", numbers
    elif len(place) < _DEEPEST:
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in items:
            if type(key) in (str, bytes, int):
                yield from _arrays_in(value, (*place, str(key) if type(key) is int else _text(key)), seen)


def _load(stream: IO[bytes]) -> object:
    loaded: object = _Unpickler(stream, encoding="latin1").load()
    return loaded


def _plain_dict(content: object) -> dict[str, Any]:
    if type(content) is not dict:
        raise pickle.UnpicklingError("a dict is expected")
    plain: dict[str, Any] = {}
    for key, value in content.items():
        if type(value) is _Array and value.array is not None:
            plain[_text(key)] = value.array
        elif type(value) in (str, bytes, int, float, bool):
            plain[_text(key)] = value
        elif type(value) is list and all(type(item) in (str, bytes, int, float, bool) for item in value):
            plain[_text(key)] = [_text(item) if type(item) is bytes else item for item in value]
        else:
            raise pickle.UnpicklingError(f"the value of {_text(key)!r:.40} is not plain data")
    return plain


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise pickle.UnpicklingError("text is expected")
    return value
