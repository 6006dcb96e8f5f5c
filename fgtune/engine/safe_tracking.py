"""Tracking that neither stops nor delays a study.

A fault of the store gives one warning, and is made up for at the end from the ledger. One background thread writes
everything, since otherwise every cell would delay the next one by a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pandas as pd

from fgtune.analysis.summary import StudySummary
from fgtune.config.arms.plan import Plan
from fgtune.errors import TrackingError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, EpochMetrics
from fgtune.results.texts import CURVE_COLUMNS
from fgtune.tracking import ArmFindings, Findings, StudyEnd, Tracker

_SETTLE_S = 60.0


class SafeTracking:
    """A tracker in its own thread, its faults caught; ``finish`` waits for everything to be written.

    Args:
        tracker: Where the study is tracked.
        folder: The study folder, from which missing results are made up for.
        say: Prints a line; called at most once.
    """

    def __init__(self, tracker: Tracker, folder: StudyFolder, say: Callable[[str], None]) -> None:
        self._tracker, self._folder, self._say = tracker, folder, say
        self._is_lost = False
        self._settled = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tracking")
        self._submitted: list[Future[object]] = []

    def start(self, plan: Plan, *, idle: bool = False) -> None:
        """Find or create the study's run, and store finished cells that it lacks.

        Args:
            plan: The study and its cells.
            idle: Whether nothing is left to run.

        Raises:
            ConfigError: The study cannot be tracked as it is.
        """

        def work() -> None:
            self._try(lambda: self._tracker.start(plan, self._folder.root, commit=self._commit(), idle=idle))
            self._try(self._sync)

        self._thread.submit(work).result()

    def grow(self, plan: Plan) -> None:
        """Track further arms from now on."""
        self._later(lambda: self._tracker.grow(plan))

    def log_cell(self, result: CellResult, history: Sequence[EpochMetrics]) -> None:
        """Store a finished cell; after a fault, only at the end."""
        self._later(lambda: None if self._is_lost else self._try(lambda: self._tracker.log_cell(result, history)))

    def settle(self) -> None:
        """Wait until what was submitted is written, so that the report can name the runs; not for ever."""
        wait([self._thread.submit(lambda: None)], timeout=_SETTLE_S)
        self._settled = self._noted()

    def _noted(self) -> int:
        """Size of the file that says which run holds each cell."""
        path = self._folder.tracking_file
        return path.stat().st_size if path.is_file() else 0

    def finish(self, end: StudyEnd, summary: StudySummary) -> bool:
        """Store the summary and the main files, and mark the study as ended.

        Returns:
            Whether cells were stored since ``settle``, so that the report does not name their runs.
        """
        folder = self._folder
        artifacts = [
            folder.report_file, folder.verdicts_file, folder.resolved_file, folder.results_csv, folder.plan_file
        ]  # fmt: skip

        def work() -> None:
            if self._is_lost:
                self._try(self._sync)
            self._try(lambda: self._tracker.log_summary(findings_of(summary)))
            self._try(lambda: self._tracker.finish(end, artifacts))

        self._later(work)
        self._thread.shutdown()
        for each in self._submitted:
            each.result()  # anything but a fault of the store is an error of the driver
        return self._noted() != self._settled

    def _later(self, work: Callable[[], object]) -> None:
        self._submitted = [each for each in self._submitted if not each.done() or each.exception() is not None]
        self._submitted.append(self._thread.submit(work))

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except TrackingError as error:
            if not self._is_lost:
                self._say(f"warning: tracking failed, the study goes on: {error}")
            self._is_lost = True

    def _sync(self) -> None:
        results = self._folder.ledger.read()
        if results:
            self._tracker.sync(results, _Curves(self._folder).of)

    def _commit(self) -> str | None:
        git = self._folder.read_provenance().get("git")
        return git.get("commit") if isinstance(git, dict) else None


class _Curves:
    """The stored curves of a folder, read when the first is asked for: usually the store has all cells already."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._rows: dict[str, pd.DataFrame] | None = None

    def of(self, cell_id: str) -> list[EpochMetrics]:
        """The curve of a cell; empty where none was stored."""
        if self._rows is None:
            curves = self._folder.leniently().read_curves()
            self._rows = {str(cell): rows for cell, rows in curves.groupby("cell_id", sort=False)}
        rows = self._rows.get(cell_id)
        return [] if rows is None else curve_of(rows)


def curve_of(rows: pd.DataFrame) -> list[EpochMetrics]:
    """The curve of a cell from its rows of the stored ones."""
    metrics = [column for column in rows.columns if column not in CURVE_COLUMNS]
    return [
        EpochMetrics(
            int(row["epoch"]),
            int(row["step"]),
            {name: float(row[name]) for name in metrics if pd.notna(row[name])},
            float(row["seconds"]),
        )
        for row in rows.sort_values("epoch").to_dict("records")
    ]


def findings_of(summary: StudySummary) -> Findings:
    """What tracking stores of a summary: each arm's means with intervals, its planned contrast, and the answer."""
    arms = {}
    for arm in summary.arms:
        statistics = {
            name: {"mean": each.mean, "sd": each.sd, "n": each.n, "ci_lo": each.low, "ci_hi": each.high}
            for name, each in arm.estimates.items()
        }
        contrast = summary.contrast_of(arm.arm)
        if contrast is None or contrast.judgement is None:
            arms[arm.arm] = ArmFindings(statistics)
            continue
        found = contrast.summary
        difference = {"difference": found.value, "diff_lo": found.low, "diff_hi": found.high}
        arms[arm.arm] = ArmFindings(statistics, difference, contrast.judgement.verdict.value)
    return Findings(summary.primary, arms, summary.answer, summary.metrics[0].direction == "minimize")
