"""The disk under a study folder: whether it has room for what the plan will write, and what is said when it has not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.schema.base import data_key
from fgtune.config.schema.tuning import PbtConfig
from fgtune.errors import FgtuneError, StudyFolderError
from fgtune.files import is_disk_fault
from fgtune.memory import bytes_text
from fgtune.results.folder import StudyFolder
from fgtune.results.object_stores import BucketError
from fgtune.results.storage_check import SETTING

if TYPE_CHECKING:
    from fgtune.data.base import Dataset

_PAGE = 8e6
"""Bytes of report and tables, which are written anew beside the old ones."""
_CELL = 24e3
"""Bytes of a cell in the ledger, and of the blocks that its small files take."""
_SAMPLE = 6
"""Bytes that the prediction of a sample takes, compressed."""
_EPOCH = 2 * 25 * 8
"""Bytes of an epoch's metrics, which are gathered before their parts are removed."""
_COPIES = 3
"""A checkpoint holds the model, its teacher, and the optimiser's moments."""
_WIDTHS = {"small_cnn": 400_000, "resnet18": 11_200_000, "resnet50": 23_500_000}
"""Parameters of the backbones whose width the study does not state."""


def bytes_needed(plan: Plan, cells: Sequence[Cell], datasets: Mapping[str, Dataset]) -> float:
    """About how many bytes running these cells will write and keep, or need for a while.

    Cells that are not planned yet (of a search, of adaptive seeds) are left out, and so is what parts of the user's own
    hold: it is a lower estimate.
    """
    if not cells:
        return 0.0
    kept, checkpoints = _PAGE, [0.0]
    samples: dict[str, int] = {}  # by arm, whose cells differ by their seed alone
    for cell in cells:
        if cell.arm not in samples:
            own = cell.config.discovery
            dataset = None if own is None else datasets.get(data_key(own.data))
            samples[cell.arm] = 0 if dataset is None else len(dataset.inputs)
            checkpoints.append(4.0 * _COPIES * _parameters(cell, dataset))
        kept += _CELL + _SAMPLE * samples[cell.arm] + _EPOCH * cell.config.planned_epochs
    execution, scheduler = plan.study.execution, plan.study.scheduler
    at_once = min(len(cells), execution.max_concurrent or max(1, int((os.cpu_count() or 1) / execution.cpus)))
    largest = max(checkpoints) if execution.storage is None else 0.0  # else checkpoints lie elsewhere
    kept += largest * (at_once + 1)  # one is replaced by a new one that is whole before the old one goes
    if isinstance(scheduler, PbtConfig):
        kept += largest * sum(cell.config.planned_epochs // scheduler.interval_epochs for cell in cells)
    return kept


def _parameters(cell: Cell, dataset: Dataset | None) -> int:
    """About how many parameters the backbone of a cell has."""
    own = cell.config.discovery
    if own is None:
        return 0
    backbone = own.model.backbone
    hidden = getattr(backbone, "hidden", None)
    if hidden is None or dataset is None:
        return _WIDTHS.get(backbone.kind, 0)
    widths = (prod(dataset.inputs.shape[1:]), *hidden)
    return sum(before * after for before, after in pairwise(widths))


def check_space(folder: StudyFolder, needed: float) -> None:
    """Raise unless the disk of a folder, which exists, has room for so many bytes.

    Raises:
        StudyFolderError: It has not.
    """
    free = shutil.disk_usage(folder.root).free
    if free < needed:
        rule = f"the disk has {bytes_text(free)} left, and this study will need about {bytes_text(needed)}"
        fix = "make room, or choose another disk with --out; finished cells are kept, and the same command continues"
        raise StudyFolderError(rule, where=str(folder.root), fix=fix)


class StorageError(FgtuneError):
    """A disk took nothing more while a study ran; what is finished is saved."""


@contextmanager
def disk_faults(folder: StudyFolder, again: str) -> Iterator[None]:
    """Turn a full or read-only disk while a study runs into one error that says how to continue.

    Args:
        folder: The study folder.
        again: The line that continues the study.

    Raises:
        StorageError: The disk took nothing more.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_fault(error):
            raise
        raise StorageError(_told(folder, error, again)) from error


def _told(folder: StudyFolder, error: OSError, again: str) -> str:
    if isinstance(error, BucketError):
        saved = f"Finished cells are saved in {folder.root}"
        return f"{SETTING}: {error.rule}. {saved}. Fix: {error.fix}, then continue with: {again}"
    where = Path(error.filename) if error.filename else folder.root
    try:
        left = f"; the disk of the study folder has {bytes_text(shutil.disk_usage(folder.root).free)} left"
    except OSError:
        left = ""
    reason = os.strerror(error.errno or 0)
    return (
        f"{where}: cannot be written ({reason}){left}. Finished cells are saved in {folder.root}. "
        f"Fix: make room, then continue with: {again}"
    )
