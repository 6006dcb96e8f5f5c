"""The fine classifier: a backbone and a head, built from their configs by seed."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.model import (
    BackboneConfig,
    CosineHeadConfig,
    LinearHeadConfig,
    ModelConfig,
    ProjectionHeadConfig,
)
from fgtune.config.schema.plugin import PluginConfig
from fgtune.errors import TrialError
from fgtune.models import BACKBONES, HEADS
from fgtune.models.base import SpatialBackbone
from fgtune.models.initialize import build_by_seed
from fgtune.models.weights import WeightsReport, load_weights, read_weights

CPP_COMPILERS = ("g++", "c++", "clang++")


def _registered(registry: dict[str, str], kind: str) -> Any:
    module, _, name = registry[kind].partition(":")
    return getattr(import_module(module), name)


def backbone_class(config: BackboneConfig) -> tuple[Any, Any]:
    """The class of a backbone and the config that it takes: for a plugin, its options.

    Raises:
        ConfigError: As for ``load_plugin``.
    """
    if not isinstance(config, PluginConfig):
        return _registered(BACKBONES, config.kind), config
    return load_plugin(config, "trial.model.backbone", nn.Module, ("options", "input shape"))


def check_weights(config: ModelConfig, input_shape: Sequence[int]) -> None:
    """Raise unless the config's weights file, if any, fits its backbone, which is built without memory.

    Raises:
        ConfigError: As for ``read_weights``, or the backbone cannot take such inputs.
    """
    if config.weights is not None:
        with torch.device("meta"):
            backbone_type, settings = backbone_class(config.backbone)
            backbone = backbone_type(settings, input_shape)
        read_weights(backbone, config.weights)


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
    """Cosine similarity to one prototype per fine class, over a temperature (in FALCON's code, not in its paper)."""

    def __init__(self, config: CosineHeadConfig, feature_dim: int, num_fine: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.empty(num_fine, feature_dim))
        self.temperature = config.temperature

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the prototypes from a standard normal distribution; only their directions matter."""
        nn.init.normal_(self.prototypes, generator=generator)

    @property
    def embedding_dim(self) -> int:
        """Length of the class vectors."""
        return self.prototypes.shape[1]

    def embed(self, features: Tensor) -> Tensor:
        """(B, embedding_dim) normalised embeddings of features (B, feature_dim): these themselves."""
        return functional.normalize(features.float(), dim=1)

    def directions(self) -> Tensor:
        """(num_fine, embedding_dim) normalised class vectors."""
        return functional.normalize(self.prototypes.float(), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, num_fine) of features (B, feature_dim), in fp32 also under autocast.

        In fp16 the lower bound on a norm would round to 0, so an all-zero feature would give NaN.
        """
        embedded = self.embed(features)
        with torch.autocast(features.device.type, enabled=False):
            return embedded @ self.directions().T / self.temperature


class ProjectionHead(CosineHead):
    """The cosine head on two layers that embed the features (SCGM: the projection, and its subclasses' means)."""

    def __init__(self, config: ProjectionHeadConfig, feature_dim: int, num_fine: int) -> None:
        nn.Module.__init__(self)
        self.layers = nn.Sequential(nn.Linear(feature_dim, feature_dim), nn.ReLU(), nn.Linear(feature_dim, config.dim))
        self.prototypes = nn.Parameter(torch.empty(num_fine, config.dim))
        self.temperature = config.temperature

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the prototypes by Glorot's rule, as released."""
        bound = math.sqrt(6 / sum(self.prototypes.shape))
        nn.init.uniform_(self.prototypes, -bound, bound, generator=generator)

    def embed(self, features: Tensor) -> Tensor:
        """(B, embedding_dim) normalised embeddings of features (B, feature_dim)."""
        return functional.normalize(self.layers(features).float(), dim=1)


class FineClassifier(nn.Module):
    """Inputs (B, *input_shape) -> features (B, feature_dim) -> logits (B, num_fine).

    Attributes:
        weights_report: What was loaded from a weights file; None if the weights were drawn.
    """

    def __init__(self, config: ModelConfig, input_shape: Sequence[int], num_fine: int) -> None:
        super().__init__()
        backbone_type, settings = backbone_class(config.backbone)
        self.backbone = backbone_type(settings, input_shape)
        self.head = _registered(HEADS, config.head.kind)(config.head, self.backbone.feature_dim, num_fine)
        self.freeze_backbone = config.freeze_backbone
        self.channels_last = config.channels_last
        self.compiles = config.compile
        self.weights_report: WeightsReport | None = None

    def train(self, mode: bool = True) -> FineClassifier:
        """Set training mode; a frozen backbone stays in evaluation mode, so that its statistics do not change."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.train(False)
        return self

    def compile_backbone(self) -> None:
        """Compile the backbone if the config asks for it; a copy of a model has to be compiled separately.

        Raises:
            TrialError: There is no C++ compiler.
        """
        if not self.compiles:
            return
        if not any(shutil.which(name) for name in (os.environ.get("CXX"), *CPP_COMPILERS) if name):
            raise TrialError(
                f"model.compile needs a C++ compiler, and none of {', '.join(CPP_COMPILERS)} is on the PATH; "
                "install one, name it in CXX, or set model.compile: false"
            )
        self.backbone.compile()

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim)."""
        features: Tensor = self.backbone(self._laid_out(inputs))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, num_fine)."""
        logits: Tensor = self.head(self.features(inputs))
        return logits

    def spatial(self, inputs: Tensor) -> Tensor | None:
        """The backbone's last spatial map (B, C, h, w), or None if it has none."""
        if not isinstance(self.backbone, SpatialBackbone):
            return None
        return self.backbone.spatial(self._laid_out(inputs))

    def _laid_out(self, inputs: Tensor) -> Tensor:
        """Images in channels-last memory format if the config asks for it."""
        if self.channels_last and inputs.ndim == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs


def build_classifier(config: ModelConfig, input_shape: Sequence[int], num_fine: int, seed: int) -> FineClassifier:
    """A fine classifier on the CPU with weights by ``seed``, the backbone's from a file if the config names one.

    Args:
        config: Backbone, head, weights, switches.
        input_shape: Shape of one sample as the network sees it (after augmentation).
        num_fine: K_F.
        seed: Seed of the initial weights.

    Raises:
        ConfigError: The backbone cannot take such inputs, or the weights file does not fit it.
        TrialError: Compilation is asked for but impossible.
    """
    model = build_by_seed(lambda: FineClassifier(config, input_shape, num_fine), seed)
    if config.weights is not None:
        model.weights_report = load_weights(model.backbone, config.weights)
    if config.freeze_backbone:
        model.backbone.requires_grad_(False)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model.compile_backbone()
    return model
