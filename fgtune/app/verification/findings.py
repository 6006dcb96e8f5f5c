"""What a check finds, and what every check may read: the folder, its study, its ledger line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.analysis.inputs import StudyData
from fgtune.config.schema.base import HASH_SCHEME, stable_hash
from fgtune.config.schema.trial_kinds import trial_from_plain
from fgtune.errors import DamagedFileError, FgtuneError
from fgtune.results.extension import HASH
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState

if TYPE_CHECKING:
    import pandas as pd

_FORMER_DEFAULTS = (("evaluation", "every_epochs", 1, 2), ("neighbors", "targets", "forward", 3))
"""Section and setting of a trial, the default that it had, and the last scheme of hashes that had it."""
DAMAGE = Exception
"""What reading a damaged file may raise: zip archives, NumPy headers, Parquet, YAML have nothing narrower in common."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one comparison, or of several at once.

    Attributes:
        compared: Number of values compared.
        problem: What does not agree, with its file; empty if all does.
        note: What could not be compared, and why; no disagreement.
    """

    compared: int = 1
    problem: str = ""
    note: str = ""


def agree(same: bool, problem: str, compared: int = 1) -> Finding:
    """A comparison, whose problem is reported unless the two are the same."""
    return Finding(compared, "" if same else problem)


def guarded(findings: Iterable[Finding], what: str) -> Iterator[Finding]:
    """The findings of a check; a file that it cannot read ends it with a problem instead of an error."""
    try:
        yield from findings
    except DAMAGE as error:
        name = Path(error.where).name if isinstance(error, DamagedFileError) else ""
        file = f"{name} " if name not in what else ""
        yield Finding(1, f"{what}: {file}cannot be checked: {described(error)}")


def described(error: Exception) -> str:
    """The first line of an error, with its type unless fgtune raised it on purpose."""
    if isinstance(error, DamagedFileError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the finding names the file itself
    first = (str(error).splitlines() or [""])[0]
    return first if isinstance(error, FgtuneError) else f"{type(error).__name__}: {first}"


def first_difference(found: Sequence[str], expected: Sequence[str]) -> int:
    """Where two texts, or lists of lines, first differ; the length of the shorter one if the other begins with it."""
    pairs = enumerate(zip(found, expected, strict=False))
    return next((rank for rank, (theirs, ours) in pairs if theirs != ours), min(len(found), len(expected)))


@dataclass(frozen=True)
class Subject:
    """A study folder under verification.

    Attributes:
        data: Its content.
        top: The folder that the call named; files are called by their path below it.
        lines: The ledger line by line, earlier results of a cell included.
        record: ``provenance.json``; empty if it is missing or unreadable.
    """

    data: StudyData
    top: Path
    lines: tuple[CellResult, ...]
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> StudyFolder:
        """The folder."""
        return self.data.folder

    @property
    def where(self) -> str:
        """What stands before the name of a group of checks: the folder, if it lies below that of the call."""
        return "" if self.folder.root == self.top else f"{self.name(self.folder.root)}: "

    def name(self, path: Path) -> str:
        """A file as it is called in messages."""
        return str(path.relative_to(self.top)) if path.is_relative_to(self.top) else str(path)

    def cell(self, result: CellResult) -> str:
        """A cell as it is called in messages."""
        return f"cell {result.cell_id} ({result.arm}, seed {result.seed})"

    @cached_property
    def finished(self) -> dict[str, CellResult]:
        """The latest result of every cell in the ledger, planned or not, by cell id."""
        return {line.cell_id: line for line in self.lines}

    @property
    def complete(self) -> list[CellResult]:
        """The COMPLETE cells."""
        return [result for result in self.finished.values() if result.state is CellState.COMPLETE]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """All curves."""
        return self.folder.read_curves()

    @cached_property
    def has_ended(self) -> bool:
        """Whether every planned cell has a result, so that nothing of the folder is still to be written."""
        return all(cell.cell_id in self.finished for cell in self.data.planned) and not self.data.pending_arms

    @cached_property
    def scheme(self) -> int:
        """How the folder's hashes were made; where ``provenance.json`` is lost, as most of its cells have it."""
        if self.record:
            return int(self.record.get(HASH, 1))

        def agreeing(scheme: int) -> int:
            return sum(stable_hash(identity(line.config, scheme)) == line.config_hash for line in self.lines)

        return max(range(HASH_SCHEME, 0, -1), key=agreeing)


def identity(config: Mapping[str, Any], scheme: int) -> dict[str, Any]:
    """The part of a stored config that is hashed; under scheme 1, all of it."""
    try:
        if scheme == 1:
            return dict(config)
        trial = trial_from_plain(config)
        return _with_former_defaults(trial.identity(), trial.to_plain(), scheme)
    except ValueError:  # no config of this version: it matches no hash in the ledger, so the cell is reported
        return {}


def _with_former_defaults(identity: Mapping[str, Any], config: Mapping[str, Any], scheme: int) -> dict[str, Any]:
    """An identity as ``scheme`` hashed it: without what was a default then, and with what is one only since."""
    former = dict(identity)
    for section, name, default, until in _FORMER_DEFAULTS:
        if scheme > until or section not in config:  # trials of a function have neither
            continue
        value, part = config[section][name], {**former.pop(section, {})}
        part.pop(name, None)
        part |= {} if value == default else {name: value}
        former |= {section: part} if part else {}
    return former
