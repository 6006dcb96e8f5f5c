"""How long the rest of a study takes: what finished cells took, and how many cells run at once.

A cell is expected to take the mean of its arm's finished cells, or of all finished cells where its arm has none. Failed
cells say nothing of that. Seconds are those inside the trainer; what Ray needs to start is not in them.
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
        cell_seconds: Trainer seconds that they are expected to take together.
        at_once: How many cells are taken to run at once.
        seconds: Expected wall seconds.
        finished: Number of finished cells that this rests on.
    """

    cells: int
    cell_seconds: float
    at_once: int
    seconds: float
    finished: int

    def sentence(self) -> str:
        """The estimate in words."""
        each = duration(self.cell_seconds / self.cells)
        return (
            f"about {duration(self.seconds)} for {counted_cells(self.cells)} of {each}, "
            f"{self.at_once} at once (judged by {counted_cells(self.finished)} finished)"
        )


def time_left(pending: Sequence[str], results: Iterable[CellResult], at_once: int) -> TimeLeft | None:
    """Estimate the time that the cells without a result will take.

    Args:
        pending: The arm of each cell that has no result; an arm nothing is known of yet may have any name.
        results: What is finished, failed cells included.
        at_once: Cells that run at the same time, >= 1.

    Returns:
        None where nothing is left, or nothing is finished to judge by.
    """
    known = [each for each in results if each.state is not CellState.FAIL and math.isfinite(each.seconds)]
    if not pending or not known:
        return None
    overall = math.fsum(each.seconds for each in known) / len(known)
    own: dict[str, list[float]] = {}
    for each in known:
        own.setdefault(each.arm, []).append(each.seconds)
    means = {arm: math.fsum(seconds) / len(seconds) for arm, seconds in own.items()}
    expected = [means.get(arm, overall) for arm in pending]
    together, used = math.fsum(expected), min(at_once, len(expected))
    return TimeLeft(len(expected), together, used, max(together / used, *expected), len(known))


def cells_at_once(execution: ExecutionConfig, cores: int, gpus: int | None = None) -> int:
    """How many trials a machine holds at the same time, at least 1.

    Args:
        execution: What a trial takes.
        cores: Processor cores of the machine.
        gpus: Its GPUs; None where that is not known, which then sets no limit.
    """
    room = [math.floor(cores / execution.cpus)]
    if execution.gpus > 0 and gpus is not None:
        room.append(math.floor(gpus / execution.gpus))
    if execution.max_concurrent is not None:
        room.append(execution.max_concurrent)
    return max(1, min(room))


def machine() -> tuple[int, int | None]:
    """Cores that this process may use, and GPUs of the machine (None where its driver does not say)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores, len(list(_GPUS.iterdir())) if _GPUS.is_dir() else None


def counted_cells(number: int) -> str:
    """``1 cell``, ``3 cells``."""
    return count(number, "cell")
