"""A plain convolutional network for images of 28 to 64 pixels: cheap enough for two CPU cores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from fgtune.config.model import SmallCnnConfig
from fgtune.models.base import image_shape


class SmallCnn(nn.Module):
    """3x3 convolutions, each followed by optional batch norm and ReLU, with max-pooling by 2 between them.

    The features are the mean over places of the last map, (B, channels[-1], h, w) with h and w the image's size over
    2^(stages - 1).
    """

    def __init__(self, config: SmallCnnConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        in_channels, _, _ = image_shape(config, input_shape)
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise([in_channels, *config.channels]):
            if layers:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=config.norm == "none"))
            if config.norm == "batch":
                layers.append(nn.BatchNorm2d(fan_out))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.feature_dim = config.channels[-1]

    def spatial(self, inputs: Tensor) -> Tensor:
        """The last map (B, feature_dim, h, w) of images (B, channels, height, width)."""
        maps: Tensor = self.layers(inputs)
        return maps

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of images (B, channels, height, width)."""
        return self.spatial(inputs).mean(dim=(2, 3))
