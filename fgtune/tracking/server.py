"""MLflow's page of a study: where it is in a store, and a server of one's own that shows a local store.

``mlflow ui`` starts a process for itself, one for every worker and several for jobs that only its GenAI parts have.
Here it gets one worker and no jobs, runs in a session of its own, and ends with all its processes when its caller does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from fgtune.errors import ConfigError, TrackingError
from fgtune.results.tracked import run_page
from fgtune.signals import before_leaving
from fgtune.text import first_line
from fgtune.tracking import view
from fgtune.tracking.store import Store, open_store, require_existing
from fgtune.tracking.variables import naming_variables

HOST = "127.0.0.1"
START_S = 180.0
"""How long the server may take until it answers: a dozen seconds on an idle machine."""
_STOP_S = 10.0


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is in a store.

    Attributes:
        experiment: Id of its experiment.
        run: Id of its own run.
        view: Key of the saved view of its arms; empty where the store was last written by a version without views.
    """

    experiment: str
    run: str
    view: str

    def links(self, address: str) -> dict[str, str]:
        """The pages of the study on a server: its run, its arms as a table, and as charts."""
        arms = view.runs_page(address, self.experiment, self.view)
        pages = {"study": run_page(address, self.experiment, self.run), "arms": arms}
        return pages | ({"charts": view.runs_page(address, self.experiment, self.view, "CHART")} if self.view else {})


def is_remote(uri: str) -> bool:
    """Whether a store has a page of its own: it is a server."""
    return urlsplit(uri).scheme in {"http", "https"} or uri.startswith("databricks")


def open_existing(uri: str, directory: Path) -> Store:
    """Open a store that exists; a relative SQLite path is relative to ``directory``.

    Raises:
        ConfigError: There is none, or it cannot be used. Nothing was created.
    """
    require_existing(uri, directory)
    with naming_variables(uri):
        return open_store(uri, directory)


def place_of(store: Store, name: str, hashes: Sequence[str]) -> StudyPlace | None:
    """Where a study is; None if the store does not hold it.

    Args:
        store: The store.
        name: Of the study.
        hashes: Its hash, and those that it had before seeds were added.

    Raises:
        TrackingError: The store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        experiment = store.client.get_experiment_by_name(name)
        if experiment is None:
            return None
        for each in hashes:
            condition = f"tags.`fgtune.study_hash` = '{each}' and tags.`fgtune.role` = 'study'"
            order = ["attributes.start_time ASC"]
            found = store.client.search_runs([experiment.experiment_id], condition, max_results=1, order_by=order)
            if found:
                run = str(found[0].info.run_id)
                key = view.view_key(run)
                known = view.TAG + key in experiment.tags
                return StudyPlace(str(experiment.experiment_id), run, key if known else "")
    except MlflowException as error:
        raise TrackingError(f"{store.uri} does not answer: {first_line(error)}") from error
    return None


def free_port(wanted: int | None = None) -> int:
    """A port of this machine that nobody uses: the wanted one, or any.

    Raises:
        ConfigError: The wanted one cannot be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just left is free
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            rule = f"cannot be used ({error.strerror or error})"
            fix = "name another port, or leave the option out for a free one"
            raise ConfigError(rule, where="--port", value=wanted, fix=fix) from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(store: Store, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a local store on a port of this machine; when the block is left, every process of the server ends.

    Yields:
        The server's first process, once it answers.

    Raises:
        TrackingError: It ended before it answered, or took longer than ``START_S``.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ}
    # In the environment and not on the command line, where everyone on the machine could read a password.
    environ |= {"MLFLOW_BACKEND_STORE_URI": store.client.tracking_uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )
        with before_leaving(lambda: _kill(process)):
            try:
                _wait_until_it_answers(process, port, log)
                yield process
            finally:
                _stop(process)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is behind no proxy
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrackingError(f"mlflow ended at once with exit code {process.returncode}: {_last_line(log)}")
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            direct.open(f"http://{HOST}:{port}/health", timeout=5),
        ):
            return
        time.sleep(0.2)
    raise TrackingError(f"mlflow did not answer on port {port} within {START_S:.0f} s: {_last_line(log)}")


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to every process of the server; returns whether there was any."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End every process of the server: in order, and what is left after a while at once."""
    deadline = time.monotonic() + _STOP_S
    _signal(process, signal.SIGTERM)
    while time.monotonic() < deadline:
        process.poll()  # collects the first process, which would else stay in the group
        if not _signal(process, 0):
            return
        time.sleep(0.05)
    _kill(process)
    process.wait()
