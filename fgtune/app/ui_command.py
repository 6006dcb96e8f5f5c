"""The command line of ``fgtune ui``."""

from __future__ import annotations

from typing import Annotated

import typer

from fgtune.app.command_options import FolderArgument
from fgtune.text import say


def show_in_mlflow(
    folder: FolderArgument,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", metavar="URI", help="MLflow store. Default: that of the last run.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=1, max=65535, help="Default: one that is free.")
    ] = None,
) -> None:
    """Open MLflow on a study's store, and print where its arms are compared; Ctrl-C stops it."""
    from fgtune.app.ui import show

    show(folder, tracking_uri, port, say)
