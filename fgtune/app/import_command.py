"""``fgtune import`` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import WaitOption
from fgtune.errors import ConfigError
from fgtune.text import count, say


def import_table(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Finished runs, as .csv or .parquet.")],
    primary: Annotated[str, typer.Option("--primary", metavar="METRIC", help="The metric of the verdicts.")],
    direction: Annotated[str, typer.Option("--direction", metavar="maximize|minimize", help="Which way it is better.")],
    baseline: Annotated[str, typer.Option("--baseline", metavar="ARM", help="What other arms are compared with.")],
    range_: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="LOW HIGH", help="Its smallest and largest value; inf for none."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", metavar="M", help="Smaller differences do not matter. Default on 0 1: 0.02."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME:DIRECTION", help="Which way another metric is better."),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Leave a column out.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="A rule of judging, metrics.alpha=0.01 say, or question=..."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The study folder. Default: reports/NAME, of the table.")
    ] = None,
    wait: WaitOption = False,
) -> None:
    """Make a study folder of runs that were made elsewhere, with verdicts and report.

    Columns: arm, seed; if there, epoch, state (COMPLETE, FAIL or PRUNED), cause, seconds; all others are metrics.
    """
    from fgtune.app.import_results import import_results

    results = import_results(
        table,
        primary=primary,
        direction=direction,
        baseline=baseline,
        range=range_,
        margin=margin,
        metrics=dict(_direction(each) for each in metric or ()),
        ignore=ignore or (),
        overrides=set_ or (),
        out=out,
        wait=wait,
    )
    counts = results.summary.counts
    ended = counts.planned - counts.missing
    lacking = f", {counts.missing} of {counts.planned} pairs of arm and seed are not in the table"
    say(f"imported {count(ended, 'run')} of {count(len(results.summary.arms), 'arm')}{lacking * (counts.missing > 0)}")
    say(results.answer)
    say(f"verdicts: {results.folder.verdicts_file}")
    say(f"report: {results.folder.report_file}")


def _direction(text: str) -> tuple[str, str]:
    name, colon, direction = text.rpartition(":")
    if not colon or not name:
        raise ConfigError("must have the form NAME:DIRECTION", where="--metric", value=text, fix="loss:minimize, say")
    return name, direction
