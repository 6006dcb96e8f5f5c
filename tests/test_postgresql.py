"""MLflow on a real PostgreSQL, behind its server: every cell is there once, and the server may be away."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from support.lazy import LazyModule

from fgtune.app.cli import main

mlflow = LazyModule("mlflow")

pytestmark = pytest.mark.long
PASSWORD = "very-secret-word"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def programs() -> Path:
    """The folder of PostgreSQL's programs, which Debian keeps off the path."""
    found = shutil.which("postgres")
    places = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(found).parent] if found else []),
    ]
    whole = [each for each in places if all((each / name).is_file() for name in ("initdb", "postgres", "createdb"))]
    if not whole:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    return whole[0]


def owner() -> dict[str, object]:
    """Who runs it: root may not."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return {"user": pwd.getpwnam(name).pw_uid, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


@pytest.fixture(scope="module")
def database():
    """The address of an empty database."""
    folder, who, port = Path(tempfile.mkdtemp(prefix="pg")), owner(), free_port()
    binaries = programs()
    (folder / "password").write_text(PASSWORD)
    folder.chmod(0o700)
    if who:
        for path in (folder, folder / "password"):
            os.chown(path, who["user"], who["group"])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **who}
    initial = [binaries / "initdb", "-D", folder / "data", "-U", "mlflow", f"--pwfile={folder / 'password'}"]
    subprocess.run([*initial, "--auth=scram-sha-256", "--no-sync"], check=True, **quiet)
    options = ["-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off"]
    server = subprocess.Popen([binaries / "postgres", *options], **quiet)
    environ = {**os.environ, "PGPASSWORD": PASSWORD}
    create = [binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "tracking"]
    deadline = time.monotonic() + 60
    while subprocess.run(create, env=environ, stderr=subprocess.DEVNULL).returncode and time.monotonic() < deadline:
        time.sleep(0.2)
    yield f"postgresql://mlflow:{PASSWORD}@127.0.0.1:{port}/tracking"
    server.send_signal(signal.SIGINT)
    server.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def mlflow_server(database, tmp_path_factory):
    """Start MLflow's server in front of the database; returns its address and how to end it."""
    folder, port, started = tmp_path_factory.mktemp("mlflow"), free_port(), []
    address = f"http://127.0.0.1:{port}"

    def start() -> str:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
        log = (folder / "log").open("ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
        started.append(process)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                # Not /health: the server answers it before the tables are made.
                asked = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
                if urllib.request.urlopen(asked, timeout=60).status == 200:
                    return address
            time.sleep(0.5)
        raise AssertionError((folder / "log").read_text()[-2000:])

    def stop() -> None:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    start.stop = stop
    yield start
    stop()


def cells_in(address: str, study: str) -> list[str]:
    """The cells of a study in the store, and how they ended."""
    client = mlflow.MlflowClient(address)
    (experiment,) = [each for each in client.search_experiments() if each.name == study]
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    return sorted(f"{run.info.run_name} {run.info.status}" for run in runs if run.data.tags["fgtune.role"] == "cell")


@pytest.mark.timeout(900)
def test_a_study_is_in_the_database_once_also_after_its_server_was_away(
    mlflow_server, database, small_study, tmp_path, monkeypatch, ray_started
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    address = mlflow_server()
    command = ["run", str(small_study), "--out", str(tmp_path / "reports"), "--tracking-uri", address]
    assert main([*command, "--only", "seed=0"]) == 0
    assert len(cells_in(address, "small")) == 2
    mlflow_server.stop()
    assert main(command) == 2, "the server is away, which is told before anything starts"
    assert main([*command[:-1], "none"]) == 0, "and the study goes on without"
    mlflow_server()
    assert main(command) == 0
    found = cells_in(address, "small")
    assert len(found) == len(set(found)) == 4
    assert all(each.endswith("FINISHED") for each in found)
    assert main(command) == 0
    assert cells_in(address, "small") == found
    shown = [path.read_bytes() for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in shown)


@pytest.mark.timeout(600)
def test_the_database_may_be_named_directly_and_its_password_is_nowhere(
    database, small_study, tmp_path, capfd, start_driver
):
    command = [sys.executable, "-m", "fgtune", "run", str(small_study), "--out", str(tmp_path / "reports")]
    done = subprocess.run(
        [*command, "--only", "seed=0", "--tracking-uri", database, "--set", "study=direct"],
        capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [path.read_bytes() for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in [*shown, done.stdout, done.stderr])
