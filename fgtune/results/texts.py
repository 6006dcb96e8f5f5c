"""The texts of a study folder that people read: the resolved study and the plan, written and read back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fgtune.config.arms.plan import Plan
from fgtune.config.reading.writing import yaml_text
from fgtune.config.schema.study import Study

CELL_COLUMNS = ("cell_id", "arm", "seed")
CURVE_COLUMNS = (*CELL_COLUMNS, "epoch", "step", "seconds")
"""Columns of the curves that are no metrics."""
FORK = "fork"
"""Column of population based training only: ``DONOR@EPOCH`` for a cell that continues another's training."""
MOST_LINES = 200_000
"""Of a plan: twice as many as a study may have cells, since a level that is text may span several."""
MOST_COLUMNS = 1000
"""Of a plan; reports have a panel for each setting that a study varies."""
_IRRELEVANT = ("execution", "smoke", "published")
"""Parts of a study that its hash does not cover."""


def resolved_text(study: Study, study_hash: str) -> str:
    """The study with every default, as YAML in the order of the fields."""
    return yaml_text(study.to_plain(), f"The study with every default filled in. Study hash: {study_hash}")


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as ``parse_plan`` gives them, as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([value if key in CELL_COLUMNS else csv_level(value) for key, value in row.items()] for row in rows)
    return buffer.getvalue()


def plan_text(plan: Plan) -> str:
    """The plan as CSV."""
    forks = plan.study.scheduler.forks
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*CELL_COLUMNS, *[FORK] * forks, *plan.factors])
    for cell in plan.cells:
        levels = [csv_level(cell.levels[factor]) for factor in plan.factors]
        origin = ["" if cell.fork is None else cell.fork.text] * forks
        writer.writerow([cell.cell_id, cell.arm, cell.seed, *origin, *levels])
    return buffer.getvalue()


def parse_plan(text: str) -> list[dict[str, Any]]:
    """The rows of ``plan_text``: ``cell_id``, ``arm``, ``seed`` as an int, ``fork`` if any, the level of each factor.

    Raises:
        ValueError: The columns of a cell are missing, a seed is not a number, or a row has more values than columns.
    """
    factors = plan_factors(text)
    known: dict[str, Any] = {}  # the seeds of an arm have the same levels
    rows = []
    for row in csv.DictReader(io.StringIO(text)):
        if None in row:
            raise ValueError(f"the row of {row['cell_id']} has more values than there are columns")
        levels = {name: known[row[name]] if row[name] in known else parse_level(row[name]) for name in factors}
        known |= {row[name]: level for name, level in levels.items() if isinstance(level, str | int | float)}
        rows.append({**row, **levels, "seed": int(row["seed"])})
    return rows


def plan_factors(text: str) -> tuple[str, ...]:
    """The factors among the columns of ``plan_text``.

    Raises:
        ValueError: The columns of a cell are missing, or there are more columns or lines than a plan can have.
    """
    if (lines := text.count("\n")) > MOST_LINES:
        raise ValueError(f"has {lines:,} lines, and no study has more than {MOST_LINES // 2:,} cells")
    header = next(csv.reader(io.StringIO(text)), [])
    if not set(CELL_COLUMNS) <= set(header):
        raise ValueError(f"needs the columns {', '.join(CELL_COLUMNS)}")
    if len(header) > MOST_COLUMNS:
        raise ValueError(f"has {len(header):,} columns, and no study varies more than {MOST_COLUMNS:,} settings")
    return tuple(column for column in header if column not in {*CELL_COLUMNS, FORK})


def csv_level(level: Any) -> str:
    """A level in a CSV cell: text as it is, empty for None, everything else as JSON."""
    if level is None:
        return ""
    return level if isinstance(level, str) else json.dumps(level)


def parse_level(text: str) -> Any:
    """A level read back from a CSV cell."""
    if text == "":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """``path (theirs there, ours here)`` for every setting that differs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            if path or key not in _IRRELEVANT:
                yield from differences(theirs.get(key), ours.get(key), f"{path}.{key}" if path else key)
    elif theirs != ours:
        yield f"{path} ({theirs!r} there, {ours!r} here)"
