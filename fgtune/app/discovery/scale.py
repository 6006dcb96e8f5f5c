"""Whether features must be brought to one scale: where a few of them would outweigh all others in every distance."""

from __future__ import annotations

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.data.preparation import InputScale

DOMINATED = 0.3
"""Features are dominated by a few where the effective number of variances is below this share of them."""


def effective_number(variances: FloatArray) -> float:
    """How many features share the variance: its square sum over the sum of squares, from 1 to their number.

    Example:
        >>> effective_number(np.array([1.0, 1.0, 0.0]))
        2.0
    """
    total = float(variances.sum())
    return total**2 / float((variances**2).sum()) if total > 0 else 1.0


def scale_of(values: FloatArray, missing: FloatArray | None = None) -> tuple[InputScale, str]:
    """The scale of features: of mean 0, of variance 1 each where a few would dominate, of mean variance 1 otherwise.

    Args:
        values: (N, d) finite.
        missing: (d,) what has stood for missing values; None where there were none to be.

    Returns:
        The scale, and a sentence on it.
    """
    deviation = values.std(axis=0)
    variances = deviation**2
    few = 1 + DOMINATED * (len(variances) - 1)
    if effective_number(variances) < few:
        divisor = np.where(deviation > 0, deviation, 1.0)
        note = "A few features have most of the variance, so every feature is divided by its standard deviation."
    else:
        divisor = np.full(len(variances), max(float(np.sqrt(variances.mean())), 1e-12))
        note = "Features are of one scale and keep their proportions."
    center = tuple(values.mean(axis=0).tolist())
    filled = None if missing is None else tuple(missing.tolist())
    return InputScale(center=center, divisor=tuple(divisor.tolist()), missing=filled), note
