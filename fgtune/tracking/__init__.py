"""Tracking of studies: the ``Tracker`` protocol and the function that chooses its implementation.

mlflow is imported by this package only, and not before a store is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fgtune.tracking.base import ArmFindings, Findings, NullTracker, StudyEnd, Tracker
from fgtune.tracking.variables import STORE, naming_variables

__all__ = [
    "ArmFindings", "Findings", "NullTracker", "StudyEnd", "Tracker", "import_store", "open_tracker", "tracking_uri",
]  # fmt: skip

DEFAULT_URI = "sqlite:///mlflow.db"
"""The default store: a database in the working directory, which is also what ``mlflow ui`` opens."""


def tracking_uri(uri: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The store to use: ``uri`` (``--tracking-uri``), else ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``."""
    environ = os.environ if environ is None else environ
    return uri or environ.get(STORE) or DEFAULT_URI


def import_store(uri: str | None = None) -> None:
    """Import what opening the store takes, which are seconds; nothing is opened."""
    if tracking_uri(uri).strip().lower() != "none":
        with naming_variables(uri):
            from fgtune.tracking.store import quiet_mlflow

            with quiet_mlflow():
                import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def open_tracker(
    uri: str | None = None, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Tracker:
    """Open the tracking store, creating it if it does not exist; call it in the driver, before workers start.

    Args:
        uri: The store on the command line; ``none`` turns tracking off; None falls back as in ``tracking_uri``.
        environ: Where ``MLFLOW_TRACKING_URI`` is looked up; the process environment by default.
        directory: What a relative ``sqlite:///`` path is relative to; the working directory by default.

    Raises:
        ConfigError: The store cannot be used; the message says why and how to fix it. Nothing was logged.
    """
    chosen = tracking_uri(uri, environ)
    if chosen.strip().lower() == "none":
        return NullTracker()
    with naming_variables(uri, environ):
        from fgtune.tracking.mlflow_tracker import MlflowTracker
        from fgtune.tracking.store import open_store

        return MlflowTracker(open_store(chosen, directory or Path.cwd()))
