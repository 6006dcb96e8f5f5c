"""A Gaussian two-level tree: fine classes around coarse centres, with every difficulty of coarse-to-fine a dial."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.data import HierarchyConfig
from fgtune.data.base import Dataset
from fgtune.data.splits import apportion
from fgtune.streams import numpy_stream


def make_hierarchy(config: HierarchyConfig) -> Dataset:
    """Samples as (N, dim) float32: fine centre plus standard normal noise; the fine class is the generating component.

    Fine classes are numbered coarse class by coarse class. Which of them are large under ``imbalance`` is random. Two
    dials change coarse labels alone, one after the other:

    1. ``non_nested``: each fine class f has one second parent, another coarse class drawn uniformly once; of its n_f
       samples, ``non_nested * n_f`` (rounded half up) carry the second parent's label.
    2. ``coarse_noise``: of all N samples, ``coarse_noise * N`` (rounded half up), chosen uniformly, have their label
       replaced by another one, drawn uniformly for each.

    Every draw has a stream of its own: a dial changes nothing that it does not name, and a larger share keeps the
    samples that a smaller share changed.
    """
    parent = np.repeat(np.arange(config.num_coarse, dtype=np.int64), config.fine_in_each)
    ranks = numpy_stream(config.data_seed, "hierarchy", "sizes").permutation(parent.size)
    sizes = apportion(config.imbalance ** (-ranks / max(1, parent.size - 1)), config.num_samples)
    fine = numpy_stream(config.data_seed, "hierarchy", "order").permutation(np.repeat(np.arange(parent.size), sizes))
    noise = numpy_stream(config.data_seed, "hierarchy", "noise").standard_normal((fine.size, config.dim))
    return Dataset(
        name="hierarchy",
        inputs=(_centers(config, parent)[fine] + noise).astype(np.float32),
        coarse=_coarse_labels(config, parent, fine)[:, None],
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


def _coarse_labels(config: HierarchyConfig, parent: IntArray, fine: IntArray) -> IntArray:
    """Coarse label of each sample, (N,), after both dials."""
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
