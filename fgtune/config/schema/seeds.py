"""The seeds of a study: fixed, or added in blocks to the contrasts that are not decided yet."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config, Count, SeedCount

FEWEST_SEEDS = 3
"""Seeds of a first block: with fewer, no verdict of every kind can stand."""


class AdaptiveSeeds(Config):
    """Seeds that are added in blocks, from 0 on, until every planned contrast has a verdict.

    The first block runs for all arms. After each block the verdicts are computed, and the next block runs only for arms
    without one, and their baseline. Every look is paid for: together, they keep ``metrics.alpha``.
    """

    min: Annotated[int, Field(ge=FEWEST_SEEDS)]
    """Seeds of every arm: the first block."""
    max: SeedCount
    """The most seeds of any arm, more than ``min``."""
    step: Count | None = None
    """Seeds of each further block; the last one may have fewer. None takes ``min``."""
    until: Literal["decided"] = "decided"
    """When an arm gets no more seeds: when the verdict on its contrast is helps, hurts or equivalent."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.max <= self.min:
            raise ValueError(
                f"max must be more than min, not {self.max} with min {self.min}; for fixed seeds give a number"
            )
        if self.step is not None and self.step > self.max - self.min:
            raise ValueError(f"step must be at most max - min = {self.max - self.min}, not {self.step}")
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of seeds of an arm after each block that it may get."""
        return (*range(self.min, self.max, self.step or self.min), self.max)

    def following(self, seeds: int) -> int | None:
        """How many seeds an arm has after the block that follows ``seeds`` of them; None after the last."""
        return next((size for size in self.sizes if size > seeds), None)
