"""SCAN's third stage: a classifier learns from its own confident predictions, and from nothing else."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, provided

_ROUNDING = 1e-9
"""Far less than an epoch: 3 of 10 epochs, as floats, are a little less than what 0.7 leaves of 1."""


class SelfLabelTerm(Term):
    """Cross-entropy to the most probable class of the samples that the teacher is sure of (Van Gansbeke et al. 2020).

    Samples are weighted by the reciprocal of their class's number in the batch, so that large classes do not take over;
    the value is the weighted mean. It is 0 where no sample is confident. The source lets the network label itself on a
    weakly augmented view; here the EMA teacher does, as for the other terms.

    Once its stage has begun it stands alone, as in the source: the other terms are measured and not trained.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.TEACHER})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        self.begins = 1.0 - config.self_labels.fraction - _ROUNDING
        self.threshold = config.self_labels.threshold
        self.num_fine = context.num_fine

    def takes_over(self, outputs: StepOutputs) -> bool:
        """Whether the last stage has begun."""
        return outputs.progress >= self.begins

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        confidence, label = provided(outputs.teacher_logits, Need.TEACHER).softmax(dim=1).max(dim=1)
        sure = (confidence > self.threshold).to(log_probs.dtype)  # (B,)
        sizes = torch.zeros(self.num_fine, dtype=sure.dtype, device=sure.device).scatter_add_(0, label, sure)
        weights = sure / sizes[label].clamp_min(1.0)
        loss = -log_probs.gather(1, label.unsqueeze(1)).squeeze(1)
        return (weights * loss).sum() / weights.sum().clamp_min(1.0)
