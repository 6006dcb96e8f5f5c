"""What the trials of a block share: split, neighbours and a space to judge in, found once, read-only, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.catalog.terms import TERMS
from fgtune.config.schema.base import data_key, stable_hash
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, EvaluationView, Splits, TrainingView
from fgtune.data.preparation import Fitted, InputScale, as_prepared, fitted, with_inputs
from fgtune.data.principal import PrincipalSpace, principal_space, space_rows
from fgtune.data.splits import split_dataset
from fgtune.data.views import evaluation_view, training_view, vectors
from fgtune.neighbors import coarse_groups, find_neighbors
from fgtune.streams import drawn_rows

EVALUATION_NEIGHBORS = 5
"""Neighbours within an evaluated split: fixed, like their scope, so that all arms are measured in the same way."""
KEPT_SPACES = 4
_SPACES: dict[str, PrincipalSpace] = {}  # by fingerprint, which determines them


FIXED_SAMPLES = 1000
"""Samples on which the shared space is found, and of a split that are judged in it; fixed for the same reason."""


@dataclass(frozen=True)
class FixedSample:
    """Samples of a split in the shared space.

    Attributes:
        positions: (m,) sorted positions within the split.
        points: (m, 20) principal components of their inputs.
    """

    positions: IntArray
    points: Float32Array


@dataclass(frozen=True)
class PreparedSplit:
    """A split of a data set and the neighbours within it.

    Attributes:
        splits: Rows of each part.
        neighbors: (n_train, k) positions within the training part, nearest first, -1 padded; None if no term needs
            them, or if the trainer finds them in its own features.
        evaluation_neighbors: (n, 5) nearest neighbours by raw inputs and within the same coarse class, for each
            evaluated split and the validation split; for neighbour agreement and the validation loss.
        fixed: A sample of each evaluated split in the space that all trials on the data set share.
        scale: What brings features to one scale and fills their gaps, or embeds texts, by the training samples; None
            for nothing.
        inputs: (N, dimension) embedded texts, which no trial has to embed again; None for other data.
    """

    splits: Splits
    neighbors: IntArray | None
    evaluation_neighbors: Mapping[str, IntArray] = field(default_factory=dict)
    fixed: Mapping[str, FixedSample] = field(default_factory=dict)
    scale: Fitted | None = None
    inputs: Float32Array | None = None


def prepare_split(
    dataset: Dataset, config: TrialConfig, seed: int, threads: int, splits: Splits | None = None
) -> PreparedSplit:
    """Split a data set by seed, and find neighbours among raw inputs if the trial uses them.

    Args:
        dataset: The data set of ``config.data``.
        config: The trial; only what ``preparation_key`` covers is read.
        seed: Seed of the block.
        threads: Threads of the neighbour search; the result does not depend on it.
        splits: Splits to use instead of those that follow from config and seed.

    Raises:
        DataError: The split leaves a part empty.
    """
    seed = config.streams.seeds(seed).split
    splits = split_dataset(dataset, config.data.split, seed) if splits is None else splits

    scale = fitted(dataset, splits.train)
    # The space to judge in is that of all samples: the same for every seed, and nothing is trained in it.
    shared = as_prepared(dataset, fitted(dataset, slice(None)))
    dataset = as_prepared(dataset, scale)

    def search(rows: IntArray, k: int, scope: str) -> IntArray:
        groups = coarse_groups(dataset.coarse[rows]) if scope == "coarse" else None
        found = find_neighbors(vectors(dataset.inputs, rows), groups, k, threads)
        found.setflags(write=False)
        return found

    return PreparedSplit(
        splits,
        search(splits.train, config.neighbors.stored, config.neighbors.scope) if _needs_neighbors(config) else None,
        {name: search(getattr(splits, name), EVALUATION_NEIGHBORS, "coarse") for name in _measured(config)},
        {name: _fixed_sample(shared, getattr(splits, name), seed, name) for name in _measured(config)},
        scale,
        None if scale is None or isinstance(scale, InputScale) else np.asarray(dataset.inputs),
    )


def _fixed_sample(dataset: Dataset, rows: IntArray, seed: int, split: str) -> FixedSample:
    """The sample of a split, drawn without labels, alike in all arms of a block."""
    positions = judged_rows(len(rows), FIXED_SAMPLES, seed, split)
    points = fixed_space(dataset).project(vectors(dataset.inputs, rows[positions]))
    for array in (positions, points):
        array.setflags(write=False)
    return FixedSample(positions, points)


def fixed_space(dataset: Dataset) -> PrincipalSpace:
    """The shared space of a data set; found once a process for the latest data sets."""
    key = dataset.fingerprint
    if key not in _SPACES:
        while len(_SPACES) >= KEPT_SPACES:
            del _SPACES[next(iter(_SPACES))]
        _SPACES[key] = principal_space(vectors(dataset.inputs, space_rows(len(dataset.inputs))))
    return _SPACES[key]


def judged_rows(number: int, limit: int, seed: int = 0, *of: str) -> IntArray:
    """Sorted rows of at most ``limit`` samples for the shared space, drawn without labels.

    Args:
        number: Samples among which is drawn.
        limit: Samples that are drawn at most.
        seed: Seed of the block; 0 for what all blocks share.
        of: What is drawn from, e.g. the name of a split; nothing for the whole data set.
    """
    return drawn_rows(number, limit, seed, "fixed_space", *of)


def preparation_key(config: TrialConfig, seed: int) -> str:
    """Digest of what determines ``prepare_split``: trials with the same key share one preparation."""
    return stable_hash(
        {
            "data": config.data.to_plain(),
            "seed": config.streams.seeds(seed).split,
            "searched": [config.neighbors.stored, config.neighbors.scope] if _needs_neighbors(config) else None,
            "measured": _measured(config),
        }
    )


def dataset_key(config: TrialConfig) -> str:
    """Digest of the data config: the key of ``Plan.shapes`` and of shared data sets."""
    return data_key(config.data)


def views(dataset: Dataset, prepared: PreparedSplit) -> tuple[TrainingView, EvaluationView]:
    """The trainer's view, without fine labels, and the evaluator's."""
    known = prepared.inputs
    dataset = as_prepared(dataset, prepared.scale) if known is None else with_inputs(dataset, known)
    return training_view(dataset, prepared.splits, prepared.neighbors), evaluation_view(dataset, prepared.splits)


def _measured(config: TrialConfig) -> list[str]:
    """Splits whose neighbours the evaluator uses."""
    return sorted({"val", *config.evaluation.splits})


def _needs_neighbors(config: TrialConfig) -> bool:
    if config.neighbors.features != "inputs":
        return False
    if any(TERMS[name].neighbors for name in config.objective.terms):
        return True
    if not config.objective.extra:
        return False
    from fgtune.objectives.objective import needs_neighbors  # imports torch, as plugin terms do

    return needs_neighbors(config.objective)
