"""Heads: modules that turn features into logits over the fine classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.schema.model import CosineHeadConfig, LinearHeadConfig


class LinearHead(nn.Module):
    """A linear classifier with bias (the FALCON reference)."""

    def __init__(self, config: LinearHeadConfig, feature_dim: int, num_fine: int) -> None:  # noqa: ARG002 (one signature)
        super().__init__()
        self.linear = nn.Linear(feature_dim, num_fine)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, num_fine) of features (B, feature_dim)."""
        logits: Tensor = self.linear(features)
        return logits


class CosineHead(nn.Module):
    """Cosine similarity to one prototype a fine class, over a temperature (in the FALCON code, unused by the paper)."""

    def __init__(self, config: CosineHeadConfig, feature_dim: int, num_fine: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.empty(num_fine, feature_dim))
        self.temperature = config.temperature

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the prototypes from a standard normal distribution; only their directions matter."""
        nn.init.normal_(self.prototypes, generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, num_fine) of features (B, feature_dim), in fp32 also under autocast.

        In fp16 the floor under a norm would round to 0 and a feature of all zeros become NaN.
        """
        with torch.autocast(features.device.type, enabled=False):
            directions = functional.normalize(self.prototypes.float(), dim=1)
            similarity = functional.normalize(features.float(), dim=1) @ directions.T
            return similarity / self.temperature
