"""Data that a call was given in memory: they wait in a temporary file until the study folder takes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fgtune.files import replacing

_waiting: list[Mapping[Path, Path]] = []
"""Where the content of a file is that does not exist yet, the latest call last."""


@contextmanager
def waiting(files: Mapping[Path, Path]) -> Iterator[None]:
    """For the duration of a ``with`` block, read these files from elsewhere.

    Args:
        files: The place that a study names, and the file that holds its content for now.
    """
    mine = {place.absolute(): file for place, file in files.items()}
    _waiting.append(mine)
    try:
        yield
    finally:
        _waiting.remove(mine)


def file_at(path: Path) -> Path:
    """The file to read for ``path``: itself, unless its content waits elsewhere."""
    return next((files[place] for files in reversed(_waiting) if (place := path.absolute()) in files), path)


def bytes_waiting() -> int:
    """Bytes of all files that wait to be written to their places."""
    return sum(file.stat().st_size for files in _waiting for file in files.values())


def take_waiting() -> None:
    """Write every file that waits to its place; one that is there already is replaced."""
    for files in _waiting:
        for place, file in files.items():
            with replacing(place) as temporary:
                shutil.copyfile(file, temporary)
