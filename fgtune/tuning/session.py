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


def warm_up(execution: ExecutionConfig, cells: int) -> None:
    """Let idle workers import what a trial imports, while the driver does something else; returns at once.

    Ray hands an actor one of these workers, so the first trials need not wait for torch. GPU trials start in workers of
    their own and are left alone.
    """
    if execution.gpus > 0:
        return
    places = int(ray.cluster_resources().get("CPU", 1) // execution.cpus)
    for _ in range(min(cells, places, execution.max_concurrent or places)):
        _import_what_trials_import.options(num_cpus=execution.cpus).remote()


@ray.remote
def _import_what_trials_import() -> None:
    import torch

    import fgtune.training.build
    import fgtune.tuning.trainable  # noqa: F401

    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # torch imports its compiler with the first optimiser


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
