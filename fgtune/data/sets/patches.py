"""Colour-patch images of Xu et al. (arXiv 2005.09681, section 4.1): one big and one small patch on a blank image.

The paper gives 32 big and 128 small patches of random colours and 512 images, each with one random patch of either
kind. It states neither canvas, sizes nor positions. Here a patch is a square of one colour, drawn uniformly from the
RGB cube; the blank image is black; the two squares lie anywhere without overlap, all such placements equally likely.
Labels are balanced and shuffled rather than drawn one by one, so that every patch occurs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data import PatchesConfig
from fgtune.data.base import Dataset
from fgtune.streams import numpy_stream


def make_patches(config: PatchesConfig) -> Dataset:
    """Images as (N, 3, canvas, canvas) float32 in [0, 1]; coarse class = big patch, fine class = small patch.

    Colours, labels and positions come from streams of their own, so ``nested`` changes the big label alone.
    """
    big, small = _labels(config)
    colors = numpy_stream(config.data_seed, "patches", "colors")
    big_colors = colors.random((config.num_big, 3), dtype=np.float32)
    small_colors = colors.random((config.num_small, 3), dtype=np.float32)
    big_at, small_at = place_squares(
        config.num_images,
        config.canvas,
        config.big_size,
        config.small_size,
        numpy_stream(config.data_seed, "patches", "positions"),
    )
    images = np.zeros((config.num_images, 3, config.canvas, config.canvas), dtype=np.float32)
    _paint(images, big_at, config.big_size, big_colors[big])
    _paint(images, small_at, config.small_size, small_colors[small])
    return Dataset(
        name="patches",
        inputs=images,
        coarse=big[:, None],
        num_coarse=(config.num_big,),
        fine=small,
        num_fine=config.num_small,
        regions={
            "big": _covered(config.canvas, big_at, config.big_size),
            "small": _covered(config.canvas, small_at, config.small_size),
        },
    )


def _labels(config: PatchesConfig) -> tuple[IntArray, IntArray]:
    """Big and small patch of each image, (N,) each, every id as often as any other to within one."""
    labels = numpy_stream(config.data_seed, "patches", "labels")
    ids = np.arange(config.num_images, dtype=np.int64)
    small = labels.permutation(ids % config.num_small)
    if config.nested:
        parent = np.arange(config.num_small, dtype=np.int64) * config.num_big // config.num_small
        return parent[small], small
    return labels.permutation(ids % config.num_big), small


def place_squares(count: int, canvas: int, big: int, small: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Places of a big and a small square that do not overlap, uniform over all such pairs of places.

    A place of the big square is drawn with the number of places it leaves to the small one as its weight, then the
    small square uniformly among these; no draw is rejected.

    Args:
        count: Number of pairs.
        canvas: Side of the image; big + small <= canvas.
        big: Side of the big square.
        small: Side of the small square.
        rng: Source of the draws.

    Returns:
        Upper left corners (row, column) of the big and of the small squares, each (count, 2) int64.
    """
    big_starts, small_starts = np.arange(canvas - big + 1), np.arange(canvas - small + 1)
    meets = (small_starts < big_starts[:, None] + big) & (small_starts + small > big_starts[:, None])  # (big, small)
    blocked = meets.sum(axis=1)
    free = small_starts.size**2 - np.outer(blocked, blocked)
    drawn = rng.choice(free.size, size=count, p=(free / free.sum()).ravel())
    big_at = np.stack(np.divmod(drawn, big_starts.size), axis=1)
    small_at = np.empty_like(big_at)
    pick = rng.integers(0, free.ravel()[drawn])
    for image, (row, column) in enumerate(big_at):
        places = np.flatnonzero(~np.outer(meets[row], meets[column]))
        small_at[image] = divmod(int(places[pick[image]]), small_starts.size)
    return big_at.astype(np.int64), small_at.astype(np.int64)


def _covered(canvas: int, at: IntArray, side: int) -> npt.NDArray[np.bool_]:
    """(N, canvas, canvas): which pixels each image's square covers."""
    pixels = np.arange(canvas)
    rows, columns = ((pixels >= start[:, None]) & (pixels < start[:, None] + side) for start in at.T)
    covered: npt.NDArray[np.bool_] = rows[:, :, None] & columns[:, None, :]
    return covered


def _paint(images: Float32Array, at: IntArray, side: int, colors: npt.NDArray[np.float32]) -> None:
    for image, (row, column), color in zip(images, at, colors, strict=True):
        image[:, row : row + side, column : column + side] = color[:, None, None]
