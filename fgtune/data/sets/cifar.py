"""CIFAR-100 as coarse-to-fine studies use it: variants, taxonomies, and the given split (FALCON, appendix C).

Sources: Krizhevsky 2009 (the 20 official groups, "T1", read from the files themselves); FALCON (ICML 2024), table 4
and appendix J (20 other groups, "T2", and the classes of CIFAR68); mlbio-epfl/falcon, ``datasets/cifar100/labels.py``
(which official groups its 10 groups of groups join, "T3" here).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.data_images import Cifar100Config
from fgtune.data.base import Dataset
from fgtune.data.readers.class_lists import SHIPPED_LISTS
from fgtune.data.readers.data_files import read_lines
from fgtune.data.sets.cifar_files import NUM_FINE, CifarFiles, CifarPart, read_cifar100
from fgtune.errors import DataError
from fgtune.streams import numpy_stream

PUBLISHED_SHARES = SHIPPED_LISTS / "cifar_si.txt"
"""The share of each class that CIFAR-SI keeps, by fine id."""
FRACTION_RANGE, FRACTION_MEAN = (0.3173, 0.9881), 0.6468
"""Least, greatest and mean of them."""

SHARED_GROUPS = (
    "trees",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "large_carnivores",
)
"""Official groups that T2 keeps."""

OTHER_GROUPS: dict[str, tuple[str, ...]] = {
    "invertebrates": ("bee", "beetle", "butterfly", "caterpillar", "worm"),
    "hard_shelled": ("crab", "lobster", "snail", "turtle", "cockroach"),
    "small_aquatic": ("aquarium_fish", "flatfish", "ray", "trout", "otter"),
    "large_aquatic": ("beaver", "dolphin", "seal", "crocodile", "shark"),
    "scenes_1": ("forest", "mountain", "plain", "castle", "house"),
    "scenes_2": ("cloud", "sea", "bridge", "road", "skyscraper"),
    "large_animals": ("camel", "cattle", "elephant", "whale", "dinosaur"),
    "small_mammals_2": ("shrew", "squirrel", "mouse", "baby", "raccoon"),
    "medium_mammals_2": ("fox", "porcupine", "possum", "skunk", "kangaroo"),
    "pets": ("hamster", "rabbit", "lizard", "snake", "spider"),
    "primates": ("chimpanzee", "boy", "girl", "man", "woman"),
    "personal_vehicles": ("bicycle", "motorcycle", "lawn_mower", "pickup_truck", "streetcar"),
    "transit": ("rocket", "tank", "tractor", "bus", "train"),
}
"""The further groups of T2."""

NESTED_PAIRS: dict[str, tuple[str, str]] = {
    "water_animals": ("aquatic_mammals", "fish"),
    "plants": ("flowers", "trees"),
    "food": ("food_containers", "fruit_and_vegetables"),
    "household": ("household_electrical_devices", "household_furniture"),
    "invertebrates": ("insects", "non-insect_invertebrates"),
    "large_animals": ("large_carnivores", "large_omnivores_and_herbivores"),
    "outdoors": ("large_man-made_outdoor_things", "large_natural_outdoor_scenes"),
    "smaller_mammals": ("medium_mammals", "small_mammals"),
    "people_and_reptiles": ("people", "reptiles"),
    "vehicles": ("vehicles_1", "vehicles_2"),
}
"""The nested taxonomy T3: each of its groups is a pair of official ones, as in FALCON's code; the names are ours."""

CIFAR68_DROPPED = (
    *(0, 2, 7, 9, 11, 15, 16, 21, 22, 25, 26, 27, 30, 40, 42, 45),
    *(47, 49, 50, 51, 57, 61, 70, 72, 81, 85, 88, 89, 90, 93, 94, 95),
)
"""Fine ids that CIFAR68 leaves out."""


def load_cifar100(config: Cifar100Config) -> Dataset:
    """CIFAR-100 as (N, 3, 32, 32) uint8, with a given split.

    The official test file is the test split; of every fine class of the official train file the first
    ``1 - val_fraction`` in file order train, the rest validates. Under ``taxonomy: both`` images at even places of the
    training (validation) part carry the official label, those at odd places the alternative one; test images both.
    ``official_nested`` has the nested label in place of the alternative one.

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
        fractions: One share, or one per class.

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
    """100 shares with CIFAR-SI's published range and mean, but not the published shares themselves.

    Evenly spaced u on [0, 1], both ends included, in random order, become u**p, with p such that the mean is right.
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
    if config.fractions is not None or config.shares == "published":
        shares = _read_fractions(PUBLISHED_SHARES if config.fractions is None else Path(config.fractions))
    else:
        shares = cifar_si_fractions(config.fractions_seed)
    return np.flatnonzero(first_of_each(part.fine, shares)).astype(np.int64)


def _read_fractions(file: Path) -> npt.NDArray[np.float64]:
    path, layout = "trial.data.fractions", "a text file with 100 numbers in (0, 1], by fine id, one per line"
    lines = read_lines(file, "file of kept shares", path, layout, "Leave it out with shares: published.")
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
    if taxonomy in ("nested", "official_nested"):
        parents, names = nested_groups(official, files.coarse_names)
    else:
        parents, names = alternative_groups(files.fine_names, official, files.coarse_names)
    if taxonomy in ("nested", "alternative"):
        return parents[fine][:, None], (names,)
    coarse = np.stack([official[fine], parents[fine]], axis=1)
    odd = _places(split) % 2
    coarse[(split < 2) & (odd == 1), 0] = -1
    coarse[(split < 2) & (odd == 0), 1] = -1
    return coarse, (files.coarse_names, names)


def _close_gaps(coarse: IntArray, names: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Renumber in place the groups that keep a class; returns their names. Under CIFAR68, T2 loses one group."""
    left = []
    for source, groups in enumerate(names):
        present = np.unique(coarse[coarse[:, source] >= 0, source])
        number = np.full(len(groups) + 1, -1, dtype=np.int64)  # the last entry serves -1
        number[present] = np.arange(len(present))
        coarse[:, source] = number[coarse[:, source]]
        left.append(tuple(groups[group] for group in present))
    return tuple(left)


def _places(split: IntArray) -> IntArray:
    """Position of every sample within its part."""
    places = np.empty_like(split)
    for part in range(3):
        places[split == part] = np.arange((split == part).sum())
    return places


def _half(split: IntArray, half: str | None) -> IntArray:
    """Rows left when every second training sample is dropped; the other parts stay complete."""
    if half is None:
        return np.arange(len(split))
    wanted = 0 if half == "even" else 1
    return np.flatnonzero((split != 0) | (_places(split) % 2 == wanted)).astype(np.int64)


def alternative_groups(
    fine_names: Sequence[str], official: IntArray, official_names: Sequence[str]
) -> tuple[IntArray, tuple[str, ...]]:
    """The second taxonomy T2.

    Args:
        fine_names: Names of the 100 classes.
        official: (100,) official group of each class.
        official_names: Names of the 20 official groups.

    Returns:
        (100,) int64 group of each class, and the names of the 20 groups.

    Raises:
        DataError: If the names are not CIFAR-100's.
    """
    groups = {
        name: tuple(fine_names[int(fine)] for fine in np.flatnonzero(official == _index(official_names, name)))
        for name in SHARED_GROUPS
    } | OTHER_GROUPS
    parents = np.full(len(fine_names), -1, dtype=np.int64)
    for group, members in enumerate(groups.values()):
        parents[[_index(fine_names, name) for name in members]] = group
    if (parents < 0).any():
        raise _misnamed(fine_names[int(np.argmin(parents))])
    return parents, tuple(groups)


def nested_groups(official: IntArray, official_names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """The nested taxonomy; arguments, result and error as for ``alternative_groups``, with 10 groups."""
    of_group = np.full(len(official_names), -1, dtype=np.int64)
    for pair, members in enumerate(NESTED_PAIRS.values()):
        of_group[[_index(official_names, name) for name in members]] = pair
    if (of_group < 0).any():
        raise _misnamed(official_names[int(np.argmin(of_group))])
    return of_group[official], tuple(NESTED_PAIRS)


def _index(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise _misnamed(name)
    return list(names).index(name)


def _misnamed(name: str) -> DataError:
    return DataError(
        f"the file 'meta' does not name the classes as CIFAR-100 does (see {name!r})",
        path="trial.data.taxonomy",
        fix="Fetch the official cifar-100-python.tar.gz again, or use taxonomy: official.",
    )
