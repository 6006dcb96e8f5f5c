"""Opening an MLflow tracking store: anything wrong with it is found and explained before a study starts.

MLflow migrates a new database in place, so two processes that start with an empty one leave a half-migrated, unusable
file, and it retries an unreachable server for minutes. Here a new SQLite store is built beside its final path and then
moved there, an existing one is inspected before MLflow may touch it, and servers get a few seconds to answer.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fgtune.errors import ConfigError
from fgtune.text import first_line
from fgtune.tracking.variables import DEFAULTS
from fgtune.visible import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_S = 5
"""Seconds that a server, a database or a lock may take when a store is opened."""

_CHATTY = ("mlflow", "alembic", "urllib3")
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_USE_SQLITE = "use a database such as sqlite:///mlflow.db, the address of a server, or none"


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        client: Bound to the store; MLflow's global tracking URI is left alone.
        uri: The store without passwords.
        artifact_root: Where experiments of a SQLite store keep their files (``mlruns`` beside the database); None if
            the server decides.
    """

    client: MlflowClient
    uri: str
    artifact_root: Path | None


def shown_uri(uri: str) -> str:
    """``uri`` without passwords, tokens and keys."""
    return masked(uri)


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Keep mlflow, alembic and urllib3 from writing to the terminal; errors arrive as exceptions."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 (its import sets the level of its logger, so it comes first)

    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def open_store(uri: str, directory: Path) -> Store:
    """Open ``uri``; a SQLite path is relative to ``directory``, and a missing SQLite store is created.

    Raises:
        ConfigError: The store cannot be used; nothing in it was changed.
    """
    scheme = urlsplit(uri).scheme if "://" in uri or uri.startswith("file:") else ""
    if scheme in {"", "file"} and not uri.startswith("databricks"):
        raise _no_file_store(uri)
    artifact_root: Path | None = None
    if scheme.startswith("sqlite"):
        path = _sqlite_path(uri, directory)
        given, uri, artifact_root = uri, sqlite_uri(path), path.parent / "mlruns"
        _prepare_sqlite(path, given)
    elif scheme.split("+")[0] in _DATABASE_PORTS:
        _reach_database(uri)
    return Store(_connected(uri), shown_uri(uri), artifact_root)


def require_existing(uri: str, directory: Path) -> None:
    """Raise ``ConfigError`` if ``uri`` names a SQLite file that does not exist, which ``open_store`` would create."""
    if not uri.startswith("sqlite"):
        return
    path = _sqlite_path(uri, directory)
    if not path.is_file():
        fix = "name the store with --tracking-uri; mlflow.db lies where the study was run"
        raise ConfigError("there is no tracking store", where=str(path), fix=fix)


def _no_file_store(uri: str) -> ConfigError:
    """The error for a plain folder, where MLflow no longer keeps runs."""
    folder = uri.removeprefix("file://").removeprefix("file:")
    if folder.endswith((".db", ".sqlite", ".sqlite3")):
        fix = f"write sqlite:///{folder}"
    else:
        fix = (
            f"{_USE_SQLITE}; runs kept in a folder are carried over by "
            f"`mlflow migrate-filestore --source {folder or './mlruns'} --target sqlite:///mlflow.db`"
        )
    return ConfigError(
        "must be a database or a server, MLflow no longer writes to folders", path="tracking-uri", value=uri, fix=fix
    )


def _sqlite_path(uri: str, directory: Path) -> Path:
    """The absolute path that a ``sqlite:///`` address names.

    An address is percent-encoded, and most people write a path as it is: a file in a folder that exists wins.
    """
    _, separator, rest = uri.partition(":///")
    name = rest.partition("?")[0]
    if "%" in rest or "?" in rest:
        spellings = (rest, name, unquote(name))
        name = next((each for each in spellings if each and (directory / each).parent.is_dir()), unquote(name))
    if not separator or not name or name == ":memory:":
        raise ConfigError(
            "must name a file", path="tracking-uri", value=uri, fix="write sqlite:///mlflow.db or sqlite:////path/to.db"
        )
    return (directory / name).resolve()


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file, whatever signs its path has, as the installed SQLAlchemy reads it.

    Raises:
        ConfigError: That SQLAlchemy cannot name this file.
    """
    from sqlalchemy import URL, make_url

    uri = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    if make_url(uri).database != str(path):
        fix = "name a file in another folder with --tracking-uri, or install SQLAlchemy 2.1 or later"
        raise ConfigError("its path has signs that no address can hold", path="tracking-uri", value=str(path), fix=fix)
    return uri


def _prepare_sqlite(path: Path, uri: str) -> None:
    """Create the store at ``path``, or make sure that the existing one is usable."""
    try:
        if path.is_dir():
            raise ConfigError("must name a file, this is a folder", path="tracking-uri", value=uri, fix=_USE_SQLITE)
        if not path.exists() or path.stat().st_size == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create_sqlite(path)
        _inspect_sqlite(path, uri)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(
            uri, error, "check that the file is an MLflow store that you may write to, and that its disk has room"
        ) from error


def _create_sqlite(path: Path) -> None:
    """Build a store beside ``path`` and move it there, so that no process ever opens a half-built one."""
    building = path.with_name(f".{path.name}.{os.getpid()}.new")
    building.unlink(missing_ok=True)
    with quiet_mlflow():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from sqlalchemy.exc import SQLAlchemyError

        try:
            SqlAlchemyStore(sqlite_uri(building), (path.parent / "mlruns").as_uri()).engine.dispose()
            _move_into_place(building, path)
        except SQLAlchemyError as error:  # a full disk, say
            raise sqlite3.OperationalError(str(getattr(error, "orig", error))) from error
        finally:
            building.unlink(missing_ok=True)


def _move_into_place(building: Path, path: Path) -> None:
    """Give ``building`` its final name unless another process was first: a link, unlike a move, never overwrites."""
    if path.exists() and path.stat().st_size == 0:
        path.unlink()
    try:
        path.hardlink_to(building)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            building.replace(path)


def _inspect_sqlite(path: Path, uri: str) -> None:
    """Reject a database of another program or another MLflow schema, or one that cannot be written."""
    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"experiments", "runs"} <= tables:
            raise ConfigError(
                "this database belongs to another program, it holds no MLflow experiments",
                path="tracking-uri",
                value=uri,
                fix="name a new file for the tracking store",
            )
        versions = []
        if "alembic_version" in tables:
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        runs = int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    finally:
        connection.close()
    _require_schema(path, uri, [str(row[0]) for row in versions], runs)


def _require_schema(file: Path, uri: str, versions: list[str], runs: int) -> None:
    """Raise unless the schema is that of the installed MLflow."""
    with quiet_mlflow():
        import mlflow
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
        head = scripts.get_current_head()
        known = {script.revision for script in scripts.walk_revisions()}
    if versions == [head]:
        return
    path = shlex.quote(str(file))
    if versions and not set(versions) <= known:
        rule = f"this store was written by a newer MLflow than the installed {mlflow.__version__}"
        fix = "install that version of mlflow, or name a new file"
    elif runs == 0:
        rule = "this store is half-migrated: its creation was cut off before any run was stored"
        fix = f"move it away (mv {path} {path}.broken) and start again"
    else:
        rule = (
            f"this store has the schema of an older MLflow than the installed {mlflow.__version__}, or is half-migrated"
        )
        upgrade = f"mlflow db upgrade {sqlite_uri(file)}"
        fix = f"copy {path} to a safe place, then run `{upgrade}`; if that fails, name a new file"
    raise ConfigError(rule, path="tracking-uri", value=uri, fix=fix)


def _reach_database(uri: str) -> None:
    """Connect once to a database server; MLflow itself would retry for minutes."""
    import sqlalchemy

    try:
        address = sqlalchemy.make_url(uri)
        port = address.port or _DATABASE_PORTS[address.get_backend_name()]
        if address.host:
            socket.create_connection((address.host, port), timeout=PATIENCE_S).close()
        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise _unusable(uri, error, f"install the database driver: pip install {error.name}") from error
    except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise _unusable(uri, error, "check that the database runs, and the address, user and password") from error


def _connected(uri: str) -> MlflowClient:
    """A client that got an answer from the store."""
    with quiet_mlflow():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        brief = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE_S)}
        try:
            with _environment(brief):
                client = MlflowClient(tracking_uri=uri)
                client.search_experiments(max_results=1)
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            remedy = "check the address, that the MLflow server runs, and MLFLOW_TRACKING_USERNAME, _PASSWORD or _TOKEN"
            raise _unusable(uri, error, f"{remedy}; or track elsewhere: {_USE_SQLITE}") from error
    return client


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block; mlflow offers no other way to set its timeouts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def brief_reason(error: BaseException) -> str:
    """The first line of an error's text, at most 300 characters; only the cause of a failed HTTP request."""
    cause = re.search(r"HTTPS?ConnectionPool.*\): ([^)]+)", str(error))  # far behind what a line is cut to
    return cause.group(1).strip("\"' ")[:300] if cause else first_line(error)


def _unusable(uri: str, error: BaseException, fix: str) -> ConfigError:
    shown = shown_uri(uri)
    reason = brief_reason(error).replace(uri, shown)
    return ConfigError(f"the tracking store cannot be used ({reason})", path="tracking-uri", value=shown, fix=fix)
