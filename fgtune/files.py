"""Files that survive a crash: written whole or not at all, and JSON Lines whose last line may be torn."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from fgtune.errors import ConfigError, StudyFolderError

T = TypeVar("T")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` at the end of the block; on an error the old file stays.

    Parent folders are created. The temporary file lies beside ``path``, is named ``.NAME.*.tmp`` and is synced to
    disk before it is renamed, so a reader finds either the old content or the new, even after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
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
    """

    def __init__(
        self, path: Path, parse: Callable[[dict[str, Any]], T], *, rule: str, fix: str, synced: bool = False
    ) -> None:
        self.path = path
        self._parse_object, self._rule, self._fix, self._synced = parse, rule, fix, synced

    def append(self, plain: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            OSError: The write failed; the file then holds what it held before and at most a torn line.
            ValueError: For a number that is not finite.
        """
        line = json.dumps(plain, allow_nan=False).encode() + b"\n"
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            self._repair(file.fileno())
            file.write(line)
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
        if not self.path.exists():
            return []
        *lines, tail = self.path.read_bytes().split(b"\n")
        values = []
        for number, line in enumerate(lines, start=1):
            value = self._parse(line)
            if value is None:
                raise StudyFolderError(self._rule, where=f"{self.path}:{number}", value=line[:80], fix=self._fix)
            values.append(value)
        last = self._parse(tail)
        return values if last is None else [*values, last]  # complete except for its newline

    def _parse(self, line: bytes) -> T | None:
        try:
            return self._parse_object(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
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


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
