"""A few samples of each coarse class of a data set, small enough for a page: always the same ones of the same data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgtune.arrays import AnyArray, ByteArray, IntArray
from fgtune.data.base import Dataset
from fgtune.data.terms import TermCounts
from fgtune.results.samples import SampleCard, SampledClass, png_url
from fgtune.visible import visible

MOST_CLASSES, MOST_PICTURES, MOST_ROWS, MOST_COLUMNS = 8, 6, 2, 6
PICTURE_PX = 40
"""Longest side of a picture."""
_NAME = 40


def sample_card(dataset: Dataset) -> SampleCard:
    """Samples at even steps through each of the first coarse classes: pictures, starts of texts, or rows of a table.

    Fine labels are not read.

    Args:
        dataset: Whole, before any split. Inputs on disk are read row by row.
    """
    labels, source = dataset.coarse[:, 0], dataset.coarse_names[0] if dataset.coarse_names else ()
    shown = range(min(dataset.num_coarse[0], MOST_CLASSES))
    width = int(np.prod(dataset.inputs.shape[1:]))
    shape = dataset.picture or (dataset.inputs.shape[1:] if len(dataset.inputs.shape) == 4 else None)
    classes = []
    for label in shown:
        rows = np.flatnonzero(labels == label)
        name = visible(source[label])[:_NAME] if label < len(source) else str(label)
        if isinstance(dataset.inputs, TermCounts):
            texts = tuple(visible(dataset.inputs.excerpts[row]) for row in _spread(rows, MOST_ROWS))
            classes.append(SampledClass(name, len(rows), texts=texts))
        elif shape is not None:
            drawn = dataset.inputs[_spread(rows, MOST_PICTURES)]
            pictures = tuple(picture_url(sample.reshape(shape)) for sample in drawn)
            classes.append(SampledClass(name, len(rows), pictures))
        else:
            drawn = dataset.inputs[_spread(rows, MOST_ROWS)].reshape(-1, width)[:, :MOST_COLUMNS]
            classes.append(SampledClass(name, len(rows), rows=tuple(_row(sample) for sample in drawn)))
    more = dataset.num_coarse[0] - len(shown)
    if shape is not None or isinstance(dataset.inputs, TermCounts):
        return SampleCard(dataset.name, tuple(classes), more)
    names = dataset.feature_names or tuple(f"feature {number}" for number in range(width))
    columns = tuple(visible(name)[:_NAME] for name in names[:MOST_COLUMNS])
    return SampleCard(dataset.name, tuple(classes), more, columns, width - len(columns))


def _spread(rows: IntArray, most: int) -> IntArray:
    """At most so many rows at even steps, the first and the last among them."""
    places = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(most, len(rows))).round().astype(np.int64))
    found: IntArray = rows[places]
    return found


def _row(sample: AnyArray) -> tuple[float | None, ...]:
    return tuple(float(f"{value:.4g}") if np.isfinite(value) else None for value in sample)


def picture_url(picture: AnyArray, encode: Callable[[ByteArray, int], str] = png_url) -> str:
    """A (channels, height, width) picture, made smaller if it is large, as a data URL that ``encode`` makes.

    Of more than three channels the first, the middle and the last one are shown; numbers that are neither shares nor
    bytes are stretched from the smallest to the largest.
    """
    channels = len(picture)
    if channels not in (1, 3):
        picture = picture[[0, channels // 2, channels - 1]] if channels > 3 else picture[:1]
    if picture.dtype == np.uint8:
        pixels = picture
    else:
        low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
        usual = next((top for top in (1.0, 255.0) if low >= 0.0 and high <= top), None)
        low, high = (low, max(high, low + 1e-12)) if usual is None else (0.0, usual)
        pixels = (255 * np.clip(np.nan_to_num((picture - low) / (high - low)), 0.0, 1.0)).round().astype(np.uint8)
    return encode(pixels, PICTURE_PX)
