"""From a study file and the command line to a validated study, and from a plugin's config to its validated options.

Values come, weakest first, from the defaults, the file, ``--smoke`` and ``--set``; every error names where its value
was given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from fgtune.config.reading.explain import explain, sorted_by_place
from fgtune.config.reading.merge import locate, patch
from fgtune.config.reading.source import MAX_DEPTH, Origins, Source, parse_value, parse_yaml
from fgtune.config.reading.space_file import inline_spaces
from fgtune.config.schema.base import Config
from fgtune.config.schema.paths import Path, default_of, dotted, fields_at
from fgtune.config.schema.plugin import AnyPlugin
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError, LimitError, MultiConfigError
from fgtune.files import read_text
from fgtune.plugins import resolve
from fgtune.text import first_of, listed

_MOST_SMOKE = 100_000
"""Samples from which ``--smoke`` gives data with many classes no more."""
SMOKE_SEEDS, SMOKE_EPOCHS, SMOKE_LIMIT, SMOKE_TRIALS = 2, 3, 300, 4
"""``--smoke``: at most this many seeds, epochs, samples and search trials, unless the study's own ``smoke`` map says
otherwise."""
SMOKE_TEST = 5
"""Test samples that ``--smoke`` leaves of each fine class that it keeps, where it takes samples away."""
_PER_CLASS = "limit_test_per_class"
SMOKE_SUFFIX = "-smoke"
SPACE = "design.space"
"""Path of a search's space, which a study file or ``--set`` may give as the name of a file."""

_T = TypeVar("_T")
_ConfigT = TypeVar("_ConfigT", bound=Config)


@dataclass(frozen=True)
class LoadedStudy:
    """A study, and what it was made from.

    Attributes:
        study: Validated, every default filled in.
        raw: The file's plain data after ``--smoke`` and ``--set``, defaults not filled in.
        source_text: The file as given.
        path: The file.
        origins: Where each value was given.
    """

    study: Study
    raw: Mapping[str, Any]
    source_text: str
    path: FilePath
    origins: Origins

    def error(self, path: Path, rule: str, fix: str = "", **value: object) -> ConfigError:
        """An error about a path of the study file.

        Args:
            path: From the root of the file.
            rule: What must hold.
            fix: A likely remedy.
            value: As ``value=...``, the value there.
        """
        return ConfigError(rule, where=self.origins.where(path), path=dotted(path), fix=fix, **value)

    def located(self, error: ConfigError, path: Path) -> ConfigError:
        """The error with its place in the study file, at a path from the root of the file."""
        return error.located(self.origins.where(path), dotted(path))


def smoke_limits(smoke: bool) -> Iterator[int]:
    """How many samples ``--smoke`` may leave of each data set, from the usual number on; without it, that alone."""
    limit = SMOKE_LIMIT
    yield limit
    while smoke and limit < _MOST_SMOKE:
        limit *= 4
        yield limit


def with_enough_samples(smoke: bool, attempt: Callable[[int], _T]) -> _T:
    """What ``attempt`` makes of the first of ``smoke_limits`` that leaves every class of the data a sample.

    Args:
        smoke: Whether the study is shrunk.
        attempt: Uses a study with this limit, and raises ``LimitError`` where it leaves its data too few samples.
    """
    *limits, last = smoke_limits(smoke)
    for limit in limits:
        with suppress(LimitError):  # there are more classes than a smoke run usually has samples
            return attempt(limit)
    return attempt(last)


def load_study(
    path: str | FilePath, overrides: Sequence[str] = (), smoke: bool = False, smoke_limit: int = SMOKE_LIMIT
) -> LoadedStudy:
    """Read, patch and validate a study file.

    Args:
        path: The study file.
        overrides: Of the form ``dotted.path=value``, from the root of the file, the value in YAML; later ones win.
        smoke: Make the study small enough for about a minute on two cores, under the name ``NAME-smoke``.
        smoke_limit: Samples that ``smoke`` leaves of each data set.

    Raises:
        ConfigError: When anything is wrong; ``MultiConfigError`` when several things are, with one line each.
    """
    path = FilePath(path)
    source, text = read_source(path)
    return load_source(source, text, path, overrides, smoke, smoke_limit)


def read_source(path: FilePath) -> tuple[Source, str]:
    """A study file parsed, and its text.

    Raises:
        ConfigError: There is no such file, or it is not YAML that a config can hold.
    """
    text = _read(path)
    return parse_yaml(text, str(path)), text


def load_source(
    source: Source,
    text: str,
    path: FilePath,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    smoke_limit: int = SMOKE_LIMIT,
) -> LoadedStudy:
    """Patch and validate a study file that has been parsed; see ``load_study``.

    Args:
        source: The parsed file.
        text: The file as given.
        path: The file; spaces that it names are looked for near it.
        overrides: As for ``load_study``.
        smoke: As for ``load_study``.
        smoke_limit: As for ``load_study``.

    Raises:
        ConfigError: As for ``load_study``.
    """
    raw, origins = source.data, source.origins
    if not any(override_path(override) == SPACE for override in overrides):
        raw, origins = inline_spaces(raw, origins, path)  # first, so that overrides may reach into the space
    if smoke:
        raw, origins = _apply_smoke(raw, origins, smoke_limit)
    raw, origins = inline_spaces(*_apply_overrides(raw, origins, overrides), path)
    if smoke and isinstance(raw.get("study"), str):
        raw = {**raw, "study": raw["study"] + SMOKE_SUFFIX}
    return LoadedStudy(validated(Study, raw, origins), raw, text, path, origins)


def override_path(override: str) -> str:
    """The dotted path that a ``path=value`` override sets."""
    return override.partition("=")[0].strip()


def reloaded(raw: Mapping[str, Any], source_text: str, path: FilePath) -> LoadedStudy:
    """A study from the plain data that ``load_study`` made from its file, possibly changed.

    Args:
        raw: With spaces, ``--smoke`` and ``--set`` applied; defaults not filled in.
        source_text: The file as it was given.
        path: Where the study comes from, for messages.

    Raises:
        ConfigError: The data are no valid study.
    """
    origins = Origins(str(path))
    return LoadedStudy(validated(Study, dict(raw), origins), raw, source_text, path, origins)


def validated(
    model: type[_ConfigT],
    data: Any,
    origins: Origins,
    base: Path = (),
) -> _ConfigT:
    """Validate plain data; errors say where each wrong value was given.

    Args:
        model: The config class.
        data: Plain data.
        origins: Where each value was given.
        base: Path of ``data`` within the study file.

    Raises:
        ConfigError: When anything is wrong; ``MultiConfigError`` when several things are.
    """
    try:
        return model.from_plain(data)
    except ValidationError as error:
        MultiConfigError.raise_all(sorted_by_place(explain(error, data, model, origins, base)))
        raise


class NoOptions(Config):
    """The options of a plugin that has none."""


def load_plugin(
    config: AnyPlugin, path: str, base: type[Any] | None = None, takes: Sequence[str] = ("options",)
) -> tuple[Any, Config]:
    """Import the part that ``config`` names and validate its options with the part's own class.

    Args:
        config: Kind and options.
        path: Dotted path of the config, for messages: ``trial.model.backbone``.
        base: The part must be a class that derives from this one; None takes a function too.
        takes: What the part is called with, in words.

    Returns:
        The object (a class or function), and an instance of its ``Options``, or of ``NoOptions`` where it has none.

    Raises:
        ConfigError: The package may not be imported, does not hold the part, or the options are wrong.
    """
    target = resolve(config.kind, f"{path}.kind")
    if not callable(target):
        raise ConfigError("must name a class or a function", path=f"{path}.kind", value=config.kind)
    if base is not None and not (isinstance(target, type) and issubclass(target, base)):
        rule, fix = f"must name a subclass of {base.__name__}", f"derive it from {base.__module__}.{base.__name__}"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    options = getattr(target, "Options", NoOptions)
    if not (isinstance(options, type) and issubclass(options, Config)):
        rule, fix = "its Options must be a subclass of fgtune.config.schema.base.Config", "derive it from Config"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    _check_call(target, takes, config.kind, path)
    try:
        return target, options.from_plain(config.options)
    except ValidationError as error:
        section = (*path.split("."), "options")
        # Origins without a name give no place; the caller who knows the study file adds it.
        MultiConfigError.raise_all(explain(error, config.options, options, Origins(""), section))
        raise


def _check_call(target: Any, takes: Sequence[str], kind: str, path: str) -> None:
    """Raise unless a part can be called with so many arguments, which only a trial would find otherwise."""
    import inspect

    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # not written in Python
        return
    try:
        signature.bind(*takes)
    except TypeError as error:
        rule = f"must take {listed(takes)}, it takes {signature} ({error})"
        fix = f"write it as {kind.rpartition(':')[2]}({', '.join(each.replace(' ', '_') for each in takes)})"
        raise ConfigError(rule, path=f"{path}.kind", value=kind, fix=fix) from error


def _read(path: FilePath) -> str:
    """The file's text."""
    if not os.path.lexists(path):
        near = sorted(each.name for each in path.parent.glob("*.yaml")) if os.path.lexists(path.parent) else []
        fix = f"the folder {path.parent} holds: {first_of(near, 20)}" if near else "check the path"
        raise ConfigError("no such study file", where=str(path), fix=fix)
    return read_text(path, what="study file")


def _smoke_changes(raw: Mapping[str, Any], smoke_limit: int) -> dict[str, Any]:
    """The built-in changes of ``--smoke``; a value of a wrong type is left for validation to refuse."""
    seeds = raw.get("seeds", default_of(Study, "seeds"))
    changes: dict[str, Any] = {"seeds": seeds[:SMOKE_SEEDS]} if isinstance(seeds, list) else {}
    changes |= {"seeds": SMOKE_SEEDS} if isinstance(seeds, dict) else {}  # fixed ones: nothing is decided with two
    wanted = [("seeds", SMOKE_SEEDS, seeds)]
    trial = raw.get("trial")
    if isinstance(trial, dict):
        wanted.append(("trial.epochs", SMOKE_EPOCHS, trial.get("epochs", default_of(TrialConfig, "epochs"))))
        model = trial.get("model")
        if isinstance(model, dict) and isinstance(model.get("pretrain"), dict):
            wanted.append(("trial.model.pretrain.epochs", SMOKE_EPOCHS, model["pretrain"].get("epochs", sys.maxsize)))
        if isinstance(trial.get("data"), dict):
            wanted.append(("trial.data.limit", smoke_limit, trial["data"].get("limit", sys.maxsize)))
    design = raw.get("design")
    if isinstance(design, dict):
        if "trials" in fields_at(Study, raw, ("design",)):
            wanted.append(("design.trials", SMOKE_TRIALS, design.get("trials") or sys.maxsize))
        if isinstance(design.get("search"), dict):
            wanted.append(("design.search.trials", SMOKE_TRIALS, design["search"].get("trials") or sys.maxsize))
            wanted.append(("design.search.seeds", SMOKE_SEEDS, design["search"].get("seeds")))
        datasets = design.get("datasets")
        for name, data in datasets.items() if isinstance(datasets, dict) else ():
            if isinstance(data, dict):
                limit = data.get("limit") or sys.maxsize
                wanted.append((f"design.datasets.{name}.limit", smoke_limit, limit))
    changes |= {path: most for path, most, given in wanted if isinstance(given, int) and given > most}
    fewer = {path.removesuffix("limit") + _PER_CLASS: SMOKE_TEST for path in changes if path.endswith(".limit")}
    return changes | fewer


def _apply_smoke(raw: dict[str, Any], origins: Origins, limit: int) -> tuple[dict[str, Any], Origins]:
    """Shrink the study by the built-in changes, then by its own ``smoke`` map."""
    changes = _smoke_changes(raw, limit)
    raw = patch(raw, changes, Study)
    origins = origins.with_patched({locate(path): "--smoke" for path in changes})
    own = raw.get("smoke")
    if isinstance(own, dict):
        raw = patch(raw, own, Study)
        origins = origins.with_patched({locate(path): origins.where(("smoke", path)) for path in own})
    return raw, origins


def _apply_overrides(raw: dict[str, Any], origins: Origins, overrides: Sequence[str]) -> tuple[dict[str, Any], Origins]:
    """Apply ``--set path=value`` options in their order."""
    for override in overrides:
        where = f"--set {override}"
        path, equals, value = override.partition("=")
        path, fix = path.strip(), "for example --set trial.epochs=3"
        if not equals or not all(path.split(".")):
            raise ConfigError("must have the form path=value", where=where, fix=fix)
        if path.count(".") >= MAX_DEPTH:
            raise ConfigError(f"a path has at most {MAX_DEPTH} parts", where=where, fix=fix)
        raw = patch(raw, {path: parse_value(value, where)}, Study)
        origins = origins.with_patched({locate(path): where})
    return raw, origins
