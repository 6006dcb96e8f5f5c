"""What a study file may say and hardly means: one sentence each, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fgtune.config.arms.records import DataShape
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.objective import QueueInstanceConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.space import InfeasibleError, SearchSpace
from fgtune.streams import numpy_stream

_TRIED = 32
"""Random points of a space that are looked at."""


def likely_mistakes(
    resolved: Mapping[str, TrialConfig], spaces: Mapping[str, SearchSpace], shapes: Mapping[str, DataShape]
) -> Iterator[str]:
    """What is allowed and yet likely a mistake.

    Args:
        resolved: The trial of each arm.
        spaces: Search spaces, by what they are called in a sentence.
        shapes: Of each data set, as ``Plan.shapes``.
    """
    for name, config in resolved.items():
        yield from _small_batches(f"arm {name}", config)
        yield from _long_queue(f"arm {name}", config, shapes)
    for name, space in spaces.items():
        told = (each for config in _drawn(space) for each in _long_queue(f"points of {name}", config, shapes))
        yield from dict.fromkeys(told)


def _drawn(space: SearchSpace) -> Iterator[TrialConfig]:
    """Some trials of a space."""
    rng = numpy_stream(0, "mistakes")
    for _ in range(_TRIED):
        try:
            yield space.config(space.draw(rng))
        except InfeasibleError:
            continue


def _small_batches(where: str, config: TrialConfig) -> Iterator[str]:
    num_fine = config.classes.number
    if config.objective.lambda_reg > 0 and num_fine is not None and config.batch_size < 2 * num_fine:
        yield (
            f"{where}: batch_size {config.batch_size} is below 2 x num_fine = {2 * num_fine}, "
            "so a batch cannot show every fine class twice and the mean prediction is a poor estimate"
        )


def _long_queue(where: str, config: TrialConfig, shapes: Mapping[str, DataShape]) -> Iterator[str]:
    """A momentum queue that is longer than the data: slow, and a sample is told apart from itself."""
    instance, samples = config.objective.instance, shapes[stable_hash(config.data.to_plain())].num_samples
    if not isinstance(instance, QueueInstanceConfig) or config.objective.lambda_instance == 0 or samples is None:
        return
    if instance.size > samples:
        yield (
            f"{where}: a queue of {instance.size} keys holds each of {samples} samples about "
            f"{instance.size / samples:.0f} times, so a sample is told apart from older keys of itself, and slowly; "
            f"set objective.instance.size below {samples}"
        )
