"""The folder of what is worked out once for all processes of a machine, and arrays that are kept there."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import numpy as np

from fgtune.arrays import AnyArray
from fgtune.errors import DataError
from fgtune.files import replacing

CACHE_VARIABLE = "FGTUNE_CACHE"
"""Environment variable that names the folder of caches; default ``fgtune`` in the user's cache folder."""
MOST_KEPT = 2 * 2**30
"""Bytes of one kind of arrays that are kept; beyond them go those that were not used for longest."""

logger = logging.getLogger(__name__)


def cache_folder(kind: str) -> Path:
    """The folder of caches of a kind; created if missing.

    Raises:
        DataError: It cannot be made.
    """
    given = os.environ.get(CACHE_VARIABLE)
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fgtune"
    folder = base / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"folder of cached {kind} cannot be made ({error.strerror})",
            where=str(folder),
            fix=f"Set {CACHE_VARIABLE} to a folder that can be written, or data.cache to false.",
        ) from error
    return folder


def kept_arrays(
    kind: str, key: str, names: Collection[str], make: Callable[[], dict[str, AnyArray]]
) -> dict[str, AnyArray]:
    """What ``make`` gives, or gave before under this key, bit for bit: one process works it out, the others wait.

    Where nothing can be kept, it is worked out as without a cache, and a warning says why.

    Args:
        kind: Name of the folder.
        key: Determines the arrays: a digest of all that they follow from.
        names: The names of the arrays; a file with others is damaged.
        make: Arrays of numbers by name.
    """
    from filelock import FileLock

    with ExitStack() as stack:
        try:
            file = cache_folder(kind) / f"{key}.npz"
            stack.enter_context(FileLock(file.with_suffix(".lock")))
        except (DataError, OSError, NotImplementedError) as error:
            _warn_once(f"{kind} are worked out anew in every process: {error}")
            return make()
        found = _read(file, names)
        if found is None:
            found = make()
            _write(file, found)
        return found


@cache
def _warn_once(text: str) -> None:
    logger.warning(text)


def _read(file: Path, names: Collection[str]) -> dict[str, AnyArray] | None:
    """The arrays of a file; None where it is missing, damaged or no archive of numbers."""
    try:
        with file.open("rb") as source:
            if zipfile.ZipFile(source).testzip() is not None:
                return None  # NumPy reads no more than a header says, and only a whole entry is held to its checksum
            source.seek(0)
            with np.load(source, allow_pickle=False) as arrays:
                found = dict(arrays)
    except Exception:
        return None
    with suppress(OSError):
        os.utime(file)  # was used now
    return found if found.keys() == set(names) else None


def _write(file: Path, arrays: Mapping[str, AnyArray]) -> None:
    """Keep arrays, and fewer of those that were not used for long."""
    if sum(array.nbytes for array in arrays.values()) > MOST_KEPT // 4:
        most = f"{MOST_KEPT // 4 / 2**20:,.0f} MiB"
        _warn_once(f"{file.parent.name} of more than {most} are not kept: every process works them out anew")
        return
    try:
        with replacing(file) as temporary, temporary.open("wb") as target:
            np.savez(target, allow_pickle=False, **arrays)
        others = [(path.stat(), path) for path in file.parent.glob("*.npz")]
        total = sum(stat.st_size for stat, _ in others)
        for stat, path in sorted(others, key=lambda each: each[0].st_mtime_ns):
            if total <= MOST_KEPT:
                break
            total -= stat.st_size
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)  # whoever holds it writes its file all the same
    except OSError as error:
        logger.warning("%s cannot be kept for other processes (%s)", file, error.strerror or error)
