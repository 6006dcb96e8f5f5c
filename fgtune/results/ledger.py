"""The ledger of finished cells: one JSON line each, appended and synced, so that no finished cell is ever lost.

Only finite metrics are stored (JSON has no others); ``cause`` names those that were left out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgtune.files import JsonLines
from fgtune.results.records import CellResult


class Ledger:
    """The ledger at ``path``, which need not exist yet; one process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fix = "restore the file from a copy, or delete the line: its cell is then run again"
        self._lines = JsonLines(path, _result, rule="this line of the ledger is not a result", fix=fix, synced=True)

    def append(self, result: CellResult) -> CellResult:
        """Add one finished cell; when this returns, the line survives a crash of the machine.

        Args:
            result: A later result of the same cell replaces an earlier one.

        Returns:
            The result as stored: finite metrics only, with the omitted ones named in ``cause``.

        Raises:
            OSError: The write failed; the ledger then holds what it held before and at most a torn line.
        """
        stored = _finite(result)
        self._lines.append(_plain(stored))
        return stored

    def read(self) -> list[CellResult]:
        """All finished cells, with the latest result of each, in the order they finished; empty without a file.

        Raises:
            StudyFolderError: For a line, other than a torn last one, that is not a result.
        """
        results: dict[str, CellResult] = {}
        for result in self._lines.read():
            results.pop(result.cell_id, None)
            results[result.cell_id] = result
        return list(results.values())


def _finite(result: CellResult) -> CellResult:
    """The result without metrics that are not finite."""
    dropped = sorted(name for name, value in result.metrics.items() if not math.isfinite(value))
    if not dropped:
        return result
    note = f"not finite: {', '.join(dropped)}"
    metrics = {name: value for name, value in result.metrics.items() if name not in dropped}
    return replace(result, metrics=metrics, cause=f"{result.cause}; {note}" if result.cause else note)


def _plain(result: CellResult) -> dict[str, Any]:
    """One line of the ledger; floats read back exactly, metrics are sorted by name."""
    plain = result.to_plain()
    plain["metrics"] = {name: float(plain["metrics"][name]) for name in sorted(plain["metrics"])}
    solver = plain["solver"]
    if solver is not None and not math.isfinite(solver["max_gap"]):
        solver["max_gap"] = None  # no bound was proven
    return plain


def _result(plain: dict[str, Any]) -> CellResult:
    """The inverse of ``_plain``."""
    if plain.get("solver") and plain["solver"]["max_gap"] is None:
        plain["solver"]["max_gap"] = math.inf
    return CellResult.from_plain(plain)
