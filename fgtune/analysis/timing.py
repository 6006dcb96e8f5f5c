"""Estimates the time that the rest of a study takes, from finished cells and the number of cells that run at once.

A cell is expected to take the mean time of its arm's finished cells, or of all finished cells if its arm has none;
failed cells do not count. Seconds are those inside the trainer, without Ray's start-up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fgtune.config.schema.study import ExecutionConfig
from fgtune.results.records import CellResult, CellState
from fgtune.text import count, duration

_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class TimeLeft:
    """What is left of a study.

    Attributes:
        cells: Cells without a result.
        cell_seconds: Expected sum of their trainer seconds.
        at_once: Assumed number of cells that run at once.
        seconds: Expected wall seconds.
        finished: Number of finished cells that the estimate is based on.
    """

    cells: int
    cell_seconds: float
    at_once: int
    seconds: float
    finished: int

    def sentence(self) -> str:
        """The estimate as a sentence."""
        per_cell = duration(self.cell_seconds / self.cells)
        return (
            f"about {duration(self.seconds)} for {counted_cells(self.cells)} of {per_cell}, "
            f"{self.at_once} at once (judged by {counted_cells(self.finished)} finished)"
        )


def time_left(pending: Sequence[str], results: Iterable[CellResult], at_once: int) -> TimeLeft | None:
    """Estimate the time that the cells without a result will take.

    Args:
        pending: The arm of each cell without a result; any name for an arm that is not known yet.
        results: The finished cells, including failed ones.
        at_once: Number of cells that run at the same time, >= 1.

    Returns:
        None if nothing is left, or no finished cell gives an estimate.
    """
    known = [result for result in results if result.state is not CellState.FAIL and math.isfinite(result.seconds)]
    if not pending or not known:
        return None
    overall = math.fsum(result.seconds for result in known) / len(known)
    by_arm: dict[str, list[float]] = {}
    for result in known:
        by_arm.setdefault(result.arm, []).append(result.seconds)
    means = {arm: math.fsum(seconds) / len(seconds) for arm, seconds in by_arm.items()}
    expected = [means.get(arm, overall) for arm in pending]
    total, used = math.fsum(expected), min(at_once, len(expected))
    return TimeLeft(len(expected), total, used, max(total / used, *expected), len(known))


def cells_at_once(execution: ExecutionConfig, cores: int, gpus: int | None = None) -> int:
    """How many trials a machine holds at the same time, at least 1.

    Args:
        execution: Resources of a trial.
        cores: CPU cores of the machine.
        gpus: Its GPUs; None if unknown, which sets no limit.
    """
    room = [math.floor(cores / execution.cpus)]
    if execution.gpus > 0 and gpus is not None:
        room.append(math.floor(gpus / execution.gpus))
    if execution.max_concurrent is not None:
        room.append(execution.max_concurrent)
    return max(1, min(room))


def machine() -> tuple[int, int | None]:
    """Cores that this process may use, and GPUs of the machine (None if unknown)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores, len(list(_GPUS.iterdir())) if _GPUS.is_dir() else None


def counted_cells(number: int) -> str:
    """``1 cell``, ``3 cells``."""
    return count(number, "cell")
