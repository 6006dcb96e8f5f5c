"""What the verbs of the command line share: arguments, options, and how they print."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgtune.text import say

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.config.arms.plan import Plan

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file, studies/NAME.yaml.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the study file, e.g. trial.epochs=3."),
]
SmokeOption = Annotated[bool, typer.Option("--smoke", help="Few epochs, little data, two seeds; own folder.")]
PluginsOption = Annotated[
    list[str] | None,
    typer.Option("--plugins", metavar="PACKAGE", help="Import what the study names in this package of yours."),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The study folder.")]
TrackingOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow store; 'none' turns tracking off. Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.",
    ),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="If another process writes to the study folder, wait, and then do what is left.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="Where checkpoints are kept: s3://BUCKET/PREFIX, gs://..., or a folder that all machines see. "
        "Default: the study folder.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Parent of the study folder.")]


def text_override(path: str, text: str) -> str:
    """The ``--set`` that gives a setting this text, quoted where YAML would read it as something else."""
    from fgtune.app.notebooks.plain import override_texts

    is_plain = "/" in text and re.fullmatch(r"[A-Za-z0-9/.~][A-Za-z0-9/._~:+?=&%-]*", text) and not text.endswith(":")
    return f"{path}={text}" if is_plain else override_texts({path: text})[0]


def console() -> Console:
    """Standard output: the terminal's width in a terminal, wide elsewhere."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)


def print_warnings(plan: Plan) -> None:
    """Print what is likely a mistake."""
    for warning in plan.warnings:
        say(f"warning: {warning}", err=True)
