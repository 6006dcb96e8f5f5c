"""Patches: how values named by dotted paths change a tree of plain data.

One rule serves the arms of a design, ``--set``, ``--smoke`` and a study's own ``smoke`` map:

* A value replaces what is at its path. A mapping without a ``kind`` is merged key by key instead.
* Setting a mapping's ``kind`` to another value clears that mapping, since its old keys belong to the old kind;
  keys patched beside ``kind`` are kept.
* ``classes.num_fine`` and ``classes.num_fine_ratio`` exclude each other: setting one drops the other. Setting either to
  a number drops ``classes.estimator``.
* Setting a ``model.backbone`` of kind ``identity``, which has no parameters, drops ``model.pretrain`` and
  ``model.weights``, which would set them, unless the patch names them too.
* Missing sections are created; validation decides whether they may exist.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fgtune.config.schema.base import Config
from fgtune.config.schema.classes import ESTIMATE
from fgtune.config.schema.objective import PRESETS, PresetConfig
from fgtune.config.schema.paths import Path, default_of, model_at

_EXCLUSIVE: dict[Path, str] = {("classes", "num_fine"): "num_fine_ratio", ("classes", "num_fine_ratio"): "num_fine"}
_BACKBONE: Path = ("model", "backbone")
_BARE_BACKBONE = "identity"
_OF_PARAMETERS = ("pretrain", "weights")
_DOTTED_KEYS: frozenset[Path] = frozenset(
    {("design", "factors"), ("design", "baseline"), ("design", "space", "parameters"), ("smoke",)}
)
"""Sections of a study whose keys are dotted paths themselves."""


def patch(data: Mapping[str, Any], changes: Mapping[str, Any], root: type[Config] | None = None) -> dict[str, Any]:
    """A copy of ``data`` with ``changes`` applied.

    Args:
        data: Plain data.
        changes: New values by dotted path.
        root: The config class that ``data`` is meant for; a section left out of ``data`` then starts with the ``kind``
            of its default, so that ``optimizer.lr`` may be set where the file has no optimizer, or with that of the
            preset.

    Returns:
        New plain data; the arguments are not changed and share nothing with it.
    """
    patched: dict[str, Any] = _copied(dict(data))
    flat = leaves_of(changes)
    # Sections before their contents, `kind` before its siblings.
    flat.sort(key=lambda step: (len(step[0]), step[0][-1] != "kind"))
    named = {path for path, _ in flat}
    for path, value in flat:
        _set(patched, path, _copied(value), root, named)
        _drop_of_parameters(patched, path, value, named)
    return patched


def _copied(value: Any) -> Any:
    """A copy of plain data, in a fifth of the time of ``copy.deepcopy``."""
    if type(value) is dict:
        return {key: _copied(below) for key, below in value.items()}
    if type(value) is list:
        return [_copied(below) for below in value]
    return value if value is None or isinstance(value, str | int | float) else copy.deepcopy(value)


def locate(path: str) -> Path:
    """The parts of a dotted path; what follows a section with dotted keys, such as a design's factors, is one key."""
    parts = tuple(path.split("."))
    for section in _DOTTED_KEYS:
        if parts[: len(section)] == section and len(parts) > len(section):
            return (*section, ".".join(parts[len(section) :]))
    return parts


def leaves_of(changes: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """The single replacements that changes by dotted path consist of."""
    return [leaf for path, value in changes.items() for leaf in _leaves(locate(path), value)]


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """The single replacements that a patch consists of: mappings without ``kind`` are split up."""
    if not isinstance(value, dict) or not value or "kind" in value:
        yield path, value
        return
    for key, below in value.items():
        yield from _leaves((*path, key), below)


def _set(data: dict[str, Any], path: Path, value: Any, root: type[Config] | None, named: set[Path]) -> None:
    """Set one value in place."""
    node = data
    for end, part in enumerate(path[:-1], start=1):
        below = node.get(str(part))
        if not isinstance(below, dict):
            below = node[str(part)] = _default_kind(data, path[:end], root)
        node = below
    key = str(path[-1])
    if key == "kind" and node.get("kind", value) != value:
        node.clear()
    other = None if _is_users(path) else _EXCLUSIVE.get(path[-2:])
    if other is not None and value is not None and (*path[:-1], other) not in named:
        node.pop(other, None)
        if value != ESTIMATE and (*path[:-1], "estimator") not in named:
            node.pop("estimator", None)
    node[key] = value


def _is_users(path: Path) -> bool:
    """Whether a path lies in the settings of a user's own trainer, whose names mean nothing here."""
    return path[:1] == ("config",) or path[:2] == ("trial", "config")


def _drop_of_parameters(data: dict[str, Any], path: Path, value: Any, named: set[Path]) -> None:
    """Once ``path`` is set to ``value``, drop what only a backbone with parameters can have."""
    backbone, kind = (path[:-1], value) if path[-1] == "kind" else (path, None)
    if isinstance(value, dict):
        kind = value.get("kind")
    if backbone[-2:] != _BACKBONE or kind != _BARE_BACKBONE or _is_users(path):
        return
    model = backbone[:-1]
    node: Any = data
    for part in model:
        node = node[part]
    for name in _OF_PARAMETERS:
        if not any(each[: len(backbone)] == (*model, name) for each in named):
            node.pop(name, None)


def _default_kind(data: Any, path: Path, root: type[Config] | None) -> dict[str, Any]:
    """The initial content of a missing section: the kind that a preset beside it means, or that of its default."""
    parent = model_at(root, data, path[:-1]) if root is not None else None
    if parent is not None and issubclass(parent, PresetConfig):
        node: Any = data
        for part in path[:-1]:
            node = node[str(part)]
        preset = node.get("preset")
        meant = PRESETS.get(preset, {}).get(str(path[-1])) if isinstance(preset, str) else None
        if isinstance(meant, dict) and "kind" in meant:
            return {"kind": meant["kind"]}
    kind = _kind_of_default(parent, str(path[-1])) if parent is not None else None
    return {} if kind is None else {"kind": kind}


@cache
def _kind_of_default(model: type[Config], name: str) -> str | None:
    value = model.model_fields[name].get_default(call_default_factory=True) if name in model.model_fields else None
    if isinstance(value, Config) and "kind" in value.implied:
        return None  # which kind is meant where none is named, the class itself knows
    default = default_of(model, name)
    return default.get("kind") if isinstance(default, dict) else None
