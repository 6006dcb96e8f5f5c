"""``fgtune report``: the report of a study from its folder alone, once or whenever a cell ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgtune.app.command_options import FolderArgument
from fgtune.app.exit_codes import INTERRUPTED
from fgtune.text import say

if TYPE_CHECKING:
    from fgtune.results.folder import StudyFolder

_EVERY_S = 10


def rebuild_report(
    folder: FolderArgument,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on while the study runs; an opened page then refreshes itself.")
    ] = False,
    every: Annotated[
        int, typer.Option("--every", metavar="SECONDS", min=1, help="With --watch: how often to look for results.")
    ] = _EVERY_S,
    portraits: Annotated[
        str | None,
        typer.Option(
            "--portraits",
            metavar="ARM[:SEED]",
            help="Whose learned classes the page shows from now on; 'best' for the best arm again.",
        ),
    ] = None,
) -> None:
    """Rebuild tables and report of a study from its folder alone."""
    if portraits is not None:
        from fgtune.analysis.inputs import read_study
        from fgtune.analysis.portrait_cells import choose_portrait
        from fgtune.results.folder import StudyFolder

        choose_portrait(read_study(StudyFolder(folder).leniently()), portraits)
    if not watch:
        from fgtune.engine.run import report

        say(f"report: {report(folder)}")
        return
    try:
        watch_report(folder, every, say)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def watch_report(
    root: Path, every: float, tell: Callable[[str], object], sleep: Callable[[float], object] = time.sleep
) -> None:
    """Write the report whenever the ledger or the plan has changed, until the study ends.

    The study ends when no planned cell is left, or when what ran it does not run any more; before it was seen to run,
    a study that is not complete is waited for. The last page, also after an interruption, refreshes itself no more.

    Args:
        root: The study folder.
        every: Seconds between two looks; the page refreshes itself as often.
        tell: Prints a line.
        sleep: Waits for some seconds.

    Raises:
        StudyFolderError: The folder is not that of a study.
    """
    from fgtune.reporting.html import write_up
    from fgtune.results.folder import StudyFolder

    folder, seen, ran = StudyFolder(root), None, False
    try:
        while True:
            running = folder.holder() is not None  # before reading: what ends meanwhile is read next time
            now = _content(folder)
            if now != seen:
                path, summary = write_up(folder, refresh_s=round(max(1.0, every)))
                counts = summary.counts
                tell(f"report: {path}, {counts.planned - counts.missing} of {counts.planned} cells ended")
            if not running and (counts.missing == 0 or ran):
                break
            seen, ran = now, ran or running
            sleep(every)
    finally:
        if folder.plan_file.exists():
            path = write_up(folder)[0]
            tell(f"report: {path}, no longer refreshed")


def _content(folder: StudyFolder) -> tuple[tuple[int, int], ...]:
    """What changes when a cell ends or the plan grows: time and size of both files."""
    found = [path.stat() for path in (folder.ledger_file, folder.plan_file) if path.exists()]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in found)
