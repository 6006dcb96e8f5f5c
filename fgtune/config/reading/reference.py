"""What a study file may say: the JSON schema for editors, and the page of settings with their reference values."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fgtune.config.schema.base import METRIC_PATTERN, Config
from fgtune.config.schema.descriptions import descriptions
from fgtune.config.schema.study import Study
from fgtune.config.schema.tuning import OBJECTIVE_PATTERN


def study_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a study file.

    What a schema cannot say (fractions that sum to 1, factors that exist) is checked when the file is loaded.
    """
    schema = Study.model_json_schema(mode="validation")
    _close(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fgtune study",
        "if": {"properties": {"trial": {"not": {"required": ["kind"]}}}},
        "then": {"properties": _CATALOGUE_NAMES},
    }


_NAME, _OBJECTIVE = {"pattern": METRIC_PATTERN}, {"pattern": OBJECTIVE_PATTERN}
_CATALOGUE_NAMES = {
    "design": {
        "properties": {
            "metric": {"if": {"type": "string"}, "then": _OBJECTIVE, "else": {"items": _OBJECTIVE}},
            "search": {"properties": {"metric": _OBJECTIVE}},
        }
    },
    "metrics": {"properties": {"primary": _NAME, "also": {"items": _NAME}}},
    "scheduler": {"properties": {"metric": _NAME}},
    "published": {"items": {"properties": {"results": {"items": {"properties": {"metric": _NAME}}}}}},
}
"""Names of metrics where the trial declares none: those of the catalogue."""


def _close(node: Any) -> None:
    """Make the schema as strict as loading is: ``kind`` is required where it chooses, dotted keys are the only keys."""
    if isinstance(node, list):
        for below in node:
            _close(below)
    if not isinstance(node, dict):
        return
    if "const" in node.get("properties", {}).get("kind", {}) and node.pop("x-kind", None) is None:
        node["required"] = sorted({*node.get("required", []), "kind"})
    if "patternProperties" in node:
        node["additionalProperties"] = False
    for below in node.values():
        _close(below)


_INTRODUCTION = """# Settings

Every setting of a study file, with its type, its default and what it does; `fgtune settings` prints this page, and
`fgtune schema` the same as a JSON schema for editors. A path is written with dots, as in
`--set trial.optimizer.lr=0.03`; factors, arms and search spaces leave out the leading `trial.`. Sections with a `kind`
hold only the settings of that kind.
"""


def settings_page(root: type[Config] = Study) -> str:
    """The page in Markdown: one table per section, in the order of the file."""
    parts = [_INTRODUCTION]
    homes: dict[type[BaseModel], str] = {}
    for path, model in _sections(root, ""):
        if model not in homes or (path.startswith("trial") and not homes[model].startswith("trial")):
            homes[model] = path
    for path, model in dict.fromkeys(_sections(root, "")):
        if homes[model] != path:
            continue  # documented at its home: the data sets of a comparison are those of the trial
        fields = [(name, field) for name, field in model.model_fields.items() if name != "kind"]
        kind = _kind_of(model)
        title = f"`{path}`" if path else "The file"
        parts.append(f"## {title}{f' of kind `{kind}`' if kind else ''}\n")
        parts.append(_escaped(" ".join((model.__doc__ or "").split())) + "\n")
        if fields:
            parts.append("| setting | type | default | what it does |\n|---|---|---|---|")
            for name, field in fields:
                parts.append(f"| `{name}` | {_type_text(field)} | {_default(field)} | {_about(model, name)} |")
            parts[-1] += "\n"
    return "\n".join(parts).rstrip() + "\n"


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The model itself and, below it, every section; one entry per kind."""
    yield path, model
    for name, field in model.model_fields.items():
        for part in _models_in(field.annotation):
            yield from _sections(part, f"{path}.{name}" if path else name)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The config classes that a field may hold, through unions, tuples and maps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _kind_of(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    if field is None:
        return None
    return "package.module:name" if field.is_required() else str(get_args(field.annotation)[0])


def _type_text(field: FieldInfo) -> str:
    bounds = _bounds(field.metadata)
    return _escaped(_name(field.annotation) + (f", {bounds}" if bounds else ""))


def _name(annotation: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        bounds = _bounds(parts[1:])
        return _name(parts[0]) + (f" {bounds}" if bounds else "")
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        models = [part for part in parts if _models_in(part)]
        if models:
            kinds = [kind for part in models for model in _models_in(part) if (kind := _kind_of(model))]
            plain = [_name(part) for part in parts if not _models_in(part) and part is not type(None)]
            section = "section" + (f": {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else "")
            return " or ".join([*plain, section])
        return " or ".join(_name(part) for part in parts)
    if origin is tuple:
        return f"list of {_name(parts[0])}"
    if origin is dict:
        return f"map to {_name(parts[1])}"
    if _models_in(annotation):
        return "section"
    words = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null"}
    return words.get(annotation, "any value")


def _bounds(metadata: Any) -> str:
    """Limits in words."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = []
    for item in metadata:
        for part in (item, *getattr(item, "metadata", ())):
            found += [f"{signs[name]} {getattr(part, name)}" for name in signs if getattr(part, name, None) is not None]
    return " and ".join(dict.fromkeys(found))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if any(isinstance(each, BaseModel) for each in (value if isinstance(value, tuple) else (value,))):
        kind = getattr(value, "kind", None)
        return f"`kind: {kind}`" if kind else "its defaults"
    shown = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    return f"`{shown or (list(value) if isinstance(value, tuple) else value)}`".replace("(", "[").replace(")", "]")


def _about(model: type[BaseModel], name: str) -> str:
    return _escaped(" ".join(descriptions(model).get(name, "").split()))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")
