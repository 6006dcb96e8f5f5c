"""Warnings of a plan: what is allowed but likely a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fgtune.config.arms.records import DataShape
from fgtune.config.schema.base import data_key
from fgtune.config.schema.contrast import QueueInstanceConfig
from fgtune.config.schema.trial import AdamConfig, BaseTrialConfig, TrialConfig
from fgtune.config.spaces.space import InfeasibleError, SearchSpace
from fgtune.streams import numpy_stream

LARGE_ADAM_LR = 0.02
"""A learning rate of AdamW's from here on is warned of; its default is 0.001, and that of SGD 0.1."""
_TRIED = 32
"""Random points of a space that are examined."""


def plan_warnings(
    resolved: Mapping[str, BaseTrialConfig], spaces: Mapping[str, SearchSpace], shapes: Mapping[str, DataShape]
) -> Iterator[str]:
    """What is allowed but likely a mistake.

    Args:
        resolved: The trial of each arm.
        spaces: Search spaces, by how a sentence refers to them.
        shapes: Shape of each data set, as in ``Plan.shapes``.
    """
    yield from dict.fromkeys(note for shape in shapes.values() for note in shape.notes)
    for name, config in ((name, each.discovery) for name, each in resolved.items()):
        if config is None:
            continue
        yield from _small_batches(f"arm {name}", config)
        yield from _large_steps(f"arm {name}", config)
        yield from _long_queue(f"arm {name}", config, shapes)
        yield from _idle_probes(f"arm {name}", config, shapes)
    for name, space in spaces.items():
        where, points = f"points of {name}", [*_drawn(space)]
        yield from dict.fromkeys(each for config in points for each in _long_queue(where, config, shapes))
        largest = max(points, key=_adam_rate, default=None)
        if largest is not None:
            yield from _large_steps(where, largest)


def _drawn(space: SearchSpace) -> Iterator[TrialConfig]:
    """Some trials of a space."""
    rng = numpy_stream(0, "mistakes")
    for _ in range(_TRIED):
        try:
            config = space.config(space.draw(rng)).discovery
        except InfeasibleError:
            continue
        if config is not None:
            yield config


def _small_batches(where: str, config: TrialConfig) -> Iterator[str]:
    num_fine = config.classes.number
    if config.objective.weight("reg") > 0 and num_fine is not None and config.batch_size < 2 * num_fine:
        yield (
            f"{where}: batch_size {config.batch_size} is below 2 x num_fine = {2 * num_fine}, "
            "so a batch cannot show every fine class twice and the mean prediction is a poor estimate"
        )


def _adam_rate(config: TrialConfig) -> float:
    """The learning rate of AdamW; 0 with another optimiser."""
    return config.optimizer.lr if isinstance(config.optimizer, AdamConfig) else 0.0


def _large_steps(where: str, config: TrialConfig) -> Iterator[str]:
    """AdamW's steps do not shrink with the gradient, so a learning rate of SGD's is far too large for it."""
    rate = _adam_rate(config)
    if rate >= LARGE_ADAM_LR:
        yield (
            f"{where}: optimizer.lr {rate:.2g} suits sgd; adamw usually diverges or learns nothing above "
            f"{LARGE_ADAM_LR:g}, so try {AdamConfig().lr:g}"
        )


def _idle_probes(where: str, config: TrialConfig, shapes: Mapping[str, DataShape]) -> Iterator[str]:
    """Probes that are to have curves, and have no value at all."""
    evaluation, shape = config.evaluation, shapes[data_key(config.data)]
    if not evaluation.probes_by_epoch:
        return
    probes = {*evaluation.probes}
    of_classes = shape.num_fine is not None and not probes.isdisjoint({"knn", "linear"})
    of_values = shape.num_values is not None and not probes.isdisjoint({"ridge", "gradient"})
    does_nothing = f"{where}: evaluation.probes_by_epoch does nothing"
    if not of_classes and not of_values:
        listed = ", ".join(evaluation.probes)
        yield (
            f"{does_nothing}, since the data lack the fine targets of {listed}: "
            "knn and linear read fine classes, ridge and gradient continuous values"
        )
    elif config.data.split.transductive:
        yield f"{does_nothing}, since all samples are training samples, and probes are judged on others"


def _long_queue(where: str, config: TrialConfig, shapes: Mapping[str, DataShape]) -> Iterator[str]:
    """A momentum queue longer than what it is filled with: slow, and it contrasts a sample with itself."""
    shape, objective = shapes[data_key(config.data)], config.objective
    if shape.num_samples is None:
        return
    instance, ancor = objective.instance, objective.ancor
    if isinstance(instance, QueueInstanceConfig) and objective.weight("instance") > 0:
        yield from _long(where, instance.size, shape.num_samples, "", "objective.instance.size")
    if objective.weight("ancor") > 0:
        members = max(1, shape.num_samples // max(shape.num_coarse))
        yield from _long(where, ancor.size, members, " of a coarse class", "objective.ancor.size")


def _long(where: str, size: int, samples: int, of: str, path: str) -> Iterator[str]:
    if size > samples:
        yield (
            f"{where}: a queue of {size} keys holds each of {samples} samples{of} about {size / samples:.0f} times, "
            f"so a sample is contrasted with older keys of itself, and slowly; set {path} below {samples}"
        )
