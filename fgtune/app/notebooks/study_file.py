"""A study as ``fgtune.load_study`` gives it: from a file or a dict, with its options, and data given in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.app.notebooks.plain import Overrides, override_texts, plain, study_path, study_text
from fgtune.config.reading.load import (
    SMOKE_LIMIT,
    LoadedStudy,
    load_source,
    load_study,
    read_source,
    with_enough_samples,
)
from fgtune.config.reading.source import Source, parse_plain
from fgtune.config.reading.space_file import inline_spaces
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError
from fgtune.plugins import permitting
from fgtune.results.folder import StudyFolder
from fgtune.results.options import DEFAULT_OUT, RunOptions

if TYPE_CHECKING:
    from fgtune.app.notebooks.given_data import GivenData
    from fgtune.engine.opening import OpenedStudy

_NAME = "study"
"""What a study that is no file is called in messages."""
_DATA = ("trial", "data")


@dataclass(frozen=True)
class _Made:
    """A study that is no file of the user's, but becomes one in its folder.

    Attributes:
        source: Its plain data, but for data given in memory.
        beside: The file that it was made from, or a place in the working directory.
        given: Data given in memory.
    """

    source: Source
    beside: Path
    given: GivenData | None

    def load(self, folder: Path, overrides: tuple[str, ...], smoke: bool, limit: int = SMOKE_LIMIT) -> LoadedStudy:
        """The study as it will stand in ``folder``."""
        source = self.source
        if self.given is not None:
            trial = {**source.data["trial"], "data": self.given.config(folder)}
            origins = source.origins.with_patched({_DATA: "data"})
            source = Source({**source.data, "trial": trial}, origins)
        text = study_text(source.data)
        return load_source(source, text, self.beside, overrides, smoke, limit)


@dataclass(frozen=True)
class StudyFile:
    """A study that has been read and validated, with its options; created by ``load_study``.

    Attributes:
        options: How it was loaded, and how it is to be run.
        loaded: The study as read.
        made: What it was made from, where that is no study file alone.
    """

    options: RunOptions
    loaded: LoadedStudy
    made: _Made | None = None

    @property
    def study(self) -> Study:
        """The study, every default filled in."""
        return self.loaded.study

    @property
    def name(self) -> str:
        """Name of the study and of its folder."""
        return self.study.study

    def within(self, out: Path) -> StudyFile:
        """The study as it is run in a folder below ``out``."""
        folder = out / self.name
        if self.made is None:
            return replace(self, options=replace(self.options, out=out))
        options = replace(self.options, out=out, study=StudyFolder(folder).study_file)
        moved = replace(self, options=options)
        return moved if self.made.given is None else replace(moved, loaded=moved._read(SMOKE_LIMIT))

    def open(self) -> OpenedStudy:
        """Load the data, and check everything that can be checked before the first trial.

        Raises:
            ConfigError: An arm, a metric or the data is wrong.
        """
        from fgtune.engine.opening import open_loaded

        def attempt(limit: int) -> OpenedStudy:
            return open_loaded(self.loaded if limit == SMOKE_LIMIT else self._read(limit))

        with self.reachable():
            return with_enough_samples(self.options.smoke, attempt)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """For the duration of a ``with`` block, packages may be imported, and data given in memory read and kept."""
        with ExitStack() as stack:
            stack.enter_context(permitting(self.options.plugins, beside=self.loaded.path))
            if self.made is not None and self.made.given is not None:
                from fgtune.data.given import waiting

                given = self.made.given
                stack.enter_context(waiting({given.place(self.options.out / self.name): given.file}))
            yield

    def _read(self, limit: int) -> LoadedStudy:
        """The study, read anew with a number of samples that ``smoke`` leaves."""
        options = self.options
        if self.made is None:
            return load_study(options.study, options.overrides, options.smoke, limit)
        return self.made.load(options.out / self.name, options.overrides, options.smoke, limit)

    def __repr__(self) -> str:
        return f"StudyFile({self.name!r}, {self.study.design.kind}, {self.study.seeds_text})"

    def _repr_html_(self) -> str:
        from fgtune.app.notebooks.html import study_html

        return study_html(self.study)


def read_study_file(
    study: Any, overrides: Overrides, smoke: bool, plugins: tuple[str, ...], data: Any = None
) -> StudyFile:
    """Read and validate a study; see ``fgtune.load_study``."""
    given = override_texts(overrides)
    if not isinstance(study, Mapping) and data is None:
        options = RunOptions(study_path(study), given, smoke, plugins=plugins)
        return StudyFile(options, load_study(options.study, options.overrides, smoke))
    made = _made(study, given, data)
    loaded = made.load(DEFAULT_OUT / _NAME, given, smoke)
    options = RunOptions(Path(_NAME), given, smoke, plugins=plugins)
    return StudyFile(options, loaded, made).within(DEFAULT_OUT)


def _made(study: Any, overrides: tuple[str, ...], data: Any) -> _Made:
    if isinstance(study, Mapping):
        beside, source = Path(_NAME), parse_plain(plain(study), _NAME)
    else:
        beside = study_path(study)
        source = read_source(beside)[0]
    if data is None:
        kept = None
    else:
        from fgtune.app.notebooks.given_data import keep_data

        _check_takes_data(source, overrides)
        kept = keep_data(data, _mapping(_mapping(source.data.get("trial")).get("data")))
    spelled, origins = inline_spaces(source.data, source.origins, beside)  # so that its folder needs no other file
    return _Made(Source(spelled, origins), beside, kept)


def _check_takes_data(source: Source, overrides: tuple[str, ...]) -> None:
    """Raise where a study has no place for data given in memory."""
    trial, design = source.data.get("trial"), source.data.get("design")
    if not isinstance(trial, dict):
        raise ConfigError("must be a mapping with the trial's settings", where=source.origins.name, path="trial")
    if trial.get("kind", "") == "function":
        fix = "let your function read its data itself"
        raise ConfigError("cannot be given to a trial of kind function", where="data", fix=fix)
    if isinstance(design, dict) and design.get("datasets"):
        rule, fix = "cannot stand in for the data sets of design.datasets", "save each to a file, and name it there"
        raise ConfigError(rule, where="data", fix=fix)
    for override in overrides:
        if override.partition("=")[0].strip() in {"trial", ".".join(_DATA), "trial.data.kind", "trial.data.path"}:
            fix = "leave the override out, or data"
            raise ConfigError("cannot be given beside an override of the same", where="data", value=override, fix=fix)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
