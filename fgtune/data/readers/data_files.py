"""Finding a data set's files, and errors that say where they were sought, in which layout, and how to get them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from fgtune.errors import ConfigError, DataError
from fgtune.files import read_text

MOST_LIST = 1 << 26
"""Bytes of a list of classes or of images."""


def missing(what: str, looked: Sequence[Path], layout: str, get: str, path: str = "trial.data.path") -> DataError:
    """The error for a missing data set.

    Args:
        what: The missing file or folder, in words.
        looked: Where it was looked for.
        layout: What is expected there.
        get: How to get it.
        path: Where the config names the place.
    """
    places = ", ".join(str(place.resolve()) for place in looked)
    return DataError(f"{what} not found; looked for {places}", path=path, fix=f"Expected layout: {layout}. {get}")


def reason_of(error: BaseException) -> str:
    """The first line of an exception's text, or its name where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def memory_bytes() -> int:
    """Physical memory of this machine; 16 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 16 * 2**30


def check_memory(needed: int, what: str, where: str, path: str = "trial.data.path", fix: str = "") -> None:
    """Raise ``DataError`` where ``needed`` bytes are more than half of this machine's memory.

    Args:
        needed: Bytes about to be allocated.
        what: What needs them, with its verb.
        where: The file.
        path: Where the config names it.
        fix: A likely remedy; by default, fewer samples.
    """
    limit = memory_bytes() // 2
    if needed > limit:
        raise DataError(
            f"{what} {needed / 2**30:.1f} GiB, more than half of this machine's memory ({limit / 2**30:.1f} GiB)",
            where=where,
            path=path,
            fix=fix or "Store fewer samples, or run on a larger machine.",
        )


def read_lines(file: Path, what: str, path: str, layout: str, get: str) -> list[str]:
    """The lines of a small text file, stripped, without empty ones and ``#`` comments.

    Raises:
        DataError: If it is missing or not text.
    """
    if not file.is_file():
        raise missing(what, [file], layout, get, path)
    try:
        text = read_text(file, MOST_LIST).removeprefix("\ufeff")
    except ConfigError as error:
        raise DataError(f"{what} is not readable text ({error.rule})", where=str(file), path=path) from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def folders_in(folder: Path) -> list[str]:
    """Sorted names of the folders in a folder, without hidden ones."""
    return _entries(folder, lambda entry: entry.is_dir())


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Sorted names of the files with these endings, in lower case, in a folder, without hidden ones."""
    return _entries(folder, lambda entry: entry.name.lower().endswith(suffixes) and entry.is_file())


def _entries(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """Sorted names in a folder; a link that leads nowhere, or to itself, is left out.

    Raises:
        DataError: The folder cannot be read.
    """

    def is_wanted(entry: os.DirEntry[str]) -> bool:
        try:
            return not entry.name.startswith(".") and wanted(entry)
        except OSError:
            return False

    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_wanted(entry))
    except OSError as error:
        rule = f"folder cannot be read ({error.strerror})"
        raise DataError(rule, where=str(folder), path="trial.data.path") from error


def inside(root: Path, name: str, where: str, row: int) -> str:
    """``name`` if it lies below ``root``; a table must not refer to files elsewhere.

    Raises:
        DataError: If the name is absolute or climbs out of the folder.
    """
    parts = Path(name).parts
    if not name.strip() or "\0" in name or Path(name).is_absolute() or ".." in parts:
        rule = f"image paths must lie below {root}, row {row} does not"
        fix = "Write paths relative to data.path, without '..'."
        raise DataError(rule, where=where, value=name, fix=fix)
    return name


def fetch(name: str, data_set: str, root: Path, layout: str, get: str = "") -> None:
    """Let torchvision download and unpack a data set.

    Args:
        name: The set, in words.
        data_set: Its class in ``torchvision.datasets``.
        root: Folder to unpack it in.
        layout: What is expected there.
        get: How else to get it.

    Raises:
        DataError: If it cannot be downloaded.
    """
    datasets = import_module("torchvision.datasets")
    try:
        getattr(datasets, data_set)(str(root), download=True)
    except (OSError, RuntimeError) as error:
        rule, fix = f"{name} cannot be downloaded ({reason_of(error)})", f"Expected layout: {layout}. {get}".strip()
        raise DataError(rule, path="trial.data.download", value=True, fix=fix) from error
