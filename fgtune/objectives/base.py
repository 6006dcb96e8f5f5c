"""What a term is: its needs, and its value on the outputs of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from torch import Tensor

from fgtune.config.objective import ObjectiveConfig


class Need(StrEnum):
    """What the trainer has to provide for a term; it builds nothing that no chosen term needs."""

    RELATIONS = "relations"
    TEACHER = "teacher"
    NEIGHBORS = "neighbors"


@dataclass(frozen=True)
class StepOutputs:
    """Outputs of one forward pass over a batch of B samples; all floats are fp32.

    Attributes:
        log_probs: (B, num_fine) log-softmax of the student on view x0; carries the gradient.
        coarse: (B, sources) int64 coarse labels, -1 for none.
        fine_to_coarse: (sources, num_fine) int64 relations; None unless a term needs ``RELATIONS``.
        teacher_logits: (B, num_fine) of the teacher on view x1; None unless a term needs ``TEACHER``.
        neighbor_log_probs: (B, k, num_fine) teacher log-softmax of k sampled neighbours; None unless needed.
        neighbor_valid: (B, k) bool; False where a sample has fewer than k neighbours.
        softness: tau in [0, 1]: 1 soft, 0 hard pseudo-labels.
    """

    log_probs: Tensor
    coarse: Tensor
    fine_to_coarse: Tensor | None = None
    teacher_logits: Tensor | None = None
    neighbor_log_probs: Tensor | None = None
    neighbor_valid: Tensor | None = None
    softness: float = 1.0


class Term(Protocol):
    """A loss term: a non-negative scalar (), to be minimised, 0 where a batch has nothing it could be computed on."""

    needs: ClassVar[frozenset[Need]]

    def __init__(self, config: ObjectiveConfig) -> None: ...

    def __call__(self, outputs: StepOutputs) -> Tensor:
        """The unweighted value of the term."""
        ...


def provided(value: Tensor | None, what: Need) -> Tensor:
    """``value``, or a clear error where the trainer did not provide what a term declared."""
    if value is None:
        raise ValueError(f"the outputs lack {what.value}, which this term needs")
    return value


def labelled_pairs(outputs: StepOutputs) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each source with labels in this batch: (rows (n,), labels (n,), in_group (n, num_fine) bool).

    ``in_group[r, i]`` says whether fine class i has the coarse class of row r as its parent in that source.
    """
    relations = provided(outputs.fine_to_coarse, Need.RELATIONS)
    pairs = []
    for source in range(relations.shape[0]):
        labels = outputs.coarse[:, source]
        rows = (labels >= 0).nonzero().squeeze(1)
        if rows.numel():
            chosen = labels[rows]
            pairs.append((rows, chosen, relations[source].unsqueeze(0) == chosen.unsqueeze(1)))  # (n, num_fine)
    return pairs


def mean_over_pairs(sums: list[Tensor], counts: list[int], log_probs: Tensor) -> Tensor:
    """Mean over all (sample, source) pairs, or a zero that keeps the graph where there are none."""
    total = sum(counts)
    if total == 0:
        return log_probs.sum() * 0.0
    return sum(sums[1:], start=sums[0]) / total
