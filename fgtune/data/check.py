"""What every data set must satisfy, whatever its kind: one check, whose errors say which array and which row."""

from __future__ import annotations

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.data.base import Dataset
from fgtune.errors import DataError

MIN_SAMPLES = 10
SPLIT_NAMES = ("train", "val", "test")


def check_dataset(dataset: Dataset) -> None:
    """Raise ``DataError`` unless the data set can be used.

    Inputs are finite float32 with at least one number a sample, or uint8 images; all arrays have one entry a sample;
    coarse labels are -1 or lie in [0, K_C), each coarse class of each source with a sample; fine labels are >= 0;
    continuous fine targets are finite; a given split has samples in each part, and training samples of every coarse
    class.
    """
    _check_inputs(dataset)
    arrays = {"coarse": dataset.coarse, "fine": dataset.fine, "fine_values": dataset.fine_values}
    for name, array in (arrays | {"split": dataset.given_split}).items():
        if array is not None and len(array) != len(dataset.inputs):
            raise DataError(
                f"must have one entry a sample ({len(dataset.inputs)}), it has {len(array)}",
                where=dataset.name,
                path=name,
                fix="Give every array the same first dimension.",
            )
    for source in range(dataset.num_sources):
        _check_coarse(dataset, source)
    if dataset.fine is not None and (dataset.fine < 0).any():
        row = int(np.argmax(dataset.fine < 0))
        raise DataError(
            f"labels must be >= 0, row {row} breaks this",
            where=dataset.name,
            path="fine",
            value=int(dataset.fine[row]),
            fix="Give every sample its fine class, or leave out 'fine' altogether.",
        )
    if dataset.fine_values is not None:
        _check_fine_values(dataset, dataset.fine_values)
    if dataset.given_split is not None:
        _check_given_split(dataset, dataset.given_split)


def _check_inputs(dataset: Dataset) -> None:
    inputs = dataset.inputs
    if len(inputs.shape) < 2 or 0 in inputs.shape[1:]:
        raise DataError(
            "must be (N, ...), with at least one number a sample",
            where=dataset.name,
            path="inputs",
            value=inputs.shape,
            fix="Reshape a single number a sample to (N, 1).",
        )
    if len(inputs) < MIN_SAMPLES:
        raise DataError(
            f"must hold at least {MIN_SAMPLES} samples",
            where=dataset.name,
            path="inputs",
            value=len(inputs),
            fix="Use more samples.",
        )
    if inputs.dtype == np.uint8:
        _check_images(dataset)
        return
    inputs = np.asarray(inputs)
    finite = np.isfinite(inputs)
    if not finite.all():
        nans = int(np.isnan(inputs).sum())
        infinite = int(finite.size - finite.sum()) - nans
        row = int(np.argmin(finite.reshape(len(inputs), -1).all(axis=1)))
        raise DataError(
            f"must be finite in float32: {nans} NaN and {infinite} infinite values, the first in row {row}",
            where=dataset.name,
            path="inputs",
            fix="Remove or fill these samples, and scale values that float32 cannot hold.",
        )


def _check_images(dataset: Dataset) -> None:
    shape = dataset.inputs.shape
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise DataError(
            "uint8 inputs are pixels and must be (N, 1 or 3, height, width)",
            where=dataset.name,
            path="inputs",
            value=shape,
            fix="Transpose the images, or convert the inputs to float32.",
        )


def _check_fine_values(dataset: Dataset, values: Float32Array) -> None:
    if values.ndim != 2 or values.shape[1] == 0:
        raise DataError("must be (N, columns)", where=dataset.name, path="fine_values", value=values.shape)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise DataError(
            f"continuous fine targets must be finite, row {int(np.argmin(finite))} is not",
            where=dataset.name,
            path="fine_values",
            fix="Give every sample its target, or remove the samples that have none.",
        )


def _check_coarse(dataset: Dataset, source: int) -> None:
    labels, num_coarse = dataset.coarse[:, source], dataset.num_coarse[source]
    place = "" if dataset.num_sources == 1 else f" of source {source}"
    outside = (labels < -1) | (labels >= num_coarse)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"labels{place} must be -1 (none) or 0 .. K-1, row {row} breaks this",
            where=dataset.name,
            path="coarse",
            value=int(labels[row]),
            fix="Number the coarse classes from 0, and write -1 for a sample without a label.",
        )
    if num_coarse == 0:
        raise DataError(
            f"no sample has a label{place}",
            where=dataset.name,
            path="coarse",
            fix="Give coarse labels 0 .. K-1, or remove the source.",
        )
    missing = _first_missing(labels, num_coarse)
    if missing is not None:
        raise DataError(
            f"coarse class {missing}{place} has no samples (labels go up to {num_coarse - 1})",
            where=dataset.name,
            path="coarse",
            fix="Number the coarse classes 0 .. K-1 without gaps, each with at least one sample.",
        )


def _check_given_split(dataset: Dataset, given: IntArray) -> None:
    if not np.isin(given, (0, 1, 2)).all():
        row = int(np.argmin(np.isin(given, (0, 1, 2))))
        raise DataError(
            f"must be 0 (train), 1 (val) or 2 (test), row {row} breaks this",
            where=dataset.name,
            path="split",
            value=int(given[row]),
            fix="Write one of 'train', 'val', 'test', or 0, 1, 2, for every sample.",
        )
    for part, name in enumerate(SPLIT_NAMES):
        if not (given == part).any():
            raise DataError(
                f"no sample is in {name!r}",
                where=dataset.name,
                path="split",
                fix="Put samples in each of train, val and test, or leave out 'split' to have it drawn.",
            )
    for source, num_coarse in enumerate(dataset.num_coarse):
        missing = _first_missing(dataset.coarse[given == 0, source], num_coarse)
        if missing is not None:
            raise DataError(
                f"coarse class {missing} of source {source} has no sample in 'train'",
                where=dataset.name,
                path="split",
                fix="Move samples of this coarse class to 'train', or leave out 'split' to have it drawn.",
            )


def _first_missing(labels: IntArray, num_classes: int) -> int | None:
    """The lowest class in [0, num_classes) without a label; works on any range, labels of 10**15 included."""
    present = np.unique(labels[labels >= 0])
    if present.size == num_classes:
        return None
    gaps = np.flatnonzero(present != np.arange(present.size))
    return int(gaps[0]) if gaps.size else int(present.size)
