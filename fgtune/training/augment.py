"""The two views of a batch: x0 for the student, x1 for the teacher, batched on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from fgtune.config.model import AugmentationConfig, NoiseConfig


class Views:
    """Views by the augmentation config; every draw comes from the generator that the caller passes."""

    def __init__(self, config: AugmentationConfig) -> None:
        self.std = config.std if isinstance(config, NoiseConfig) else 0.0
        self.weak_std = self.std if isinstance(config, NoiseConfig) and config.views == "same" else 0.0

    def student(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """View x0 of ``inputs`` (B, ...)."""
        return _noisy(inputs, self.std, generator)

    def teacher(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """View x1 of ``inputs`` (B, ...)."""
        return _noisy(inputs, self.weak_std, generator)


def _noisy(inputs: Tensor, std: float, generator: torch.Generator) -> Tensor:
    if std == 0.0:
        return inputs
    return inputs + std * torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
