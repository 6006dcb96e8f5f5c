"""Where unfinished cells keep their files: the study folder, a folder that all machines see, or a bucket."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.config.schema.storage import StorageAddress, parse_storage
from fgtune.files import private_folder
from fgtune.results.object_stores import faults_of, no_bucket, open_store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_BLOCK = 8 << 20
"""Bytes that are copied at a time."""


class Storage(ABC):
    """A flat folder of files that are written whole or not at all; travels to workers.

    Attributes:
        where: What it is called in messages.
    """

    where: str

    @abstractmethod
    def write(self, name: str, save: Callable[[Path], None]) -> None:
        """Keep a file that ``save`` writes at the path it is given.

        Raises:
            OSError: It cannot be kept; what was there under this name is still there.
        """

    @abstractmethod
    def reading(self, name: str) -> AbstractContextManager[Path | None]:
        """A local path of the file for the duration of a ``with`` block; None if there is none.

        Raises:
            OSError: It cannot be read, though it may be there.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """The files that are there, sorted."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there do no harm."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all files, and what else was made for them."""

    @abstractmethod
    def below(self, name: str) -> Storage:
        """The folder of that name in it."""

    @abstractmethod
    def locked(self, name: str) -> AbstractContextManager[Any]:
        """Held by one process of this machine at a time, of those that want to write the file."""

    @abstractmethod
    def work_folder(self, name: str) -> Path:
        """A folder of this machine, which need not exist, for files of a running cell."""

    def here(self) -> Storage:
        """What a process on this machine uses."""
        return self


class FolderStorage(Storage):
    """A folder in a file system.

    Args:
        root: The folder.
        may_be_missing: Whether machines that do not see it, which was made before, keep nothing.
    """

    def __init__(self, root: Path, *, may_be_missing: bool = False) -> None:
        self.root, self.where = Path(root), str(root)
        self._may_be_missing = may_be_missing

    def write(self, name: str, save: Callable[[Path], None]) -> None:
        """Written in place: whoever saves replaces the old file at the end."""
        save(self.root / name)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path | None]:
        """The file itself."""
        path = self.root / name
        yield path if path.exists() else None

    def names(self) -> list[str]:
        """Without those that begin with a dot."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_file() and not path.name.startswith("."))

    def remove(self, names: Iterable[str]) -> None:
        """Unlink them."""
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        if self.root.exists():
            shutil.rmtree(self.root)

    def below(self, name: str) -> FolderStorage:
        """A folder in it."""
        return FolderStorage(self.root / name, may_be_missing=self._may_be_missing)

    def locked(self, name: str) -> AbstractContextManager[Any]:
        """By a lock file beside it."""
        from filelock import FileLock

        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / f".{name}.lock")

    def work_folder(self, name: str) -> Path:
        """In it."""
        return self.root / name

    def here(self) -> Storage:
        """Nothing, on a machine that does not see a folder which may be missing."""
        return Nowhere(self.where) if self._may_be_missing and not self.root.is_dir() else self


class _Elsewhere(Storage):
    """One whose files are not on this machine."""

    def __init__(self, where: str) -> None:
        self.where = where

    def locked(self, name: str) -> AbstractContextManager[Any]:
        """By a lock file of this machine."""
        from filelock import FileLock

        return FileLock(private_folder(self._scratch()) / f".{name}.lock")

    def work_folder(self, name: str) -> Path:
        """Among this machine's temporary files."""
        return self._scratch() / name

    def _scratch(self) -> Path:
        import hashlib

        digest = hashlib.sha256(self.where.encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"fgtune-{os.getuid()}-{digest}"


class Nowhere(_Elsewhere):
    """Keeps nothing: a cell that has to begin again begins at its first epoch."""

    def write(self, name: str, save: Callable[[Path], None]) -> None:
        """Do nothing."""

    @contextmanager
    def reading(self, name: str) -> Iterator[Path | None]:
        """There is none."""
        del name
        yield None

    def names(self) -> list[str]:
        """None."""
        return []

    def remove(self, names: Iterable[str]) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Do nothing."""

    def below(self, name: str) -> Nowhere:
        """Nothing either."""
        return Nowhere(f"{self.where}/{name}")


class ObjectStorage(_Elsewhere):
    """A prefix in a bucket; every process opens a connection of its own.

    Args:
        address: The bucket, and how it is reached.
        path: Bucket and prefix.
    """

    def __init__(self, address: StorageAddress, path: str | None = None) -> None:
        self._address, self._path = address, address.path if path is None else path
        super().__init__(f"{address.scheme}://{self._path}")
        self._opened: FileSystem | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}

    @property
    def _store(self) -> FileSystem:
        if self._opened is None:
            self._opened = open_store(self._address)
        return self._opened

    def write(self, name: str, save: Callable[[Path], None]) -> None:
        """Written to a temporary file and uploaded; the object changes when all of it has arrived."""
        with tempfile.TemporaryDirectory(prefix="fgtune-") as scratch:
            path = Path(scratch) / name
            save(path)
            with (
                path.open("rb") as file,
                faults_of(self._address),
                self._bucket_there(),
                self._store.open_output_stream(f"{self._path}/{name}") as stream,
            ):
                shutil.copyfileobj(file, stream, _BLOCK)

    @contextmanager
    def _bucket_there(self) -> Iterator[None]:
        """Say of a missing file in a ``with`` block that writes one that its bucket is missing, as Google means it."""
        try:
            yield
        except FileNotFoundError as error:
            raise no_bucket(self._address) from error

    @contextmanager
    def reading(self, name: str) -> Iterator[Path | None]:
        """Downloaded to a temporary file."""
        with tempfile.TemporaryDirectory(prefix="fgtune-") as scratch:
            path: Path | None = Path(scratch) / name
            try:
                with (
                    (Path(scratch) / name).open("wb") as file,
                    faults_of(self._address),
                    self._store.open_input_stream(f"{self._path}/{name}") as stream,
                ):
                    shutil.copyfileobj(stream, file, _BLOCK)
            except FileNotFoundError:
                path = None
            yield path

    def names(self) -> list[str]:
        """By a listing."""
        from pyarrow.fs import FileSelector, FileType

        with faults_of(self._address):
            found = self._store.get_file_info(FileSelector(self._path, allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == FileType.File)

    def remove(self, names: Iterable[str]) -> None:
        """Delete the objects."""
        for name in names:
            with faults_of(self._address), suppress(FileNotFoundError):
                self._store.delete_file(f"{self._path}/{name}")

    def clear(self) -> None:
        """Delete everything below the prefix."""
        from pyarrow.fs import FileType

        with faults_of(self._address), suppress(FileNotFoundError):
            if self._store.get_file_info(self._path).type != FileType.NotFound:
                self._store.delete_dir(self._path)

    def below(self, name: str) -> ObjectStorage:
        """A longer prefix."""
        return ObjectStorage(self._address, f"{self._path}/{name}")


def storage_at(text: str) -> Storage:
    """The storage at an address, as ``execution.storage`` states it; a relative path counts from here."""
    address = parse_storage(text)
    if address.scheme == "file":
        return FolderStorage(Path.cwd() / Path(address.path).expanduser())
    return ObjectStorage(address)


def fixed_address(text: str) -> str:
    """An address that means the same wherever a process starts."""
    place = storage_at(text)
    return str(place.root) if isinstance(place, FolderStorage) else text
