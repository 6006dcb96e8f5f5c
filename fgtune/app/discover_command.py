"""The command line of ``fgtune discover``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import WaitOption
from fgtune.text import say


def discover_data(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A .csv, .tsv, .parquet, .npz or .h5ad, or a folder of images.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to. Default: reports/discover-NAME.")
    ] = None,
    coarse: Annotated[
        str | None, typer.Option("--coarse", metavar="COLUMN", help="The coarse labels. Default: found by itself.")
    ] = None,
    fine: Annotated[
        str | None,
        typer.Option("--fine", metavar="COLUMN", help="Fine labels, for nothing but a comparison at the end."),
    ] = None,
    num_fine: Annotated[
        int | None, typer.Option("--num-fine", metavar="N", help="Number of fine classes. Default: estimated.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="COLUMN", help="Texts of a table, which are then what is divided.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", help="Time for this call.")] = 10.0,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", metavar="COLUMN", help="A column that is not to be used.")
    ] = None,
    wait: WaitOption = False,
) -> None:
    """Find fine classes in data that have coarse labels alone, and say how sure that is."""
    from fgtune.app.discover import run_discovery
    from fgtune.app.discovery.source import Asked

    asked = Asked(data, coarse, fine, tuple(leave_out or ()), text)
    end = run_discovery(asked, out, num_fine, minutes, wait=wait)
    if end.code not in (0, 3):
        say(f"to go on: {end.command}")
    raise typer.Exit(end.code)
