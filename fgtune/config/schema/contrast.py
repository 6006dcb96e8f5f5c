"""Settings of methods that embed samples: instance classification, ANCOR, SNCA, SCGM."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.schema.base import Config, Count, PositiveFloat, Weight


class ParametricInstanceConfig(Config):
    """One linear classifier row per training sample (Xu et al., arXiv 2005.09681)."""

    kind: Literal["parametric"] = "parametric"
    scope: Literal["all", "coarse"] = "all"
    """The softmax runs over all samples, or over those of the same coarse class (the efficient variant)."""
    temperature: PositiveFloat = 1.0


class KeyEncoderConfig(Config):
    """The momentum encoder that makes the keys of a queue."""

    size: Annotated[int, Field(ge=2)] = 65536
    """Number of keys kept."""
    key_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    temperature: PositiveFloat = 0.2
    projection_dim: Count = 128
    key_statistics: Literal["averaged", "batch"] = "averaged"
    """Batch norm in the momentum encoder: by statistics that are averaged like its weights, or by those of the batch
    (released MoCo, CoIns and ANCOR)."""
    batch_groups: Count = 1
    """Student and momentum encoder normalise each of so many parts of a batch by itself, the keys in another order,
    as several devices with shuffled batch norm do (released: 8); keys only with ``key_statistics: batch``."""


class QueueInstanceConfig(KeyEncoderConfig):
    """Contrast with a queue of momentum-encoded samples (the ICCV 2021 form of Xu et al., after MoCo v2)."""

    kind: Literal["queue"] = "queue"
    start: Literal["empty", "random"] = "empty"
    """The queue fills up, or starts full of random directions, which count as negatives at first (released)."""
    coarse_weight: Weight = 0.0
    """Weight, within the term, of the coarse label's cross-entropy by the cosine of the projection to a vector for each
    coarse class, over the same temperature (released: 0.5)."""


class AncorConfig(KeyEncoderConfig):
    """Angular contrast within coarse classes, with ``lambda_ancor`` (Bukchin et al. 2021); defaults as released."""

    key_statistics: Literal["averaged", "batch"] = "batch"
    """As for the queue of ``instance``."""
    contrast: Weight = 1.0
    """Weight, within the term, of the contrast beside the coarse classification."""


class SncaConfig(Config):
    """Neighbourhood components by a memory of all samples, with ``lambda_snca`` (Wu et al. 2018)."""

    projection_dim: Count = 128
    """Numbers of an embedding, a linear map of the features."""
    temperature: PositiveFloat = 0.05
    """What cosines are divided by."""
    memory_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """Share of what is remembered of a sample that stays when it is seen again."""


class ScgmConfig(Config):
    """A mixture of subclasses below coarse classes, with ``lambda_scgm`` (Ni et al. 2022); defaults as released.

    Its class vectors are those of ``model.head``, whose temperature is the variance of the subclasses.
    """

    alpha: Weight = 0.5
    """Weight, within the term, of the likelihood of the assigned subclass beside the coarse cross-entropy."""
    sharpness: PositiveFloat = 25.0
    """Exponent of the posterior in the balanced assignment (Sinkhorn-Knopp)."""
    every_epochs: Count = 5
    """Samples are assigned to subclasses anew every so many epochs."""
