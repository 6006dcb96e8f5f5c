"""Agreement with nearest neighbours (FALCON eq. 6, after SCAN): -log of the inner product of two predictions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, provided


class NeighborTerm(Term):
    """Mean over samples and their sampled neighbours of -log sum_f p_f q_f, with q the teacher's prediction.

    The sum is taken in log space, so confident disjoint predictions give a large finite loss where the product
    of probabilities would underflow to log 0.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.TEACHER, Need.NEIGHBORS})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:  # noqa: ARG002 (one signature for all)
        super().__init__()

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0; samples without neighbours do not count."""
        log_p = provided(outputs.log_probs, Need.FINE_HEAD)
        log_q = provided(outputs.neighbor_log_probs, Need.NEIGHBORS)  # (B, k, num_fine)
        valid = provided(outputs.neighbor_valid, Need.NEIGHBORS)  # (B, k)
        disagreement = -torch.logsumexp(log_p.unsqueeze(1) + log_q, dim=2)  # (B, k)
        return disagreement.masked_fill(~valid, 0.0).sum() / valid.sum().clamp_min(1)
