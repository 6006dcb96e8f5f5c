"""Less of a data set: some of its samples, or some of its classes with enough samples of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fgtune.arrays import BoolArray, IntArray
from fgtune.config.schema.base import SplitConfig
from fgtune.data.base import Dataset, StoredInputs
from fgtune.data.views import true_relations

_FEWEST = 4
"""Fine classes, two in each of two coarse ones, that are kept however few the samples."""
_FINE_EACH = 3
"""Fine classes of a coarse class that are kept, where it has them; with fewer there is little to find."""


def taken(dataset: Dataset, rows: IntArray) -> Dataset:
    """The data set with these rows (n,) alone; classes keep their numbers."""
    inputs = dataset.inputs
    return replace(
        dataset,
        inputs=inputs.take(rows) if isinstance(inputs, StoredInputs) else inputs[rows],
        coarse=dataset.coarse[rows],
        true_coarse=None if dataset.true_coarse is None else dataset.true_coarse[rows],
        fine=None if dataset.fine is None else dataset.fine[rows],
        fine_values=None if dataset.fine_values is None else dataset.fine_values[rows],
        given_split=None if dataset.given_split is None else dataset.given_split[rows],
        regions=None if dataset.regions is None else {name: mask[rows] for name, mask in dataset.regions.items()},
    )


def with_fewer_classes(dataset: Dataset, limit: int, test_each: int, split: SplitConfig) -> Dataset:
    """As many fine classes as ``limit`` samples, in proportion to the split, give ``test_each`` test samples each.

    Coarse classes of the first source are taken one by one, with up to three fine classes each: first those with the
    most classes that have enough test samples, otherwise by number. Coarse classes are numbered anew without gaps.

    Args:
        dataset: A checked data set; without fine classes, with fewer than that, or where its parts hold
            different ones, it stays as it is.
        limit: Samples that will be kept.
        test_each: Test samples wanted of each fine class.
        split: How the set is divided, where it does not bring its own split.
    """
    fine = dataset.fine
    if fine is None:
        return dataset
    sizes = np.bincount(fine)
    parents = true_relations(replace(dataset, num_fine=len(sizes)))
    if parents is None:
        return dataset
    if split.transductive:
        tests: IntArray = sizes
    elif dataset.given_split is None:
        tests = np.floor(sizes * split.test).astype(np.int64)
    else:
        tests = np.bincount(fine[dataset.given_split == 2], minlength=len(sizes))
        if (np.bincount(fine[dataset.given_split == 0], minlength=len(sizes))[sizes > 0] == 0).any():
            return dataset  # the parts hold different classes, as for few-shot episodes
    present = np.flatnonzero(sizes)
    most = max(_FEWEST, int(limit * tests.sum() / sizes.sum() + 1e-9) // test_each)
    if len(present) <= most:
        return dataset
    kept = _classes(parents[0], present, tests >= test_each, most)
    return _renumbered(taken(dataset, np.flatnonzero(np.isin(fine, kept))))


def _classes(parents: IntArray, present: IntArray, enough: BoolArray, most: int) -> IntArray:
    """Sorted fine classes that are kept."""
    ordered = sorted(present.tolist(), key=lambda fine: (not enough[fine], fine))
    families: dict[int, list[int]] = {}
    for fine in ordered:
        families.setdefault(int(parents[fine]), []).append(fine)
    # Families with the most classes that suffice come first, so that three of each can be found.
    ranked = sorted(families, key=lambda one: (-min(_FINE_EACH, int(enough[families[one]].sum())), one))
    kept: list[int] = []
    for family in ranked:
        room = most - len(kept)
        if room < 1 or (room < 2 and len(kept) >= _FEWEST):  # a coarse class with one fine class asks nothing
            break
        kept += families[family][: min(_FINE_EACH, room, most - 2 if not kept else room)]
    return np.array(sorted(kept), dtype=np.int64)


def _renumbered(dataset: Dataset) -> Dataset:
    """Coarse classes without gaps, for each source."""
    coarse = dataset.coarse.copy()
    sizes, names = [], []
    for source in range(dataset.num_sources):
        known = coarse[:, source] >= 0
        left, numbers = np.unique(coarse[known, source], return_inverse=True)
        coarse[known, source] = numbers
        sizes.append(len(left))
        if dataset.coarse_names is not None:
            names.append(tuple(dataset.coarse_names[source][label] for label in left))
    return replace(
        dataset, coarse=coarse, num_coarse=tuple(sizes), coarse_names=tuple(names) if dataset.coarse_names else None
    )
