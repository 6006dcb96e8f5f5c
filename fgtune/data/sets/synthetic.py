"""Synthetic data sets: a Gaussian two-level tree of adjustable difficulty, and the colour patches of Xu et al."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data import HierarchyConfig, PatchesConfig
from fgtune.data.base import Dataset
from fgtune.data.splits import apportion
from fgtune.errors import DataError
from fgtune.memory import require_memory
from fgtune.streams import numpy_stream


def make_hierarchy(config: HierarchyConfig) -> Dataset:
    """Gaussian fine classes around coarse centres, as (N, dim) float32; the fine class is the generating component.

    A sample is its fine centre plus standard normal noise. Fine classes are numbered coarse class by coarse class;
    which are large under ``imbalance`` is random. Two settings change only coarse labels, one after the other:

    1. ``non_nested``: each fine class f has one second parent, another coarse class drawn uniformly once; of its n_f
       samples, ``non_nested * n_f`` (rounded half up) carry the second parent's label.
    2. ``coarse_noise``: of all N samples, ``coarse_noise * N`` (rounded half up), chosen uniformly, have their label
       replaced by another one, drawn uniformly for each.

    Every draw has its own stream: a setting changes nothing else, and a larger share also changes the samples that a
    smaller share changes.
    """
    what = f"{config.num_samples:,} samples of {config.dim:,} numbers"
    path = "trial.data.num_samples" if config.num_samples > config.dim else "trial.data.dim"
    require_memory(config.num_samples * (config.dim + 2) * 8, what, kind=DataError, path=path)
    parent = np.repeat(np.arange(config.num_coarse, dtype=np.int64), config.fine_in_each)
    ranks = numpy_stream(config.data_seed, "hierarchy", "sizes").permutation(parent.size)
    sizes = apportion(config.imbalance ** (-ranks / max(1, parent.size - 1)), config.num_samples)
    fine = numpy_stream(config.data_seed, "hierarchy", "order").permutation(np.repeat(np.arange(parent.size), sizes))
    noise = numpy_stream(config.data_seed, "hierarchy", "noise").standard_normal((fine.size, config.dim))
    return Dataset(
        name="hierarchy",
        inputs=(_centers(config, parent)[fine] + noise).astype(np.float32),
        coarse=_hierarchy_labels(config, parent, fine)[:, None],
        num_coarse=(config.num_coarse,),
        fine=fine,
        num_fine=parent.size,
    )


def _centers(config: HierarchyConfig, parent: IntArray) -> npt.NDArray[np.float64]:
    """Fine centres, (K_F, dim)."""
    coarse = numpy_stream(config.data_seed, "hierarchy", "coarse_centers")
    fine = numpy_stream(config.data_seed, "hierarchy", "fine_centers")
    coarse_centers = coarse.standard_normal((config.num_coarse, config.dim)) * center_deviation(
        config.coarse_separation, config.dim
    )
    offsets = fine.standard_normal((parent.size, config.dim)) * center_deviation(config.separation, config.dim)
    return coarse_centers[parent] + offsets


def center_deviation(distance: float, dim: int) -> float:
    """Standard deviation s of i.i.d. N(0, s^2 I) points in ``dim`` dimensions whose expected distance is ``distance``.

    The difference of two such points is N(0, 2 s^2 I), and a standard normal vector has the expected length
    sqrt(2) Gamma((d + 1) / 2) / Gamma(d / 2); so the expected distance is 2 s Gamma((d + 1) / 2) / Gamma(d / 2).
    """
    return distance / (2.0 * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2)))


def _hierarchy_labels(config: HierarchyConfig, parent: IntArray, fine: IntArray) -> IntArray:
    """Coarse label of each sample, (N,), after both changes."""
    labels = parent[fine]
    if config.num_coarse == 1:
        return labels
    sizes = np.bincount(fine, minlength=parent.size)
    second = numpy_stream(config.data_seed, "hierarchy", "second_parent").integers(1, config.num_coarse, parent.size)
    by_class = np.argsort(fine, kind="stable")
    rank = np.empty_like(fine)  # how many samples of the same fine class come before; the order of samples is random
    rank[by_class] = np.arange(fine.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    moved = rank < np.floor(config.non_nested * sizes + 0.5)[fine]
    labels = np.where(moved, (labels + second[fine]) % config.num_coarse, labels)

    flips = numpy_stream(config.data_seed, "hierarchy", "coarse_noise")
    flipped = flips.permutation(fine.size)[: math.floor(config.coarse_noise * fine.size + 0.5)]
    shift = flips.integers(1, config.num_coarse, fine.size)
    labels[flipped] = (labels[flipped] + shift[flipped]) % config.num_coarse
    return labels


def make_patches(config: PatchesConfig) -> Dataset:
    """Colour patches (Xu et al., arXiv 2005.09681, section 4.1): one big and one small patch on a blank image.

    Images are (N, 3, canvas, canvas) float32 in [0, 1]; coarse class = big patch, fine class = small patch. The paper
    gives 32 big and 128 small patches of random colours and 512 images, each with one random patch of either kind, but
    neither canvas, sizes nor positions. Here a patch is a square of one colour, drawn uniformly from the RGB cube; the
    blank image is black; the two squares lie anywhere without overlap, all such placements equally likely. Labels are
    balanced and shuffled rather than drawn one by one, so that every patch occurs.

    Colours, labels and positions have separate streams, so ``nested`` changes only the big label.
    """
    what = f"{config.num_images:,} images of {config.canvas:,} x {config.canvas:,} pixels"
    path = "trial.data.num_images" if config.num_images > config.canvas else "trial.data.canvas"
    require_memory(config.num_images * config.canvas**2 * 12, what, kind=DataError, path=path)
    big, small = _patch_labels(config)
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


def _patch_labels(config: PatchesConfig) -> tuple[IntArray, IntArray]:
    """Big and small patch of each image, (N,) each; numbers of occurrences differ by at most one."""
    labels = numpy_stream(config.data_seed, "patches", "labels")
    ids = np.arange(config.num_images, dtype=np.int64)
    small = labels.permutation(ids % config.num_small)
    if config.nested:
        parent = np.arange(config.num_small, dtype=np.int64) * config.num_big // config.num_small
        return parent[small], small
    return labels.permutation(ids % config.num_big), small


def place_squares(count: int, canvas: int, big: int, small: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Positions of a big and a small square that do not overlap, uniform over all such pairs of positions.

    The position of the big square is drawn with the number of positions that it leaves for the small one as its weight,
    then the small square uniformly among these; no draw is rejected.

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
