"""What ``fgtune data check`` warns of: small classes, duplicates, leaks, dark images, settings that do not suit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.arms.expand import resolve_classes
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, Splits
from fgtune.data.diagnosis import duplicate_groups, leaks
from fgtune.data.readers.images import ImageFiles
from fgtune.data.terms import TermCounts
from fgtune.data.views import describe, vectors
from fgtune.errors import ConfigError
from fgtune.streams import numpy_stream
from fgtune.text import first_of

PURITY_NEIGHBORS = 20
"""Neighbours per sample, as many as FALCON stores."""
DARK = 65
"""Images in which no pixel reaches this value are warned of."""
LEAK_SAMPLES = 2_000
"""Leaks are looked for in at most this many training samples, drawn at random."""
TINY = 10
"""A class with fewer samples is reported."""
_BLOCK = 1024
_NAMED = 12
"""So many classes are named at most."""


def data_warnings(
    dataset: Dataset, prepared: Dataset, splits: Splits, trials: Sequence[TrialConfig], seed: int
) -> Iterator[str]:
    """Sentences about what is likely wrong with the data or does not suit a trial.

    Args:
        dataset: The data.
        prepared: The same, scaled and filled as the config asks.
        splits: Its splits.
        trials: The trials that are to use it.
        seed: Draws the samples that are looked at.
    """
    yield from _tiny_classes(dataset, splits)
    yield from _duplicates(dataset, splits)
    if not isinstance(dataset.inputs, TermCounts):  # a direction of an SVD is made of the texts themselves
        yield from _leaks(prepared, splits, seed)
    yield from _dark_images(dataset)
    yield from _trial_warnings(dataset, trials)


def _tiny_classes(dataset: Dataset, splits: Splits) -> Iterator[str]:
    for source, num_coarse in enumerate(dataset.num_coarse):
        labels = dataset.coarse[splits.train, source]
        sizes = np.bincount(labels[labels >= 0], minlength=num_coarse)
        few = np.flatnonzero(sizes <= PURITY_NEIGHBORS)
        if few.size:
            place = f" of source {source}" if dataset.num_sources > 1 else ""
            names = None if dataset.coarse_names is None else dataset.coarse_names[source]
            yield (
                f"{_counted(few.size, 'coarse class')}{place} with {PURITY_NEIGHBORS} training samples or fewer, so "
                f"some samples have fewer neighbours than are stored: {_named(few, names)}"
            )
    if dataset.fine is not None and dataset.num_fine is not None:
        sizes = np.bincount(dataset.fine[splits.train], minlength=dataset.num_fine)
        few = np.flatnonzero(sizes < TINY)
        # Where test classes are novel, as in few-shot sets, they have no training samples by design.
        few = few[sizes[few] > 0] if dataset.given_split is not None else few
        if few.size:
            yield (
                f"{_counted(few.size, 'fine class')} (oracle) with fewer than {TINY} training samples: "
                f"{_named(few, dataset.fine_names)}"
            )


def _duplicates(dataset: Dataset, splits: Splits) -> Iterator[str]:
    if isinstance(dataset.inputs, ImageFiles):
        yield "duplicates were not looked for: the images exceed data.budget_gib and would all have to be decoded"
        return
    group = duplicate_groups(dataset.inputs)
    extra = len(group) - int(group.max()) - 1
    if not extra:
        return
    yield f"{extra:,} samples have the same inputs as an earlier one"
    if not np.array_equal(splits.train, splits.test):
        leaked = int(np.isin(group[splits.test], group[splits.train]).sum())
        if leaked:
            yield f"{leaked:,} test samples have the same inputs as a training sample"
    for source in range(dataset.num_sources):
        pairs = np.unique(np.stack([group, dataset.coarse[:, source]], axis=1), axis=0)
        pairs = pairs[pairs[:, 1] >= 0]
        contradictory = int((np.bincount(pairs[:, 0]) > 1).sum())
        if contradictory:
            yield f"{_counted(contradictory, 'input')} with several coarse labels of source {source}"


def _leaks(dataset: Dataset, splits: Splits, seed: int) -> Iterator[str]:
    """Features that give a label away by themselves, among at most ``LEAK_SAMPLES`` training samples."""
    if len(dataset.inputs.shape) != 2 or dataset.inputs.dtype == np.uint8:
        return
    rng = numpy_stream(seed, "leaks")
    rows = np.sort(rng.permutation(splits.train)[:LEAK_SAMPLES])
    values = vectors(dataset.inputs, rows)
    labels = {
        f"the coarse label{f' of source {source}' if dataset.num_sources > 1 else ''}": dataset.coarse[rows, source]
        for source in range(dataset.num_sources)
    }
    if dataset.fine is not None:
        labels["the fine class (oracle)"] = dataset.fine[rows]
    for what, codes in labels.items():
        found = leaks(values, codes, rng)
        if found:
            names = dataset.feature_names or tuple(f"feature {number}" for number in range(values.shape[1]))
            listed = [f"{names[leak.column]} ({leak.skill:.0%})" for leak in found]
            yield (
                f"{first_of(listed)} alone tell{'s' * (len(found) == 1)} {what} almost perfectly, where the median "
                f"feature goes {found[0].others:.0%} of the way from the most frequent class to certainty: a label in "
                "disguise, or the order of the file? Leave it out unless it was measured before the labels were given"
            )


def _dark_images(dataset: Dataset) -> Iterator[str]:
    """Images that use a small part of the range, as those of 12 bits in files of 16."""
    inputs = dataset.inputs
    if inputs.dtype != np.uint8 or isinstance(inputs, ImageFiles):
        return
    largest = max(int(inputs[start : start + _BLOCK].max()) for start in range(0, len(inputs), _BLOCK))
    if largest < DARK:
        yield (
            f"no pixel exceeds {largest} of 255; where files of 16 bits hold 10, 12 or 14 significant ones, say so "
            "(data.bits: 12)"
        )


def _trial_warnings(dataset: Dataset, trials: Sequence[TrialConfig]) -> Iterator[str]:
    reported: set[str] = set()
    for trial in trials:
        try:
            num_fine = resolve_classes(trial, describe(dataset)).classes.num_fine
        except ConfigError as error:
            text = str(error)
        else:
            if not isinstance(num_fine, int) or trial.batch_size >= 2 * num_fine:
                continue
            text = (
                f"batch_size {trial.batch_size} is below 2 x K_F = {2 * num_fine}: a batch cannot show every fine "
                "class twice, and its mean prediction is a poor estimate"
            )
        if text not in reported:
            reported.add(text)
            yield text


def _named(classes: IntArray, names: Sequence[str] | None) -> str:
    shown = [f"class {index}" if names is None else names[int(index)] for index in classes[:_NAMED]]
    return ", ".join(shown) + (", ..." if len(classes) > len(shown) else "")


def _counted(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
