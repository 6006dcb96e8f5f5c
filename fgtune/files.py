"""Files that survive a crash: written whole or not at all, and JSON Lines, whose last may be torn, chained by hash."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic_core import from_json

from fgtune.errors import ConfigError, StudyFolderError

T = TypeVar("T")

PREVIOUS = "previous"
"""Key of a chained line: SHA-256, in hex, of the line before it; in the first chained line, of the file before it."""
MOST_TEXT = 4_000_000
"""Bytes of a file that a person writes, such as a study."""
MOST_LINES = 1 << 33
"""Bytes of a file of JSON Lines."""
_TAIL = 1 << 16
"""Bytes that are read first to find the last line of a file."""


def read_text(path: Path, most: int = MOST_TEXT, *, what: str = "file") -> str:
    """The text of a regular file of bounded size; a device, a pipe or an endless file is refused before it is read.

    Args:
        path: The file.
        most: The most bytes.
        what: What it is, for messages.

    Raises:
        ConfigError: It is missing, no regular file, too large, not UTF-8, or cannot be read.
    """
    try:
        return read_bytes(path, most, what=what).decode("utf-8")
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 text, byte {error.start} is none"
        raise ConfigError(rule, where=str(path), fix="save it as UTF-8") from error


def require_file(path: Path) -> None:
    """Raise ``OSError`` for a folder, a device, a pipe or a socket, which reading may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a folder" if stat.S_ISDIR(mode) else "it is a device, a pipe or a socket")


def read_bytes(path: Path, most: int, *, what: str = "file") -> bytes:
    """The content of a regular file of bounded size; raises like ``read_text``."""
    where = str(path)
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a device, a pipe or a socket"
            raise ConfigError(f"must be a file, it is {kind}", where=where, fix="name a regular file")
        if state.st_size > most:  # a file of holes takes no room on the disk, and all its size in memory
            raise _too_large(where, what, most, state.st_size)
        with path.open("rb") as file:
            # Not the stated size alone: it is 0 below /proc, and a ledger may grow meanwhile.
            content = file.read(min(most, state.st_size + _TAIL) + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"no such {what}", where=where, fix="check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"cannot be read ({reason})", where=where, fix="check the path and who may read it"
        ) from error
    if len(content) > most:
        raise _too_large(where, what, most, len(content))
    return content


def _too_large(where: str, what: str, most: int, size: int) -> ConfigError:
    rule = f"a {what} must hold at most {most / 1e6:g} MB, it has {size / 1e6:,.1f} MB"
    return ConfigError(rule, where=where, fix="name the file that is meant, or make it smaller")


_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def is_disk_fault(error: OSError, or_access: bool = True) -> bool:
    """Whether the disk is the cause: full, over a quota, read-only or broken; or what may not be written there."""
    return error.errno in _DISK_FAULTS or (or_access and error.errno in _NO_ACCESS)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` at the end of the block; on an error the old file stays.

    Parent folders are created. The temporary file lies beside ``path``, is named ``.NAME.*.tmp`` and is synced to
    disk before it is renamed, so a reader finds either the old content or the new, even after a power cut.
    """
    if path.is_dir():
        raise StudyFolderError("must be a file, it is a folder", where=str(path), fix="move the folder away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        fix = "move the file away that is in its place"
        raise StudyFolderError("must be a folder", where=str(path.parent), fix=fix) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one as it is; parent folders are created."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_output(path: Path, content: bytes) -> None:
    """Write a file that the user has named, whole or not at all.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", where=str(path)) from error


class JsonLines(Generic[T]):
    """An append-only file of JSON objects, one per line, written by a single process.

    A process killed while it writes leaves a torn last line: readers ignore it, the next writer removes it.

    Args:
        path: The file, which need not exist yet.
        parse: Turns an object into a value; raises ValueError, TypeError, KeyError or AttributeError if it cannot.
        rule: What is wrong with a line that ``parse`` refuses.
        fix: What to do about it.
        synced: Whether every line is synced to disk before the next one is written; costs milliseconds per line.
        chained: Whether every new line holds the hash of the one before, under ``previous``, so that ``broken_links``
            finds lines that were changed, removed or moved. ``parse`` does not see that key.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[dict[str, Any]], T],
        *,
        rule: str,
        fix: str,
        synced: bool = False,
        chained: bool = False,
    ) -> None:
        self.path = path
        self._parse_object, self._rule, self._fix, self._synced = parse, rule, fix, synced
        self._fix_file = "restore the file from a copy, or move away what is in its place"
        self._chained = chained

    def append(self, plain: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            OSError: The write failed; the file then holds what it held before and at most a torn line.
            ValueError: For a number that is not finite.
        """
        self.extend([plain])

    def extend(self, objects: Iterable[dict[str, Any]]) -> None:
        """Add many lines, synced together at the end: ``append`` syncs each, which costs milliseconds a line.

        Raises:
            OSError: The write failed; the file then holds what it held before, some lines, and at most a torn one.
            ValueError: For a number that is not finite.
        """
        plains = list(objects)
        lines = [json.dumps(plain, allow_nan=False) for plain in plains]
        if not lines:
            return
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            self._repair(file.fileno())
            link = _link(file.fileno()) if self._chained else ""
            for plain, line in zip(plains, lines, strict=True):
                text = (json.dumps({**plain, PREVIOUS: link}) if self._chained else line).encode()
                file.write(text + b"\n")
                link = hashlib.sha256(text).hexdigest()
            file.flush()
            if self._synced:
                os.fsync(file.fileno())
        if new and self._synced:
            _sync_folder(self.path.parent)

    def read(self) -> list[T]:
        """The values in their order; empty without a file.

        Raises:
            StudyFolderError: For a line, other than a torn last one, that holds no such value.
        """
        return self.values_in(self.content())

    def content(self) -> bytes:
        """What the file holds; empty without one.

        Raises:
            StudyFolderError: It is no file, or cannot be read.
        """
        try:
            return read_bytes(self.path, MOST_LINES) if os.path.lexists(self.path) else b""
        except ConfigError as error:
            raise StudyFolderError(error.rule, where=error.where, fix=self._fix_file) from error

    def values_in(self, content: bytes) -> list[T]:
        """The values of what the file held; raises like ``read``."""
        *lines, tail = content.split(b"\n")
        values = []
        with uncollected():
            for number, line in enumerate(lines, start=1):
                value = self._parse(line)
                if value is None:
                    raise StudyFolderError(self._rule, where=f"{self.path}:{number}", value=line[:80], fix=self._fix)
                values.append(value)
            last = self._parse(tail)
        return values if last is None else [*values, last]  # complete except for its newline

    def _parse(self, line: bytes) -> T | None:
        try:
            plain = _decoded(line)
            if self._chained:
                plain.pop(PREVIOUS, None)
            return self._parse_object(plain)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _repair(self, descriptor: int) -> None:
        """Make the file end with a complete line: remove a torn one, or add the newline that a whole one lacks."""
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return
        content = os.pread(descriptor, size, 0)
        start = content.rfind(b"\n") + 1
        if self._parse(content[start:]) is None:
            os.ftruncate(descriptor, start)
        else:
            os.write(descriptor, b"\n")  # opened for appending, so it goes to the end


def _decoded(line: bytes) -> Any:
    """What ``json.loads`` gives or raises, in half the time; what Pydantic's parser refuses is left to it."""
    try:
        return from_json(line)
    except ValueError:
        return json.loads(line)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without searches for garbage while many objects are made that all stay: they take a quarter of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def link_after(content: bytes) -> str:
    """What the next chained line after ``content`` holds under ``previous``.

    Since the last line holds the hash of the one before it, and so on, it stands for the whole file.

    Args:
        content: A file of JSON Lines that ends with a newline, or is empty.
    """
    last = content[content.rfind(b"\n", 0, -1) + 1 : -1]
    return hashlib.sha256(last if _previous(last) is not None else content).hexdigest()


def broken_links(content: bytes) -> tuple[int, list[int]]:
    """Where the chain of a file of JSON Lines does not hold; a torn last line is left out.

    Args:
        content: The file.

    Returns:
        Number of lines before the first chained one, and the numbers, from 1, of the lines that do not follow from what
        stands before them: something there was changed, removed, inserted or moved.
    """
    lines = content.split(b"\n")[:-1]
    links = [_previous(line) for line in lines]
    unchained = next((rank for rank, link in enumerate(links) if link is not None), len(lines))
    broken, place = [], sum(len(line) + 1 for line in lines[:unchained])
    for rank in range(unchained, len(lines)):
        before = content[:place] if rank == unchained else lines[rank - 1]
        if links[rank] != hashlib.sha256(before).hexdigest():
            broken.append(rank + 1)
    return unchained, broken


def _previous(line: bytes) -> str | None:
    """The hash in a chained line, None in any other."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    link = found.get(PREVIOUS) if isinstance(found, dict) else None
    return link if isinstance(link, str) else None


def _link(descriptor: int) -> str:
    """``link_after`` a file that ends with a newline or is empty; reads only its end if its last line is chained."""
    size, length = os.fstat(descriptor).st_size, _TAIL
    while length < size:
        tail = os.pread(descriptor, length, size - length)
        place = tail.rfind(b"\n", 0, -1)
        if place >= 0:
            last = tail[place + 1 : -1]
            if _previous(last) is not None:
                return hashlib.sha256(last).hexdigest()
            break
        length *= 4
    return link_after(os.pread(descriptor, size, 0))


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> Path:
    """The folder, made if it is not there, in a place where others may write, such as that of temporary files.

    Raises:
        OSError: It cannot be made, or somebody else has made it.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.lstat().st_uid != os.getuid() or path.is_symlink():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(path))
    return path


def real_path(path: Path) -> Path:
    """The path without links; one that leads in a circle stays (``Path.resolve`` raises), and opening it says so."""
    return Path(os.path.realpath(path))
