"""Which classes of CIFAR-100 belong together: the official groups, FALCON's second taxonomy, and pairs of groups.

Sources: Krizhevsky 2009 (the 20 official groups, "T1", read from the files themselves); FALCON (ICML 2024), table 4
and appendix J (20 other groups, "T2", and the classes of CIFAR68). Which official groups its nested taxonomy pairs is
not published; the pairs here join what is alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgtune.arrays import IntArray
from fgtune.errors import DataError

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
"""The nested taxonomy: each of its groups is a pair of official ones."""

CIFAR68_DROPPED = (
    *(0, 2, 7, 9, 11, 15, 16, 21, 22, 25, 26, 27, 30, 40, 42, 45),
    *(47, 49, 50, 51, 57, 61, 70, 72, 81, 85, 88, 89, 90, 93, 94, 95),
)
"""Fine ids that CIFAR68 leaves out."""


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
    """The nested taxonomy; arguments, result and error as ``alternative_groups``, with 10 groups."""
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
