"""The names that a study file may use: their patterns, and the annotated types that fields share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
ARM_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
PART_PATTERN = r"^[a-z][a-z0-9_]*$"
DOTTED_PATTERN = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$"
METRIC_PATTERN = r"^(train|val|test)/[a-z0-9_]+$"

ArmName = Annotated[str, Field(pattern=ARM_PATTERN, max_length=80)]
PartName = Annotated[str, Field(pattern=PART_PATTERN, max_length=40)]
"""Of a component, a group of components or a data set: usable as a column and in expressions."""
DottedPath = Annotated[str, Field(pattern=DOTTED_PATTERN)]
Levels = Annotated[tuple[JsonValue, ...], Field(min_length=1)]
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN)]

RESERVED_COLUMNS = frozenset(
    {
        "arm", "attempts", "cause", "cell_id", "dataset", "epoch", "epochs", "is_baseline", "label", "max_gap",
        "num_fine", "seconds", "seed", "solver", "solver_seconds", "solver_statuses", "solves", "state", "step",
    }
)  # fmt: skip
"""Columns of the plan and of the tidy table that no component may be named like."""
