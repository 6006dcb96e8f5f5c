"""Search spaces in separate files: found, read with everything they include, and inserted into the study.

The study then contains the whole space, so that its hash covers it and its folder needs no other file; each value keeps
the place where it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from fgtune.config.reading.source import Origins, parse_yaml
from fgtune.config.schema.paths import Path, dotted, fields_at
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError
from fgtune.files import read_text
from fgtune.text import first_of

MAX_CHAIN, MAX_FILES = 20, 200
"""Files that a space may be made of: one inside another, and all together."""


@dataclass
class _Merged:
    """A space under construction: its plain data, and the place of every path in it."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    files: int = 0
    """How many files were read for it."""

    def add(self, data: Mapping[str, Any], origins: Origins, base: Path) -> None:
        """Merge ``data``, which is at ``base`` in its file, over what is there; constraints accumulate."""
        for key, value in data.items():
            if key == "include":
                continue
            if key == "parameters" and isinstance(value, dict) and isinstance(self.data.get(key, {}), dict):
                self.data[key] = {**self.data.get(key, {}), **value}
                self.places.setdefault((key,), origins.where((*base, key)))
                for path in value:
                    self._place((key, path), (key, path), origins, base, fresh=True)
            elif key == "constraints" and isinstance(value, list) and isinstance(self.data.get(key, []), list):
                before = self.data.get(key, [])
                self.data[key] = [*before, *(each for each in value if each not in before)]
                for position, each in enumerate(value):
                    self._place((key, self.data[key].index(each)), (key, position), origins, base)
            else:
                self.data[key] = value
                self._place((key,), (key,), origins, base, fresh=True)

    def _place(self, path: Path, given: Path, origins: Origins, base: Path, *, fresh: bool = False) -> None:
        """Note where ``path`` and everything below it was given."""
        if fresh:
            self.places = {known: place for known, place in self.places.items() if known[: len(path)] != path}
        source = (*base, *given)
        self.places[path] = origins.where(source)
        for known in [*origins.lines, *origins.patched]:
            if known[: len(source)] == source:
                self.places[(*path, *known[len(source) :])] = origins.where(known)


def inline_spaces(raw: dict[str, Any], origins: Origins, study_path: FilePath) -> tuple[dict[str, Any], Origins]:
    """The study with its search spaces spelled out; anything that is not a space is left as it is.

    Args:
        raw: The study's plain data.
        origins: Where its values were given.
        study_path: The study file; spaces are looked for in the working directory, then beside it and above it.

    Raises:
        ConfigError: A file is missing, cannot be read, or includes itself.
    """
    design = raw.get("design")
    if not isinstance(design, dict):
        return raw, origins
    folders = [FilePath(), study_path.parent, study_path.parent.parent]
    if "space" in design and "space" in fields_at(Study, raw, ("design",)):
        space, origins = _inlined(design["space"], origins, ("design", "space"), folders)
        return {**raw, "design": {**design, "space": space}}, origins
    arms = design.get("arms")
    if not isinstance(arms, list):
        return raw, origins
    made = list(arms)
    for position, arm in enumerate(arms):
        if isinstance(arm, dict) and "space" in arm:
            space, origins = _inlined(arm["space"], origins, ("design", "arms", position, "space"), folders)
            made[position] = {**arm, "space": space}
    return {**raw, "design": {**design, "arms": made}}, origins


def _inlined(space: Any, origins: Origins, at: Path, folders: list[FilePath]) -> tuple[Any, Origins]:
    """A space spelled out, and where its values were given; one that names no file stays as it is."""
    place, path = origins.where(at), dotted(at)
    merged = _Merged()
    if isinstance(space, str):
        _read(_found(space, folders, place, path), merged, (), place)
    elif isinstance(space, dict) and space.get("include"):
        for name in _includes(space, place, f"{path}.include"):
            where = origins.where((*at, "include"))
            _read(_found(name, folders, where, f"{path}.include"), merged, (), where)
        merged.add(space, origins, at)
    else:
        return space, origins
    return merged.data, origins.with_patched({(*at, *below): where for below, where in merged.places.items()})


def _read(file: FilePath, merged: _Merged, chain: tuple[FilePath, ...], place: str) -> None:
    """Merge a file's space, its includes first, over ``merged``."""
    if file.resolve() in chain:
        names = " -> ".join(each.name for each in (*chain[chain.index(file.resolve()) :], file))
        raise ConfigError(f"includes itself ({names})", where=place, path="include", fix="drop one of the includes")
    merged.files += 1
    if merged.files > MAX_FILES or len(chain) >= MAX_CHAIN:
        rule = f"may read at most {MAX_FILES} files, one file inside another at most {MAX_CHAIN} deep"
        fix = "include each file once, from one file"
        raise ConfigError(rule, where=place, path="include", value=file.name, fix=fix)
    text = read_text(file, what="search space")
    source = parse_yaml(text, str(file), begin="parameters:")
    where = source.origins.where(("include",))
    for name in _includes(source.data, where, "include"):
        _read(_found(name, [file.parent], where, "include"), merged, (*chain, file.resolve()), where)
    merged.add(source.data, source.origins, ())
    merged.places[()] = f"{file}:{source.origins.lines.get((), 1)}"


def _includes(space: Mapping[str, Any], where: str, path: str) -> list[str]:
    given = space.get("include", [])
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        fix = f"write [{given}]" if isinstance(given, str) else "for example [optimizer.yaml]"
        raise ConfigError("must be a list of files", where=where, path=path, value=given, fix=fix)
    return given


def _found(name: str, folders: list[FilePath], where: str, path: str) -> FilePath:
    """The first file of that name; an absolute one is taken as it is."""
    for folder in folders:
        with suppress(OSError, ValueError):  # a name that is too long, or holds a zero byte
            if (folder / name).is_file():
                return folder / name
    near = set[str]()
    for folder in folders:
        with suppress(OSError, ValueError):
            near |= {each.name for each in (folder / name).parent.glob("*.yaml")}
    fix = "paths start from the working directory or the study file"
    fix = f"there are {first_of(sorted(near), 20)}" if near else fix
    raise ConfigError("no such search space", where=where, path=path, value=name, fix=fix)
