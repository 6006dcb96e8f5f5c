"""Configs of pretraining: how the backbone is trained on the inputs of the training split before the trial itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fgtune.config.schema.base import Config, Count, Fraction, OpenFraction, PositiveFloat, Weight


class _PretrainConfig(Config):
    """What every kind of pretraining has: AdamW with cosine decay, no fine labels, the training split alone."""

    epochs: Count = 60
    """Passes over the training split."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Upper bound; an epoch is cut into batches of equal size (to within one sample)."""
    lr: PositiveFloat = 1e-3
    """Learning rate of AdamW, which falls to 0 along a cosine."""
    weight_decay: Weight = 1e-4
    coarse: Weight = 0.0
    """Weight of the cross-entropy of coarse labels, by a linear layer on the features; 0 reads no label at all."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of initial weights, order and draws. None is the cell's own seed: all arms of a block share one encoder, and no
    two blocks do. A number gives all cells with the same training samples one encoder: cheaper in a transductive study,
    where intervals over seeds then leave the chance of pretraining out."""


class SimSiamConfig(_PretrainConfig):
    """Two views of an image predict each other (Chen and He, CVPR 2021); for images."""

    kind: Literal["simsiam"] = "simsiam"
    dim: Annotated[int, Field(ge=8)] = 256
    """Width of the projections; the predictor's hidden layer has a quarter of it."""
    crop_scale: tuple[PositiveFloat, PositiveFloat] = (0.2, 1.0)
    """Least and greatest share of the image's area that a view shows."""
    flip_p: Fraction = 0.5
    """Probability of a horizontal flip; 0 where left and right matter, as in digits."""
    jitter: Fraction = 0.4
    """Strength of changes of brightness, contrast and, with three channels, saturation; 0 where the colour matters."""
    jitter_p: Fraction = 0.8
    """Probability of these changes."""
    gray_p: Fraction = 0.2
    """Probability of losing all colour, with three channels; 0 where the colour matters."""

    @field_validator("crop_scale")
    @classmethod
    def _ascends(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] <= scale[1] <= 1.0:
            raise ValueError(f"must be [least, greatest], both in (0, 1], got {list(scale)}")
        return scale


class _CorruptedConfig(_PretrainConfig):
    corruption: OpenFraction = 0.6
    """Share of the numbers of a sample that are replaced, each by that of another training sample drawn for it."""


class ScarfConfig(_CorruptedConfig):
    """A sample is recognised from a corrupted copy of it (SCARF, Bahri et al., ICLR 2022); for vectors."""

    kind: Literal["scarf"] = "scarf"
    dim: Annotated[int, Field(ge=2)] = 256
    """Width of the projections."""
    temperature: PositiveFloat = 1.0
    """What cosine similarities are divided by; 1 in the paper."""


class DenoisingConfig(_CorruptedConfig):
    """A sample is computed from a corrupted copy (a denoising auto-encoder, Vincent et al., 2008); for vectors."""

    kind: Literal["denoising"] = "denoising"
    hidden: Count = 256
    """Width of the decoder's hidden layer."""


PretrainConfig = Annotated[SimSiamConfig | ScarfConfig | DenoisingConfig, Field(discriminator="kind")]
