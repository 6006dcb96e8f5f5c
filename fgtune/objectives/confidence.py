"""Confidence within the coarse class (FALCON eq. 7): cross-entropy to the teacher's prediction, sharpened over time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from fgtune.config.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, labelled_pairs, mean_over_pairs, provided


class ConfidenceTerm(Term):
    """Mean cross-entropy between a pseudo-label and the student's prediction over all fine classes.

    The soft pseudo-label t is the teacher's softmax at temperature T over the fine classes of the coarse label, zero
    elsewhere; the hard one h is one-hot at its largest entry; the target is tau * t + (1 - tau) * h.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.RELATIONS, Need.TEACHER})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:  # noqa: ARG002 (one signature for all)
        super().__init__()
        self.temperature = config.pseudo_labels.temperature

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        teacher = provided(outputs.teacher_logits, Need.TEACHER)
        sums, counts = [], []
        for rows, labels, in_group in labelled_pairs(outputs):
            scaled = (teacher[rows] / self.temperature).masked_fill(~in_group, -torch.inf)
            target = scaled.softmax(dim=1)  # (n, num_fine)
            if outputs.softness < 1.0:
                hard = functional.one_hot(target.argmax(dim=1), target.shape[1]).to(target.dtype)
                target = outputs.softness * target + (1.0 - outputs.softness) * hard
            sums.append(-(target * log_probs[rows]).sum())
            counts.append(len(labels))
        return mean_over_pairs(sums, counts, log_probs)
