"""Validation errors in words: place, path, rule, given value and likely fix."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fgtune.config.reading.source import Origins
from fgtune.config.schema.base import ARM_PATTERN, DOTTED_PATTERN, METRIC_PATTERN, NAME_PATTERN, PART_PATTERN, Config
from fgtune.config.schema.descriptions import descriptions
from fgtune.config.schema.paths import (
    Path,
    all_paths,
    default_of,
    dotted,
    item_at,
    kind_of,
    model_at,
    models_at,
    nearest,
    suggestion,
    value_at,
)
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError
from fgtune.plugins import KIND_PATTERN

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LIMITS = {
    "greater_than": ("> ", "gt"),
    "greater_than_equal": (">= ", "ge"),
    "less_than": ("< ", "lt"),
    "less_than_equal": ("<= ", "le"),
}
_PATTERNS = {
    NAME_PATTERN: "must be letters, digits, '-' and '_' only, and begin with a letter or digit",
    ARM_PATTERN: "must be letters, digits and '_', '.', '+', '-' only, and begin with a letter or digit",
    DOTTED_PATTERN: "must be a dotted path of names, such as classes.num_fine",
    PART_PATTERN: "must be lower-case letters, digits and '_' only, and begin with a letter",
    KIND_PATTERN: "must be a place in a package of your own, such as package.module:name",
    METRIC_PATTERN: "must be a split and a metric, such as test/ari",
}

_MOST_EXPLAINED = 100
"""Errors of one file that get a likely fix, which takes a comparison with every known name."""


def explain(
    error: ValidationError,
    data: Any,
    root: type[Config],
    origins: Origins,
    base: Path = (),
) -> list[ConfigError]:
    """Every distinct problem, in the order of the file.

    Args:
        error: What validating ``data`` raised.
        data: The plain data that was validated.
        root: The config class that it was validated for.
        origins: Where each value was given.
        base: Path of ``data`` within the study file.

    Returns:
        One error per problem, each with its place, full dotted path, rule, value and fix.
    """
    found: dict[Path, list[Mapping[str, Any]]] = {}
    for detail in error.errors(include_url=False):
        path = plain_path(detail["loc"], data, keep_last=detail["type"] in {"missing", "extra_forbidden"})
        found.setdefault(path, []).append(detail)
    errors, explainer = [], _Explainer(data, root, origins, base)
    above = {path[:end] for path in found for end in range(len(path))}
    for rank, (path, details) in enumerate(found.items()):
        if rank >= _MOST_EXPLAINED:  # they are counted, not shown
            whole = (*base, *path)
            errors.append(ConfigError(str(details[0]["msg"]), where=origins.where(whole), path=dotted(whole)))
            continue
        if path in above:
            # The whole fails because a part does, or another member of a union was meant: the part's error says it.
            details = [detail for detail in details if detail["type"] not in {*_TYPES, "too_short"}]
        if details:
            errors.append(explainer.error(path, details))
    return errors


def plain_path(loc: tuple[int | str, ...], data: Any, *, keep_last: bool = False) -> Path:
    """The parts of a validation error's location that are keys and positions in ``data``.

    Args:
        loc: As pydantic gives it, with the chosen member of a union between the keys and ``[key]`` after a bad key.
        data: The plain data.
        keep_last: Keep the last part even if ``data`` does not have it: a missing key.
    """
    path: Path = ()
    for position, part in enumerate(loc):
        present = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if present or (keep_last and position == len(loc) - 1):
            path = (*path, part)
            data = item_at(data, part)
    return path


class _Explainer:
    """Explains the problems of one document."""

    def __init__(self, data: Any, root: type[Config], origins: Origins, base: Path) -> None:
        self.data, self.root, self.origins, self.base = data, root, origins, base

    def error(self, path: Path, details: list[Mapping[str, Any]]) -> ConfigError:
        """The problem at one path; several details come from the members of a union, or the first stands for all."""
        kinds = [detail["type"] for detail in details]
        limits = [detail for detail in details if detail["type"] not in _TYPES]
        detail = limits[0] if limits else details[0]
        where, at, value = self.origins.where((*self.base, *path)), dotted((*self.base, *path)), detail["input"]
        match detail["type"]:
            case "extra_forbidden":
                return ConfigError("unknown key", where=where, path=at, fix=self._known_keys(path))
            case "missing":
                return ConfigError("must be given", where=where, path=at, fix=self._purpose(path))
            case "union_tag_invalid" | "union_tag_not_found":
                return self._wrong_kind(path, detail)
            case "literal_error":
                fix = suggestion(str(value), _choices(detail["ctx"]["expected"]), "choose one of")
                return ConfigError("unknown choice", where=where, path=at, value=value, fix=fix)
            case "value_error":
                return ConfigError(str(detail["ctx"]["error"]), where=where, path=at, fix=self._default(path))
            case kind if kind in _TYPES:
                rule = "must be " + " or ".join(dict.fromkeys(_TYPES[each] for each in kinds if each in _TYPES))
                fix = _cast(kind, value) or self._default(path) or _remedy(detail)
                return ConfigError(rule, where=where, path=at, value=value, fix=fix)
            case _:
                fix = self._default(path) or _remedy(detail)
                return ConfigError(_rule(detail), where=where, path=at, value=value, fix=fix)

    def _wrong_kind(self, path: Path, detail: Mapping[str, Any]) -> ConfigError:
        """A mapping whose ``kind`` is absent or unknown."""
        kinds = [kind for model in models_at(self.root, self.data, path) if (kind := kind_of(model))]
        at = (*self.base, *path, "kind")
        if detail["type"] == "union_tag_not_found":
            return ConfigError(
                "must be given", where=self.origins.where(at), path=dotted(at), fix=f"choose one of: {', '.join(kinds)}"
            )
        value = item_at(detail["input"], "kind")
        fix = suggestion(str(value), kinds, "choose one of")
        return ConfigError("unknown kind", where=self.origins.where(at), path=dotted(at), value=value, fix=fix)

    def _known_keys(self, path: Path) -> str:
        """The fix for an unknown key: subsections that have it, a similar sibling, any section with it, all keys."""
        model = model_at(self.root, self.data, path[:-1])
        name = str(path[-1])
        known = list(model.model_fields) if model is not None else []
        section, kinds = value_at(self.data, path[:-1]), self._kinds_with(path)
        if kinds and not (isinstance(section, Mapping) and "kind" in section):
            return f"say the kind of {dotted(path[:-1])} ({', '.join(kinds)} have this setting), or leave it out"
        below = [each for each in all_paths(model) if each.rpartition(".")[2] == name] if model is not None else []
        if below and path[:-1]:
            least = min(each.count(".") for each in below)
            nearby = dict.fromkeys(f"{dotted(path[:-1])}.{each}" for each in below if each.count(".") == least)
            return f"it belongs in {' or '.join(nearby)}"
        if kinds:
            who = f"kind {kinds[0]} has" if len(kinds) == 1 else f"kinds {', '.join(kinds)} have"
            return f"leave it out: only {who} it"
        if nearest(name, known) is None:
            elsewhere = [each for each in all_paths(Study) if each.rpartition(".")[2] == name]
            if elsewhere:
                return f"it belongs in {min(elsewhere, key=lambda each: each.count('.'))}"
        return suggestion(name, known, "known keys") if known else "leave it out: there is nothing to set here"

    def _kinds_with(self, path: Path) -> list[str]:
        """The kinds of a section that have a setting, where the kind that is named, or that a preset says, has not."""
        if not path[:-1] or not isinstance(value_at(self.data, path[:-1]), Mapping):
            return []
        models = models_at(self.root, self.data, path[:-1])
        return [kind for each in models if (kind := kind_of(each)) and path[-1] in each.model_fields]

    def _purpose(self, path: Path) -> str:
        """The fix for a missing key: what it is for."""
        model = model_at(self.root, self.data, path[:-1])
        what = descriptions(model).get(str(path[-1]), "").split("\n")[0].rstrip(".") if model is not None else ""
        return f"add `{path[-1]}:`" + (f" ({what})" if what else "")

    def _default(self, path: Path) -> str:
        """The fix for a wrong value that has a default."""
        model = model_at(self.root, self.data, path[:-1]) if path else None
        default = default_of(model, str(path[-1])) if model is not None else None
        if default is None or isinstance(default, dict):
            return ""
        shown = list(default) if isinstance(default, tuple) else default
        return f"leave it out for the default, {str(shown).lower() if isinstance(shown, bool) else shown}"


def _choices(expected: str) -> list[str]:
    """The values in pydantic's "'a', 'b' or 'c'"."""
    return re.findall(r"'([^']*)'", expected)


def _cast(kind: str, value: object) -> str:
    """The fix for a value of the wrong type whose meaning is likely clear."""
    if isinstance(value, float) and kind.startswith("int") and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, str) and kind.startswith(("int", "float")) and re.fullmatch(r"[-+0-9.eE_]+", value):
        return "leave the quotes out"
    if kind == "bool_type" and str(value).lower() in {"yes", "no", "on", "off", "0", "1"}:
        return f"write {'true' if str(value).lower() in {'yes', 'on', '1'} else 'false'}"
    if kind in {"tuple_type", "list_type"} and isinstance(value, int | float | str):
        return f"write [{value}]"
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    return ""


def _rule(detail: Mapping[str, Any]) -> str:
    """The rule behind a limit, in words."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _LIMITS:
        sign, key = _LIMITS[kind]
        return f"must be {sign}{context[key]:g}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    if kind == "too_short":
        return (
            "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} items"
        )
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    if kind == "finite_number":
        return "must be a finite number"
    return str(detail["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


def _remedy(detail: Mapping[str, Any]) -> str:
    """The fix for a wrong value that has no default."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in _LIMITS:
        limit = f"{context[_LIMITS[kind][1]]:g}"
        words = {
            "ge": f"{limit} or more",
            "gt": f"more than {limit}",
            "le": f"{limit} or less",
            "lt": f"less than {limit}",
        }
        return f"use {words[_LIMITS[kind][1]]}"
    if kind == "string_pattern_mismatch" and context["pattern"] == KIND_PATTERN:
        return "write the module, a colon, and the name of a class or function in it"
    if kind == "string_pattern_mismatch":
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(value)).strip("_.-")
        if context["pattern"] == METRIC_PATTERN:
            return f"write test/{slug.rpartition('.')[2].lower()}"
        if context["pattern"] in {DOTTED_PATTERN, PART_PATTERN}:
            slug = slug.lower()
        return f"for example {slug if context['pattern'] == DOTTED_PATTERN else slug.replace('.', '_')}"
    if kind in {"too_short", "string_too_short"}:
        return "give at least one value" if kind == "too_short" else "write something"
    return "write its settings as `key: value` lines" if _TYPES.get(kind) == "a mapping" else ""


def sorted_by_place(errors: list[ConfigError]) -> list[ConfigError]:
    """Errors in the order of the file's lines; those that name no line last."""

    def line(error: ConfigError) -> int:
        number = re.search(r":(\d+)", error.where)
        return int(number.group(1)) if number else sys.maxsize

    return sorted(errors, key=line)
