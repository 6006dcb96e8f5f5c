"""Whether a trial's network and relations fit into memory, reckoned from its numbers before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from fgtune.catalog.terms import TERMS
from fgtune.config.schema.clustering import ScanClusteringConfig
from fgtune.config.schema.contrast import QueueInstanceConfig
from fgtune.config.schema.model import (
    BackboneConfig,
    LinearBackboneConfig,
    MlpConfig,
    ResNet18Config,
    ResNet50Config,
    SmallCnnConfig,
)
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.memory import bytes_text, machine_memory

LARGE_MACHINE = 1 << 41
"""Bytes of memory that a machine of a cluster may have: its trials do not run where the study is read."""
_PARAMETER = 4 * 3
"""Bytes of a parameter in float32, its gradient and the teacher's copy; an optimiser adds to it."""
_NUMBER = 8
_PREDICTION = 4
_IMAGE_FEATURES = 512


def check_size(
    config: TrialConfig,
    input_shape: Sequence[int],
    num_fine: float | None,
    num_coarse: int,
    true_fine: int | None,
    *,
    elsewhere: bool,
) -> None:
    """Raise where a trial takes more memory than the machine that is to run it.

    Args:
        config: The trial.
        input_shape: Shape of the inputs as the network sees them, the number of samples first.
        num_fine: K_F; None where it is to be estimated.
        num_coarse: The largest K_C.
        true_fine: K_F*; None where the data have no fine classes.
        elsewhere: Whether trials run on a cluster, whose machines are not known.

    Raises:
        ConfigError: With a path below ``trial``: the setting that takes most of it.
    """
    parts = list(_parts(config, input_shape, num_fine or 1, num_coarse, true_fine or 1))
    need, most = math.fsum(size for size, _ in parts), machine_memory()
    if elsewhere:
        most = max(LARGE_MACHINE, most)
    if need > most:
        _, path = max(parts)
        have = f"more than {bytes_text(most)}" if elsewhere else f"and this machine has {bytes_text(most)}"
        rule = f"makes a trial that takes at least {bytes_text(need)} of memory, {have}"
        fix = "make it smaller" if elsewhere else "make it smaller, or set RAY_ADDRESS to a cluster of larger machines"
        raise ConfigError(rule, path=f"trial.{path}", fix=fix)


def _parts(
    config: TrialConfig, input_shape: Sequence[int], num_fine: float, num_coarse: int, true_fine: int
) -> Iterator[tuple[float, str]]:
    """Bytes at least, and the setting that they follow from."""
    classes = "classes.num_fine" if config.classes.num_fine_ratio is None else "classes.num_fine_ratio"
    size, features, path = backbone_size(config.model.backbone, math.prod(input_shape[1:]))
    copies = 1 + num_coarse * isinstance(config.clustering, ScanClusteringConfig)  # a network for each coarse class
    yield copies * size * _PARAMETER, f"model.backbone{path}"
    yield features * num_fine * _PARAMETER, classes
    yield num_fine * (num_coarse + true_fine) * _NUMBER, classes
    if any(TERMS[name].neighbors for name in config.objective.terms):
        train = 1.0 if config.data.split.transductive else config.data.split.train
        yield input_shape[0] * train * config.neighbors.stored * _NUMBER, "neighbors.stored"
        if config.neighbors.targets == "memory":
            yield input_shape[0] * train * num_fine * _PREDICTION, "neighbors.targets"
    instance = config.objective.instance
    if "instance" in config.objective.terms and isinstance(instance, QueueInstanceConfig):
        projection = "objective.instance.projection_dim"
        yield features * instance.projection_dim * _PARAMETER, projection
        queue = "objective.instance.size" if instance.size > instance.projection_dim else projection
        yield instance.size * instance.projection_dim * 4.0, queue
    ancor, snca = config.objective.ancor, config.objective.snca
    if "ancor" in config.objective.terms:
        yield num_coarse * ancor.size * ancor.projection_dim * 4.0, "objective.ancor.size"
    if "snca" in config.objective.terms:
        train = 1.0 if config.data.split.transductive else config.data.split.train
        yield input_shape[0] * train * snca.projection_dim * 4.0, "objective.snca.projection_dim"
    entropic = config.objective.entropic
    if "entropic" in config.objective.terms:
        larger = "prototypes" if entropic.prototypes > entropic.groups else "groups"
        yield entropic.prototypes * entropic.groups * features * 4.0, f"objective.entropic.{larger}"


def backbone_size(config: BackboneConfig, inputs: int) -> tuple[float, int, str]:
    """Parameters at least, number of features, and the setting below the backbone that they follow from."""
    if isinstance(config, MlpConfig):
        widths = (inputs, *config.hidden)
        return math.fsum(a * b for a, b in pairwise(widths)), widths[-1], ".hidden"
    if isinstance(config, LinearBackboneConfig):
        return inputs * config.dim, config.dim, ".dim"
    if isinstance(config, SmallCnnConfig):
        widths = (1, *config.channels)
        return math.fsum(9 * a * b for a, b in pairwise(widths)), widths[-1], ".channels"
    if config.kind == "identity":
        return 0, inputs, ""
    if isinstance(config, ResNet18Config | ResNet50Config):
        last = 8 * config.width
        features = last * (4 if isinstance(config, ResNet50Config) else 1)
        return 27 * last**2, 1 if config.feature == "affine_mean" else features, ".width"
    return 0, _IMAGE_FEATURES, ""
