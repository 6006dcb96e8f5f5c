"""The networks that pretraining puts on a backbone, one class a kind: each turns a batch into a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fgtune.config.schema.pretrain import DenoisingConfig, ScarfConfig, SimSiamConfig
from fgtune.training.augment_ops import draw_crops, gray, random_flip, random_gray, resize_crops, uniform
from fgtune.training.pretraining.losses import info_nce, negative_cosine, scaled_error

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Surroundings:
    """What a method has to know of data and backbone.

    Attributes:
        shape: Of one sample as the network sees it.
        feature_dim: Number of features.
        finish: From images to what the network sees: the normalisation of the trial's augmentation.
        inputs: (n_train, ...) the training samples, indexed by a tensor of positions.
        deviation: (d,) standard deviation of each number over them; None for images.
    """

    shape: tuple[int, ...]
    feature_dim: int
    finish: Callable[[Tensor], Tensor]
    inputs: Any
    deviation: Tensor | None


class Method(nn.Module):
    """A module with the parameters that pretraining adds to a backbone."""

    def forward(self, features: Features, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """The loss of a batch (B, ...) of inputs, and features (B, feature_dim) to read coarse labels from.

        Args:
            features: The backbone.
            batch: Inputs as floating point.
            generator: Source of all draws.
        """
        raise NotImplementedError


class SimSiam(Method):
    """SimSiam: a projector, and a predictor from the projection of one view to that of the other."""

    def __init__(self, config: SimSiamConfig, around: Surroundings) -> None:
        super().__init__()
        self._config, self._around = config, around
        dim = config.dim
        self.projector = nn.Sequential(
            *_block(around.feature_dim, dim), *_block(dim, dim), nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim)
        )
        self.predictor = nn.Sequential(*_block(dim, dim // 4), nn.Linear(dim // 4, dim))

    def forward(self, features: Features, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """The symmetric loss of two views, in [-1, 1], and the features of both."""
        seen = [features(image_view(batch, self._config, self._around, generator)).float() for _ in range(2)]
        first, second = (self.projector(each) for each in seen)
        there = negative_cosine(self.predictor(first), second)
        back = negative_cosine(self.predictor(second), first)
        return (there + back) / 2, seen


class Scarf(Method):
    """SCARF: projections of a sample and of a corrupted copy."""

    def __init__(self, config: ScarfConfig, around: Surroundings) -> None:
        super().__init__()
        self._config, self._around = config, around
        self.projector = nn.Sequential(
            nn.Linear(around.feature_dim, config.dim), nn.ReLU(), nn.Linear(config.dim, config.dim)
        )

    def forward(self, features: Features, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """The contrast of clean and corrupted samples, and the features of the clean ones."""
        clean = features(batch).float()
        changed = features(corrupt(batch, self._around.inputs, self._config.corruption, generator)).float()
        return info_nce(self.projector(clean), self.projector(changed), self._config.temperature), [clean]


class Denoising(Method):
    """A denoising auto-encoder: a decoder from the features of a corrupted copy to the sample."""

    def __init__(self, config: DenoisingConfig, around: Surroundings) -> None:
        super().__init__()
        self._config, self._around = config, around
        self.decoder = nn.Sequential(
            nn.Linear(around.feature_dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, math.prod(around.shape))
        )

    def forward(self, features: Features, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """The error of the decoded samples in units of standard deviations, and the features of the corrupted ones."""
        changed = features(corrupt(batch, self._around.inputs, self._config.corruption, generator)).float()
        deviation = self._around.deviation
        if deviation is None:
            raise ValueError("denoising needs the deviation of every number")
        return scaled_error(self.decoder(changed), batch, deviation), [changed]


METHODS: dict[str, Callable[[Any, Surroundings], Method]] = {
    "simsiam": SimSiam,
    "scarf": Scarf,
    "denoising": Denoising,
}
"""Methods by ``kind``."""


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [nn.Linear(fan_in, fan_out, bias=False), nn.BatchNorm1d(fan_out), nn.ReLU()]


def image_view(images: Tensor, config: SimSiamConfig, around: Surroundings, generator: torch.Generator) -> Tensor:
    """A random view of images (B, C, H, W): crop, flip, brightness, contrast, colour, then the trial's normalisation.

    Nothing is clipped, so that images of any scale keep their range; unlike in the paper, hues do not change.
    """
    crops = draw_crops(images, config.crop_scale, generator)
    views = random_flip(resize_crops(images, crops, (around.shape[1], around.shape[2])), config.flip_p, generator)
    views = random_tone(views, config.jitter, config.jitter_p, generator)
    if views.shape[1] == 3:
        views = random_gray(views, config.gray_p, generator)
    return around.finish(views)


def random_tone(images: Tensor, strength: float, p: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and, with three channels, saturation changed with probability ``p`` an image.

    Each is a factor uniform in [1 - strength, 1 + strength]: of the pixels, of their distance from the image's mean,
    and of their distance from grey.
    """
    count = len(images)
    chosen = (uniform(count, 0, 1, images, generator) < p)[:, None, None, None]
    brightness, contrast, saturation = (
        torch.where(chosen, uniform(count, 1 - strength, 1 + strength, images, generator)[:, None, None, None], 1.0)
        for _ in range(3)
    )
    images = images * brightness
    center = images.mean(dim=(1, 2, 3), keepdim=True)
    images = center + contrast * (images - center)
    if images.shape[1] != 3:
        return images
    colorless = gray(images)
    return colorless + saturation * (images - colorless)


def corrupt(batch: Tensor, inputs: Any, share: float, generator: torch.Generator) -> Tensor:
    """Rows (B, d) with a share of their numbers replaced, each by the same number of a training sample drawn for it.

    Args:
        batch: (B, d).
        inputs: (n_train, d) the samples that numbers are drawn from: their empirical marginals.
        share: Exactly ``floor(share * d)`` numbers of a row are replaced, at least one.
        generator: Source of all draws.
    """
    count, width = batch.shape
    order = torch.rand(batch.shape, generator=generator, device=batch.device).argsort(dim=1)
    replaced = order < max(1, math.floor(share * width))
    rows = torch.randint(len(inputs), (count, width), generator=generator, device=batch.device)
    drawn = inputs[rows, torch.arange(width, device=batch.device)]
    return torch.where(replaced, drawn, batch)
