"""Backbones for vectors: modules that turn a batch of flattened inputs into features (B, feature_dim)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from fgtune.config.model import IdentityConfig, LinearBackboneConfig, MlpConfig


class Mlp(nn.Module):
    """Linear layers, each followed by optional batch norm and ReLU; features are the last hidden activations.

    The reference MLP of FALCON (2000-64-64-64-64) has no norm layers; on small data they matter more than any loss
    weight, so they are a setting.
    """

    def __init__(self, config: MlpConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        widths = [math.prod(input_shape), *config.hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers.append(nn.Linear(fan_in, fan_out))
            if config.norm == "batch":
                layers.append(nn.BatchNorm1d(fan_out))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.feature_dim = widths[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of inputs (B, *input_shape)."""
        features: Tensor = self.layers(inputs.flatten(1))
        return features


class LinearBackbone(nn.Module):
    """One linear map of the flattened inputs."""

    def __init__(self, config: LinearBackboneConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(input_shape), config.dim)
        self.feature_dim = config.dim

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, dim) of inputs (B, *input_shape)."""
        features: Tensor = self.linear(inputs.flatten(1))
        return features


class Identity(nn.Module):
    """The flattened inputs themselves: for features computed beforehand. It has no parameters."""

    def __init__(self, config: IdentityConfig, input_shape: Sequence[int]) -> None:  # noqa: ARG002 (one signature)
        super().__init__()
        self.feature_dim = math.prod(input_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, D) of inputs (B, *input_shape) with D numbers each."""
        return inputs.flatten(1)
