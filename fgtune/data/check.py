"""What every data set must satisfy, whatever its kind: one check, whose errors name the array and the row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.data.base import Dataset
from fgtune.data.terms import TermCounts
from fgtune.errors import DataError
from fgtune.text import first_of

MIN_SAMPLES = 10
SPLIT_NAMES = ("train", "val", "test")


def check_dataset(dataset: Dataset) -> None:
    """Raise ``DataError`` unless the data set can be used.

    Inputs are finite float32 with at least one number each, or uint8 images; all arrays have one entry per sample;
    coarse labels are -1 or lie in [0, K_C), each coarse class of each source with a sample; fine labels are >= 0;
    continuous fine targets are finite; a given split has samples in each part, and training samples of every coarse
    class.
    """
    _check_inputs(dataset)
    arrays = {"coarse": dataset.coarse, "fine": dataset.fine, "fine_values": dataset.fine_values}
    for name, array in (arrays | {"split": dataset.given_split}).items():
        if array is not None and len(array) != len(dataset.inputs):
            rule = f"must have one entry per sample ({len(dataset.inputs)}), it has {len(array)}"
            fix = "Give every array the same first dimension."
            raise _error(dataset, name, rule, fix)
    for source in range(dataset.num_sources):
        _check_coarse(dataset, source)
    if dataset.fine is not None and (dataset.fine < 0).any():
        row = int(np.argmax(dataset.fine < 0))
        rule = f"labels must be >= 0, row {row} breaks this"
        fix = "Give every sample its fine class, or leave out 'fine' altogether."
        raise _error(dataset, "fine", rule, fix, value=int(dataset.fine[row]))
    if dataset.fine_values is not None:
        _check_fine_values(dataset, dataset.fine_values)
    if dataset.given_split is not None:
        _check_given_split(dataset, dataset.given_split)


def _error(dataset: Dataset, path: str, rule: str, fix: str = "", **value: object) -> DataError:
    """The error about the array ``path``; its value, if any, is given as ``value=...``."""
    return DataError(rule, where=dataset.name, path=path, fix=fix, **value)


def _check_inputs(dataset: Dataset) -> None:
    inputs = dataset.inputs
    if len(inputs.shape) < 2 or 0 in inputs.shape[1:]:
        rule = "must be (N, ...), with at least one number per sample"
        fix = "Reshape a single number per sample to (N, 1)."
        raise _error(dataset, "inputs", rule, fix, value=inputs.shape)
    if len(inputs) < MIN_SAMPLES:
        raise _error(
            dataset, "inputs", f"must hold at least {MIN_SAMPLES} samples", "Use more samples.", value=len(inputs)
        )
    if inputs.dtype == np.uint8:
        _check_images(dataset)
        return
    if isinstance(inputs, TermCounts):
        inputs.check_terms()  # what counts are embedded as is finite, and costs a decomposition
        return
    inputs = np.asarray(inputs)
    is_filled = dataset.preparation is not None and dataset.preparation.impute is not None
    finite = np.isfinite(inputs) | (np.isnan(inputs) if is_filled else False)
    if not finite.all():
        nans = 0 if is_filled else int(np.isnan(inputs).sum())
        infinite = int(finite.size - finite.sum()) - nans
        row = int(np.argmin(finite.reshape(len(inputs), -1).all(axis=1)))
        rule = f"must be finite in float32: {nans} NaN and {infinite} infinite values, the first in row {row}"
        rule += _gaps(dataset.feature_names, finite)
        fix = "Remove or fill these samples, and scale values that float32 cannot hold."
        if nans and inputs.ndim == 2 and dataset.feature_names is not None:
            fix += " data.impute: median fills what is missing; data.columns.exclude leaves a column out."
        raise _error(dataset, "inputs", rule, fix)


def _gaps(names: tuple[str, ...] | None, finite: npt.NDArray[np.bool_]) -> str:
    """Which features have gaps, with their numbers, and which rows; empty where features have no names."""
    if names is None:
        return ""
    gaps = (~finite).sum(axis=0)
    worst = [f"{names[each]} ({gaps[each]})" for each in np.argsort(-gaps, kind="stable") if gaps[each]]
    rows = [str(row) for row in np.flatnonzero(~finite.all(axis=1))]
    return f"; in columns {first_of(worst)}; in rows {first_of(rows)}"


def _check_images(dataset: Dataset) -> None:
    shape = dataset.inputs.shape
    if len(shape) != 4 or shape[1] not in (1, 3):
        rule = "uint8 inputs are pixels and must be (N, 1 or 3, height, width)"
        fix = "Transpose the images, or convert the inputs to float32."
        raise _error(dataset, "inputs", rule, fix, value=shape)


def _check_fine_values(dataset: Dataset, values: Float32Array) -> None:
    if values.ndim != 2 or values.shape[1] == 0:
        raise _error(dataset, "fine_values", "must be (N, columns)", value=values.shape)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        rule = f"continuous fine targets must be finite, row {int(np.argmin(finite))} is not"
        fix = "Give every sample its target, or remove the samples that have none."
        raise _error(dataset, "fine_values", rule, fix)


def _check_coarse(dataset: Dataset, source: int) -> None:
    labels, num_coarse = dataset.coarse[:, source], dataset.num_coarse[source]
    place = "" if dataset.num_sources == 1 else f" of source {source}"
    outside = (labels < -1) | (labels >= num_coarse)
    if outside.any():
        row = int(np.argmax(outside))
        rule = f"labels{place} must be -1 (none) or 0 .. K-1, row {row} breaks this"
        fix = "Number the coarse classes from 0, and write -1 for a sample without a label."
        raise _error(dataset, "coarse", rule, fix, value=int(labels[row]))
    if num_coarse == 0:
        raise _error(
            dataset, "coarse", f"no sample has a label{place}", "Give coarse labels 0 .. K-1, or remove the source."
        )
    missing = _first_missing(labels, num_coarse)
    if missing is not None:
        rule = f"coarse class {missing}{place} has no samples (labels go up to {num_coarse - 1})"
        fix = "Number the coarse classes 0 .. K-1 without gaps, each with at least one sample."
        raise _error(dataset, "coarse", rule, fix)


def _check_given_split(dataset: Dataset, given: IntArray) -> None:
    if not np.isin(given, (0, 1, 2)).all():
        row = int(np.argmin(np.isin(given, (0, 1, 2))))
        rule = f"must be 0 (train), 1 (val) or 2 (test), row {row} breaks this"
        fix = "Write one of 'train', 'val', 'test', or 0, 1, 2, for every sample."
        raise _error(dataset, "split", rule, fix, value=int(given[row]))
    for part, name in enumerate(SPLIT_NAMES):
        if not (given == part).any():
            rule = f"no sample is in {name!r}"
            fix = "Put samples in each of train, val and test, or leave out 'split' to have it drawn."
            raise _error(dataset, "split", rule, fix)
    for source, num_coarse in enumerate(dataset.num_coarse):
        missing = _first_missing(dataset.coarse[given == 0, source], num_coarse)
        if missing is not None:
            rule = f"coarse class {missing} of source {source} has no sample in 'train'"
            fix = "Move samples of this coarse class to 'train', or leave out 'split' to have it drawn."
            raise _error(dataset, "split", rule, fix)


def _first_missing(labels: IntArray, num_classes: int) -> int | None:
    """The lowest class in [0, num_classes) without a label; works for any range, even labels of 10**15."""
    present = np.unique(labels[labels >= 0])
    if present.size == num_classes:
        return None
    gaps = np.flatnonzero(present != np.arange(present.size))
    return int(gaps[0]) if gaps.size else int(present.size)
