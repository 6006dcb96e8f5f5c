"""The options of a call that runs a study: printed as a command line, stored in the provenance, and read back."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fgtune.results.signing import is_signed, sign
from fgtune.visible import masked

OPTIONS = "options"
"""Key of the options in ``provenance.json``."""
TRACKING = "tracking"
"""Key of the store that a call tracked the study in, without passwords; ``none`` if in none."""
STORAGE = "storage"
"""Key of the address where a call kept checkpoints; absent where it kept them in the study folder."""
SIGNATURE = "signature"
"""Key of the signature by which a user knows calls of their own."""
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

    def stored_command(self) -> list[str]:
        """The parts of the command line as the provenance has them: passwords in URLs are masked."""
        return [masked(part) for part in shlex.split(self.command())]

    def record(self, storage: str | None = None, tracking: str | None = None) -> dict[str, Any]:
        """The options and their command line as plain data for the provenance; passwords in URLs are masked.

        Args:
            storage: Where the call keeps checkpoints; None for the study folder.
            tracking: Where it tracks the study, without passwords; None if it is not known.
        """
        call = {
            "command": self.stored_command(),
            OPTIONS: _masked(_PARSER.dump_python(self, mode="json")),
            **({} if storage is None else {STORAGE: storage}),
            **({} if tracking is None else {TRACKING: tracking}),
        }
        signature = sign(*_signed_parts(call))
        return {**call, SIGNATURE: signature} if signature else call


_PARSER = TypeAdapter(RunOptions)


def is_own_call(call: Mapping[str, Any]) -> bool:
    """Whether this user made a call of ``provenance.json``; else the folder may come from elsewhere."""
    return is_signed(call.get(SIGNATURE), *_signed_parts(call))


def _signed_parts(call: Mapping[str, Any]) -> tuple[str, str]:
    said = {key: call.get(key) for key in (OPTIONS, STORAGE, TRACKING)}
    return "call", json.dumps(said, sort_keys=True)


@dataclass(frozen=True)
class LastCall:
    """How a study was last run.

    Attributes:
        command: The command line; empty where none is recorded.
        options: The same as a record; None where the study was run by an earlier version, which stored none.
        is_own: Whether this user ran it, and not whoever a folder from elsewhere comes from.
        storage: Where it kept checkpoints; None for the study folder.
    """

    command: tuple[str, ...]
    options: RunOptions | None
    is_own: bool = False
    storage: str | None = None

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
    command = tuple(str(part) for part in call.get("command", ()))
    return LastCall(command, _parsed(call.get(OPTIONS)), is_own_call(call), call.get(STORAGE))


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
