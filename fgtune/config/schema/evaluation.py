"""What is measured while training, and what besides after the last epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from fgtune.config.schema.base import Config

Count = Annotated[int, Field(ge=1)]


def _distinct(numbers: Sequence[object]) -> None:
    """Raise unless all differ."""
    repeated = next((number for number in numbers if list(numbers).count(number) > 1), None)
    if repeated is not None:
        raise ValueError(f"must differ, {repeated} is given twice")


class FewShotConfig(Config):
    """Few-shot episodes on features as they are, with the nearest class mean; reads fine labels."""

    ways: Annotated[int, Field(ge=2)] = 5
    """Fine classes an episode."""
    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 5)
    """Support samples a class; each number yields a metric of its own, ``fewshot_1`` and so on."""
    queries: Count = 15
    """Query samples a class."""
    episodes: Count = 600
    """Episodes for each number of shots."""
    classes: Literal["all", "novel"] = "all"
    """Draw from all fine classes of the evaluated split, or from those alone of which training has no sample. With a
    given split that keeps fine classes apart, the two are the same."""

    @field_validator("shots")
    @classmethod
    def _shots_differ(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        _distinct(shots)
        return shots


class EvaluationConfig(Config):
    """What is measured while training."""

    every_epochs: Count = 1
    """Evaluate every so many epochs, and always after the last."""
    weights: Literal["student", "teacher"] = "student"
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = ("val", "test")
    silhouette_samples: Annotated[int, Field(ge=2)] = 500
    """The silhouette is computed on at most this many samples of a split, drawn by seed."""
    recall: tuple[Count, ...] = ()
    """The k of Recall@k, for coarse and fine labels: [1, 2, 4, 8] in the paper. Its cost is quadratic in the split."""
    probes: tuple[Literal["knn", "linear", "ridge"], ...] = ()
    """Fitted on features of the training split after the last epoch: ``knn`` and ``linear`` read fine classes,
    ``ridge`` continuous fine targets."""
    knn_neighbors: Count = 20
    """Votes a sample in the ``knn`` probe."""
    few_shot: FewShotConfig | None = None
    """Few-shot episodes after the last epoch; None for none."""
    attention_samples: Annotated[int, Field(ge=0)] = 0
    """Attention maps of so many samples are stored after the last epoch; needs a convolutional backbone."""

    @field_validator("recall", "probes")
    @classmethod
    def _entries_differ(cls, entries: tuple[object, ...]) -> tuple[object, ...]:
        _distinct(entries)
        return entries
