"""The user's function, found and checked as far as it can be without a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgtune.errors import ConfigError
from fgtune.plugins import resolve

CALL = "trial.call"
FOLDER = "checkpoint_dir"
"""Name of the argument by which a function asks for a folder for its checkpoints."""


@dataclass(frozen=True)
class UserFunction:
    """A function that can be called.

    Attributes:
        call: Where it lives, as the study file says.
        function: The function.
        wants_folder: Whether it takes ``checkpoint_dir``.
    """

    call: str
    function: Callable[..., Any]
    wants_folder: bool

    def __call__(self, config: dict[str, Any], seed: int, report: Callable[..., None], folder: Path | None) -> Any:
        """Run it to its end."""
        return self.function(config, seed, report, **({FOLDER: folder} if self.wants_folder else {}))


def find_function(call: str) -> UserFunction:
    """The function at ``package.module:name``.

    Raises:
        ConfigError: Its package may not be imported or does not hold it, or it cannot be called as it would be.
    """
    found = resolve(call, CALL)
    if not callable(found):
        raise ConfigError("must name a function", path=CALL, value=call, fix="write run(config, seed, report)")
    if any(check(found) for check in (inspect.isgeneratorfunction, inspect.iscoroutinefunction)):
        rule = "must be a plain function: one that yields, or is async, does nothing when it is called"
        raise ConfigError(rule, path=CALL, value=call, fix="call report(...) in place of yield")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # not written in Python
        return UserFunction(call, found, False)
    wants_folder = FOLDER in signature.parameters
    try:
        signature.bind({}, 0, None, **({FOLDER: None} if wants_folder else {}))
    except TypeError as error:
        name = call.rpartition(":")[2]
        rule = f"must take config, seed and report, it takes {signature} ({error})"
        fix = f"write {name}(config, seed, report), or {name}(config, seed, report, {FOLDER})"
        raise ConfigError(rule, path=CALL, value=call, fix=fix) from error
    return UserFunction(call, found, wants_folder)
