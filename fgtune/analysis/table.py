"""The tidy table: one row per planned cell, and its files ``results.parquet`` and ``results.csv``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from fgtune.analysis.formatting import level_text
from fgtune.analysis.inputs import PlannedArm, PlannedCell, StudyData, read_study
from fgtune.catalog.spec import SPLITS
from fgtune.config.schema.classes import ESTIMATE
from fgtune.files import write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult

MISSING = "MISSING"
"""State of a planned cell that the ledger does not have."""

COLUMNS = (
    "cell_id", "arm", "label", "seed", "state", "is_baseline", "num_fine", "seconds", "epochs", "solver", "solves",
    "solver_seconds", "solver_statuses", "max_gap", "attempts", "cause",
)  # fmt: skip
"""Columns that every table has, besides those of factors and metrics."""


def factor_columns(factors: Iterable[str]) -> dict[str, str]:
    """The column of each factor: its path, or ``trial.PATH`` if every table already has a column of that name.

    A factor ``epochs``, the requested number, is in ``trial.epochs``; the column ``epochs`` is what a cell ran. No path
    begins with ``trial.``, and names of metrics contain a slash, so no two columns collide.
    """
    return {path: f"trial.{path}" if path in COLUMNS else path for path in factors}


def tidy_table(folder: StudyFolder | StudyData) -> pd.DataFrame:
    """One row per planned cell, in the order of the plan.

    Columns: ``cell_id, arm, label, seed, state`` (``MISSING`` if the ledger has no line), one column per factor (see
    ``factor_columns``; levels of several types as text), ``is_baseline, num_fine``, one column per metric, ``seconds,
    epochs, solver, solves, solver_seconds, solver_statuses`` (JSON), ``max_gap, attempts, cause``. Metrics are those of
    the ledger, including those of PRUNED cells: filter on ``state``.
    """
    data = folder if isinstance(folder, StudyData) else read_study(folder)
    metrics = sorted({name for result in data.results.values() for name in result.metrics})
    arms = {arm.name: arm for arm in data.arms}
    rows = [_row(data, arms[cell.arm], cell, metrics) for cell in data.planned]
    table = pd.DataFrame(rows, columns=None if rows else [*COLUMNS, *factor_columns(data.factors).values()])
    for column in factor_columns(data.factors).values():
        if len({type(level) for level in table[column]}) > 1:  # a Parquet column has one type
            table[column] = [level_text(level) for level in table[column]]
    whole = ["num_fine", "epochs", "solves", "attempts"]
    return table.astype(dict.fromkeys(whole, "Int64") | {"seed": "int64"} | dict.fromkeys(metrics, "float64"))


def _row(data: StudyData, arm: PlannedArm, cell: PlannedCell, metrics: list[str]) -> dict[str, Any]:
    result = data.results.get(cell.cell_id)
    row: dict[str, Any] = {"cell_id": cell.cell_id, "arm": arm.name, "label": arm.label, "seed": cell.seed}
    row["state"] = MISSING if result is None else result.state.value
    row |= {column: _plain_level(arm.levels[path]) for path, column in factor_columns(data.factors).items()}
    row |= {"is_baseline": arm.is_baseline, "num_fine": num_fine(result)}
    row |= {name: math.nan if result is None else result.metrics.get(name, math.nan) for name in metrics}
    solver = result.solver if result is not None else None
    return row | {
        "seconds": math.nan if result is None else result.seconds,
        "epochs": None if result is None else result.epochs,
        "solver": None if solver is None else solver.solver,
        "solves": None if solver is None else solver.solves,
        "solver_seconds": math.nan if solver is None else solver.seconds,
        "solver_statuses": None if solver is None else json.dumps(dict(solver.statuses), sort_keys=True),
        "max_gap": math.nan if solver is None else solver.max_gap,
        "attempts": None if result is None else result.attempts,
        "cause": None if result is None else result.cause,
    }


def _plain_level(level: Any) -> Any:
    """A level that a column can hold: scalars unchanged, structures as text."""
    return level if level is None or isinstance(level, bool | int | float | str) else level_text(level)


def num_fine(result: CellResult | None) -> int | None:
    """K_F of a finished cell: from its resolved config, or as the trial estimated it."""
    if result is None:
        return None
    number = result.config.get("classes", {}).get("num_fine")
    if number == ESTIMATE:
        measured = [result.metrics.get(f"{split}/num_fine") for split in SPLITS]
        number = next((value for value in measured if value is not None), None)
    return None if number is None else int(number)


def encoded(table: pd.DataFrame, suffix: str) -> bytes:
    """A table as the content of a ``.csv`` or ``.parquet`` file."""
    if suffix == ".parquet":
        return bytes(table.to_parquet(None, index=False))
    return table.to_csv(None, index=False, lineterminator="\n").encode()


def write_tables(folder: StudyFolder, data: StudyData | None = None) -> pd.DataFrame:
    """Write ``results.parquet`` and ``results.csv``, each atomically; return the tidy table.

    Args:
        folder: The study folder.
        data: Its content, if it has already been read.
    """
    data = data if data is not None else read_study(folder)
    table = tidy_table(data)
    for path in (folder.results_parquet, folder.results_csv):
        write_atomically(path, encoded(table, path.suffix))
    return table
