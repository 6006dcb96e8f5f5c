"""What the trials of a block share: the split and the neighbours, found once, read-only, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fgtune.arrays import IntArray
from fgtune.catalog.terms import TERMS
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, EvaluationView, Splits, TrainingView
from fgtune.data.splits import split_dataset
from fgtune.data.views import evaluation_view, training_view, vectors
from fgtune.neighbors import coarse_groups, find_neighbors

EVALUATION_NEIGHBORS = 5
"""Neighbours within an evaluated split: fixed, like their scope, so that all arms are measured in the same way."""


@dataclass(frozen=True)
class PreparedSplit:
    """A split of a data set and the neighbours within it.

    Attributes:
        splits: Rows of each part.
        neighbors: (n_train, k) positions within the training part, nearest first, -1 padded; None if no term needs
            them, or if the trainer finds them in its own features.
        evaluation_neighbors: (n, 5) nearest neighbours by raw inputs and within the same coarse class, for each
            evaluated split and the validation split; for neighbour agreement and the validation loss.
    """

    splits: Splits
    neighbors: IntArray | None
    evaluation_neighbors: Mapping[str, IntArray] = field(default_factory=dict)


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
    splits = split_dataset(dataset, config.data.split, seed) if splits is None else splits

    def search(rows: IntArray, k: int, scope: str) -> IntArray:
        groups = coarse_groups(dataset.coarse[rows]) if scope == "coarse" else None
        found = find_neighbors(vectors(dataset.inputs, rows), groups, k, threads)
        found.setflags(write=False)
        return found

    return PreparedSplit(
        splits,
        search(splits.train, config.neighbors.stored, config.neighbors.scope) if _needs_neighbors(config) else None,
        {name: search(getattr(splits, name), EVALUATION_NEIGHBORS, "coarse") for name in _measured(config)},
    )


def preparation_key(config: TrialConfig, seed: int) -> str:
    """Digest of what determines ``prepare_split``: trials with the same key share one preparation."""
    return stable_hash(
        {
            "data": config.data.to_plain(),
            "seed": seed,
            "searched": [config.neighbors.stored, config.neighbors.scope] if _needs_neighbors(config) else None,
            "measured": _measured(config),
        }
    )


def dataset_key(config: TrialConfig) -> str:
    """Digest of the data config: the key of ``Plan.shapes`` and of shared data sets."""
    return stable_hash(config.data.to_plain())


def views(dataset: Dataset, prepared: PreparedSplit) -> tuple[TrainingView, EvaluationView]:
    """The trainer's view, without fine labels, and the evaluator's."""
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
