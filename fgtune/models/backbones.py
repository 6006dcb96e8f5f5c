"""The backbones, which compute the features of samples, from a multi-layer perceptron to ResNet-50."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fgtune.config.schema.model import IdentityConfig, LinearBackboneConfig, MlpConfig, ResNetConfig, SmallCnnConfig
from fgtune.models.base import image_shape
from fgtune.streams import torch_stream


class Mlp(nn.Module):
    """Linear layers, each followed by optional batch norm and ReLU; the features are the last hidden activations.

    FALCON's reference MLP (2000-64-64-64-64) has no norm layers; on small data they matter more than any loss weight,
    so they are a setting.
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
    """A linear map of the flattened inputs."""

    def __init__(self, config: LinearBackboneConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(input_shape), config.dim)
        self.feature_dim = config.dim

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, dim) of inputs (B, *input_shape)."""
        features: Tensor = self.linear(inputs.flatten(1))
        return features


class Identity(nn.Module):
    """The flattened inputs, for precomputed features; it has no parameters."""

    def __init__(self, config: IdentityConfig, input_shape: Sequence[int]) -> None:  # noqa: ARG002 (one signature)
        super().__init__()
        self.feature_dim = math.prod(input_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, D) of inputs (B, *input_shape) with D numbers each."""
        return inputs.flatten(1)


class SmallCnn(nn.Module):
    """3x3 convolutions, each followed by optional batch norm and ReLU, with max-pooling by 2 between them.

    The features are the spatial mean of the last map, (B, channels[-1], h, w) with h and w the image's size over
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


class _PlainConvolution(nn.Conv2d):
    """A convolution whose initial weights follow torch's default, uniform within 1 / sqrt(fan-in)."""

    def draw_weights(self, seed: int) -> None:
        """Draw them by seed; see ``fgtune.models.initialize``."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=torch_stream(seed, "weight"))


class AffineMean(nn.Module):
    """One map for many: their mean less a learned number, times another, which start at 0 and 1 (FIERCE, ages)."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.slope = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))

    def reset_parameters(self) -> None:
        """Set the two numbers to 0 and 1."""
        nn.init.zeros_(self.offset)
        nn.init.ones_(self.slope)

    def forward(self, maps: Tensor) -> Tensor:
        """A map (B, 1, h, w) of maps (B, C, h, w)."""
        mean: Tensor = self.slope * (maps.mean(dim=1, keepdim=True) - self.offset)
        return mean


class ResNet(nn.Module):
    """ResNet-18 or ResNet-50 (He et al. 2016) without its classifier, of any number of maps.

    The CIFAR stem is a 3x3 convolution with stride 1 and no max-pooling. Its padding of 1 keeps the image size; the
    released FALCON and solo-learn code pads by 2, and their weights were trained at that size (``padding: 2``).
    """

    def __init__(self, config: ResNetConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        channels, _, _ = image_shape(config, input_shape)
        import torchvision  # here: it loads the compiler of torch, seconds

        full = getattr(torchvision.models, config.kind)(weights=None)
        stages = [full.layer1, full.layer2, full.layer3, full.layer4]
        if config.width != 64:  # torchvision has a dial for the inner maps of ResNet-50's blocks alone
            full.bn1, full.inplanes = nn.BatchNorm2d(config.width), config.width
            stages = [
                full._make_layer(type(stage[0]), config.width * 2**place, len(stage), stride=1 if place == 0 else 2)
                for place, stage in enumerate(stages)
            ]
        cifar = config.stem == "cifar"
        if cifar:
            convolution = nn.Conv2d if config.stem_init == "resnet" else _PlainConvolution
            self.conv1 = convolution(channels, config.width, 3, stride=1, padding=config.padding, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = full.bn1
        self.relu: nn.Module = full.relu
        self.maxpool: nn.Module = nn.Identity() if cifar else full.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        is_single = config.feature == "affine_mean"
        self.summary: nn.Module = AffineMean() if is_single else nn.Identity()
        self.feature_dim: int = 1 if is_single else full.inplanes

    def spatial(self, inputs: Tensor) -> Tensor:
        """The last map (B, feature_dim, h, w) of images (B, channels, height, width)."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(inputs))))
        maps: Tensor = self.summary(self.layer4(self.layer3(self.layer2(self.layer1(stem)))))
        return maps

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of images (B, channels, height, width): the spatial mean of the last map."""
        return self.spatial(inputs).mean(dim=(2, 3))
