"""The lock of a study folder: one process writes to it, on this machine or another; any process may ask which one.

On one machine the system's own lock decides, which ends with its process. File systems that machines share do not all
know such locks, or keep them to one machine, so the holder also leaves a record beside it: a file that exists once,
says who holds it, and is touched every few seconds. A record of another machine counts while it is touched; one of this
machine counts while the system's lock is held, or, where there are no such locks, while its process lives.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fgtune.errors import ConfigError, StudyFolderError
from fgtune.files import MOST_TEXT, read_bytes, read_text
from fgtune.text import duration

TOUCHED_EVERY_S = 15.0
STALE_AFTER_S = 120.0
"""A record of another machine that has not been touched for so long is of a process that is gone."""
_PATIENCE_S = 0.15
"""A process that asks for the holder takes the lock for an instant; a run must not fail because of that."""
_SETTLED_S = 0.2
"""A record that no lock protects counts once it has stood for so long."""
_POLL_S = 1.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_SAME_START_S = 2.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: The process; 0 if it left no word.
        host: Its machine; empty where an earlier version of fgtune holds the lock, which does not leave what follows.
        user: Who started it.
        since: When it took the lock, in seconds since 1970.
        started: When the process began, which distinguishes it from a later one with the same number.
        token: Distinguishes this holding of the lock from every other.
    """

    pid: int
    host: str = ""
    user: str = ""
    since: float = 0.0
    started: float = 0.0
    token: str = ""

    def __str__(self) -> str:
        """``process 123 of ann on node7, since 2026-11-27 00:12:03 UTC (14 min)``."""
        if not self.host:
            return f"process {self.pid or 'unknown'}"
        when = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} of {self.user} on {self.host}, since {when} ({duration(self.age)})"

    @property
    def age(self) -> float:
        """Seconds since it took the lock."""
        return max(0.0, time.time() - self.since)


_PARSER = TypeAdapter(Holder)


@contextmanager
def locked(path: Path, wait: bool = False, say: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Hold the lock file at ``path``, created if missing; it is free once the process ends, however it ends.

    Args:
        path: The lock file; the record of its holder lies beside it.
        wait: Wait until it is free, instead of raising.
        say: Called once with whom it waits for.

    Raises:
        StudyFolderError: Another process holds it.
    """
    has_said = False
    while (lock := _Lock.take(path)) is None or lock.other is not None:
        if lock is None:
            continue  # the file was removed while it was opened
        if not wait:
            fix = "wait for it (the same command with --wait does, and then continues), or stop it with Ctrl-C"
            raise StudyFolderError(f"is being written by {lock.other}", where=str(path.parent), fix=fix)
        if not has_said:
            say(f"waiting until {path.parent} is free: it is being written by {lock.other}")
            has_said = True
        time.sleep(_POLL_S)
    try:
        with _touched(record_file(path), lock.mine):
            yield
    finally:
        lock.release()


def lock_holder(path: Path) -> Holder | None:
    """Who holds the lock file; None if no process does. Asking needs no write permission, and leaves nothing.

    It takes a shared lock for an instant, so that two processes that ask at once do not take each other for the holder.
    """
    record, has_locks = _read(record_file(path)), True
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place is not waited for
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        return record or _earlier(path)
    except OSError:  # no lock file, or no locks on this file system
        has_locks = False
    return record if record is not None and _lives(record, record_file(path), has_locks) else None


def record_file(path: Path) -> Path:
    """The record of who holds the lock file at ``path``; it exists while somebody does, and after a kill."""
    return path.with_name(f"{path.name}.holder")


class _Lock:
    """The lock file, open; either we hold it (``mine``), or ``other`` does."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._record, self._descriptor = record_file(path), descriptor
        self.mine = _ourselves()
        self.other: Holder | None = None

    @classmethod
    def take(cls, path: Path) -> _Lock | None:
        """Try once; None if the file was removed meanwhile, so that a lock on it would hold nobody off."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        lock = cls(path, descriptor)
        try:
            has_locks = _flock(descriptor)
            if has_locks is None:
                lock.other = _read(lock._record) or _earlier(path)
            elif not _is_same_file(descriptor, path):
                os.close(descriptor)
                return None
            else:
                lock.other = lock._claim(has_locks)
            if lock.other is None:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{lock.mine.pid}\n".encode(), 0)  # an earlier version that asks reads this
            else:
                os.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        return lock

    def _claim(self, has_locks: bool) -> Holder | None:
        """Leave our record, in place of one that no longer counts; returns whose record counts instead."""
        protected = has_locks
        for _ in range(100):
            if _create(self._record, _PARSER.dump_json(self.mine)):
                if protected:
                    return None
                time.sleep(_SETTLED_S)  # whoever read a stale record before may have removed ours in its place
            found = _read(self._record)
            if found == self.mine:
                return None
            if found is None or _lives(found, self._record, has_locks):
                if found is None and not self._record.exists():
                    continue  # just released
                return found or Holder(0)
            protected = has_locks and found.host == self.mine.host  # the locks of another machine may not be ours
            _remove_stale(self._record, found)
        return Holder(0)

    def release(self) -> None:
        """Remove our record and free the lock."""
        if _read(self._record) == self.mine:
            self._record.unlink(missing_ok=True)
        os.close(self._descriptor)


def _flock(descriptor: int) -> bool | None:
    """True if the system's lock was taken, None if another process has it, False if the file system has none."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return None
            time.sleep(_PATIENCE_S / 3)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _ourselves() -> Holder:
    import psutil

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.getuid())
    started = psutil.Process().create_time()
    return Holder(os.getpid(), platform.node(), user, time.time(), started, secrets.token_hex(8))


def _create(path: Path, content: bytes) -> bool:
    """Create a whole file unless there is one: a link never overwrites, and is atomic on network file systems too."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        return _create_exclusively(path, content)  # a file system without hard links
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_exclusively(path: Path, content: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    """The record; None without one, or where it is none."""
    try:
        return _PARSER.validate_json(read_bytes(path, MOST_TEXT))
    except (ConfigError, ValidationError):
        return None


def _earlier(path: Path) -> Holder:
    """The holder that left its number alone, as earlier versions do."""
    try:
        return Holder(int(read_text(path, 100)))
    except (ConfigError, ValueError):
        return Holder(0)


def _lives(record: Holder, path: Path, has_locks: bool) -> bool:
    """Whether a record counts, given that we hold the system's lock, or that there is none (``has_locks`` False)."""
    if record.host != platform.node():
        return _age(path) < STALE_AFTER_S
    if has_locks:
        return False
    import psutil

    try:
        return abs(psutil.Process(record.pid).create_time() - record.started) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False


def _age(path: Path) -> float:
    """Seconds since a file was touched, by the clock of its file system where we may ask it."""
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime - touched
    except OSError:  # we may only read here
        return time.time() - touched
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _remove_stale(path: Path, stale: Holder) -> None:
    """Remove a record that no longer counts, unless another process has just put its own in its place."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != stale:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(aside)
    aside.unlink(missing_ok=True)


@contextmanager
def _touched(path: Path, mine: Holder) -> Iterator[None]:
    """Touch our record every few seconds; if another machine has taken the lock over, stop as Ctrl-C would."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(TOUCHED_EVERY_S):
            found = _read(path)
            if found is not None and found != mine:
                os.kill(os.getpid(), signal.SIGINT)
                return
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=touch, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
