"""The command line of ``fgtune data``, which looks at data, or makes files of them, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import PluginsOption, SetOption, SmokeOption, StudyArgument
from fgtune.text import say


def check_data(
    study: StudyArgument, set_: SetOption = None, smoke: SmokeOption = False, plugins: PluginsOption = None
) -> None:
    """Show what the data of a study look like: classes, sizes, sources, nesting, neighbours, and what is suspicious."""
    from fgtune.app.data_check import check
    from fgtune.plugins import permitting

    with permitting(plugins or ()):
        say(check(study, set_ or (), smoke))


def convert_data(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .mat, a pickle of arrays, an .npz or an .npy.")],
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=KEY]...", help="inputs=KEY ...; KEY.T is turned, KEY+KEY joined."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The .npz to write.")] = None,
    parts: Annotated[
        str, typer.Option("--parts", metavar="LIST", help="What the parts of KEY+KEY are, such as train,test.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Make the .npz of a study from arrays as they are published; without NAME=KEY, list them. Nothing is unpickled."""
    from fgtune.app.data_convert import convert, describe

    if not which:
        say(describe(file))
    else:
        named = [part for part in parts.split(",") if part]
        convert(file, out or file.with_suffix(".npz"), which, named, force, say)
