"""What travels to a worker for one cell: plain data under one key of the Tune config."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fgtune.config.arms.records import Cell
from fgtune.plugins import permit_for_workers
from fgtune.training.prepared import dataset_key, preparation_key

JOB = "job"


def job_of(cell: Cell) -> dict[str, Any]:
    """What a worker needs to know of a cell."""
    return {
        "cell_id": cell.cell_id,
        "seed": cell.seed,
        "config": cell.config.to_plain(),
        "dataset_key": dataset_key(cell.config),
        "preparation_key": preparation_key(cell.config, cell.seed),
        "fork": None if cell.fork is None else asdict(cell.fork),
        "plugins": asdict(permit_for_workers()),
    }


def cell_id_of(trial: Any) -> str:
    """The cell that a Ray trial runs; also the name of the trial and of its folder."""
    cell_id: str = trial.config[JOB]["cell_id"]
    return cell_id
