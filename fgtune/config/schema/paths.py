"""The tree of config paths: which model stands at a path, which keys it knows, which known name is nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_origin

from pydantic_core import PydanticUndefined

from fgtune.config.schema.base import Config
from fgtune.config.schema.plugin import AnyPlugin, is_plugin_kind

Path = tuple[str | int, ...]
"""Keys and list positions from the root of the file to a value; a key that contains dots is one part."""


def dotted(path: Path) -> str:
    """``path`` as people write it: ``design.arms[1].set.epochs``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def overlap(one: str, other: str) -> bool:
    """Whether one dotted path is the other or lies below it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def submodels(annotation: Any) -> list[type[Config]]:
    """The config classes in a field's annotation: itself, the members of a union, the items of a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [model for part in get_args(annotation) for model in submodels(part)]


def kind_of(model: type[Config]) -> str | None:
    """The value of ``kind`` that selects ``model`` among its alternatives; None if it has no kind, or takes any."""
    field = model.model_fields.get("kind")
    return None if field is None or field.is_required() else str(field.default)


def kinds_of(model: type[Config], name: str) -> list[str]:
    """The kinds that field ``name`` of ``model`` may have; empty for a field without alternatives."""
    return [kind for each in submodels(model.model_fields[name].annotation) if (kind := kind_of(each)) is not None]


def model_at(root: type[Config], data: Any, path: Path) -> type[Config] | None:
    """The config class of the mapping at ``path`` in ``data``, which is meant for ``root``; None if there is none."""
    return _chosen(models_at(root, data, path), value_at(data, path)) if path else root


def fields_at(root: type[Config], data: Any, path: Path) -> frozenset[str]:
    """The fields of the config class of the mapping at ``path`` in ``data``, which is meant for ``root``."""
    model = model_at(root, data, path)
    return frozenset() if model is None else frozenset(model.model_fields)


def models_at(root: type[Config], data: Any, path: Path) -> list[type[Config]]:
    """The config classes that may stand at ``path`` in ``data``, meant for ``root``, whatever its ``kind`` says."""
    model: type[Config] | None = root
    candidates, of_any_key = [root], False
    for part in path:
        if isinstance(part, str) and not of_any_key:
            field = model.model_fields.get(part) if model is not None else None
            if field is None:
                return []
            candidates, of_any_key = submodels(field.annotation), get_origin(field.annotation) is dict
        else:
            of_any_key = False
        data = item_at(data, part)
        model = None if of_any_key else _chosen(candidates, data)
    return [] if of_any_key else candidates


def _chosen(candidates: list[type[Config]], data: Any) -> type[Config] | None:
    """The one alternative, or the one that ``kind`` in ``data`` names, or that is implied where it names none."""
    if len(candidates) == 1:
        return candidates[0]
    if isinstance(data, dict) and "kind" not in data:
        return next((model for model in candidates if "kind" in model.implied), None)
    kind = data.get("kind") if isinstance(data, dict) else None
    if is_plugin_kind(kind):
        return next((model for model in candidates if issubclass(model, AnyPlugin)), None)
    return next((model for model in candidates if kind is not None and kind_of(model) == kind), None)


def item_at(data: Any, part: str | int) -> Any:
    """The value of a key or list position, or None where there is none."""
    if isinstance(data, dict) and isinstance(part, str):
        return data.get(part)
    if isinstance(data, list | tuple) and isinstance(part, int) and 0 <= part < len(data):
        return data[part]
    return None


def value_at(data: Any, path: str | Path) -> Any:
    """The value at a path (dotted, or in parts) of plain data, or None where there is none."""
    for part in path.split(".") if isinstance(path, str) else path:
        data = item_at(data, part)
    return data


def default_of(model: type[Config], name: str) -> Any:
    """The default of a field as plain data, or None where it has none."""
    field = model.model_fields.get(name)
    if field is None or field.is_required():
        return None
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return None
    return default.to_plain() if isinstance(default, Config) else default


def all_paths(model: type[Config], prefix: str = "") -> Iterator[str]:
    """Every dotted path that some config of ``model`` may hold, sections as well as single settings."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if "tuple" not in str(field.annotation):
            for below in submodels(field.annotation):
                yield from all_paths(below, f"{prefix}{name}.")


@cache
def known_paths(model: type[Config]) -> frozenset[str]:
    """The paths of ``all_paths``, found once for each class."""
    return frozenset(all_paths(model))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` most likely stands for, or None when none is near."""
    found = difflib.get_close_matches(name.lower(), sorted(set(known)), n=1, cutoff=0.6)
    return found[0] if found else None


def nearest_path(path: str, known: Iterable[str]) -> str | None:
    """The known dotted path that ``path`` likely stands for: its last name elsewhere, or one of similar spelling."""
    paths = sorted(set(known), key=lambda each: (each.count("."), each))
    leaf = path.rpartition(".")[2]
    same_leaf = [each for each in paths if each.rpartition(".")[2] == leaf]
    return nearest(path, same_leaf) or (same_leaf[0] if same_leaf else nearest(path, paths))


def suggestion(name: str, known: Iterable[str], what: str = "known") -> str:
    """A fix for an unknown name: the nearest known one, or all of them."""
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else f"{what}: {', '.join(names)}"


def has_path(data: Any, path: str) -> bool:
    """Whether plain data has a key at a dotted path, even with the value null."""
    section, _, leaf = path.rpartition(".")
    parent = value_at(data, section) if section else data
    return isinstance(parent, dict) and leaf in parent


def paths_in(data: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted path in plain data, sections as well as single settings."""
    if isinstance(data, dict):
        for key, below in data.items():
            yield f"{prefix}{key}"
            yield from paths_in(below, f"{prefix}{key}.")
