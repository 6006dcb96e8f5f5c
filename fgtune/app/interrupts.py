"""The message of an interrupted verb, and how an interrupted process ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import typer
from typer.core import TyperGroup

from fgtune.app.exit_codes import INTERRUPTED
from fgtune.signals import answering_signals, leave_within

LEAVE_S = 3.0
"""How long an interrupted process may take to end once everything is written: a store that hangs is not waited for."""
_until_the_end = ExitStack()


class Verbs(TyperGroup):
    """The verbs, each of which may be interrupted; those that keep something say so by themselves."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted: no file is half-written, and the same command goes on or starts again", err=True)
            raise typer.Exit(INTERRUPTED) from None


def end_with(main: Callable[[], int]) -> None:
    """Run the command line and end the process with its code; an interrupted one waits for no library's thread."""
    _until_the_end.enter_context(answering_signals())  # what comes while the interpreter ends changes no exit code
    code = main()
    if code == INTERRUPTED:
        leave_within(LEAVE_S, code)
    sys.exit(code)
