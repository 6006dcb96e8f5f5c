"""Configs of backbones, heads and their initial weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config, Count, PositiveFloat, Text
from fgtune.config.schema.plugin import BY_KIND, PLUGIN, SHIPPED, PluginConfig
from fgtune.config.schema.pretrain import PretrainConfig


class MlpConfig(Config):
    """A multilayer perceptron on flattened inputs; its last hidden layer gives the features."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (128, 128)
    """Width of each hidden layer."""
    norm: Literal["none", "batch"] = "batch"
    """Normalisation between a linear layer and its ReLU; the reference MLP has none."""


class LinearBackboneConfig(Config):
    """One linear map of the flattened inputs to the features, without a non-linearity."""

    kind: Literal["linear"] = "linear"
    dim: Count = 64
    """Number of features."""


class IdentityConfig(Config):
    """The flattened inputs are the features, for features computed beforehand; it has no parameters."""

    kind: Literal["identity"] = "identity"


class SmallCnnConfig(Config):
    """A plain convolutional network for images of 28 to 64 pixels; features are the spatial mean of its last map."""

    kind: Literal["small_cnn"] = "small_cnn"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64, 128)
    """Channels of each 3x3 convolution; the image is halved between them, not after the last."""
    norm: Literal["none", "batch"] = "batch"
    """Normalisation between a convolution and its ReLU."""


class _ResNetConfig(Config):
    padding: Literal[1, 2] = 1
    """Padding of the CIFAR stem: 1 keeps the image size; the FALCON reference has 2 (32x32 becomes 34x34)."""

    stem_init: Literal["resnet", "torch"] = "resnet"
    """Initial weights of the convolution of a CIFAR stem: as torchvision draws those of a ResNet, or by torch's default
    for any convolution, which code that puts another stem into a finished ResNet has (FALCON, solo-learn)."""

    width: Count = 64
    """Maps of the first stage; each later one has twice as many (FIERCE, ages: 16)."""

    feature: Literal["maps", "affine_mean"] = "maps"
    """``maps``: a number for each map. ``affine_mean``: a single one, the mean over all maps less a learned number,
    times another (FIERCE, ages)."""

    @model_validator(mode="after")
    def _padding_has_a_use(self) -> _ResNetConfig:
        if getattr(self, "stem", None) == "imagenet":
            if self.padding != 1:
                raise ValueError("padding is a setting of the CIFAR stem; leave it out with stem: imagenet")
            if self.stem_init != "resnet":
                raise ValueError("stem_init is a setting of the CIFAR stem; leave it out with stem: imagenet")
        return self


class ResNet18Config(_ResNetConfig):
    """torchvision's ResNet-18 without its classifier; 512 features at a ``width`` of 64."""

    kind: Literal["resnet18"] = "resnet18"
    stem: Literal["cifar", "imagenet"] = "cifar"
    """``cifar``: 3x3 convolution, stride 1, no max-pool; ``imagenet``: 7x7, stride 2, max-pool."""


class ResNet50Config(_ResNetConfig):
    """torchvision's ResNet-50 without its classifier; 2048 features at a ``width`` of 64."""

    kind: Literal["resnet50"] = "resnet50"
    stem: Literal["cifar", "imagenet"] = "imagenet"
    """``cifar``: 3x3 convolution, stride 1, no max-pool; ``imagenet``: 7x7, stride 2, max-pool."""


ResNetConfig = ResNet18Config | ResNet50Config


class TimmConfig(Config):
    """A network of timm (PyTorch Image Models) without its classifier; needs the extra ``fgtune[timm]``."""

    kind: Literal["timm"] = "timm"
    name: Text
    """What timm calls it, e.g. ``convnext_atto`` or ``vit_tiny_patch16_224``; nothing is downloaded."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of residual branches that training leaves out (stochastic depth), for networks that have it."""


_ShippedBackboneConfig = Annotated[
    MlpConfig | LinearBackboneConfig | IdentityConfig | SmallCnnConfig | ResNet18Config | ResNet50Config | TimmConfig,
    Field(discriminator="kind"),
]

BackboneConfig = Annotated[Annotated[_ShippedBackboneConfig, SHIPPED] | Annotated[PluginConfig, PLUGIN], BY_KIND]


class LinearHeadConfig(Config):
    """A linear classifier with bias over the fine classes."""

    kind: Literal["linear"] = "linear"


class CosineHeadConfig(Config):
    """Cosine similarity to one prototype per fine class, divided by a temperature."""

    kind: Literal["cosine"] = "cosine"
    temperature: PositiveFloat = 0.07


class ProjectionHeadConfig(Config):
    """Two layers that embed the features, and cosines to one prototype per fine class (SCGM)."""

    kind: Literal["projection"] = "projection"
    dim: Count = 128
    """Numbers of an embedding; the hidden layer is as wide as the features."""
    temperature: PositiveFloat = 0.1


HeadConfig = Annotated[LinearHeadConfig | CosineHeadConfig | ProjectionHeadConfig, Field(discriminator="kind")]


class WeightsConfig(Config):
    """A local file with the backbone's initial weights; read without unpickling code."""

    path: Text
    """The file, relative to the working directory or absolute."""
    layout: Literal["plain", "moco_v2", "moco_v3", "solo_learn"] = "plain"
    """How its keys are named: as the backbone's own (torchvision's), or as MoCo v2 (CoIns), MoCo v3, solo-learn do."""
    encoder: Literal["base", "momentum"] = "base"
    """Which of the two encoders in a MoCo or solo-learn file."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest that the file must have; it ties a cell to the content of the file, not just to its name."""

    @model_validator(mode="after")
    def _has_two_encoders(self) -> WeightsConfig:
        if self.layout == "plain" and self.encoder == "momentum":
            raise ValueError(
                "encoder: momentum needs layout: moco_v2, moco_v3 or solo_learn; a plain file holds one encoder"
            )
        return self


class ModelConfig(Config):
    """Backbone (inputs to features) and head (features to fine-class logits)."""

    backbone: BackboneConfig = MlpConfig()
    head: HeadConfig = LinearHeadConfig()
    weights: WeightsConfig | None = None
    """Initial weights of the backbone from a file; None draws them by seed. The head's are always drawn by seed."""
    pretrain: PretrainConfig | None = None
    """Train the backbone on the inputs of the training split first, without fine labels; kept in the study folder."""
    freeze_backbone: bool = False
    """Train only the head; batch-norm statistics of the backbone then stay fixed too."""
    channels_last: bool = False
    """Keep images and convolutions with channels innermost in memory: same results to rounding, faster on many GPUs."""
    compile: bool = False
    """Run the backbone through torch.compile, which needs a C++ compiler and takes time before the first step."""

    @model_validator(mode="after")
    def _weights_have_a_place(self) -> ModelConfig:
        if self.weights is not None and isinstance(self.backbone, IdentityConfig):
            raise ValueError("the identity backbone has no parameters, so weights must be left out")
        return self

    @model_validator(mode="after")
    def _pretraining_has_a_place(self) -> ModelConfig:
        if self.pretrain is not None and isinstance(self.backbone, IdentityConfig):
            raise ValueError("the identity backbone has no parameters, so pretrain must be left out")
        if self.pretrain is not None and self.weights is not None:
            raise ValueError("pretrain draws initial weights and weights reads them from a file: leave one of them out")
        return self
