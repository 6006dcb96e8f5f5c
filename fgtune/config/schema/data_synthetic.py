"""Configs of the data sets that fgtune makes or that scikit-learn brings; no file is needed for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.data_base import BaseDataConfig, Fraction, PositiveFloat

DigitGroups = tuple[Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)], ...]


class DigitsConfig(BaseDataConfig):
    """scikit-learn's 1,797 handwritten 8x8 digits, pixel values scaled to [0, 1]; the digit is the fine class."""

    kind: Literal["digits"] = "digits"
    coarse_groups: DigitGroups = Field(default=((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)), min_length=1)
    """Digits of each coarse class; a digit belongs to one group at most, digits in no group are left out."""
    second_groups: Annotated[DigitGroups, Field(min_length=1)] | None = None
    """Another grouping of the same digits, as a second source: it labels the samples with odd index alone, and
    ``coarse_groups`` then those with even index."""
    samples: Literal["all", "even", "odd"] = "all"
    """Use all samples, or those with even or odd index alone."""

    @model_validator(mode="after")
    def _groups_disjoint(self) -> DigitsConfig:
        used = []
        for name, groups in (("coarse_groups", self.coarse_groups), ("second_groups", self.second_groups or ())):
            digits = [digit for group in groups for digit in group]
            repeated = sorted({digit for digit in digits if digits.count(digit) > 1})
            if repeated:
                raise ValueError(f"a digit belongs to one group at most; {repeated} appear more than once in {name}")
            used.append(set(digits))
        if self.second_groups is not None and used[0] != used[1]:
            raise ValueError("coarse_groups and second_groups must hold the same digits")
        if self.second_groups is not None and self.samples != "all":
            raise ValueError("two groupings share the samples by index, so they need samples: all")
        return self


class DiabetesConfig(BaseDataConfig):
    """scikit-learn's 442 diabetes patients: 10 standardised measurements, and the progression after a year.

    The progression is a continuous fine target; the coarse class is whether it lies above its median.
    """

    kind: Literal["diabetes"] = "diabetes"


class PatchesConfig(BaseDataConfig):
    """The colour-patch images of Xu et al. (arXiv 2005.09681, section 4.1): one big and one small patch an image.

    The coarse class is the big patch, the fine class the small one. As published (``nested: false``) the two are drawn
    independently, so fine classes are not nested in coarse ones; ``nested: true`` gives each small patch one big
    parent. The paper states neither the canvas nor the patch sizes; these are dials here.
    """

    kind: Literal["patches"] = "patches"
    nested: bool = False
    num_images: Annotated[int, Field(ge=10)] = 512
    num_big: Annotated[int, Field(ge=1)] = 32
    """Number of big patches = coarse classes."""
    num_small: Annotated[int, Field(ge=1)] = 128
    """Number of small patches = fine classes."""
    canvas: Annotated[int, Field(ge=8)] = 32
    """Side of the square image in pixels."""
    big_size: Annotated[int, Field(ge=1)] = 14
    """Side of a big patch in pixels."""
    small_size: Annotated[int, Field(ge=1)] = 5
    """Side of a small patch in pixels."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the images themselves, apart from the seeds of the study."""

    @model_validator(mode="after")
    def _patches_fit(self) -> PatchesConfig:
        total = self.big_size + self.small_size
        if total > self.canvas:
            raise ValueError(f"big_size + small_size must be <= canvas ({self.canvas}), they sum to {total}")
        if self.nested and self.num_small < self.num_big:
            raise ValueError(f"nested patches need num_small >= num_big, got {self.num_small} < {self.num_big}")
        if self.num_images < max(self.num_big, self.num_small):
            raise ValueError(
                f"num_images must be >= num_big and num_small, so that every patch occurs; got {self.num_images} < "
                f"{max(self.num_big, self.num_small)}"
            )
        return self


class HierarchyConfig(BaseDataConfig):
    """Gaussian fine classes around coarse centres: a two-level tree whose difficulties are dials."""

    kind: Literal["hierarchy"] = "hierarchy"
    num_samples: Annotated[int, Field(ge=10)] = 2000
    num_coarse: Annotated[int, Field(ge=1)] = 4
    fine_per_coarse: (
        Annotated[int, Field(ge=1)] | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    ) = 3
    """Fine classes in each coarse class; one number, or one number a coarse class."""
    dim: Annotated[int, Field(ge=1)] = 16
    """Number of input dimensions."""
    separation: PositiveFloat = 4.0
    """Expected distance between fine centres of one coarse class, in standard deviations of a fine class."""
    coarse_separation: PositiveFloat = 8.0
    """Expected distance between coarse centres, in the same unit."""
    imbalance: Annotated[float, Field(ge=1.0)] = 1.0
    """Ratio of the largest to the smallest fine class; sizes fall geometrically."""
    coarse_noise: Fraction = 0.0
    """Share of samples whose coarse label is replaced by a uniformly drawn other one, after ``non_nested``."""
    non_nested: Fraction = 0.0
    """Share of each fine class that carries a second parent's label: one other coarse class, fixed per fine class."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the samples themselves, apart from the seeds of the study."""

    @model_validator(mode="after")
    def _shape_agrees(self) -> HierarchyConfig:
        sizes = self.fine_per_coarse
        if isinstance(sizes, tuple) and len(sizes) != self.num_coarse:
            raise ValueError(
                f"fine_per_coarse needs one number a coarse class ({self.num_coarse}), it has {len(sizes)}"
            )
        if self.num_coarse == 1 and (self.coarse_noise > 0 or self.non_nested > 0):
            raise ValueError("coarse_noise and non_nested need at least two coarse classes")
        if self.num_samples < sum(self.fine_in_each):
            raise ValueError(
                f"num_samples must be >= the number of fine classes ({sum(self.fine_in_each)}), got {self.num_samples}"
            )
        return self

    @property
    def fine_in_each(self) -> tuple[int, ...]:
        """Number of fine classes in each coarse class."""
        sizes = self.fine_per_coarse
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.num_coarse
