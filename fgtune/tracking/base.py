"""The tracker protocol, independent of any tracking library, and the tracker that does nothing.

The driver is the only caller. Every method may raise ``TrackingError``, after which the study continues without
tracking: the ledger holds everything, and ``sync`` brings the store up to date later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from fgtune.config.arms.plan import Plan
from fgtune.results.records import CellResult, EpochMetrics

ArmStatistics = Mapping[str, Mapping[str, float | None]]
"""Metric name -> statistic (``mean``, ``sd``, ``n``, ``ci_lo``, ``ci_hi``) -> value; None if undefined."""


@dataclass(frozen=True)
class ArmFindings:
    """What a study found about an arm.

    Attributes:
        statistics: Of the primary and the other shown metrics.
        difference: Against the baseline on the primary metric, as the study summarises it: ``difference``, ``diff_lo``,
            ``diff_hi``; empty where the arm is in no planned contrast.
        verdict: Of that contrast; empty where there is none.
    """

    statistics: ArmStatistics
    difference: Mapping[str, float | None] = field(default_factory=dict)
    verdict: str = ""


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        primary: Name of the primary metric.
        arms: By name, in the order of the plan.
        answer: The answer to its question, as a sentence.
        minimize: Whether smaller values of the primary metric are better.
    """

    primary: str
    arms: Mapping[str, ArmFindings]
    answer: str = ""
    minimize: bool = False


class StudyEnd(StrEnum):
    """How a launch of a study ended; the value of the tag ``fgtune.state``."""

    COMPLETE = "COMPLETE"
    """Every planned cell is complete (exit code 0)."""
    FAILED_CELLS = "FAILED_CELLS"
    """Finished, with failed cells (exit code 3)."""
    BUDGET = "BUDGET"
    """A budget ran out (exit code 4)."""
    PARTIAL = "PARTIAL"
    """Every selected cell is complete, others are left (exit code 0)."""
    INTERRUPTED = "INTERRUPTED"
    """Stopped by the user with its state saved (exit code 130)."""
    ERROR = "ERROR"
    """The driver itself failed (exit code 1)."""


class Tracker(Protocol):
    """A study in a tracking store. Every method may be repeated; nothing is stored twice."""

    @property
    def uri(self) -> str:
        """Where the study is tracked, without passwords; ``none`` if it is not."""
        ...

    def check(self, studies: Sequence[str]) -> None:
        """Raise ``ConfigError`` if a study of one of these names cannot be tracked; stores nothing."""
        ...

    def start(self, plan: Plan, folder: Path, *, commit: str | None = None, idle: bool = False) -> None:
        """Find or create the study's own run, and mark it as running unless nothing is run.

        Args:
            plan: The study and its cells.
            folder: The study folder, recorded in the store so that people can find it.
            commit: Git commit that the study runs from, if known.
            idle: Whether all cells are finished already: a study that the store holds completely is then left as it is.

        Raises:
            TrackingError: The store rejected it; later calls retry.
        """
        ...

    def grow(self, plan: Plan) -> None:
        """Replace the plan of the started study by one with further arms, which a search has proposed."""
        ...

    def log_cell(self, result: CellResult, curve: Sequence[EpochMetrics]) -> None:
        """Store a finished cell unless exactly this outcome is already stored.

        Raises:
            TrackingError: The store rejected all or part of it; the next ``log_cell`` or ``sync`` completes it.
        """
        ...

    def sync(self, results: Iterable[CellResult], read_curve: Callable[[str], Sequence[EpochMetrics]]) -> int:
        """Store every finished cell that is missing; ``read_curve`` maps a cell id to its curve.

        Returns:
            How many cells were stored; of several results of one cell only the last counts.

        Raises:
            TrackingError: As ``log_cell``.
        """
        ...

    def log_summary(self, findings: Findings) -> None:
        """Store the numbers of every arm and of the study, and its answer with the verdicts.

        Raises:
            TrackingError: The store rejected it.
        """
        ...

    def finish(self, end: StudyEnd, artifacts: Sequence[Path] = ()) -> None:
        """Attach files (report, resolved study, results) to the study's own run and mark it as ended.

        Raises:
            TrackingError: The store rejected it, or a file does not exist.
        """
        ...


class NullTracker:
    """Tracks nothing (``--tracking-uri none``)."""

    uri = "none"

    def check(self, studies: Sequence[str]) -> None:
        """Do nothing."""

    def start(self, plan: Plan, folder: Path, *, commit: str | None = None, idle: bool = False) -> None:
        """Do nothing."""

    def grow(self, plan: Plan) -> None:
        """Do nothing."""

    def log_cell(self, result: CellResult, curve: Sequence[EpochMetrics]) -> None:
        """Do nothing."""

    def sync(self, results: Iterable[CellResult], read_curve: Callable[[str], Sequence[EpochMetrics]]) -> int:  # noqa: ARG002
        """Do nothing; no cell is stored."""
        return 0

    def log_summary(self, findings: Findings) -> None:
        """Do nothing."""

    def finish(self, end: StudyEnd, artifacts: Sequence[Path] = ()) -> None:
        """Do nothing."""
