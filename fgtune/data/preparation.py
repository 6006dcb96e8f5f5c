"""How inputs are prepared by what the training samples alone show: features scaled and filled, texts embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fgtune.arrays import AnyArray, FloatArray, IntArray
from fgtune.config.schema.base import Config
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.data_tables import ArraysConfig, SingleCellConfig
from fgtune.data.base import Dataset, Preparation
from fgtune.data.terms import TermCounts, TextEmbedding

_Numbers = Annotated[tuple[float, ...], Field(min_length=1)]
_TO_DEVIATION = 1.349  # interquartile range of a normal distribution in standard deviations


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


Fitted = InputScale | TextEmbedding
"""What some samples have taught about preparing any."""


def preparation_of(config: DataConfig) -> Preparation | None:
    """What a data config asks to do to features; None where they stay as they are."""
    if not isinstance(config, ArraysConfig | SingleCellConfig):
        return None
    scales: dict[object, Literal["standard", "robust"]] = {True: "standard", "robust": "robust"}
    impute = config.impute if isinstance(config, ArraysConfig) else None
    wanted = Preparation(scales.get(config.standardize), impute)
    return None if wanted == Preparation() else wanted


def fitted(dataset: Dataset, rows: IntArray | slice) -> Fitted | None:
    """What prepares a data set's inputs, found in some of its rows: an embedding of texts, or a scale of features.

    Args:
        dataset: The data.
        rows: (n,) the training samples, or a slice of all.

    Returns:
        None where the data set asks for nothing.
    """
    if isinstance(dataset.inputs, TermCounts):
        return dataset.inputs.fitted(rows)
    return fitted_scale(dataset, rows)


def fitted_scale(dataset: Dataset, rows: IntArray | slice) -> InputScale | None:
    """The scale of a data set's features and what stands for missing ones, found in some of its rows.

    A feature without a value in these rows counts as 0, one of a single value keeps its unit. A robust scale is the
    median and the interquartile range in units of 1.349, its size for a normal distribution of standard deviation 1;
    where the range is 0, the standard deviation.

    Args:
        dataset: The data; its inputs are (N, features) where it has a preparation.
        rows: (n,) the training samples, or a slice of all.

    Returns:
        None where the data set asks for nothing.
    """
    wanted = dataset.preparation
    if wanted is None:
        return None
    values: FloatArray = np.array(dataset.inputs[rows], dtype=np.float64)
    empty = np.isnan(values).all(axis=0)
    values[:, empty] = 0.0
    missing = None
    if wanted.impute is not None:
        if wanted.impute in ("median", "mean"):
            missing = (np.nanmedian if wanted.impute == "median" else np.nanmean)(values, axis=0)
        else:
            missing = np.full(values.shape[1], float(wanted.impute))
        values = np.where(np.isnan(values), missing, values)
    center, divisor = np.zeros(1), np.ones(1)
    if wanted.standardize is not None:
        deviation = values.std(axis=0)
        deviation[deviation <= 1e-9 * np.abs(values).max(axis=0)] = 0.0  # rounding of a single value
        center, divisor = values.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
        if wanted.standardize == "robust":
            low, center, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            divisor = np.where(high > low, (high - low) / _TO_DEVIATION, divisor)
    return InputScale(
        center=tuple(center.tolist()),
        divisor=tuple(divisor.tolist()),
        missing=None if missing is None else tuple(missing.tolist()),
    )


def as_prepared(dataset: Dataset, form: Fitted | None) -> Dataset:
    """The data set with scaled and filled, or embedded, inputs; itself where there is nothing to do."""
    if form is None:
        return dataset
    if isinstance(form, InputScale):
        return with_inputs(dataset, form(np.asarray(dataset.inputs)))
    if not isinstance(dataset.inputs, TermCounts):
        raise TypeError(f"only texts can be embedded, {dataset.name} has none")
    return with_inputs(dataset, dataset.inputs.embedded(form))


def with_inputs(dataset: Dataset, values: AnyArray) -> Dataset:
    """The data set with prepared inputs, (N, features) real numbers."""
    inputs = np.ascontiguousarray(values, dtype=np.float32)
    inputs.setflags(write=False)
    return replace(dataset, inputs=inputs, preparation=None)
