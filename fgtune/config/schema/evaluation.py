"""What is measured of a trial, on which splits and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fgtune.config.schema.base import Config, Count, must_differ


class FewShotConfig(Config):
    """Few-shot episodes on features as they are, with the nearest class mean; reads fine labels."""

    ways: Annotated[int, Field(ge=2)] = 5
    """Fine classes per episode."""
    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 5)
    """Support samples per class; each number yields its own metric, ``fewshot_1`` and so on."""
    queries: Count = 15
    """Query samples per class."""
    episodes: Count = 600
    """Episodes for each number of shots."""
    by_epoch: bool = False
    """Run them at every evaluation on the way, too, and report ``test/fewshot_1_best`` and so on: the value of the
    epoch at which the validation split's is best, the first of equal ones (FIERCE). ``val`` must be evaluated."""
    classes: Literal["all", "novel"] = "all"
    """Draw from all fine classes of the evaluated split, or only from those without training samples. With a
    given split that keeps fine classes apart, the two are the same."""

    @field_validator("shots")
    @classmethod
    def _shots_differ(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        must_differ(shots)
        return shots


def reported_among(splits: Sequence[str]) -> str:
    """The split that results are reported on, of those evaluated: ``test``, or else the last one."""
    return "test" if "test" in splits else splits[-1]


CURVE_POINTS = 10
"""Evaluations of a training, where the study says nothing; up to twice as many of a short one."""


class EvaluationConfig(Config):
    """What is measured while training."""

    every_epochs: Count | None = None
    """Evaluate every so many epochs, and always after the last. None: ten times in a training or a little more, which
    costs a few percent of it, and after every epoch where a scheduler judges cells by it."""
    weights: Literal["student", "teacher"] = "student"
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = ("val", "test")
    silhouette_samples: Annotated[int, Field(ge=2)] = 500
    """The silhouette is computed on at most this many samples of a split, drawn by seed."""
    recall: tuple[Count, ...] = ()
    """The k of Recall@k, for coarse and fine labels: [1, 2, 4, 8] in the paper. Its cost is quadratic in the split."""
    probes: tuple[Literal["knn", "linear", "ridge", "gradient"], ...] = ()
    """Fitted on features of the training split after the last epoch: ``knn`` and ``linear`` read fine classes,
    ``ridge`` continuous fine targets, ``gradient`` such targets that are shares (two columns or more, rows summing to
    1)."""
    probes_by_epoch: bool = False
    """Fit the probes at every evaluation on the way, too, so that they have curves; each time takes a pass over the
    training split."""
    knn_neighbors: Count = 20
    """Votes per sample in the ``knn`` probe."""
    few_shot: FewShotConfig | None = None
    """Few-shot episodes after the last epoch; None for none."""
    attention_samples: Annotated[int, Field(ge=0)] = 0
    """Attention maps of this many samples are stored after the last epoch; needs a convolutional backbone."""

    def period(self, epochs: int, is_judged: bool = False) -> int:
        """Every how many epochs a training of ``epochs`` is evaluated.

        Args:
            epochs: How long it is.
            is_judged: Whether a scheduler judges it on the way, and may do so after any epoch.
        """
        usual = 1 if is_judged else max(1, epochs // CURVE_POINTS)
        return self.every_epochs or usual

    @model_validator(mode="after")
    def _curves_have_probes(self) -> EvaluationConfig:
        if self.probes_by_epoch and not self.probes:
            raise ValueError("probes_by_epoch needs probes")
        return self

    @field_validator("recall", "probes")
    @classmethod
    def _entries_differ(cls, entries: tuple[object, ...]) -> tuple[object, ...]:
        must_differ(entries)
        return entries
