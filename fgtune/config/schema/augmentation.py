"""Configs of augmentation: how the two views of a sample and its evaluation view are made (``fgtune.training``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config, Fraction, PositiveFloat, Weight

Size = Annotated[int, Field(ge=4)]
Channels = Annotated[tuple[float, ...], Field(min_length=1)]
PositiveChannels = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class NoAugmentationConfig(Config):
    """Both views are the sample itself."""

    kind: Literal["none"] = "none"


class NoiseConfig(Config):
    """Additive Gaussian noise, for vectors."""

    kind: Literal["noise"] = "noise"
    std: PositiveFloat = 0.1
    """Standard deviation in units of the inputs."""
    views: Literal["same", "strong_weak"] = "same"
    """Noise on both views, or on the student's only (the teacher then sees the sample as it is)."""


class _ImageConfig(Config):
    flip_p: Fraction = 0.5
    """Probability of a horizontal flip; 0 where left and right matter, as in digits."""
    mean: Channels = (0.0,)
    """Subtracted from each channel of images in [0, 1]; one value for all channels, or one per channel."""
    std: PositiveChannels = (1.0,)
    """What each channel is divided by after that; as many values as ``mean``."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> _ImageConfig:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std must have as many values as each other, they have {len(self.mean)} and {len(self.std)}"
            )
        return self


class CifarConfig(_ImageConfig):
    """Random resized crop and flip, on both views independently (released FALCON code, CIFAR-100)."""

    kind: Literal["cifar"] = "cifar"
    size: Size = 32
    """Side of the views in pixels."""
    crop_scale: tuple[PositiveFloat, PositiveFloat] = (0.08, 1.0)
    """Least and greatest share of the image's area that a crop shows."""
    views: Literal["same", "strong_weak"] = "same"
    """Crops on both views (released code), or on the student's only (as the paper says, section 4.3)."""
    mean: Channels = (0.4914, 0.4822, 0.4465)
    """Subtracted from each channel of images in [0, 1]; the default is CIFAR-100's, as released."""
    std: PositiveChannels = (0.247, 0.243, 0.261)
    """What each channel is divided by after that; the default is CIFAR-100's, as released."""

    @model_validator(mode="after")
    def _ranges_ascend(self) -> CifarConfig:
        _check_crop_scale(self.crop_scale)
        return self


class StrongWeakConfig(_ImageConfig):
    """MoCo v2's strong view for the student, a centre crop for the teacher (released FALCON code, ImageNet data)."""

    kind: Literal["imagenet_strong_weak"] = "imagenet_strong_weak"
    size: Size = 224
    """Side of the views in pixels; the centre crop is cut from an image whose shorter side is 8/7 of it (256)."""
    crop_scale: tuple[PositiveFloat, PositiveFloat] = (0.2, 1.0)
    """Least and greatest share of the image's area that a crop shows."""
    jitter: tuple[Weight, Weight, Weight, Annotated[float, Field(ge=0.0, le=0.5)]] = (0.4, 0.4, 0.4, 0.1)
    """Strength of brightness, contrast, saturation and hue changes."""
    jitter_p: Fraction = 0.8
    """Probability of the colour changes."""
    gray_p: Fraction = 0.2
    """Probability of losing all colour."""
    blur_sigma: tuple[PositiveFloat, PositiveFloat] = (0.1, 2.0)
    """Least and greatest standard deviation of the Gaussian blur, in pixels of the view."""
    blur_p: Fraction = 0.5
    """Probability of the blur."""
    mean: Channels = (0.4717, 0.4499, 0.3837)
    """Subtracted from each channel of images in [0, 1]; the default is the released one for ImageNet data."""
    std: PositiveChannels = (0.26, 0.2516, 0.2575)
    """What each channel is divided by after that; the default is the released one for ImageNet data."""

    @model_validator(mode="after")
    def _ranges_ascend(self) -> StrongWeakConfig:
        _check_crop_scale(self.crop_scale)
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma must be [least, greatest], got {list(self.blur_sigma)}")
        return self


class CropFlipConfig(_ImageConfig):
    """Zero padding, a random window of the image's own size, flip (Xu et al., arXiv 2005.09681, CIFAR-100).

    The paper states no normalisation, so pixel values stay as they are unless ``mean`` and ``std`` are given.
    """

    kind: Literal["crop_flip"] = "crop_flip"
    padding: Annotated[int, Field(ge=0)] = 4
    """Pixels added on each side before the window is cut."""
    views: Literal["same", "strong_weak"] = "same"
    """Windows on both views, or on the student's only."""


AugmentationConfig = Annotated[
    NoAugmentationConfig | NoiseConfig | CifarConfig | StrongWeakConfig | CropFlipConfig, Field(discriminator="kind")
]


def _check_crop_scale(scale: tuple[float, float]) -> None:
    if not scale[0] <= scale[1] <= 1.0:
        raise ValueError(f"crop_scale must be [least, greatest], both in (0, 1], got {list(scale)}")
