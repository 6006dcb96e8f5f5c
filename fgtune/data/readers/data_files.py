"""Looking for a data set's files: what is missing is told with where it was looked for, its layout and its origin."""

from __future__ import annotations

import os
from pathlib import Path

from fgtune.data.readers.data_errors import missing
from fgtune.data.readers.images import SUFFIXES
from fgtune.errors import DataError


def read_lines(file: Path, what: str, path: str, layout: str, get: str) -> list[str]:
    """The lines of a small text file, stripped, without empty ones and ``#`` comments.

    Raises:
        DataError: If it is missing or no text.
    """
    if not file.is_file():
        raise missing(what, [file], layout, get, path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{what} is not readable text ({error})", where=str(file), path=path) from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def images_in(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )


def inside(root: Path, name: str, where: str, row: int) -> str:
    """``name`` if it lies below ``root``; a table must not reach for files elsewhere.

    Raises:
        DataError: If the name is absolute or climbs out of the folder.
    """
    parts = Path(name).parts
    if not name.strip() or "\0" in name or Path(name).is_absolute() or ".." in parts:
        raise DataError(
            f"image paths must lie below {root}, row {row} does not",
            where=where,
            value=name,
            fix="Write paths relative to data.path, without '..'.",
        )
    return name
