"""Coarse cross-entropy under the relations, in log space (FALCON eq. 4): -log sum of p_i over the fine classes of y."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, labelled_pairs, mean_over_pairs, provided


class CoarseTerm(Term):
    """Mean of -log p(y), with log p(y) the log-sum-exp of log p_i over the fine classes i whose parent is y.

    By itself it cannot split a coarse class: its gradient on log p depends on i only through p_i within the class
    (FALCON appendix B: equal gradients with respect to every p_i of the true group).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.RELATIONS})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:  # noqa: ARG002 (one signature for all)
        super().__init__()

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        sums, counts = [], []
        for rows, labels, in_group in labelled_pairs(outputs):
            log_coarse = log_probs[rows].masked_fill(~in_group, -torch.inf).logsumexp(dim=1)  # (n,)
            sums.append(-log_coarse.sum())
            counts.append(len(labels))
        return mean_over_pairs(sums, counts, log_probs)
