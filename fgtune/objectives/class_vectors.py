"""One vector for each coarse class, which terms compare projections and prototypes with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class ClassVectors(nn.Module):
    """Cosine of normalised vectors to one vector for each class.

    Args:
        classes: Number of classes.
        dim: Length of each vector.
        draw: Fills the (classes, dim) weight with initial values; takes a ``generator`` besides.
    """

    def __init__(self, classes: int, dim: int, draw: Callable[..., object]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        self._draw = draw

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw initial values."""
        self._draw(self.weight, generator=generator)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, classes) cosines of normalised vectors (B, dim)."""
        return vectors @ functional.normalize(self.weight, dim=1).T
