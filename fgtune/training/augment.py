"""The views of a batch: x0 for the student, x1 for the teacher and neighbours, and the one for evaluation.

Published pairs of views by name (FALCON's released code; Xu et al., arXiv 2005.09681), batched on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from fgtune.config.schema.augmentation import (
    AugmentationConfig,
    CifarConfig,
    CropFlipConfig,
    NoAugmentationConfig,
    NoiseConfig,
    StrongWeakConfig,
)
from fgtune.training.augment_ops import (
    as_float,
    draw_crops,
    numbers,
    random_blur,
    random_flip,
    random_gray,
    random_jitter,
    random_shift,
    resize_crops,
)
from fgtune.training.input_checks import view_shape


class Pipeline(Protocol):
    """Makes views of floating-point inputs (B, ...); images are in [0, 1]."""

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The student's view."""
        ...

    def weak(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The teacher's view."""
        ...

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The deterministic view for evaluation."""
        ...


class Views:
    """Views by the augmentation config; every draw comes from the caller's generator.

    Inputs are float32, with images in [0, 1], or uint8, which is divided by 255. Each sample of a batch has its own
    draws, and equal generators give equal views on one device.

    Raises:
        ConfigError: From every view, if the inputs are not what the augmentation needs.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self.config = config
        self._pipeline: Pipeline = AUGMENTATIONS[config.kind](config)

    def student(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """View x0 of ``inputs`` (B, ...)."""
        return self._pipeline.strong(self._ready(inputs), generator)

    def teacher(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """View x1 of ``inputs`` (B, ...)."""
        return self._pipeline.weak(self._ready(inputs), generator)

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The deterministic view of ``inputs`` (B, ...): vectors as they are, images resized and normalised."""
        return self._pipeline.evaluation(self._ready(inputs))

    def _ready(self, inputs: Tensor) -> Tensor:
        view_shape(self.config, inputs.shape[1:])
        return as_float(inputs)


class NoViews:
    """Every view is the sample itself."""

    def __init__(self, config: NoAugmentationConfig) -> None:
        self.config = config

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002 (one signature)
        """The inputs."""
        return inputs

    weak = strong

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The inputs."""
        return inputs


class NoiseViews:
    """Gaussian noise on both views, or on the student's only."""

    def __init__(self, config: NoiseConfig) -> None:
        self.config = config

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The inputs with noise."""
        noise = torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
        return inputs + self.config.std * noise

    def weak(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The inputs with another draw of noise, or without noise if the views differ."""
        return self.strong(inputs, generator) if self.config.views == "same" else inputs

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The inputs."""
        return inputs


class CifarViews:
    """Random resized crop and flip."""

    def __init__(self, config: CifarConfig) -> None:
        self.config = config

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A random crop, resized, flipped, normalised."""
        config = self.config
        crops = draw_crops(inputs, config.crop_scale, generator)
        images = resize_crops(inputs, crops, config.size)
        return normalize(random_flip(images, config.flip_p, generator), config)

    def weak(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A second random crop, or the evaluation view if the views differ."""
        return self.strong(inputs, generator) if self.config.views == "same" else self.evaluation(inputs)

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The whole image at ``size`` (CIFAR images have it already), normalised."""
        import torchvision.transforms.v2.functional as tv  # here: it loads the compiler of torch, seconds

        size = [self.config.size] * 2
        images = inputs if list(inputs.shape[2:]) == size else tv.resize(inputs, size, antialias=True)
        return normalize(images, self.config)


class StrongWeakViews:
    """MoCo v2's strong view and a centre crop."""

    def __init__(self, config: StrongWeakConfig) -> None:
        self.config = config

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A random crop, resized, with random colour jitter, grey, blur and flip, normalised."""
        config = self.config
        crops = draw_crops(inputs, config.crop_scale, generator)
        images = resize_crops(inputs, crops, config.size)
        images = random_jitter(images, config.jitter, config.jitter_p, generator)
        images = random_gray(images, config.gray_p, generator)
        images = random_blur(images, config.blur_sigma, config.blur_p, generator)
        return normalize(random_flip(images, config.flip_p, generator), config)

    def weak(self, inputs: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002 (one signature)
        """The evaluation view."""
        return self.evaluation(inputs)

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The centre of the image, resized so that its shorter side is 8/7 of ``size``, normalised."""
        import torchvision.transforms.v2.functional as tv  # here: it loads the compiler of torch, seconds

        size = self.config.size
        images = tv.resize(inputs, [round(size * 8 / 7)], antialias=True)
        return normalize(tv.center_crop(images, [size, size]), self.config)


class CropFlipViews:
    """A shifted window of the zero-padded image, and flip."""

    def __init__(self, config: CropFlipConfig) -> None:
        self.config = config

    def strong(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A random window, flipped, normalised."""
        windows = random_shift(inputs, self.config.padding, generator)
        return normalize(random_flip(windows, self.config.flip_p, generator), self.config)

    def weak(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A second random window, or the evaluation view if the views differ."""
        return self.strong(inputs, generator) if self.config.views == "same" else self.evaluation(inputs)

    def evaluation(self, inputs: Tensor) -> Tensor:
        """The image, normalised."""
        return normalize(inputs, self.config)


AUGMENTATIONS: dict[str, Callable[[Any], Pipeline]] = {
    "none": NoViews,
    "noise": NoiseViews,
    "cifar": CifarViews,
    "imagenet_strong_weak": StrongWeakViews,
    "crop_flip": CropFlipViews,
}
"""Pipelines by ``kind``: ``cls(config)``."""


def normalize(images: Tensor, config: CifarConfig | StrongWeakConfig | CropFlipConfig) -> Tensor:
    """Images (B, C, H, W) less ``mean``, over ``std``, channel by channel."""
    mean, std = (numbers(values, images)[:, None, None] for values in (config.mean, config.std))
    return (images - mean) / std
