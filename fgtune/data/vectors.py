"""Inputs as plain vectors, for searches and comparisons that know nothing of images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.data.base import Inputs

THUMBNAIL = 32
"""Side to which larger images are averaged: cosine similarity of pixels needs no more, and memory bears no more."""
_BLOCK = 1024


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
