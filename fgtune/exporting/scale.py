"""How a user's own numbers become the inputs of a model whose training data were prepared: gaps filled, then scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from fgtune.arrays import AnyArray, FloatArray
from fgtune.config.schema.base import Config

_Numbers = Annotated[tuple[float, ...], Field(min_length=1)]


class InputScale(Config):
    """(value - center) / divisor in float64, number by number or with the same number for all.

    Example:
        >>> scale = InputScale(center=(1.0, 0.0), divisor=(2.0, 1.0), missing=(5.0, 0.0))
        >>> scale(np.array([[3.0, 7.0], [np.nan, 7.0]])).tolist()
        [[1.0, 7.0], [2.0, 7.0]]
    """

    center: _Numbers
    """Of each number of a sample, or one for all."""
    divisor: _Numbers
    """As ``center``."""
    missing: tuple[float, ...] | None = None
    """What stands for a value that is missing or not finite; None where there must be none."""

    def __call__(self, values: AnyArray) -> FloatArray:
        """(n, ...) real numbers, scaled."""
        numbers = np.asarray(values, dtype=np.float64)
        if self.missing is not None:
            numbers = np.where(np.isfinite(numbers), numbers, np.array(self.missing))
        found: FloatArray = (numbers - np.array(self.center)) / np.array(self.divisor)
        return found


@dataclass(frozen=True)
class UserForm:
    """What new samples look like where the data of a study were prepared from a user's own.

    Attributes:
        scale: What was done to his numbers; None for nothing.
        coarse_names: Names of the coarse classes, where the data of the study hold only their numbers.
    """

    scale: InputScale | None = None
    coarse_names: tuple[str, ...] | None = None
