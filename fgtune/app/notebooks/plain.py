"""Studies and overrides given as dicts: made plain, and written as the YAML that the command line would read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fgtune.config.reading.source import MAX_DEPTH, parse_yaml
from fgtune.config.reading.writing import yaml_text
from fgtune.errors import ConfigError

_UNSEEN = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
"""Signs that YAML takes for line breaks, or not at all, unless they are spelled out."""

Overrides = Mapping[str, Any] | Sequence[str]
"""New values by dotted path, or ``path=value`` texts as after ``--set``."""


def override_texts(given: Overrides, name: str = "overrides") -> tuple[str, ...]:
    """Overrides as ``path=value`` texts, the values of a dict in JSON, which YAML reads.

    Raises:
        ConfigError: They are neither a dict nor a list of texts.
    """
    if not isinstance(given, Mapping):
        return texts(given, name)
    for path in given:
        if not isinstance(path, str):
            raise ConfigError("a key must be text", where=name, value=path, fix="write a path such as 'trial.epochs'")
    return tuple(f"{path}={_json(value, f'{name}[{path!r}]')}" for path, value in given.items())


def texts(values: Sequence[str], name: str) -> tuple[str, ...]:
    """A list of texts; a single one is likely a mistake.

    Raises:
        ConfigError: It is a single text.
    """
    if isinstance(values, str):
        raise ConfigError("must be a list of strings", where=name, value=values, fix=f"write [{values!r}]")
    return tuple(values)


def plain(value: Any, depth: int = 0) -> Any:
    """A value as a YAML file would give it: tuples are lists, numbers of NumPy are Python's, paths are text.

    What has no such form stays as it is, for the check of all values to refuse.
    """
    if depth > MAX_DEPTH + 1:  # it contains itself, or will be refused for its depth
        return None
    if isinstance(value, Mapping):
        return {key: plain(below, depth + 1) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below, depth + 1) for below in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    made = getattr(value, "tolist", None)  # of NumPy's scalars and arrays
    return plain(made(), depth + 1) if callable(made) else value


def study_text(data: Mapping[str, Any]) -> str:
    """A study as a file that reads back to the same data."""
    for escaped in (False, True):  # line separators are else written as they are, and read as line breaks
        text = yaml_text(data, "Written from Python.", escaped=escaped)
        with suppress(ConfigError):
            if parse_yaml(text, "").data == data:
                break
    return text


def _json(value: Any, where: str) -> str:
    try:
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        rule = "must be text, a finite number, true, false, null, a list or a dict"
        raise ConfigError(rule, where=where, value=value) from error
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def study_path(study: Any) -> Path:
    """The path of a study file.

    Raises:
        ConfigError: It is nothing that names a file.
    """
    if isinstance(study, str | os.PathLike):
        return Path(study)
    rule, fix = "must be a study file's path, a dict, or what load_study returned", "load it with fgtune.load_study"
    raise ConfigError(rule, where="study", value=type(study).__name__, fix=fix)
