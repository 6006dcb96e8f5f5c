"""The folder in which a user's function keeps its checkpoints, and the file that holds it between two attempts."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fgtune.files import replacing
from fgtune.results.records import EpochMetrics

_HISTORY, _FILES = "history.json", "files"


class WorkFolder:
    """An empty folder of one cell.

    Args:
        path: The folder; what lies there is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        self._known = self._content()

    def has_changed(self) -> bool:
        """Whether something in it was written since the last call."""
        before, self._known = self._known, self._content()
        return self._known != before

    def _content(self) -> frozenset[tuple[str, int, int, int]]:
        """Every file with its inode, size and time of change."""
        found = set()
        for file in self.path.rglob("*"):
            state = file.lstat()
            if not stat.S_ISDIR(state.st_mode):
                found.add((str(file), state.st_ino, state.st_size, state.st_mtime_ns))
        return frozenset(found)

    def save(self, path: Path, history: Sequence[EpochMetrics]) -> None:
        """Write the folder and the epochs before it to a file, whole or not at all."""
        text = json.dumps([asdict(entry) for entry in history]).encode()
        with replacing(path) as temporary, tarfile.open(temporary, "w") as archive:
            entry = tarfile.TarInfo(_HISTORY)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
            archive.add(self.path, _FILES)

    def restore(self, path: Path) -> tuple[EpochMetrics, ...]:
        """Fill the folder from a file; returns the epochs before it, none where there is no file that can be read."""
        try:
            with tarfile.open(path) as archive:
                member = archive.extractfile(_HISTORY)
                history = [] if member is None else json.loads(member.read())
                for each in archive.getmembers():
                    if each.name.startswith(f"{_FILES}/"):
                        each.name = each.name.removeprefix(f"{_FILES}/")
                        _extract(archive, each, self.path)
            entries = tuple(EpochMetrics(**each) for each in history)
        except (OSError, tarfile.TarError, KeyError, TypeError, ValueError, EOFError):
            self.remove()
            self.path.mkdir(parents=True)
            entries = ()
        self._known = self._content()
        return entries

    def remove(self) -> None:
        """Remove it with all that lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    """Put a file, a folder or a link into ``root``; whoever made the archive, nothing outside is written or named.

    Raises:
        TarError: It would be outside, or is something else.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, root, filter="data")
        return
    place = root / member.name  # Python before 3.11.4
    leads_to = [place, place.parent / member.linkname] if member.issym() else [place]
    if not all(Path(os.path.realpath(each)).is_relative_to(os.path.realpath(root)) for each in leads_to):
        raise tarfile.TarError(f"{member.name} is outside the folder")
    if not (member.isfile() or member.isdir() or member.issym()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    archive.extract(member, root)
