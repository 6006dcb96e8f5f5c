"""The environment variables that MLflow reads: what is set unless the user set it, and which one is at fault."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fgtune.errors import ConfigError
from fgtune.text import first_line, first_of

STORE = "MLFLOW_TRACKING_URI"
"""Names the store where no option does."""
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Set before mlflow is imported unless the user set them: no telemetry, no messages, no minutes of retries."""


@contextmanager
def naming_variables(uri: str | None = None, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Name the variable in errors that one of MLflow's causes: that of the store, or one that MLflow cannot read.

    Args:
        uri: The store on the command line; None if the environment names it.
        environ: Where ``MLFLOW_TRACKING_URI`` was looked up; the process environment by default.

    Raises:
        ConfigError: That of the block, placed at the variable of the store; or in place of a mere ``ValueError``, as
            MLflow raises for a variable that it cannot use.
    """
    environ = os.environ if environ is None else environ
    try:
        yield
    except ConfigError as error:
        if uri or not environ.get(STORE) or error.path != "tracking-uri":
            raise
        raise error.located(STORE, "") from error
    except ValueError as error:
        said = first_line(error)
        given = sorted(name for name, value in os.environ.items() if _is_users(name, value))
        named = [name for name in given if name in said] or [name for name in given if os.environ[name] in said]
        if not given:
            raise
        rule = f"MLflow cannot use what is set in the environment ({said})"
        raise ConfigError(rule, where=(named or given)[0], fix=f"unset or mend {first_of(named or given)}") from error


def _is_users(name: str, value: str) -> bool:
    """Whether a variable is one of MLflow's with a value that is not ours."""
    return name.startswith("MLFLOW_") and value != "" and DEFAULTS.get(name) != value
