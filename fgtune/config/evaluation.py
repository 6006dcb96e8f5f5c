"""What is measured while training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.base import Config


class EvaluationConfig(Config):
    """What is measured while training."""

    every_epochs: Annotated[int, Field(ge=1)] = 1
    """Evaluate every so many epochs, and always after the last."""
    weights: Literal["student", "teacher"] = "student"
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = ("val", "test")
    silhouette_samples: Annotated[int, Field(ge=2)] = 500
    """The silhouette is computed on at most this many samples of a split, drawn by seed."""
