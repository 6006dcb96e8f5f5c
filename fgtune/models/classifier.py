"""The fine classifier: backbone and head, built from their configs by seed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from fgtune.config.model import ModelConfig
from fgtune.models import BACKBONES, HEADS
from fgtune.models.initialize import build_by_seed


def _registered(registry: dict[str, str], kind: str) -> Any:
    module, _, name = registry[kind].partition(":")
    return getattr(import_module(module), name)


class FineClassifier(nn.Module):
    """Inputs (B, *input_shape) -> features (B, feature_dim) -> logits (B, num_fine)."""

    def __init__(self, config: ModelConfig, input_shape: Sequence[int], num_fine: int) -> None:
        super().__init__()
        self.backbone = _registered(BACKBONES, config.backbone.kind)(config.backbone, input_shape)
        self.head = _registered(HEADS, config.head.kind)(config.head, self.backbone.feature_dim, num_fine)
        self.freeze_backbone = config.freeze_backbone

    def train(self, mode: bool = True) -> FineClassifier:
        """Set training mode; a frozen backbone stays in evaluation mode, so that its statistics do not move."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.train(False)
        return self

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim)."""
        features: Tensor = self.backbone(inputs)
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, num_fine)."""
        logits: Tensor = self.head(self.backbone(inputs))
        return logits


def build_classifier(config: ModelConfig, input_shape: Sequence[int], num_fine: int, seed: int) -> FineClassifier:
    """A fine classifier on the CPU with initial weights by ``seed``; a frozen backbone needs no gradient."""
    model = build_by_seed(lambda: FineClassifier(config, input_shape, num_fine), seed)
    if config.freeze_backbone:
        model.backbone.requires_grad_(False)
    return model
