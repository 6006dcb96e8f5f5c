"""Where a call keeps the files of unfinished cells: opened, taken over from where they were before, cleaned up."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fgtune.config.schema.storage import parse_storage
from fgtune.errors import FgtuneError, StudyFolderError
from fgtune.files import read_text, write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.signing import is_signed, sign
from fgtune.results.storage import FolderStorage, Storage, fixed_address, storage_at
from fgtune.results.storage_check import is_same_place
from fgtune.text import count

_CHECKPOINTS, _ENCODERS = "checkpoints", "pretrained"
_MOST_RECORD = 10_000
"""Bytes of ``storage.json``."""
_OWN_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*-[0-9a-f]{8}")
"""Name of a study's own folder in a storage: a record that came with a folder from elsewhere may name no other."""


@dataclass(frozen=True)
class _Record:
    """What ``storage.json`` says: where files of this study may lie besides its folder.

    Attributes:
        storage: The address.
        folder: The study's own folder there, which no other study folder has.
        signature: By which the user who wrote it knows it; empty or another one where it comes from elsewhere.
    """

    storage: str
    folder: str
    signature: str = field(default="", compare=False)

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        """The record; None without one, or where it is damaged."""
        try:
            plain = json.loads(read_text(path, _MOST_RECORD))
            parse_storage(plain["storage"])
            if not _OWN_FOLDER.fullmatch(plain["folder"]):
                return None  # it is removed at the end, so it must be one that no one else would make
            return cls(plain["storage"], plain["folder"], plain.get("signature", ""))
        except (FgtuneError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @classmethod
    def of(cls, address: str, folder: str) -> _Record:
        """The record of an address, which has to mean the same wherever the next call starts."""
        storage = fixed_address(address)
        return cls(storage, folder, sign("storage", storage, folder))

    @property
    def is_own(self) -> bool:
        """Whether this user wrote it."""
        return is_signed(self.signature, "storage", self.storage, self.folder)

    def write(self, path: Path) -> None:
        """Keep it before anything is written there."""
        write_atomically(path, json.dumps(vars(self), indent=2).encode() + b"\n")

    def open(self) -> Storage:
        """The folder there."""
        return storage_at(self.storage).below(self.folder)


def _record_of(folder: StudyFolder, address: str | None) -> _Record | None:
    """The record of a folder, which names a place that may be opened.

    Opening a place takes the credentials of this user there, and cleans it up. So it must be named by the study or by
    the call (``address``), or by a record of this user's: a study folder may come from elsewhere.

    Raises:
        StudyFolderError: It names another place.
    """
    record = _Record.read(folder.storage_file)
    if record is None or record.is_own or (address is not None and fixed_address(address) == record.storage):
        return record
    rule = "says that checkpoints of unfinished cells lie there, and was not written by you on this machine"
    fix = (
        f"if the place is yours, go on with --storage {shlex.quote(record.storage)}; "
        f"otherwise delete {folder.storage_file}, and unfinished cells begin again"
    )
    raise StudyFolderError(rule, where=str(folder.storage_file), value=record.storage, fix=fix)


def check_storage(folder: StudyFolder, address: str | None) -> None:
    """Raise where a record in a study folder names a place that neither the call nor this user has named before.

    Args:
        folder: The study folder.
        address: ``execution.storage``; None keeps everything in the folder.

    Raises:
        StudyFolderError: It does.
    """
    _record_of(folder, address)


class CellStorage:
    """Checkpoints and pretrained backbones of a study, in its folder or elsewhere.

    Args:
        folder: The locked study folder.
        name: Name of the study.
        address: ``execution.storage``; None keeps everything in the folder.
        say: Receives what does not stop the study.
        may_be_missing: Whether other machines that do not see the study folder keep nothing.
        is_idle: Whether the call trains nothing, and only cleans up.

    Raises:
        StudyFolderError: As for ``check_storage``.

    Attributes:
        checkpoints: ``CELL.pt``, and ``CELL.EPOCH.pt`` that forks start from.
        encoders: Pretrained backbones.
    """

    def __init__(
        self,
        folder: StudyFolder,
        name: str,
        address: str | None,
        say: Callable[[str], None],
        *,
        may_be_missing: bool = False,
        is_idle: bool = False,
    ) -> None:
        self._folder, self._say, self._may_fail = folder, say, True
        home = folder.checkpoints_dir.resolve(), folder.encoders_dir.resolve()
        own, own_encoders = (FolderStorage(each, may_be_missing=may_be_missing) for each in home)
        self.checkpoints: Storage = own
        self.encoders: Storage = own_encoders
        record = _record_of(folder, address)
        before = None if record is None else record.open()
        self._elsewhere: Storage | None = before  # to be cleaned at the end
        if is_idle:
            if before is not None:
                self._use(before)
        elif address is not None:
            self._move_to(address, name, record)
            self._take_over(own, own_encoders)
        else:
            if may_be_missing:  # a machine that does not see these folders keeps nothing
                for each in home:
                    each.mkdir(parents=True, exist_ok=True)
            if before is not None:
                self._take_over(before.below(_CHECKPOINTS), before.below(_ENCODERS))

    def _move_to(self, address: str, name: str, record: _Record | None) -> None:
        """Use the study's folder at an address, with what an earlier call kept at another one."""
        wanted = _Record.of(address, f"{name}-{secrets.token_hex(4)}" if record is None else record.folder)
        self._use(wanted.open())
        if record is not None and record != wanted and not is_same_place(record.storage, wanted.storage):
            before = record.open()
            if self._take_over(before.below(_CHECKPOINTS), before.below(_ENCODERS)):
                self._try(before.clear, before.where)
        if record != wanted or not record.is_own:  # before anything is written there for which there is no record yet
            wanted.write(self._folder.storage_file)

    def _use(self, place: Storage) -> None:
        self._elsewhere = place
        self.checkpoints, self.encoders = place.below(_CHECKPOINTS), place.below(_ENCODERS)

    def _take_over(self, checkpoints: Storage, encoders: Storage) -> bool:
        """Move checkpoints and copy backbones from where an earlier call kept them; returns whether all are here.

        One after another, so that a call which is cut off leaves each in one place. What cannot be moved is done
        without.
        """
        try:
            names = checkpoints.names()
            for name in names:
                _copy(checkpoints, name, self.checkpoints)
                checkpoints.remove([name])
            _copy_missing(encoders, self.encoders)
        except OSError as error:
            reason, place = error.strerror or error, checkpoints.where
            self._say(f"warning: checkpoints in {place} are not taken over ({reason}); cells go on without them")
            return False
        if names:
            place = self.checkpoints.where
            self._say(f"{count(len(names), 'checkpoint')} taken over from {checkpoints.where} to {place}")
        return True

    def forget(self, cell_id: str) -> None:
        """Remove the checkpoint of a finished cell."""
        self._try(lambda: self.checkpoints.remove([f"{cell_id}.pt"]), self.checkpoints.where)

    def conclude(self, finished: Collection[str], *, complete: bool) -> None:
        """Clean up at the end of a call.

        Args:
            finished: Cells that need no checkpoint any more; a worker may have written one after its cell was stopped.
            complete: Whether nothing is left to run; until then a cell may still fork from another one's milestone.
        """
        self._may_fail = True
        self._try(lambda: self._remove(finished, complete), self.checkpoints.where)
        if complete:
            for work in self._folder.checkpoints_dir.glob("*.work"):  # of a user's function that was killed
                shutil.rmtree(work, ignore_errors=True)
            with suppress(OSError):  # stays if there is anything in it
                self._folder.encoders_dir.rmdir()
            if self._elsewhere is not None:
                self._try(self._close, self._elsewhere.where)

    def _remove(self, finished: Collection[str], complete: bool) -> None:
        names = self.checkpoints.names()
        over = [name for name in names if name.removesuffix(".pt") in finished or (complete and name.count(".") == 2)]
        self.checkpoints.remove(over)

    def _close(self) -> None:
        """Bring home what the study folder keeps, and leave nothing elsewhere."""
        if self._elsewhere is None:
            return
        _copy_missing(self._elsewhere.below(_ENCODERS), FolderStorage(self._folder.encoders_dir))
        self._elsewhere.clear()
        self._folder.storage_file.unlink(missing_ok=True)

    def _try(self, action: Callable[[], None], where: str) -> None:
        """Do what may fail without harm; after a failure, nothing more is tried before the end of the call."""
        if not self._may_fail:
            return
        try:
            action()
        except OSError as error:
            self._may_fail = False
            again = "the next call of the same command tries again"
            self._say(f"warning: {where} cannot be cleaned up ({error.strerror or error}); {again}")


def kept_elsewhere(folder: StudyFolder) -> str | None:
    """Where checkpoints of unfinished cells lie outside the study folder; None if nowhere."""
    record = _Record.read(folder.storage_file)
    return None if record is None else record.open().where


def _copy_missing(source: Storage, target: Storage) -> None:
    """Copy all files that are not there yet."""
    names = source.names()
    known = set(target.names()) if names else set()
    for name in names:
        if name not in known:
            _copy(source, name, target)


def _copy(source: Storage, name: str, target: Storage) -> None:
    """Copy a file that may have gone meanwhile."""
    with source.reading(name) as path:
        if path is not None:
            target.write(name, lambda place: write_atomically(place, path.read_bytes()))
