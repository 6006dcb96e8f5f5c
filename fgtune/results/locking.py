"""The lock of a study folder: one process per machine writes to it, and any process may ask which one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fgtune.errors import StudyFolderError

_PATIENCE_S = 0.15
"""A process that asks for the holder takes the lock for an instant; a run must not fail because of that."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, created if missing; the system releases it when the process ends.

    Raises:
        StudyFolderError: Another process holds it, or its file system has no locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 3, fallback_to_soft=False)
    where = str(path.parent)
    try:
        lock.acquire()
    except Timeout as error:
        rule = f"is being written by another process (pid {_written(path)})"
        raise StudyFolderError(rule, where=where, fix="wait for it, or stop it with Ctrl-C") from error
    except OSError as error:
        rule = f"cannot be locked ({error.strerror})"
        raise StudyFolderError(rule, where=where, fix="choose a local disk with --out") from error
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        lock.release()


def lock_holder(path: Path) -> str | None:
    """Id of the process that holds the lock file, ``unknown`` if it left none, None if no process holds it.

    Asking takes a shared lock, which filelock does not offer: it needs no write permission, and two processes that ask
    at once do not take each other for the holder.
    """
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _written(path)
    except OSError:  # no lock file, or a file system without locks: no holder is known
        return None
    return None


def _written(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() or "unknown"
