"""What others see of a data set: plans its shape, trainer and evaluator their views, neighbour search plain vectors."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.arms.records import DataShape
from fgtune.data.base import Dataset, EvaluationView, Inputs, Splits, TrainingView

THUMBNAIL = 32
"""Side to which larger images are averaged: cosine similarity of pixels needs no more, and memory holds no more."""
_BLOCK = 1024


def describe(dataset: Dataset) -> DataShape:
    """What a plan needs to know: numbers of classes, fine targets, fingerprint, size, and doubts."""
    return DataShape(
        num_coarse=dataset.num_coarse,
        num_fine=dataset.num_fine,
        fingerprint=dataset.fingerprint,
        num_values=None if dataset.fine_values is None else int(dataset.fine_values.shape[1]),
        num_samples=len(dataset.inputs),
        notes=dataset.notes,
    )


def training_view(dataset: Dataset, splits: Splits, neighbors: IntArray | None) -> TrainingView:
    """The data without fine labels and without labels of the test split.

    Args:
        dataset: The whole data set.
        splits: Its parts.
        neighbors: (n_train, k) positions within the training split, -1 for none; or None.
    """
    return TrainingView(
        inputs=dataset.inputs,
        train=splits.train,
        val=splits.val,
        train_coarse=_read_only(dataset.coarse[splits.train]),
        val_coarse=_read_only(dataset.coarse[splits.val]),
        num_coarse=dataset.num_coarse,
        neighbors=neighbors,
        label_sets=dataset.label_sets,
    )


def evaluation_view(dataset: Dataset, splits: Splits) -> EvaluationView:
    """Every split with all its labels, fine ones and true relations included."""
    return EvaluationView(
        inputs=dataset.inputs,
        splits=splits,
        coarse=dataset.coarse,
        num_coarse=dataset.num_coarse,
        fine=dataset.fine,
        true_fine_to_coarse=true_relations(dataset),
        fine_values=dataset.fine_values,
        regions=dataset.regions,
        true_coarse=dataset.true_coarse,
        label_sets=dataset.label_sets,
    )


def true_relations(dataset: Dataset) -> IntArray | None:
    """The true parent of each fine class (oracle information): the coarse label that most of its samples carry.

    Labels that were made wrong on purpose do not count, those that they replaced do.

    Returns:
        (sources, K_F*) int64, counted over all samples that the source labels; ties go to the lowest coarse class; -1
        where a source labels no sample of a fine class. None without fine labels.
    """
    if dataset.fine is None or dataset.num_fine is None:
        return None
    parents = np.full((dataset.num_sources, dataset.num_fine), -1, dtype=np.int64)
    for source, num_coarse in enumerate(dataset.num_coarse):
        labels = (dataset.coarse if dataset.true_coarse is None else dataset.true_coarse)[:, source]
        known = labels >= 0
        pairs = dataset.fine[known] * num_coarse + labels[known]
        counts = np.bincount(pairs, minlength=dataset.num_fine * num_coarse).reshape(dataset.num_fine, num_coarse)
        parents[source] = np.where(counts.any(axis=1), counts.argmax(axis=1), -1)
    return _read_only(parents)


def vectors(inputs: Inputs, rows: IntArray) -> Float32Array:
    """Rows as (n, d) float32: numbers as they are; images as pixels / 255, those above 32 x 32 averaged down.

    Args:
        inputs: (N, ...) float32, or uint8 images (N, channels, height, width), which may lie on disk.
        rows: (n,) rows, read in blocks.
    """
    if inputs.dtype != np.uint8:
        return np.ascontiguousarray(inputs[rows].reshape(len(rows), math.prod(inputs.shape[1:])), dtype=np.float32)
    blocks = [_thumbnails(inputs[rows[start : start + _BLOCK]]) for start in range(0, len(rows), _BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty((0, 0), dtype=np.float32)


def _thumbnails(images: npt.NDArray[np.uint8]) -> Float32Array:
    """(n, d) mean values of pixels in at most 32 x 32 nearly equal fields."""
    values = images.astype(np.float32) / 255.0
    for axis in (2, 3):
        length = values.shape[axis]
        if length > THUMBNAIL:
            starts = np.arange(THUMBNAIL) * length // THUMBNAIL
            counts = np.diff(np.append(starts, length)).astype(np.float32)
            shape = [1, 1, 1, 1]
            shape[axis] = THUMBNAIL
            values = np.add.reduceat(values, starts, axis=axis) / counts.reshape(shape)
    return np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float32)


def _read_only(array: IntArray) -> IntArray:
    array.setflags(write=False)
    return array
