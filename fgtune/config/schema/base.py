"""The base of every config: frozen, closed to unknown keys, strict about types; and the types that fields share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, JsonValue

HASH_SCHEME = 2
"""How configs become hashes, as ``provenance.json`` records it: 1 hashed the whole config, 2 its ``identity``.

To be raised whenever an existing default, or ``identity`` itself, changes: ids would then mean something else. It is
hashed into them, so that none is taken for one of before.
"""


class Config(BaseModel):
    """A frozen config node. Build one from plain data with ``from_plain``; change one by merging and rebuilding."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    implied: ClassVar[Mapping[str, Any]] = {}
    """Values that stand for a setting left out, of fields that a validator fills in and that so have no default."""

    @classmethod
    def from_plain(cls, data: Any) -> Self:
        """Validate plain data (dicts, lists, numbers, strings) in strict JSON mode, where lists may become tuples."""
        return cls.model_validate_json(json.dumps(data))

    def to_plain(self) -> dict[str, Any]:
        """The config as plain data, every default filled in; ``from_plain`` reads it back to an equal config."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def identity(self) -> dict[str, Any]:
        """What sets this config apart from its defaults, as plain data: what it hashes.

        A setting at its default is left out, so that a later version may add one and no hash changes. What names the
        class of a config (``kind``, of one value) always stays, since two classes may differ in nothing else.
        """
        return dict(self._identity)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        defaults, values = _defaults(type(self)), self.__dict__
        names = [name for name in type(self).model_fields if not _is_default(values[name], defaults.get(name, _NONE))]
        return {name: _identity(values[name]) for name in names}

    @cached_property
    def digest(self) -> str:
        """Hash of the config's identity: equal for two configs that mean the same, however they are written."""
        return stable_hash(self._identity)

    def __copy__(self) -> Self:
        """A copy without what is cached: ``model_copy`` changes fields of it."""
        copied = super().__copy__()
        for name in ("digest", "_identity"):
            copied.__dict__.pop(name, None)
        return copied


_NONE = object()


@cache
def _defaults(config: type[Config]) -> dict[str, Any]:
    """The values that a config's fields have when nothing is said, of those that may be left out."""
    optional = {name: field for name, field in config.model_fields.items() if not field.is_required()}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in optional.items()
        if not (get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1)
    }
    return defaults | dict(config.implied)


def _is_default(value: Any, default: Any) -> bool:
    # By type too: 1, 1.0 and True are equal and not the same setting.
    return value is default or (type(value) is type(default) and bool(value == default))


def _identity(value: Any) -> Any:
    """The identity of a field's value: of every config inside it, the rest as it is."""
    if isinstance(value, Config):
        return value.identity()
    if isinstance(value, Mapping):
        return {key: _identity(each) for key, each in value.items()}
    return [_identity(each) for each in value] if isinstance(value, list | tuple) else value


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

Seeds = Count | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
"""Their number, or the seeds themselves."""

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


def must_differ(values: Iterable[object]) -> None:
    """Raise ``ValueError`` unless all values differ."""
    listed = list(values)
    repeated = next((value for value in listed if listed.count(value) > 1), None)
    if repeated is not None:
        raise ValueError(f"must differ, {repeated} is given twice")
