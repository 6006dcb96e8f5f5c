"""The command line of ``fgtune bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import PluginsOption, console


def run_benchmark(
    sets: Annotated[
        str, typer.Option("--sets", metavar="A,B", help="Data sets. Default: all whose packages are installed.")
    ] = "",
    methods: Annotated[str, typer.Option("--methods", metavar="A,B", help="Methods. Default: all.")] = "",
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="FILE[:ARM]", help="The arms of a study file, or one, as methods of the table."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Seeds of every method.")] = 3,
    smoke: Annotated[bool, typer.Option("--smoke", help="Make every study small.")] = False,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="MINUTES", help="Time for this call; the same call goes on.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The benchmark's folder. Default: reports/bench.")
    ] = None,
    plugins: PluginsOption = None,
    list_: Annotated[bool, typer.Option("--list", help="List data sets and methods, and run nothing.")] = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Print results that come with fgtune, as CSV, and run nothing.")
    ] = False,
) -> None:
    """Run the methods on data sets that installable packages carry, and write one table of all."""
    from fgtune.app.bench import DEFAULT_OUT, BenchRequest, bench

    if list_:
        _list()
        return
    if shipped:
        from fgtune.analysis.bench.shipped import shipped_csv

        typer.echo(shipped_csv(), nl=False)
        return
    asked = BenchRequest(
        _names(sets),
        _names(methods),
        tuple(add or ()),
        seeds,
        smoke,
        None if budget is None else 60 * budget,
        out or DEFAULT_OUT,
        tuple(plugins or ()),
    )
    raise typer.Exit(bench(asked, console()))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _list() -> None:
    """Print data sets, with where they come from and whether they are there, and methods."""
    from fgtune.app.benching.methods import METHODS
    from fgtune.data.benchmark import SETS

    for each in SETS.values():
        there = "installed" if each.path() is not None else each.install
        typer.echo(f"{each.name} ({each.kind}; {there})\n  {each.inputs}\n  coarse: {each.coarse}; fine: {each.fine}")
        typer.echo(f"  {each.licence}; {each.citation}")
    typer.echo(f"methods: {', '.join(METHODS)}")
