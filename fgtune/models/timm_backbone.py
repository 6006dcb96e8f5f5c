"""Networks of timm by their names there, as backbones: every model of its list that takes images and pools features."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from fgtune.config.schema.model import TimmConfig
from fgtune.errors import ConfigError
from fgtune.models.base import image_shape
from fgtune.text import first_line, listed

_PATH = "trial.model.backbone.name"
_FAULTS = (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError)
"""What networks raise for images that they cannot take, or settings that they do not have."""


class TimmBackbone(nn.Module):
    """A network of timm without its classifier; the features are what timm gives its classifier to read.

    Keys of its weights are timm's own: a file of timm, or of anybody who trained one, is read with layout ``plain``.

    Attributes:
        feature_dim: Number of features, as one image gives them.
    """

    wrapped = "network."
    """Stands before each key of its state, and before none in a file."""

    def __init__(self, config: TimmConfig, input_shape: Sequence[int]) -> None:
        super().__init__()
        self._config, self._shape = config, image_shape(config, input_shape)
        self.network = _create(config, self._shape)
        self.feature_dim = self._feature_dim()

    def _feature_dim(self) -> int:
        """The number of features of an image of zeros.

        Raises:
            ConfigError: The network cannot take such images.
        """
        device = next(self.network.parameters()).device
        try:
            with torch.no_grad():
                found = self.network.eval()(torch.zeros(1, *self._shape, device=device))
        except _FAULTS as error:
            channels, height, width = self._shape
            rule = f"cannot take {channels} x {height} x {width} images ({first_line(error)})"
            raise _error(rule, self._config, "use another network, or larger images by trial.augmentation") from error
        finally:
            self.network.train()
        if not isinstance(found, Tensor) or found.ndim != 2:
            raise _error("gives no vector of features for an image", self._config, "use another network")
        return found.shape[1]

    def draw_weights(self, seed: int) -> None:
        """Draw all parameters as timm does, from its own distributions; the global random state is restored."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            fresh = _create(self._config, self._shape)
        self.network.load_state_dict(fresh.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (B, feature_dim) of images (B, channels, height, width)."""
        features: Tensor = self.network(inputs)
        return features


@cache
def check_network(config: TimmConfig, input_shape: tuple[int, ...]) -> None:
    """Raise unless timm has this network and it takes such images; it is built without memory for its weights.

    Raises:
        ConfigError: It has not, or it does not.
    """
    with torch.device("meta"):
        TimmBackbone(config, input_shape)


def _create(config: TimmConfig, shape: tuple[int, int, int]) -> nn.Module:
    """The network for images of a shape; vision transformers have to know the size beforehand, others take any."""
    timm = _library(config)
    channels, height, width = shape
    settings: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": channels}
    if config.drop_path:
        settings["drop_path_rate"] = config.drop_path
    tried: list[str] = []
    for size in ({"img_size": (height, width)}, {}):
        try:
            network: nn.Module = timm.create_model(config.name, **settings, **size)
        except _FAULTS as error:
            tried.append(first_line(error))
        else:
            return network
    rule = f"cannot be built for {channels} x {height} x {width} images ({tried[-1]})"
    raise _error(rule, config, "use another network, or leave out drop_path where it has none")


def _library(config: TimmConfig) -> Any:
    try:
        import timm  # here: it loads every network's module, seconds
    except ImportError as error:
        raise _error("needs timm, which is not installed", config, "pip install 'fgtune[timm]'") from error
    if not timm.is_model(config.name):
        near = difflib.get_close_matches(config.name, timm.list_models(), n=3, cutoff=0.5)
        fix = f"did you mean {listed(near)}?" if near else "timm.list_models() lists the names"
        raise _error("is no network of timm", config, fix)
    return timm


def _error(rule: str, config: TimmConfig, fix: str) -> ConfigError:
    return ConfigError(rule, path=_PATH, value=config.name, fix=fix)
