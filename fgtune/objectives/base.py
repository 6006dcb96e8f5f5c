"""The interface of a loss term: its needs, parameters and buffers, and its value on the outputs of a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fgtune.config.schema.contrast import KeyEncoderConfig


class Need(StrEnum):
    """What the trainer has to provide for a term; it builds only what some chosen term needs."""

    FINE_HEAD = "fine head"
    """A classifier over fine classes: ``log_probs``."""
    RELATIONS = "relations"
    TEACHER = "teacher"
    """The EMA teacher's fine head on view x1."""
    NEIGHBORS = "neighbors"
    FINE_LABELS = "fine labels"
    """The fine labels, which only the upper bound asks for."""
    KEYS = "keys"
    """Features of view x1 from a momentum encoder, whose decay is a setting of the term."""
    PROTOTYPES = "class vectors"
    """A fine head of class vectors: these, and the samples in their space."""


@dataclass(frozen=True)
class TermContext:
    """What a term is built from, besides its config.

    Attributes:
        feature_dim: Number of features.
        num_fine: K_F.
        num_coarse: K_C of each source.
        groups: (n_train,) int64, equal for training samples with the same coarse labels.
        coarse: (n_train, sources) int64 coarse labels, -1 for none; None where only ``groups`` are known.
        embedding_dim: Length of the class vectors of the fine head; 0 where it has none.
    """

    feature_dim: int
    num_fine: int
    num_coarse: tuple[int, ...]
    groups: Tensor
    coarse: Tensor | None = None
    embedding_dim: int = 0


@dataclass(frozen=True)
class KeyEncoding:
    """How the momentum encoder of a term makes keys; the settings of ``KeyEncoderConfig`` of these names."""

    momentum: float
    statistics: Literal["averaged", "batch"] = "averaged"
    groups: int = 1

    @classmethod
    def of(cls, config: KeyEncoderConfig) -> KeyEncoding:
        """As these settings say."""
        return cls(config.key_momentum, config.key_statistics, config.batch_groups)


@dataclass(frozen=True)
class StepOutputs:
    """Outputs of a forward pass on a batch of B samples; all floats are fp32. What no chosen term needs is None.

    Attributes:
        coarse: (B, sources) int64 coarse labels, -1 for none.
        features: (B, feature_dim) of the student on view x0; carries the gradient.
        rows: (B,) int64 positions in the training split; None for validation samples.
        log_probs: (B, num_fine) log-softmax of the student on view x0; carries the gradient.
        fine_to_coarse: (sources, num_fine) int64 relations.
        teacher_logits: (B, num_fine) of the teacher on view x1.
        neighbor_log_probs: (B, k, num_fine) teacher log-softmax of k sampled neighbours.
        neighbor_valid: (B, k) bool; False where a sample has fewer than k neighbours.
        softness: tau in [0, 1]: 1 soft, 0 hard pseudo-labels.
        fine: (B,) int64 fine labels; only for a term that needs ``FINE_LABELS``.
        keys: (B, feature_dim) features of view x1 from the momentum encoder.
        embedded: (B, embedding_dim) normalised embeddings of the student's features; carries the gradient.
        prototypes: (num_fine, embedding_dim) normalised class vectors of the fine head; carries the gradient.
        log_prior: (num_fine,) logarithm of the sizes wanted of the fine classes; None where they are fixed numbers.
        progress: Share of the training that is over, in [0, 1): that of the epochs before this one.
        generator: Source of a term's draws, on the device of the outputs; None for no draws.
    """

    coarse: Tensor
    features: Tensor | None = None
    rows: Tensor | None = None
    log_probs: Tensor | None = None
    fine_to_coarse: Tensor | None = None
    teacher_logits: Tensor | None = None
    neighbor_log_probs: Tensor | None = None
    neighbor_valid: Tensor | None = None
    softness: float = 1.0
    fine: Tensor | None = None
    keys: Tensor | None = None
    embedded: Tensor | None = None
    prototypes: Tensor | None = None
    log_prior: Tensor | None = None
    progress: float = 0.0
    generator: torch.Generator | None = None


class Term(nn.Module):
    """A loss term: a scalar () >= 0, to be minimised, and 0 for a batch that it does not apply to.

    Its parameters are trained and its buffers checkpointed with the model.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    on_validation: ClassVar[bool] = True
    """Whether the term has a value on samples outside the training split."""
    key_encoding: KeyEncoding | None = None
    """Of a term that needs ``KEYS``: how they are made; None for the way of ``objective.instance``."""

    def __init__(self, config: object = None, context: TermContext | None = None) -> None:  # noqa: ARG002
        """What a term that has neither settings, parameters nor buffers is built by."""
        super().__init__()

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The unweighted value of the term."""
        raise NotImplementedError

    def added_divisor(self, weight: float) -> float:  # noqa: ARG002 (0 but for a term that normalises the sum)
        """What the term adds to the divisor of the weighted sum, which is 1 without additions; >= 0."""
        return 0.0

    def takes_over(self, outputs: StepOutputs) -> bool | None:  # noqa: ARG002 (one signature for all)
        """For a term with a stage of its own, whether it has begun; None for a term without one.

        Before the stage the term is not trained, and from then on no other one is.
        """
        return None

    def surveys(self, epoch: int) -> bool:  # noqa: ARG002 (one signature for all)
        """Whether the term wants to see the whole training split before ``epoch`` (1-based)."""
        return False

    def survey(self, outputs: StepOutputs) -> None:
        """See the whole training split, in order, by the student in evaluation mode and without augmentation.

        Args:
            outputs: As of a batch, without what a teacher or a momentum encoder adds.
        """

    def coarse_logits(self, features: Tensor) -> list[Tensor] | None:  # noqa: ARG002 (one signature for all)
        """For each source, (B, K_C) logits of a coarse head for features (B, feature_dim); None without a head."""
        return None

    def initialize_buffers(self, seed: int) -> None:
        """Set what is drawn once and not trained; called once, after the parameters are initialised."""

    def after_step(self) -> None:
        """Called after every optimiser step, for state that follows training."""


def provided(value: Tensor | None, what: str) -> Tensor:
    """``value``, or a clear error if the trainer did not provide what a term declared."""
    if value is None:
        raise ValueError(f"the outputs lack {what}, which this term needs")
    return value


def labelled_groups(outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
    """For each source: (is_labelled (B,) bool, in_group (B, num_fine) bool).

    ``in_group[r, i]`` is whether fine class i has the coarse class of sample r as its parent in that source; of a
    sample without a label no class has. Nothing here waits for the device.
    """
    relations = provided(outputs.fine_to_coarse, Need.RELATIONS)
    groups = []
    for source in range(relations.shape[0]):
        labels = outputs.coarse[:, source]
        groups.append((labels >= 0, relations[source].unsqueeze(0) == labels.unsqueeze(1)))
    return groups


def mean_over_labels(values: list[Tensor], labelled: list[Tensor]) -> Tensor:
    """Mean over all (sample, source) pairs with a label; 0, with a gradient of 0, if there are none.

    Args:
        values: For each source, (B,) value of each sample; of one without a label it may be anything.
        labelled: For each source, (B,) bool.
    """
    sums = [value.where(known, 0.0).sum() for value, known in zip(values, labelled, strict=True)]
    counts = [known.sum() for known in labelled]
    return sum(sums[1:], start=sums[0]) / sum(counts[1:], start=counts[0]).clamp_min(1)
