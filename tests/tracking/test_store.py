"""Stores that cannot be used are explained before a study starts, quickly, and without being touched."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fgtune.errors import ConfigError
from fgtune.tracking import Findings, NullTracker, StudyEnd, open_tracker, tracking_uri
from fgtune.tracking import store as store_module
from fgtune.tracking.store import open_store


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("sqlite:///a.db", {"MLFLOW_TRACKING_URI": "sqlite:///b.db"}, "sqlite:///a.db"),
        (None, {"MLFLOW_TRACKING_URI": "sqlite:///b.db"}, "sqlite:///b.db"),
        (None, {"MLFLOW_TRACKING_URI": ""}, "sqlite:///mlflow.db"),
        (None, {}, "sqlite:///mlflow.db"),
    ],
    ids=["command line first", "then the environment", "an empty variable is none", "then the default"],
)
def test_store_is_chosen_in_order(given, environ, expected):
    assert tracking_uri(given, environ) == expected


@pytest.mark.parametrize(("given", "environ"), [("none", {}), (None, {"MLFLOW_TRACKING_URI": "none"})])
def test_none_turns_tracking_off(given, environ, plan, results, curve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = open_tracker(given, environ=environ)
    assert isinstance(tracker, NullTracker)
    tracker.start(plan, tmp_path, commit=None)
    tracker.log_cell(results[0], curve)
    assert tracker.sync(results, lambda _: curve) == 0
    tracker.log_summary(Findings("test/ari", {}))
    tracker.finish(StudyEnd.COMPLETE, [tmp_path / "no.html"])
    assert tracker.uri == "none"
    assert list(tmp_path.iterdir()) == []


def test_relative_path_starts_from_the_directory_and_the_variable_is_honoured(migrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(migrated, tmp_path / "mine.db")
    tracker = open_tracker(environ={"MLFLOW_TRACKING_URI": "sqlite:///mine.db"})
    assert tracker.uri == f"sqlite:///{tmp_path / 'mine.db'}"


@pytest.mark.slow
@pytest.mark.integration
def test_new_store_is_whole_quiet_and_leaves_global_state_alone(tmp_path):
    """In a process of its own: what is printed, what is imported when, what mlflow takes for its tracking URI."""
    script = """
import os, sys
import fgtune.tracking
assert not any(name in sys.modules for name in ("mlflow", "sqlalchemy", "alembic", "requests"))
tracker = fgtune.tracking.open_tracker("sqlite:///new folder/100%.db")
assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
import mlflow
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
assert mlflow.get_tracking_uri().endswith("/mlflow.db")
assert sorted(os.listdir("new folder")) == ["100%.db"]
assert not os.path.exists("mlruns")
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "DO_NOT_TRACK"))}
    command = [sys.executable, "-W", "error::UserWarning", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_file_left_empty_by_another_process_becomes_a_store(migrated, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_create_sqlite", lambda path: shutil.copy(migrated, path))
    (tmp_path / "empty.db").touch()
    open_store("sqlite:///empty.db", tmp_path)
    assert (tmp_path / "empty.db").stat().st_size > 0


def test_store_that_another_process_finished_first_is_kept(tmp_path):
    building, path = tmp_path / "building", tmp_path / "mlflow.db"
    building.write_text("mine")
    path.write_text("theirs")
    store_module._move_into_place(building, path)
    assert path.read_text() == "theirs"


def test_passwords_are_not_shown():
    assert store_module.shown_uri("postgresql://me:s3cret@host/db") == "postgresql://me:***@host/db"
    assert store_module.shown_uri("http://host:5000") == "http://host:5000"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "./mlruns",
            r"MLflow no longer writes to folders, got '\./mlruns'\. Fix: .*migrate-filestore --source \./mlruns",
        ),
        ("file:///data/mlruns", r"migrate-filestore --source /data/mlruns --target sqlite:///mlflow\.db"),
        ("mlflow.db", r"must be a database or a server.*Fix: write sqlite:///mlflow\.db"),
        ("sqlite:///:memory:", r"tracking-uri: must name a file, got 'sqlite:///:memory:'"),
        ("sqlite://", r"tracking-uri: must name a file"),
        ("sqlite:///.", r"must name a file, this is a folder"),
        ("weird://host", r"cannot be used \(.*unsupported URI 'weird://host'"),
        (
            "postgresql+nodriver://me:s3cret@127.0.0.1:1/db",
            r"cannot be used \(.*got 'postgresql\+nodriver://me:\*\*\*@",
        ),
    ],
)
def test_unusable_addresses_are_explained(uri, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as caught:
        open_store(uri, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database_is_explained_and_kept(tmp_path):
    (tmp_path / "notes.db").write_text("not a database, " * 100)
    with pytest.raises(ConfigError, match=r"cannot be used \(file is not a database\).*an MLflow store that you may"):
        open_store("sqlite:///notes.db", tmp_path)
    assert (tmp_path / "notes.db").read_text().startswith("not a database")


def test_database_of_another_program_is_refused_and_kept(tmp_path):
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    before = (tmp_path / "optuna.db").read_bytes()
    with pytest.raises(ConfigError, match=r"belongs to another program, it holds no MLflow experiments"):
        open_store("sqlite:///optuna.db", tmp_path)
    assert (tmp_path / "optuna.db").read_bytes() == before


def set_revision(file, revision, *, drop=(), run=False):
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        if run:
            connection.execute("INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage) VALUES ('a', 0, 'active')")
        for table in drop:
            connection.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize(
    ("revision", "run", "message"),
    [
        (
            "90e64c465722",
            False,
            r"half-migrated: its creation was cut off before any run was stored.*Fix: move it away \(mv ",
        ),
        (None, False, r"half-migrated: its creation was cut off"),
        (
            "90e64c465722",
            True,
            r"schema of an older MLflow than the installed .*then run `mlflow db upgrade sqlite:///",
        ),
        ("ffffffffffff", True, r"written by a newer MLflow than the installed .*install that version of mlflow"),
    ],
    ids=["cut off", "cut off before the first migration", "older", "newer"],
)
def test_store_with_another_schema_is_explained_and_kept(store_file, tmp_path, revision, run, message):
    set_revision(store_file, revision, drop=["webhooks"], run=run)
    before = store_file.read_bytes()
    with pytest.raises(ConfigError, match=message):
        open_store(f"sqlite:///{store_file}", tmp_path)
    assert store_file.read_bytes() == before


def test_locked_store_is_explained(store_file, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "PATIENCE_S", 0.1)
    other = sqlite3.connect(store_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match=r"cannot be used \(database is locked\)"):
        open_store(f"sqlite:///{store_file}", tmp_path)
    other.close()


class _Page(BaseHTTPRequestHandler):
    """A server that is not MLflow's."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    do_POST = do_GET  # noqa: N815 (the name http.server looks for)

    def log_message(self, *_):
        """Print nothing."""


def test_server_of_something_else_is_explained(tmp_path):
    server = HTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ConfigError, match=r"cannot be used \(.*not in a valid JSON format.*check the address"):
            open_store(f"http://127.0.0.1:{server.server_port}", tmp_path)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_server_that_refuses_is_explained_at_once(scheme, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        start = time.monotonic()
        with pytest.raises(ConfigError, match=r"cannot be used \(.*[Cc]onnection refused"):
            open_store(f"{scheme}://127.0.0.1:{taken.getsockname()[1]}/db", tmp_path)
    assert time.monotonic() - start < 10


def test_server_that_never_answers_is_given_up_soon(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store_module, "PATIENCE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(ConfigError, match=r"cannot be used \(.*[Rr]ead timed out"):
            open_store(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
    assert time.monotonic() - start < 10
    assert capsys.readouterr() == ("", "")


def test_environment_and_loggers_are_as_before(store_file, tmp_path):
    before = {name: logging.getLogger(name).level for name in ("mlflow", "alembic", "urllib3")}
    patience = os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    with pytest.raises(ConfigError, match=re.escape("'http://127.0.0.1:9'")):
        open_store("http://127.0.0.1:9", tmp_path)
    open_store(f"sqlite:///{store_file}", tmp_path)
    assert {name: logging.getLogger(name).level for name in before} == before
    assert os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == patience


def test_a_store_that_a_full_disk_does_not_take_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def fail(*_):
        (tmp_path / f".new.db.{os.getpid()}.new").write_bytes(b"half")
        raise OperationalError("CREATE TABLE x", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", fail)
    rule = r"cannot be used \(database or disk is full\).*that its disk has room"
    with pytest.raises(ConfigError, match=rule):
        open_store("sqlite:///new.db", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a%2Fb", "a%20b", "a?b", "a#b", "a b é"])
def test_a_store_is_where_its_path_says_whatever_signs_it_has(tmp_path, migrated, name):
    (tmp_path / name).mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)  # what the first name means where it is decoded
    shutil.copy(migrated, tmp_path / name / "mlflow.db")
    store = open_store("sqlite:///mlflow.db", tmp_path / name)
    store.client.create_experiment("here")
    other = open_store(f"sqlite:///{tmp_path / name}/mlflow.db", tmp_path)
    assert other.client.get_experiment_by_name("here") is not None
    assert list((tmp_path / "a" / "b").iterdir()) == []
