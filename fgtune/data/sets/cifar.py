"""CIFAR-100 as coarse-to-fine studies use it: variants, taxonomies, and the given split (FALCON, appendix C)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.data_images import Cifar100Config
from fgtune.data.base import Dataset
from fgtune.data.readers.data_files import read_lines
from fgtune.data.sets.cifar_files import NUM_FINE, CifarFiles, CifarPart, read_cifar100
from fgtune.data.sets.cifar_taxonomies import CIFAR68_DROPPED, alternative_groups, nested_groups
from fgtune.errors import DataError
from fgtune.streams import numpy_stream

FRACTION_RANGE, FRACTION_MEAN = (0.3173, 0.9881), 0.6468
"""Least, greatest and mean share of a class that CIFAR-SI keeps."""


def load_cifar100(config: Cifar100Config) -> Dataset:
    """CIFAR-100 as (N, 3, 32, 32) uint8, with a given split.

    The official test file is the test split; of every fine class of the official train file the first
    ``1 - val_fraction`` in file order train, the rest validates. Under ``taxonomy: both`` images at even places of the
    training (validation) part carry the official label, those at odd places the alternative one; test images both.

    Raises:
        DataError: If files are missing, damaged, hostile, or not CIFAR-100.
    """
    files = read_cifar100(Path(config.path), config.download)
    kept_train, kept_test = (_kept(part, config) for part in (files.train, files.test))
    fine = np.concatenate([files.train.fine[kept_train], files.test.fine[kept_test]])
    split = np.full(len(fine), 2, dtype=np.int64)
    train = fine[: len(kept_train)]
    split[: len(train)] = np.where(first_of_each(train, 1.0 - config.val_fraction), 0, 1)
    images = np.concatenate([files.train.images[kept_train], files.test.images[kept_test]])
    coarse, names = _coarse_labels(files, fine, split, config.taxonomy)
    if config.variant == "cifar68":
        names = _close_gaps(coarse, names)
    rows = _half(split, config.half)
    return Dataset(
        name=f"cifar100 ({config.variant}, {config.taxonomy})",
        inputs=images[rows],
        coarse=coarse[rows],
        num_coarse=tuple(len(groups) for groups in names),
        fine=fine[rows],
        num_fine=NUM_FINE,
        given_split=split[rows],
        coarse_names=names,
        fine_names=files.fine_names,
    )


def first_of_each(fine: IntArray, fractions: float | npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Mark the first ``floor(fraction * n)`` samples of every class, in their order.

    Args:
        fine: (N,) classes.
        fractions: One share, or one a class.

    Returns:
        (N,) bool.
    """
    sizes = np.bincount(fine)
    limits = np.floor(np.round(np.broadcast_to(fractions, sizes.shape) * sizes, 9)).astype(np.int64)
    by_class = np.argsort(fine, kind="stable")
    rank = np.empty(len(fine), dtype=np.int64)
    rank[by_class] = np.arange(len(fine)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(rank < limits[fine])


def cifar_si_fractions(seed: int) -> npt.NDArray[np.float64]:
    """100 shares in CIFAR-SI's published range and of its published mean; the published shares themselves are others.

    Uniform draws u on [0, 1] with 0 and 1 among them are bent to u**p, with p such that the mean is right.
    """
    draws = numpy_stream(seed, "cifar_si", "fractions").permutation(np.linspace(0.0, 1.0, NUM_FINE))
    low, high = FRACTION_RANGE
    target = (FRACTION_MEAN - low) / (high - low)
    lower, upper = 0.01, 100.0  # the mean of u**p falls with p
    for _ in range(200):
        power = (lower + upper) / 2
        lower, upper = (power, upper) if np.mean(draws**power) > target else (lower, power)
    return np.asarray(low + (high - low) * draws**lower)


def _kept(part: CifarPart, config: Cifar100Config) -> IntArray:
    """Rows of a file that the variant keeps, in file order."""
    if config.variant == "full":
        return np.arange(len(part.fine))
    if config.variant == "cifar68":
        return np.flatnonzero(~np.isin(part.fine, CIFAR68_DROPPED)).astype(np.int64)
    given = config.fractions
    shares = cifar_si_fractions(config.fractions_seed) if given is None else _read_fractions(Path(given))
    return np.flatnonzero(first_of_each(part.fine, shares)).astype(np.int64)


def _read_fractions(file: Path) -> npt.NDArray[np.float64]:
    path, layout = "trial.data.fractions", "a text file with 100 numbers in (0, 1], by fine id, one a line"
    lines = read_lines(file, "file of kept shares", path, layout, "Leave it out to have shares drawn.")
    try:
        shares = np.array([float(number) for line in lines for number in line.replace(",", " ").split()])
    except ValueError as error:
        raise DataError(f"holds something else than numbers ({error})", where=str(file), path=path) from error
    if shares.size != NUM_FINE or not ((shares > 0) & (shares <= 1)).all():
        rule = f"must hold {NUM_FINE} numbers in (0, 1], it holds {shares.size}"
        raise DataError(rule, where=str(file), path=path, fix=f"Expected layout: {layout}.")
    return shares


def _coarse_labels(
    files: CifarFiles, fine: IntArray, split: IntArray, taxonomy: str
) -> tuple[IntArray, tuple[tuple[str, ...], ...]]:
    """(N, sources) labels and the names of each source's groups."""
    official = files.fine_to_coarse
    if taxonomy == "official":
        return official[fine][:, None], (files.coarse_names,)
    if taxonomy == "nested":
        parents, names = nested_groups(official, files.coarse_names)
        return parents[fine][:, None], (names,)
    parents, names = alternative_groups(files.fine_names, official, files.coarse_names)
    if taxonomy == "alternative":
        return parents[fine][:, None], (names,)
    coarse = np.stack([official[fine], parents[fine]], axis=1)
    odd = _places(split) % 2
    coarse[(split < 2) & (odd == 1), 0] = -1
    coarse[(split < 2) & (odd == 0), 1] = -1
    return coarse, (files.coarse_names, names)


def _close_gaps(coarse: IntArray, names: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Renumber in place the groups that keep a class; returns their names. T2 loses one group of CIFAR68."""
    left = []
    for source, groups in enumerate(names):
        present = np.unique(coarse[coarse[:, source] >= 0, source])
        number = np.full(len(groups) + 1, -1, dtype=np.int64)  # the last entry serves -1
        number[present] = np.arange(len(present))
        coarse[:, source] = number[coarse[:, source]]
        left.append(tuple(groups[group] for group in present))
    return tuple(left)


def _places(split: IntArray) -> IntArray:
    """Place of every sample within its part."""
    places = np.empty_like(split)
    for part in range(3):
        places[split == part] = np.arange((split == part).sum())
    return places


def _half(split: IntArray, half: str | None) -> IntArray:
    """Rows left when every second training sample goes; the other parts stay whole."""
    if half is None:
        return np.arange(len(split))
    wanted = 0 if half == "even" else 1
    return np.flatnonzero((split != 0) | (_places(split) % 2 == wanted)).astype(np.int64)
