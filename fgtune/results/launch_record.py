"""How a study was started last: the command line in its provenance, read back, and where its relative paths begin."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder


@dataclass(frozen=True)
class Started:
    """The command that started a study.

    Attributes:
        command: All of it.
        study: The study file, as given.
        overrides: Its ``--set`` options.
        smoke: Whether it has ``--smoke``.
        out: Parent of the study folder, as given.
        tracking_uri: MLflow store; a password in it is masked.
        plugins: Packages that may be imported.
        address: Ray cluster, where one was named.
    """

    command: tuple[str, ...]
    study: Path
    overrides: tuple[str, ...]
    smoke: bool
    out: Path
    tracking_uri: str | None
    plugins: tuple[str, ...]
    address: str | None

    @property
    def line(self) -> str:
        """The command line, to be typed again for all of the study: without the part that ``--only`` chose."""
        parts = list(self.command)
        while "--only" in parts:
            place = parts.index("--only")
            del parts[place : place + 2]
        return shlex.join(parts)

    def directory(self, root: Path) -> Path | None:
        """The folder that the command was typed in, from where it wrote the study folder ``root``.

        None where the command does not tell, because it names an absolute ``--out`` or because the study folder was
        moved since.
        """
        tail = Path(os.path.normpath(self.out / root.name)).parts
        parts = root.resolve().parts
        if self.out.is_absolute() or ".." in tail or parts[-len(tail) :] != tail:
            return None
        return Path(*parts[: -len(tail)])


def read_started(folder: StudyFolder) -> Started:
    """The last command that ran the study of a folder.

    Raises:
        StudyFolderError: The folder holds no study, or its provenance names no command.
    """
    require_study(folder)
    command = last_command(folder.read_provenance())
    begin = next((n + 1 for n, part in enumerate(command) if part in {"run", "fgtune.run"}), 0)
    try:
        known, _ = _parser().parse_known_args(command[begin:])
    except (argparse.ArgumentError, _ParseError) as error:
        where, fix = str(folder.provenance_file), "restore the file, or run the study once more"
        raise StudyFolderError("names no command that runs the study", where=where, value=command, fix=fix) from error
    return Started(
        tuple(command),
        Path(known.study),
        tuple(known.set),
        known.smoke,
        Path(known.out),
        known.tracking_uri,
        tuple(known.plugins),
        known.address,
    )


def require_study(folder: StudyFolder) -> None:
    """Raise unless the folder holds a study."""
    for path in (folder.provenance_file, folder.resolved_file, folder.plan_file):
        if not path.is_file():
            rule, fix = f"is no study folder, it lacks {path.name}", "name the folder of a study that was started"
            raise StudyFolderError(rule, where=str(folder.root), fix=fix)


def last_command(record: Mapping[str, Any]) -> list[str]:
    """The command of the latest run, or of an extension that came after it; empty where none is recorded."""
    runs = [(each.get("started_at", ""), each.get("command", [])) for each in (record, *record.get("continued", []))]
    extensions = [(each["at"], each["command"]) for each in record.get("extended", [])]
    _, command = max(reversed([*runs, *extensions]), key=lambda item: item[0])  # of two at once the later one
    return [str(part) for part in command]


class _ParseError(Exception):
    """A command that cannot be understood."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise _ParseError(message)


def _parser() -> argparse.ArgumentParser:
    """Understands the options of ``fgtune run`` that say which study runs where; others are passed over."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("study")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--plugins", action="append", default=[])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", default="reports")
    parser.add_argument("--tracking-uri")
    parser.add_argument("--address")
    return parser
