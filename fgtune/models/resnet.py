"""torchvision's ResNets as backbones, with the ImageNet stem or the one usual on CIFAR; keys are torchvision's own."""

from __future__ import annotations

from collections.abc import Sequence

import torchvision
from torch import Tensor, nn

from fgtune.config.model import ResNetConfig
from fgtune.models.base import image_shape


class ResNet(nn.Module):
    """ResNet-18 or ResNet-50 (He et al. 2016) without its classifier.

    The CIFAR stem is a 3x3 convolution of stride 1 without max-pool. Its padding is 1, which keeps the image size; the
    released FALCON and solo-learn code pad by 2, and weights from there were trained at that size (``padding: 2``).
    """

    def __init__(self, config: ResNetConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        channels, _, _ = image_shape(config, input_shape)
        full = getattr(torchvision.models, config.kind)(weights=None)
        cifar = config.stem == "cifar"
        if cifar:
            self.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=config.padding, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = full.bn1
        self.relu: nn.Module = full.relu
        self.maxpool: nn.Module = nn.Identity() if cifar else full.maxpool
        self.layer1: nn.Module = full.layer1
        self.layer2: nn.Module = full.layer2
        self.layer3: nn.Module = full.layer3
        self.layer4: nn.Module = full.layer4
        self.feature_dim: int = full.fc.in_features

    def spatial(self, inputs: Tensor) -> Tensor:
        """The last map (B, feature_dim, h, w) of images (B, channels, height, width)."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(inputs))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(stem))))
        return maps

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of images (B, channels, height, width): the mean over places of the last map."""
        return self.spatial(inputs).mean(dim=(2, 3))
