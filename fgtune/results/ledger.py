"""The ledger of finished cells: one JSON line each, appended and synced, so that no finished cell is ever lost.

Only metrics that can be counted with are stored; ``cause`` names those that were left out. Every line holds the hash
of the one before, so that a line that is changed, removed or moved later is found; the first one after lines of an
earlier version, which have none, holds the hash of them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgtune.files import JsonLines, broken_links, link_after
from fgtune.results.records import CellResult


@dataclass(frozen=True)
class Chain:
    """The chain of a ledger's lines.

    Attributes:
        lines: Number of lines, without a torn last one.
        unchained: How many of them, at the beginning, come from a version that did not chain them.
        broken: Numbers, from 1, of the lines that do not follow from what stands before them.
    """

    lines: int
    unchained: int
    broken: tuple[int, ...]


class Ledger:
    """The ledger at ``path``, which need not exist yet; one process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fix = "restore the file from a copy, or delete the line: its cell is then run again"
        rule = "this line of the ledger is not a result"
        self._lines = JsonLines(path, _result, rule=rule, fix=fix, synced=True, chained=True)

    def append(self, result: CellResult) -> CellResult:
        """Add one finished cell; when this returns, the line survives a crash of the machine.

        Args:
            result: A later result of the same cell replaces an earlier one.

        Returns:
            The result as stored: metrics that can be counted with, the omitted ones named in ``cause``.

        Raises:
            OSError: The write failed; the ledger then holds what it held before and at most a torn line.
        """
        stored = _counted(result)
        self._lines.append(_plain(stored))
        return stored

    def extend(self, results: Iterable[CellResult]) -> None:
        """Add many finished cells, synced once at the end; a crash before leaves some of them and at most a torn line.

        Raises:
            OSError: The write failed.
        """
        self._lines.extend(_plain(_counted(result)) for result in results)

    def lines(self) -> list[CellResult]:
        """The results in the order in which they were appended, earlier ones of a cell that ran again included.

        Raises:
            StudyFolderError: For a line, other than a torn last one, that is not a result.
        """
        return self._lines.read()

    @property
    def chain(self) -> Chain:
        """Whether every line follows from the one before."""
        whole = _whole_lines(self._content())
        unchained, broken = broken_links(whole)
        return Chain(whole.count(b"\n"), unchained, tuple(broken))

    @property
    def head(self) -> str:
        """SHA-256, in hex, that stands for all lines and their order, as far as they are chained."""
        return link_after(_whole_lines(self._content()))

    def _content(self) -> bytes:
        return self._lines.content()

    def read(self) -> list[CellResult]:
        """All finished cells, with the latest result of each, in the order they finished; empty without a file.

        Raises:
            StudyFolderError: For a line, other than a torn last one, that is not a result.
        """
        return _latest(self.lines())

    def read_with_head(self) -> tuple[list[CellResult], str]:
        """``read()`` and ``head``, both of what the file holds at one moment: another process may be adding lines."""
        content = self._content()
        return _latest(self._lines.values_in(content)), link_after(_whole_lines(content))


def _whole_lines(content: bytes) -> bytes:
    """A ledger without a torn last line."""
    return content[: content.rfind(b"\n") + 1]


def _latest(lines: Iterable[CellResult]) -> list[CellResult]:
    """The last result of each cell, in their order."""
    results: dict[str, CellResult] = {}
    for result in lines:
        results.pop(result.cell_id, None)
        results[result.cell_id] = result
    return list(results.values())


MOST_METRIC = 1e150
"""Above this, the square of a number is none, nor is its difference to another one for certain."""
UNDEFINED = ("not finite: ", "beyond 1e150: ")
"""How a cause begins to name the metrics that a cell lacks, since they were no numbers to count with."""


def is_counted(value: float) -> bool:
    """Whether a metric is a number that can be counted with: finite, and at most 1e150 from 0."""
    return abs(value) <= MOST_METRIC


def _counted(result: CellResult) -> CellResult:
    """The result without metrics that cannot be counted with; its cause names them."""
    dropped = sorted(name for name, value in result.metrics.items() if not is_counted(value))
    if not dropped:
        return result
    large = {name for name in dropped if abs(result.metrics[name]) < math.inf}
    named = ([name for name in dropped if name not in large], [name for name in dropped if name in large])
    notes = [f"{begin}{', '.join(names)}" for begin, names in zip(UNDEFINED, named, strict=True) if names]
    metrics = {name: value for name, value in result.metrics.items() if name not in dropped}
    return replace(result, metrics=metrics, cause="; ".join(filter(None, (result.cause, *notes))))


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
    result = CellResult.from_plain(plain)
    _check_types(result)
    return _counted(result)  # an earlier version stored what is too large


_TYPES: dict[str, tuple[type, ...]] = {
    "cell_id": (str,),
    "arm": (str,),
    "seed": (int,),
    "config_hash": (str,),
    "metrics": (dict,),
    "seconds": (int, float),
    "epochs": (int,),
    "levels": (dict,),
    "config": (dict,),
    "attempts": (int,),
    "cause": (str, type(None)),
    "finished_at": (str,),
    "host": (str,),
    "evidence": (dict, type(None)),
}


_NUMBERS = {int, float}
_MOST_NAME, _MOST_VALUES = 100_000, 10_000
"""Characters of a cell's id or arm, and metrics or factors of a cell: more than any study has."""


def _check_types(result: CellResult) -> None:
    """Raise ``TypeError`` where a line holds text in place of a number, and the like, or far more than a cell has."""
    for name, kinds in _TYPES.items():
        if type(getattr(result, name)) not in kinds:  # of what JSON has, so that true and false are no numbers
            raise TypeError(f"{name} is {type(getattr(result, name)).__name__}")
    whole = (result.seed, result.epochs, result.attempts)
    if not set(map(type, result.metrics.values())) <= _NUMBERS or max(map(abs, whole)) >= 2**63:
        raise TypeError("a number is none, or too large")
    most = max(len(each) for each in (result.metrics, result.levels, result.evidence or {}))
    if max(len(result.cell_id), len(result.arm)) > _MOST_NAME or most > _MOST_VALUES:
        raise TypeError("a name, or the number of metrics or factors, is too large")
    solver = result.solver
    if solver is not None:
        counts = (solver.solves, solver.resolves, solver.changes, *dict(solver.statuses).values())
        if not set(map(type, (solver.seconds, solver.max_gap, *counts))) <= _NUMBERS:
            raise TypeError("a number of the solver is none")
    if result.fork is not None and not (isinstance(result.fork.donor, str) and isinstance(result.fork.epoch, int)):
        raise TypeError("the fork is none")
