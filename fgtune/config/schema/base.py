"""The bases of every config and of those of data sets: frozen, closed, strict; and the types that fields share."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from fgtune.config.schema.descriptions import descriptions

HASH_SCHEME = 4
"""How configs become hashes, as ``provenance.json`` records it: 1 hashed the whole config, 2 its ``identity``; with 3,
``evaluation.every_epochs`` is None where nothing is said, and no longer 1; with 4, ``neighbors.targets`` is ``memory``,
and no longer ``forward``.

Increase it whenever an existing default, or ``identity`` itself, changes: ids would then mean something else. It is
part of every hash, so that no id is mistaken for one of an earlier scheme.
"""


class Config(BaseModel):
    """A frozen config node. Build one from plain data with ``from_plain``; change one by merging and rebuilding."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    implied: ClassVar[Mapping[str, Any]] = {}
    """Values implied for omitted fields that have no default of their own because a validator fills them in."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> dict[str, Any]:
        """The JSON schema, with what every setting means."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return schema

    @classmethod
    def from_plain(cls, data: Any) -> Self:
        """Validate plain data (dicts, lists, numbers, strings) in strict JSON mode, where lists may become tuples."""
        return cls.model_validate_json(json.dumps(data))

    def to_plain(self) -> dict[str, Any]:
        """The config as plain data, every default filled in; ``from_plain`` reads it back to an equal config."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def identity(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain data: what is hashed.

        A setting at its default is left out, so that later versions may add settings without changing any hash. The
        field that names the class (a ``kind`` of one value) always stays, since two classes may differ in nothing else.
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

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with changed fields where ``update`` has them, and without what is cached of the original."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("digest", "_identity"):
            copied.__dict__.pop(name, None)
        return copied


_NONE = object()


@cache
def _defaults(config: type[Config]) -> dict[str, Any]:
    """The defaults of a config's optional fields, those that a validator fills in included."""
    optional = {name: field for name, field in config.model_fields.items() if not field.is_required()}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in optional.items()
        if not (get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1)
    }
    return defaults | dict(config.implied)


def _is_default(value: Any, default: Any) -> bool:
    # By type too: 1, 1.0 and True are equal, yet different settings.
    return value is default or (type(value) is type(default) and bool(value == default))


def _identity(value: Any) -> Any:
    """A field's value with every config inside it replaced by its identity."""
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
"""Of a term, a penalty or the balance."""
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Names = Annotated[
    tuple[str, ...],
    Strict(False),  # of the tuple alone: after a validator, a list from JSON would be refused
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Names, or a single one without a list."""

MAX_SEEDS = 10_000
"""More seeds than this are taken for a mistake; each is a trial of every arm."""
MAX_INTEGER = 2**63 - 1
"""The largest integer, by size: tables and random streams hold 64 bits."""
SeedCount = Annotated[int, Field(ge=1, le=MAX_SEEDS)]
Seeds = (
    SeedCount
    | Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_INTEGER)], ...], Field(min_length=1, max_length=MAX_SEEDS)]
)
"""Their number, or the seeds themselves."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
ARM_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
PART_PATTERN = r"^[a-z][a-z0-9_]*$"
DOTTED_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
METRIC_PATTERN = r"^(train|val|test)/[a-z0-9_]+$"

ArmName = Annotated[str, Field(pattern=ARM_PATTERN, max_length=80)]
PartName = Annotated[str, Field(pattern=PART_PATTERN, max_length=40)]
"""Name of a component, a group of components or a data set: usable as a column and in expressions."""
DottedPath = Annotated[str, Field(pattern=DOTTED_PATTERN)]
Levels = Annotated[tuple[JsonValue, ...], Field(min_length=1)]

DECLARED = "declared"
"""Key of the validation context, true where a study declares its metrics itself, under any names."""


def checked_name(name: str, pattern: str, info: ValidationInfo) -> str:
    """The name of a metric, after a check against a pattern unless the trial declares its metrics."""
    declared = bool((info.context or {}).get(DECLARED))
    if not declared and re.fullmatch(pattern, name) is None:
        raise PydanticCustomError(
            "string_pattern_mismatch", "String should match pattern '{pattern}'", {"pattern": pattern}
        )
    return name


def _metric_name(name: str, info: ValidationInfo) -> str:
    return checked_name(name, METRIC_PATTERN, info)


MetricName = Annotated[str, Field(min_length=1), AfterValidator(_metric_name)]
"""A split and a metric of the catalogue; any text where the trial declares its metrics."""

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
    with suppress(TypeError):  # lists and mappings, as levels of a factor may be, cannot be in a set
        if len(set(listed)) == len(listed):
            return
    repeated = next((value for rank, value in enumerate(listed) if value in listed[:rank]), None)
    if repeated is not None:
        raise ValueError(f"must differ, {repeated} is given twice")


class SplitConfig(Config):
    """How samples are divided by seed, stratified on coarse labels alone; the fractions sum to 1."""

    train: OpenFraction = 0.7
    """Share of samples that training sees."""
    val: OpenFraction = 0.1
    """Share of samples for label-free selection."""
    test: OpenFraction = 0.2
    """Share of samples that results are reported on."""
    transductive: bool = False
    """Train, validate and test on all samples alike, as FALCON does on single cells; the shares then mean nothing."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitConfig:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + val + test must be 1, they sum to {total:g}")
        return self


class LabelNoiseConfig(Config):
    """Wrong coarse labels that are made on purpose, in every part of the split; fine classes stay as they are."""

    kind: Literal["symmetric", "look_alike"] = "symmetric"
    """``symmetric``: any sample, and any other class, with equal chance. ``look_alike``: chances fall from the sample
    that most resembles one of another class to the one that least does, and the wrong label is that class."""
    share: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Share of the labelled samples of each source that get a wrong label."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the wrong labels, apart from the seeds of the study: all cells have the same ones."""


class LabelSetsConfig(Config):
    """The coarse labels of a sample are a set: any number of labels, all of which hold."""

    delimiter: Annotated[str, Field(min_length=1, max_length=10)] = "|"
    """Stands between the names of a set in a column of text; alone it is the empty set, and an empty cell is a set that
    is not known. Several columns of coarse labels are 0 or 1 instead, a column a label."""


class BaseDataConfig(Config):
    """The fields of every kind of data."""

    split: SplitConfig = SplitConfig()
    """Ignored where the data set brings its own split."""
    limit: Annotated[int, Field(ge=10)] | None = None
    """Use at most this many samples, drawn by the data seed with coarse classes in proportion; None uses all."""
    limit_test_per_class: Count | None = None
    """With ``limit``, keep so few fine classes that each has about this many test samples, as ``--smoke`` does with 5;
    it reads fine labels. None keeps samples of all classes."""
    coarse_sets: LabelSetsConfig | None = None
    """Read the coarse labels of a sample as a set; None reads one label from each column."""
    label_noise: LabelNoiseConfig | None = None
    """Wrong coarse labels for a study of what they do; what is judged knows the right ones. None adds none."""


_LATER = ("label_noise", "coarse_sets", "label_sets", "limit_test_per_class")
"""Settings of data that came later, None where they are not used."""


def data_key(data: object) -> str:
    """What a data set, its shape and its stored labels are known by: the digest of its config, plain or not."""
    plain = data.to_plain() if isinstance(data, Config) else data
    if isinstance(plain, Mapping):  # so that data without what came later are known by the key that they always had
        plain = {name: value for name, value in plain.items() if value is not None or name not in _LATER}
    return stable_hash(plain)
