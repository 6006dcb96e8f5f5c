"""Whether a storage can be used: a mark is written there, read again, and looked for by other machines."""

from __future__ import annotations

import errno
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fgtune.errors import ConfigError
from fgtune.results.object_stores import BucketError
from fgtune.results.storage import FolderStorage, Storage, fixed_address, storage_at

SETTING = "execution.storage"
_CHECK = ".fgtune-check-"
_STALE_S = 3600.0
"""Age of a mark from which on the call that has left it is gone: a check takes half a minute at most."""
_HEX = re.compile("[0-9a-f]{8}")


def is_same_place(address: str, other: str) -> bool:
    """Whether two addresses are of one place, whatever they are called: what is written to one is in the other.

    Raises:
        ConfigError: The other one cannot be written.
    """
    with marked(other) as mark:
        return replace(mark, storage=address).fault() is None


@dataclass(frozen=True)
class Mark:
    """A file in a storage, by which a machine shows that it sees it.

    Attributes:
        storage: The address.
        name: The file.
        content: What it holds.
    """

    storage: str
    name: str
    content: str

    def fault(self) -> str | None:
        """Why this machine cannot use the storage, as the end of a sentence about it; None if it can."""
        try:
            with storage_at(self.storage).reading(self.name) as path:
                found = None if path is None else path.read_text(encoding="ascii")
        except BucketError as error:
            return error.rule
        except (OSError, ValueError) as error:
            return f"cannot be read ({error})"
        return None if found == self.content else "is not the same place as on the driver's machine"


@contextmanager
def marked(text: str) -> Iterator[Mark]:
    """Check that a storage can be written, read and cleaned; yields a mark in it, for other machines.

    Raises:
        ConfigError: It cannot.
    """
    storage = storage_at(text)
    mark = Mark(fixed_address(text), f"{_CHECK}{int(time.time()):x}-{secrets.token_hex(4)}", secrets.token_hex(8))
    with _refusing(text):
        if isinstance(storage, FolderStorage):
            storage.root.mkdir(parents=True, exist_ok=True)
        storage.write(mark.name, lambda path: _write_text(path, mark.content))
        storage.remove(_stale_marks(storage))
    try:
        fault = mark.fault()
        if fault is not None:
            raise ConfigError(fault, path=SETTING, value=text, fix="choose another place")
        yield mark
    finally:
        with _refusing(text):
            storage.remove([mark.name])


def _stale_marks(storage: Storage) -> list[str]:
    """Marks of calls that were killed while they checked a storage."""
    if isinstance(storage, FolderStorage):
        names = [path.name for path in storage.root.glob(f"{_CHECK}*")]
    else:
        names = storage.names()
    made = {name: name.removeprefix(_CHECK).partition("-")[0] for name in names if name.startswith(_CHECK)}
    return [name for name, when in made.items() if _HEX.fullmatch(when) and time.time() - int(when, 16) > _STALE_S]


def _write_text(path: Path, content: str) -> None:
    path.write_text(content, encoding="ascii")


@contextmanager
def _refusing(text: str) -> Iterator[None]:
    """Say of an error in a ``with`` block that the storage cannot be used."""
    try:
        yield
    except OSError as error:
        raise _config_error(text, error) from error


def _config_error(text: str, error: OSError) -> ConfigError:
    rule, fix = f"cannot be used ({error.strerror or error})", "choose a folder that can be written, on all machines"
    if isinstance(error, BucketError):
        rule, fix = error.rule, error.fix
    elif error.errno in {errno.EEXIST, errno.ENOTDIR}:
        rule = "must be a folder, a file is in its place"
    return ConfigError(rule, path=SETTING, value=text, fix=fix)
