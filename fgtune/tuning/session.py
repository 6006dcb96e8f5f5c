"""The Ray session that a study runs in, and the check that its trials fit into it."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from fgtune.config.schema.study import ExecutionConfig
from fgtune.errors import ConfigError, RayError, SessionLostError
from fgtune.signals import before_leaving
from fgtune.text import first_line, first_of
from fgtune.tuning.environment import GIVEN
from fgtune.tuning.ray_log import ray_lines_to
from fgtune.tuning.session_thread import SessionThread, StartError
from fgtune.tuning.shipping import code_for_nodes
from fgtune.visible import visible

ADDRESS_VARIABLE = "RAY_ADDRESS"
HIDES_GPUS = "CUDA_VISIBLE_DEVICES"
JOINED_WITHIN_S = 600.0
"""How long the first node of a cluster may take to join: a machine of a cloud takes minutes to start."""
LONGEST_ADDRESS = 107
"""Bytes of the address of a socket in the file system, on Linux."""
LONGEST_SOCKET = "ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
STARTS_IDLE_WORKERS = "RAY_prestart_worker_first_driver"
"""A variable of Ray's: whether a session begins with an idle worker a core. Trials start workers of their own."""


@contextmanager
def ray_session(address: str | None = None, log: Path | None = None) -> Iterator[None]:
    """A Ray session: the one already open, the cluster at an address, or a local one that ends with the block.

    Args:
        address: Of a cluster, ``host:port`` or ``auto``; None for that of RAY_ADDRESS, if set. A cluster that happens
            to run on this machine is joined only on request (``auto``).
        log: File that gets what Ray writes to standard error, once its folder is there; None leaves it where it is.

    Raises:
        ConfigError: There is no cluster at the address that this process may join.
        RayError: No session can be started on this machine.
        Interrupted: A signal asked to stop while Ray started.
    """
    if ray.is_initialized():
        yield
        return
    where = "--address" if address else ADDRESS_VARIABLE
    address = address or os.environ.get(ADDRESS_VARIABLE) or None
    latest = SessionThread.latest
    if latest is not None and latest.fault is not None and not latest.has_ended:
        raise SessionLostError(f"{latest.fault}, and the session cannot be ended within this process")
    if address is None:
        os.environ.setdefault(STARTS_IDLE_WORKERS, "0")
        check_temporary_folder()
    with ray_lines_to(log):
        session = _joined(address, where) if address is not None else _started()
        with before_leaving(session.kill):
            try:
                yield
            finally:
                session.close()


def _started() -> SessionThread:
    """A session of this machine; a start that fails on a busy machine is tried once more.

    Raises:
        RayError: Ray does not start.
    """
    for is_last in (False, True):
        session = SessionThread(None)
        try:
            with before_leaving(session.kill):
                session.open()
        except Exception as error:  # Ray raises a bare Exception where its node takes more than 30 seconds
            if is_last or not _is_of_a_busy_machine(error) or not session.has_ended:
                fix = f"try again on a machine that is less busy, or read the logs in {logs_of_ray()}"
                if GIVEN:
                    fix = f"unset what you do not need of {first_of(GIVEN)}, or read the logs in {logs_of_ray()}"
                raise RayError(f"Ray does not start on this machine: {first_line(error)}. Fix: {fix}") from error
        else:
            return session
    raise AssertionError


def _is_of_a_busy_machine(error: Exception) -> bool:
    """Whether Ray waited too little: its raylet gives its agents 15 seconds, which no setting changes, and then aborts.

    https://github.com/ray-project/ray/issues/65983
    """
    return "timed out" in str(error) or (isinstance(error, StartError) and "raylet has ended" in str(error))


def _joined(address: str, where: str) -> SessionThread:
    """A session of a cluster.

    Raises:
        ConfigError: There is none that this process may join.
    """
    session, is_reached = SessionThread(address, code_for_nodes()), False
    try:
        _check_reachable(address)
        is_reached = address != "auto"
        with before_leaving(session.kill):
            session.open()
    except Exception as error:
        rule = f"answers with no Ray cluster that this machine may join ({first_line(error)})"
        fix = "start one with `ray start --head`, or leave it out"
        if is_reached:  # Ray does not say whether a token is the reason
            token = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to its token, if it asks for one"
            fix = f"{token}; else {fix}"
        if where == ADDRESS_VARIABLE:
            fix += f"; `unset {ADDRESS_VARIABLE}` runs on this machine alone"
        raise ConfigError(rule, where=where, value=address, fix=fix) from error
    return session


def session_lost(look: bool = False) -> SessionLostError | None:
    """The error that says how the open session was lost; None while it is well.

    Args:
        look: Look for its processes now; a thread does so twice a second.
    """
    current = SessionThread.current
    if look and current is not None:
        current.look()
    return None if current is None or current.fault is None else SessionLostError(current.fault)


@contextmanager
def last_words(act: Callable[[], object]) -> Iterator[None]:
    """While open, ``act`` is called before the process ends because a call to a lost session does not return."""
    SessionThread.last_words = act
    try:
        yield
    finally:
        SessionThread.last_words = None


def is_open() -> bool:
    """Whether this process is in a session of Ray, whoever has opened it."""
    return bool(ray.is_initialized())


def is_ours() -> bool:
    """Whether the open session was started on this machine, and may be started again."""
    return SessionThread.current is not None and SessionThread.current.is_local


def check_temporary_folder() -> None:
    """Refuse a folder for temporary files in which Ray cannot put its sockets.

    Raises:
        RayError: The path is too long, or nothing can be written there.
    """
    name = next((each for each in ("RAY_TMPDIR", "TMPDIR", "TEMP", "TMP") if os.environ.get(each)), None)
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    source = f"{folder} (from {name})" if name else str(folder)
    if len(os.fsencode(str(folder / LONGEST_SOCKET))) > LONGEST_ADDRESS:
        limit = LONGEST_ADDRESS - len(LONGEST_SOCKET) - 1
        rule = f"the folder for temporary files, {source}, is too long for the addresses of Ray's sockets"
        raise RayError(f"{rule}: at most {limit} bytes. Fix: set RAY_TMPDIR to a short path, such as /tmp")
    if not os.access(folder, os.W_OK | os.X_OK):
        rule = f"nothing can be written to the folder for temporary files, {source}"
        raise RayError(f"{rule}. Fix: set RAY_TMPDIR to a folder of your own, with a short path")


def logs_of_ray() -> Path:
    """Where Ray keeps the logs of the latest session of this machine."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "session_latest" / "logs"


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens there: Ray itself would retry for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def wait_for_nodes(say: Callable[[str], object]) -> None:
    """Wait until a node of a cluster runs trials at all: the head may have no cores, and others start later.

    Args:
        say: Told once that there is none yet.

    Raises:
        ConfigError: None joins within ten minutes.
    """
    until, told = time.monotonic() + JOINED_WITHIN_S, False
    while not any(node["Resources"].get("CPU", 0.0) > 0 for node in ray.nodes() if node["Alive"]):
        if time.monotonic() > until:
            rule, fix = "no node of the cluster has a core for trials", "see `ray status`, and start nodes"
            raise ConfigError(rule, where="--address", fix=fix)
        if not told:
            say("no node of the cluster has a core for trials yet; waiting for one to join")
            told = True
        time.sleep(1.0)


def check_resources(execution: ExecutionConfig) -> None:
    """Reject, before anything runs, a trial that fits on no node of the session.

    Raises:
        ConfigError: ``execution.cpus`` or ``execution.gpus`` exceeds the largest node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, key, wanted in (("cpus", "CPU", execution.cpus), ("gpus", "GPU", execution.gpus)):
        largest = max((node.get(key, 0.0) for node in nodes), default=0.0)
        if wanted > largest:
            fix = f"lower it, e.g. --set execution.{name}={largest:g}"
            hidden = os.environ.get(HIDES_GPUS) if name == "gpus" and is_ours() else None
            if hidden is not None:
                fix = f"unset {HIDES_GPUS}, which is {visible(hidden, 100)!r} and leaves {largest:g} of them; or {fix}"
            raise ConfigError(
                f"must be at most what one machine of this session has ({largest:g})",
                path=f"execution.{name}",
                value=wanted,
                fix=fix,
            )


def idle_gpus(execution: ExecutionConfig) -> int:
    """GPUs of the session's nodes that no trial will use, where trials hold none."""
    return 0 if execution.gpus else int(sum(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]))


def slots(execution: ExecutionConfig) -> int:
    """How many trials the nodes of the session hold at once, at least 1."""
    wanted = {key: amount for key, amount in (("CPU", execution.cpus), ("GPU", execution.gpus)) if amount > 0}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(1, sum(min(int(node.get(key, 0.0) / n + 1e-9) for key, n in wanted.items()) for node in nodes))
