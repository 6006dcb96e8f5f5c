"""Verbs of the command line about study files, none of which starts anything: validate, plan, schema, settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fgtune.app.command_options import (
    OutOption,
    PluginsOption,
    SetOption,
    SmokeOption,
    StudyArgument,
    console,
    print_warnings,
)
from fgtune.errors import ConfigError
from fgtune.results.options import DEFAULT_OUT
from fgtune.text import say


def validate(
    study: StudyArgument, set_: SetOption = None, smoke: SmokeOption = False, plugins: PluginsOption = None
) -> None:
    """Check a study file, every arm of its design, and its data."""
    from fgtune.app.api import load_study
    from fgtune.engine.designs import size_text

    made = load_study(study, set_ or (), smoke, plugins or ()).open().plan
    print_warnings(made)
    say(f"{study}: valid, {size_text(made)}, study hash {made.study_hash}")


def show_plan(
    study: StudyArgument,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    out: OutOption = DEFAULT_OUT,
    cells: Annotated[bool, typer.Option("--cells", help="One row per cell instead of one per arm.")] = False,
    plugins: PluginsOption = None,
) -> None:
    """Show the cells of a study and how far its folder is with them; start nothing, write nothing in it."""
    from fgtune.app import api
    from fgtune.app.plan import print_plan

    made = api.plan(api.load_study(study, set_ or (), smoke, plugins or ()), out)
    print_warnings(made.plan)
    print_plan(made, console(), cells=cells)


def schema(
    write: Annotated[Path | None, typer.Option("--write", metavar="FILE", help="Write it to a file instead.")] = None,
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="That of verdicts.json, which programs read, instead.")
    ] = False,
) -> None:
    """Print the JSON schema of study files, for editors, or that of verdicts.json."""
    if verdicts:
        from fgtune.analysis.verdict_file import verdicts_schema as made
    else:
        from fgtune.config.reading.reference import study_schema as made

    text = json.dumps(made(), indent=2)
    if write is None:
        typer.echo(text)
        return
    try:
        write.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", where=str(write)) from error
    typer.echo(f"wrote {write}")


def settings() -> None:
    """Print every setting of a study file with its type, default and meaning."""
    from fgtune.config.reading.reference import settings_page

    typer.echo(settings_page(), nl=False)
