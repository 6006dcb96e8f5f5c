"""The command line of ``fgtune compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import console
from fgtune.text import say


def compare_folders(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR DIR...", help="Study folders; the first is compared to.")
    ],
    arm: Annotated[
        str | None, typer.Option("--arm", metavar="NAME", help="The arm of every study; default: the best of each.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the table too, as .csv or .parquet.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page: what differs, the same arms, effects side by side."),
    ] = None,
) -> None:
    """Put studies side by side, and compare an arm of each where that is fair."""
    from fgtune.app.compare import compare, print_comparison

    print_comparison(compare(folders, arm, out, html), console())
    for file in (out, html):
        if file is not None:
            say(f"wrote {file}")
