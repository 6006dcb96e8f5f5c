"""The Ray session that a study runs in, and the check that its trials fit into it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from fgtune.config.schema.study import ExecutionConfig
from fgtune.errors import ConfigError
from fgtune.signals import before_leaving
from fgtune.tuning.session_thread import SessionThread

STARTS_IDLE_WORKERS = "RAY_prestart_worker_first_driver"
"""A variable of Ray's: whether a session begins with an idle worker a core. Trials start workers of their own."""


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """A Ray session: the one already open, the cluster at an address, or a local one that ends with the block.

    Args:
        address: Of a cluster, ``host:port`` or ``auto``; None for that of RAY_ADDRESS, if set. A cluster that happens
            to run on this machine is joined only on request (``auto``).

    Raises:
        ConfigError: There is no cluster at the address.
        Interrupted: A signal asked to stop while Ray started.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is None:
        os.environ.setdefault(STARTS_IDLE_WORKERS, "0")
    session = SessionThread(address)
    with before_leaving(session.kill):
        try:
            if address is not None:
                _check_reachable(address)
            session.open()
        except (OSError, ValueError, RuntimeError) as error:
            if address is None:
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            rule = f"answers with no Ray cluster that this machine may join ({reason})"
            fix = (
                "start one with `ray start --head`, set RAY_AUTH_MODE=token where it asks for a token, or leave it out"
            )
            raise ConfigError(rule, where="--address", value=address, fix=fix) from error
        try:
            yield
        finally:
            session.close()


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens there: Ray itself would retry for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def check_resources(execution: ExecutionConfig) -> None:
    """Reject, before anything runs, a trial that fits on no node of the session.

    Raises:
        ConfigError: ``execution.cpus`` or ``execution.gpus`` exceeds the largest node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, key, wanted in (("cpus", "CPU", execution.cpus), ("gpus", "GPU", execution.gpus)):
        largest = max((node.get(key, 0.0) for node in nodes), default=0.0)
        if wanted > largest:
            raise ConfigError(
                f"must be at most what one machine of this session has ({largest:g})",
                path=f"execution.{name}",
                value=wanted,
                fix=f"lower it, e.g. --set execution.{name}={largest:g}",
            )


def slots(execution: ExecutionConfig) -> int:
    """How many trials the nodes of the session hold at once, at least 1."""
    wanted = {key: amount for key, amount in (("CPU", execution.cpus), ("GPU", execution.gpus)) if amount > 0}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(1, sum(min(int(node.get(key, 0.0) / n + 1e-9) for key, n in wanted.items()) for node in nodes))
