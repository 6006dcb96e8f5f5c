"""The Ray session that a study runs in, and the check that its trials fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from fgtune.config.study import ExecutionConfig
from fgtune.errors import ConfigError


@contextmanager
def ray_session() -> Iterator[None]:
    """A Ray session: the one already open, the one that RAY_ADDRESS names, or a local one that ends with the block."""
    if ray.is_initialized():
        yield
        return
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def check_resources(execution: ExecutionConfig) -> None:
    """Refuse, before anything runs, a trial that no node of the session can ever hold.

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
