"""The options of a call that runs a study: printed as a command line, stored in the provenance, and read back."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fgtune.visible import masked

OPTIONS = "options"
"""Key of the options in ``provenance.json``."""
DEFAULT_OUT = Path("reports")


@dataclass(frozen=True)
class RunOptions:
    """What a call is asked to do, from the command line or from Python.

    Attributes:
        study: The study file.
        overrides: Of the form ``dotted.path=value``, as after ``--set``.
        smoke: Make the study small.
        out: Parent of the study folder.
        tracking_uri: MLflow store; None uses the environment's, ``none`` turns tracking off.
        retry_failed: Run failed cells again.
        plugins: Packages that may be imported because the study names parts in them, besides ``FGTUNE_PLUGINS``.
        only: Conditions that cells must meet to be run, of the form ``KEY=PATTERN``.
        address: Ray cluster; None uses the environment's, or else opens a session on this machine.
    """

    study: Path
    overrides: tuple[str, ...] = ()
    smoke: bool = False
    out: Path = DEFAULT_OUT
    tracking_uri: str | None = None
    retry_failed: bool = False
    plugins: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    address: str | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")  # an option of a later version must not be left out in silence

    def command(self) -> str:
        """The command line that continues this run."""
        parts = ["python", "-m", "fgtune.run", str(self.study)]
        parts += [part for override in self.overrides for part in ("--set", override)]
        parts += ["--smoke"] * self.smoke
        parts += [part for package in self.plugins for part in ("--plugins", package)]
        parts += ["--out", str(self.out)] * (self.out != DEFAULT_OUT)
        parts += [part for condition in self.only for part in ("--only", condition)]
        parts += ["--address", self.address] if self.address else []
        parts += ["--tracking-uri", self.tracking_uri] if self.tracking_uri else []
        return shlex.join(parts)

    def directory(self, root: Path) -> Path | None:
        """The working directory of the call that wrote the study folder ``root``.

        None where the options do not say, because ``out`` is absolute or the study folder was moved since.
        """
        tail = Path(os.path.normpath(self.out / root.name)).parts
        parts = root.resolve().parts
        if self.out.is_absolute() or ".." in tail or parts[-len(tail) :] != tail:
            return None
        return Path(*parts[: -len(tail)])

    def record(self) -> dict[str, Any]:
        """The options and their command line as plain data for the provenance; passwords in URLs are masked."""
        return {
            "command": _masked(shlex.split(self.command())),
            OPTIONS: _masked(_PARSER.dump_python(self, mode="json")),
        }


_PARSER = TypeAdapter(RunOptions)


@dataclass(frozen=True)
class LastCall:
    """How a study was last run.

    Attributes:
        command: The command line; empty where none is recorded.
        options: The same as a record; None where the study was run by an earlier version, which stored none.
    """

    command: tuple[str, ...]
    options: RunOptions | None

    @property
    def line(self) -> str:
        """The command line that runs the whole study again, without ``--only``."""
        parts = list(self.command)
        while "--only" in parts:
            place = parts.index("--only")
            del parts[place : place + 2]
        return shlex.join(parts)


def last_call(provenance: Mapping[str, Any]) -> LastCall:
    """The latest run of a study, or an extension that came after it, from ``provenance.json``."""
    calls = [(each.get("started_at", ""), each) for each in (provenance, *provenance.get("continued", []))]
    calls += [(each["at"], each) for each in provenance.get("extended", [])]
    _, call = max(reversed(calls), key=lambda item: item[0])  # the later of two at the same time
    return LastCall(tuple(str(part) for part in call.get("command", ())), _parsed(call.get(OPTIONS)))


def _parsed(stored: object) -> RunOptions | None:
    try:
        return _PARSER.validate_python(stored)
    except ValidationError:
        return None


def _masked(value: Any) -> Any:
    """Plain data without the passwords in URLs."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, Sequence) else value
