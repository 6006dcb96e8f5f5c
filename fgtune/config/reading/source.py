"""From the text of study files to plain data with the line of every value, without YAML's surprises.

YAML is read as ruamel.yaml's pure safe loader does (YAML 1.2), plain files by libyaml in place of its parser: ``1e-3``
is a number, ``off`` is text, ``010`` is ten. What YAML allows and a config cannot mean (a repeated key, dates, NaN,
sets, recursive anchors) is an error with its line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.parser import Parser

from fgtune.config.reading.plain_yaml import plain_nodes
from fgtune.config.schema.base import MAX_INTEGER
from fgtune.config.schema.paths import Path, dotted
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.text import first_line

MAX_NODES = 100_000
"""Keys and values in a file; the values also with every alias expanded. Reading that many takes seconds."""
MAX_DEPTH = 50
"""How deep lists and mappings may nest; reading is recursive, and no study needs a third of it."""
_MAX_DIGITS = 70
_MAX_FLOAT = 3.4028235e38
_MERGE_TAG = "tag:yaml.org,2002:merge"
_INT_TAG, _TIME_TAG = "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"
_PLAIN_FIX = "write it as text in quotes, or as a number"


@dataclass(frozen=True)
class Origins:
    """Where each value of a study was given: a line of the file, or an option of the command line.

    Attributes:
        name: The file name as the user gave it.
        lines: 1-based line of each key and list item.
        patched: Where values came from that are not from the file's own line.
    """

    name: str
    lines: Mapping[Path, int] = field(default_factory=dict)
    patched: Mapping[Path, str] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Where the value at ``path`` was given; for a missing one, where its nearest parent was."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.patched:
                return self.patched[path[:end]]
        if path not in self.lines:  # a section that exists only because something in it was patched
            inside = [given for patched, given in self.patched.items() if patched[: len(path)] == path]
            if inside:
                return inside[-1]
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.name}:{self.lines[path[:end]]}"
        return self.name

    def with_patched(self, patched: Mapping[Path, str]) -> Origins:
        """These origins with further patched values; later ones win."""
        return Origins(self.name, self.lines, {**self.patched, **patched})

    def moved(self, moves: Sequence[tuple[Path, Path]]) -> Origins:
        """The origins of a study that is made of parts of this one.

        Args:
            moves: Path of a value (with everything below it) here, and its path there; what is given
                later wins.
        """

        def there(known: Mapping[Path, Any]) -> Iterator[tuple[Path, Any]]:
            for old, new in moves:
                for path, place in known.items():
                    if path[: len(old)] == old:
                        yield (*new, *path[len(old) :]), place

        return Origins(self.name, dict(there(self.lines)), dict(there(self.patched)))


@dataclass(frozen=True)
class Source:
    """A parsed file: its root mapping as plain data, and where everything was given."""

    data: dict[str, Any]
    origins: Origins


def parse_yaml(text: str, name: str, begin: str = "study: NAME") -> Source:
    """Parse the text of a config file whose root is a mapping.

    Args:
        text: YAML 1.2.
        name: The file's name, for messages.
        begin: An example of a first line, for the message about a file without a mapping.

    Returns:
        Plain data (str keys; str, int, finite float, bool, None, list, dict), and the line of each value.

    Raises:
        ConfigError: For text that is not YAML, a root that is not a mapping, a repeated key, or a value that no config
            can hold; all such values are reported at once.
    """
    walker = _Walker(lambda line: f"{name}:{line}")
    data = _load(text, walker)
    if not isinstance(data, dict):
        raise ConfigError("must hold a mapping of keys to values", where=name, fix=f"begin with `{begin}`")
    origins = Origins(name, walker.lines)
    MultiConfigError.raise_all(list(_implausible(data, (), origins)))
    return Source(data, origins)


def parse_plain(data: Mapping[str, Any], name: str) -> Source:
    """A config that is given as plain data instead of text.

    Args:
        data: Str keys; str, int, float, bool, None, list, dict.
        name: What to call it in messages, which have no lines.

    Raises:
        ConfigError: It nests too deep, or holds a value that no config can hold; all such values are reported at once.
    """
    _check_size(data, name)
    origins = Origins(name)
    MultiConfigError.raise_all(list(_implausible(data, (), origins)))
    return Source(dict(data), origins)


def _check_size(data: Any, name: str) -> None:
    """Raise where plain data nest too deep, as those that contain themselves do, or are too many."""
    level, nodes = [data], 0
    for depth in range(MAX_DEPTH + 2):
        nodes += len(level)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise _too_large(depth > MAX_DEPTH, name)
        level = [
            below
            for each in level
            if isinstance(each, Mapping | list)
            for below in (each.values() if isinstance(each, Mapping) else each)
        ]
        if not level:
            return


def parse_value(text: str, where: str) -> Any:
    """Parse the value of a command-line override as YAML; empty text is null.

    Raises:
        ConfigError: For text that is not YAML, or a value that no config can hold; placed at ``where``.
    """
    value = _load(text, _Walker(lambda _: where))
    MultiConfigError.raise_all(list(_implausible(value, (), Origins(where))))
    return value


def _load(text: str, walker: _Walker) -> Any:
    """Check the node tree of ``text``, then construct its values."""
    try:
        yaml = YAML(typ="safe", pure=True)
        root = plain_nodes(text, yaml.resolver, MAX_NODES, MAX_DEPTH)
        if root is None:
            yaml.Parser = _bounded(walker.place)
            root = yaml.compose(text)
        if root is None:
            return None
        walker.visit(root, (), ())
        MultiConfigError.raise_all(walker.wrong)
        return yaml.constructor.construct_document(root)
    except YAMLError as error:
        raise _syntax_error(error, walker.place) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # of a tag: !!int x
        rule = f"holds a value that does not fit its YAML tag ({type(error).__name__}: {error})"
        raise ConfigError(rule, where=walker.place(1), fix="leave out tags such as !!int or !!timestamp") from error


def _bounded(place: Callable[[int], str]) -> type[Parser]:
    """A parser that ends at the limits of nesting and number, while nothing has been built yet."""

    class BoundedParser(Parser):
        depth = nodes = 0

        def get_event(self) -> Event:
            event: Event = super().get_event()
            if isinstance(event, MappingStartEvent | SequenceStartEvent):
                self.depth += 1
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self.depth -= 1
            self.nodes += isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent)
            if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
                raise _too_large(self.depth > MAX_DEPTH, place(event.start_mark.line + 1))
            return event

    return BoundedParser


def _too_large(deep: bool, where: str) -> ConfigError:
    """The error for a file that nests too deep, or holds too much."""
    if deep:
        fix = "close the brackets; a study nests about ten levels deep"
        return ConfigError(f"lists and mappings must nest at most {MAX_DEPTH} levels deep", where=where, fix=fix)
    rule = f"must hold at most {MAX_NODES:,} keys and values, aliases expanded"
    return ConfigError(rule, where=where, fix="keep data in files of their own; a study names them")


def _syntax_error(error: YAMLError, place: Callable[[int], str]) -> ConfigError:
    """A parser error with its line."""
    if not isinstance(error, MarkedYAMLError):
        fix = "save the file as UTF-8 text without control characters"
        return ConfigError(f"is not YAML: {first_line(error)}", where=place(1), fix=fix)
    mark = error.problem_mark or error.context_mark
    context = f" {error.context}" if error.context else ""
    return ConfigError(
        f"is not valid YAML: {error.problem}{context}",
        where=place(mark.line + 1 if mark is not None else 1),
        fix="look at this line and the one above: indentation by spaces, ': ' after keys, brackets and quotes closed",
    )


class _Walker:
    """Collects the line of every path of a node tree, keys given twice, and scalars that are not to be constructed."""

    def __init__(self, place: Callable[[int], str]) -> None:
        self.place = place
        self.lines: dict[Path, int] = {}
        self.wrong: list[ConfigError] = []
        self._visits = 0

    def visit(self, node: Node, path: Path, parents: tuple[Node, ...]) -> None:
        """Walk ``node``, which is at ``path`` below ``parents``."""
        line = node.start_mark.line + 1
        if any(node is parent for parent in parents):
            raise ConfigError("an anchor must not contain itself", where=self.place(line), path=dotted(path))
        self._visits += 1
        if self._visits > MAX_NODES or len(parents) > MAX_DEPTH:
            raise _too_large(len(parents) > MAX_DEPTH, self.place(line))
        self.lines.setdefault(path, line)
        if isinstance(node, MappingNode):
            self._visit_mapping(node, path, (*parents, node))
        elif isinstance(node, SequenceNode):
            for position, item in enumerate(node.value):
                self.visit(item, (*path, position), (*parents, node))
        elif isinstance(node, ScalarNode):
            self.wrong += _unreadable(node, path, self.place(line))

    def _visit_mapping(self, node: MappingNode, path: Path, parents: tuple[Node, ...]) -> None:
        seen: dict[str, int] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                merged += value.value if isinstance(value, SequenceNode) else [value]
                continue
            line = key.start_mark.line + 1
            below = (*path, str(key.value))
            if str(key.value) in seen:
                self.wrong.append(
                    ConfigError(
                        f"key given twice, on lines {seen[str(key.value)]} and {line}",
                        where=self.place(line),
                        path=dotted(below),
                        fix="keep one of the two lines",
                    )
                )
            seen[str(key.value)] = line
            self.lines[below] = line
            self.visit(value, below, parents)
        for node_below in merged:  # keys of the mapping itself win, so the merged ones come last and only fill gaps
            if isinstance(node_below, MappingNode):
                known = dict(self.lines)
                self.visit(node_below, path, parents)
                self.lines |= known


def _unreadable(node: ScalarNode, path: Path, where: str) -> Iterator[ConfigError]:
    """Errors for scalars that Python cannot turn into values, or only after minutes: dates, endless numbers."""
    if node.tag == _TIME_TAG:
        rule = "must be text, a number, true, false, null, a list or a mapping, not a date"
        yield ConfigError(rule, where=where, path=dotted(path), value=node.value, fix=_PLAIN_FIX)
    elif node.tag == _INT_TAG and len(node.value) > _MAX_DIGITS:
        yield _too_long(f"{node.value[:10]}... ({len(node.value):,} digits)", path, where)


def _too_long(value: Any, path: Path, where: str) -> ConfigError:
    """The error for an integer beyond 64 bits."""
    return ConfigError(f"an integer must be at most {MAX_INTEGER} in size", where=where, path=dotted(path), value=value)


def _implausible(value: Any, path: Path, origins: Origins) -> Iterator[ConfigError]:
    """Errors for every value that plain JSON data cannot hold."""
    where = origins.where(path)
    if isinstance(value, dict):
        for key, below in value.items():
            if isinstance(key, str):
                yield from _implausible(below, (*path, key), origins)
            else:
                at = (*path, str(key))
                yield ConfigError(
                    "a key must be text", where=origins.where(at), path=dotted(at), value=key, fix="put it in quotes"
                )
    elif isinstance(value, list):
        for position, below in enumerate(value):
            yield from _implausible(below, (*path, position), origins)
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        yield _too_long(value, path, where)
    elif isinstance(value, float) and not math.isfinite(value):
        yield ConfigError("must be a finite number", where=where, path=dotted(path), value=value)
    elif isinstance(value, float) and abs(value) > _MAX_FLOAT:
        rule = "must be a number that float32 holds, at most 3.4e38 in size"
        yield ConfigError(rule, where=where, path=dotted(path), value=value)
    elif value is not None and not isinstance(value, str | int | float | bool):
        rule = "must be text, a number, true, false, null, a list or a mapping"
        yield ConfigError(rule, where=where, path=dotted(path), value=value, fix=_PLAIN_FIX)
