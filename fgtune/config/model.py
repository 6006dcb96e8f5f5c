"""Configs of backbones, heads and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.base import Config
from fgtune.config.data import PositiveFloat


class MlpConfig(Config):
    """A multilayer perceptron on flattened inputs; its last hidden layer gives the features."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128, 128)
    """Width of each hidden layer."""
    norm: Literal["none", "batch"] = "batch"
    """Normalisation between a linear layer and its ReLU; the reference MLP has none."""


class LinearBackboneConfig(Config):
    """One linear map of the flattened inputs to the features, without a non-linearity."""

    kind: Literal["linear"] = "linear"
    dim: Annotated[int, Field(ge=1)] = 64
    """Number of features."""


BackboneConfig = Annotated[MlpConfig | LinearBackboneConfig, Field(discriminator="kind")]


class LinearHeadConfig(Config):
    """A linear classifier with bias over the fine classes."""

    kind: Literal["linear"] = "linear"


class CosineHeadConfig(Config):
    """Cosine similarity to one prototype a fine class, divided by a temperature."""

    kind: Literal["cosine"] = "cosine"
    temperature: PositiveFloat = 0.07


HeadConfig = Annotated[LinearHeadConfig | CosineHeadConfig, Field(discriminator="kind")]


class ModelConfig(Config):
    """Backbone (inputs to features) and head (features to fine-class logits)."""

    backbone: BackboneConfig = MlpConfig()
    head: HeadConfig = LinearHeadConfig()
    freeze_backbone: bool = False
    """Train the head alone; batch-norm statistics of the backbone then stay fixed too."""


class NoAugmentationConfig(Config):
    """Both views are the sample itself."""

    kind: Literal["none"] = "none"


class NoiseConfig(Config):
    """Additive Gaussian noise, for vectors."""

    kind: Literal["noise"] = "noise"
    std: PositiveFloat = 0.1
    """Standard deviation in units of the inputs."""
    views: Literal["same", "strong_weak"] = "same"
    """Noise on both views, or on the student's only (the teacher then sees the sample as it is)."""


AugmentationConfig = Annotated[NoAugmentationConfig | NoiseConfig, Field(discriminator="kind")]
