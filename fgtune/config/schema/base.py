"""The base of every config: frozen, closed to unknown keys, strict about types; and the types that fields share."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Config(BaseModel):
    """A frozen config node. Build one from plain data with ``from_plain``; change one by merging and rebuilding."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def from_plain(cls, data: Any) -> Self:
        """Validate plain data (dicts, lists, numbers, strings) in strict JSON mode, where lists may become tuples."""
        return cls.model_validate_json(json.dumps(data))

    def to_plain(self) -> dict[str, Any]:
        """The config as plain data, every default filled in; ``from_plain`` reads it back to an equal config."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain


def stable_hash(data: Any, length: int = 12) -> str:
    """A hexadecimal digest of plain data that does not depend on key order."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
"""The factor of a term, of a penalty, of a balance."""
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]

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
