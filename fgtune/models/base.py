"""The interface of a backbone: features, for convolutional ones also the last spatial map; and the check of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fgtune.config.schema.model import ResNetConfig, SmallCnnConfig, TimmConfig
from fgtune.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


class Backbone(Protocol):
    """A module that turns inputs (B, *input_shape) into features (B, feature_dim)."""

    feature_dim: int
    """Number of features."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of inputs (B, *input_shape)."""
        ...


@runtime_checkable
class SpatialBackbone(Protocol):
    """A backbone whose features are pooled from a spatial map; others lack the method."""

    feature_dim: int

    def spatial(self, inputs: Tensor) -> Tensor:
        """The last spatial map (B, feature_dim, h, w) of inputs (B, channels, height, width)."""
        ...


def image_shape(config: SmallCnnConfig | ResNetConfig | TimmConfig, input_shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape of one sample as (channels, height, width).

    Raises:
        ConfigError: The samples are not images, or too small for the backbone.
    """
    path = "trial.model.backbone.kind"
    if len(input_shape) != 3:
        rule = f"needs images (channels, height, width), and a sample has shape {tuple(input_shape)}"
        raise ConfigError(rule, path=path, value=config.kind, fix="use mlp, linear or identity for vectors")
    channels, height, width = input_shape
    smallest = 2 ** (len(config.channels) - 1) if isinstance(config, SmallCnnConfig) else 1
    if min(height, width) < smallest:
        rule = f"needs images of at least {smallest} x {smallest} pixels, and a sample has {height} x {width}"
        raise ConfigError(rule, path=path, value=config.kind, fix="give fewer channels entries, or larger images")
    return channels, height, width
