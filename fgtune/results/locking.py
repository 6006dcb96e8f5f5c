"""The lock of a study folder: one process of a machine writes to it; anyone may ask which one does."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fgtune.errors import StudyFolderError

_TRIES, _WAIT_S = 4, 0.05
"""Whoever asks for the holder has the lock for an instant; a run must not fail for that."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, which is made where it does not exist.

    Raises:
        StudyFolderError: Another process holds it, or its file system has no locks.
    """
    where = str(path.parent)
    with path.open("a+") as file:
        try:
            _take(file)
        except BlockingIOError as error:
            file.seek(0)
            rule = f"is being written by another process (pid {_written(file)})"
            raise StudyFolderError(rule, where=where, fix="wait for it, or stop it with Ctrl-C") from error
        except OSError as error:
            rule = f"cannot be locked ({error.strerror})"
            raise StudyFolderError(rule, where=where, fix="choose a local disk with --out") from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def lock_holder(path: Path) -> str | None:
    """The process that holds the lock file: its id, ``unknown`` where it has left none, None where nobody does."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _written(file)
    except OSError:  # no lock file, or a file system without locks: nothing is known of a holder
        return None
    return None


def _take(file: IO[str]) -> None:
    for _ in range(_TRIES - 1):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_WAIT_S)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _written(file: IO[str]) -> str:
    return file.read().strip() or "unknown"
