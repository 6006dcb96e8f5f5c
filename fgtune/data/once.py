"""Files that several data sets of a study are made of, read once while the study is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar, cast

from fgtune.errors import DataError

_T = TypeVar("_T")
_KEPT: ContextVar[dict[object, object] | None] = ContextVar("kept", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Within it, ``once`` keeps what it has made; at its end all is forgotten. It may stand within itself."""
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def once(make: Callable[[], _T], files: list[Path], *of: object) -> _T:
    """What ``make`` gives, or gave before for the same, unchanged files.

    Args:
        make: Reads the files; what it returns is not to be changed.
        files: What it reads.
        of: What else it depends on. The first names what is made.
    """
    kept = _KEPT.get()
    if kept is None:
        return make()
    key = (*of, *map(_state, files))
    if key not in kept:
        kept[key] = make()
    return cast(_T, kept[key])


def _state(file: Path) -> tuple[object, ...]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError("cannot be read", where=str(file), path="trial.data.path", fix="check the path") from error
    return str(file.absolute()), found.st_size, found.st_mtime_ns, found.st_ino
