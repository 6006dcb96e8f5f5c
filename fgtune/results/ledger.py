"""The ledger of finished cells: one JSON line each, appended and synced, so that nothing finished is ever lost.

One process writes it. A process killed in the middle of a line leaves a torn last line; readers ignore it and the next
writer cuts it off. Only finite metrics are stored (JSON has no others); ``cause`` names those that were left out.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgtune.errors import StudyFolderError
from fgtune.results.records import CellResult

_FIX = "restore the file from a copy, or delete the line: its cell is then run again"


class Ledger:
    """The ledger at ``path``, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, result: CellResult) -> CellResult:
        """Add one finished cell; when this returns, the line survives a crash of the machine.

        Args:
            result: A later result of the same cell takes the place of an earlier one.

        Returns:
            The result as stored: finite metrics only, those left out named in ``cause``.

        Raises:
            OSError: When the disk refuses; the ledger then holds what it held before, and at most a torn line.
        """
        stored = _finite(result)
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            _mend(file.fileno())
            file.write(_line(stored))
            file.flush()
            os.fsync(file.fileno())
        if new:
            _sync_folder(self.path.parent)
        return stored

    def read(self) -> list[CellResult]:
        """All finished cells, the latest result of each, in the order they were finished; empty without a file.

        Raises:
            StudyFolderError: For a line, other than a torn last one, that is no result.
        """
        if not self.path.exists():
            return []
        *lines, tail = self.path.read_bytes().split(b"\n")
        results: dict[str, CellResult] = {}
        for number, line in enumerate(lines, start=1):
            result = _parse(line)
            if result is None:
                where = f"{self.path}:{number}"
                raise StudyFolderError("this line of the ledger is no result", where=where, value=line[:80], fix=_FIX)
            results.pop(result.cell_id, None)
            results[result.cell_id] = result
        last = _parse(tail)
        if last is not None:  # complete but for its line end
            results.pop(last.cell_id, None)
            results[last.cell_id] = last
        return list(results.values())


def _finite(result: CellResult) -> CellResult:
    """The result without metrics that are not finite."""
    dropped = sorted(name for name, value in result.metrics.items() if not math.isfinite(value))
    if not dropped:
        return result
    note = f"not finite: {', '.join(dropped)}"
    metrics = {name: value for name, value in result.metrics.items() if name not in dropped}
    return replace(result, metrics=metrics, cause=f"{result.cause}; {note}" if result.cause else note)


def _line(result: CellResult) -> bytes:
    """One line of the ledger; floats read back exactly, metrics are sorted by name."""
    plain = result.to_plain()
    plain["metrics"] = {name: float(plain["metrics"][name]) for name in sorted(plain["metrics"])}
    solver = plain["solver"]
    if solver is not None and not math.isfinite(solver["max_gap"]):
        solver["max_gap"] = None  # no bound was proven
    return json.dumps(plain, allow_nan=False, separators=(", ", ": ")).encode() + b"\n"


def _parse(line: bytes) -> CellResult | None:
    """The result in a line, or None where it holds none."""
    try:
        plain: dict[str, Any] = json.loads(line)
        if plain.get("solver") and plain["solver"]["max_gap"] is None:
            plain["solver"]["max_gap"] = math.inf
        return CellResult.from_plain(plain)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _mend(descriptor: int) -> None:
    """Make the file end with a whole line: cut a torn one off, end one that lacks only its line end."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    content = os.pread(descriptor, size, 0)
    start = content.rfind(b"\n") + 1
    if _parse(content[start:]) is None:
        os.ftruncate(descriptor, start)
    else:
        os.write(descriptor, b"\n")  # opened for appending: goes to the end


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
