"""The four loss terms of FALCON: coarse cross-entropy, neighbour agreement, confidence and uniformity."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.errors import TrialError
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, labelled_pairs, mean_over_pairs, provided


class CoarseTerm(Term):
    """Mean of -log p(y), with log p(y) the log-sum-exp of log p_i over the fine classes i whose parent is y.

    On its own it cannot split a coarse class: within the class its gradient with respect to log p depends on i only
    through p_i (FALCON appendix B: equal gradients with respect to every p_i of the true group).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.RELATIONS})

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        sums, counts = [], []
        for rows, labels, in_group in labelled_pairs(outputs):
            log_coarse = log_probs[rows].masked_fill(~in_group, -torch.inf).logsumexp(dim=1)  # (n,)
            sums.append(-log_coarse.sum())
            counts.append(len(labels))
        return mean_over_pairs(sums, counts, log_probs)


class NeighborTerm(Term):
    """Mean over samples and their sampled neighbours of -log sum_f p_f q_f, with q the teacher's prediction.

    The sum is computed in log space, so confident disjoint predictions give a large finite loss, where the product of
    probabilities would underflow to log 0.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.TEACHER, Need.NEIGHBORS})

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0; samples without neighbours do not count."""
        log_p = provided(outputs.log_probs, Need.FINE_HEAD)
        log_q = provided(outputs.neighbor_log_probs, Need.NEIGHBORS)  # (B, k, num_fine)
        valid = provided(outputs.neighbor_valid, Need.NEIGHBORS)  # (B, k)
        disagreement = -torch.logsumexp(log_p.unsqueeze(1) + log_q, dim=2)  # (B, k)
        return disagreement.masked_fill(~valid, 0.0).sum() / valid.sum().clamp_min(1)


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


class UniformityTerm(Term):
    """KL(mean of p over the batch, prior) >= 0 in nats; log K_F - H(mean p) for the uniform prior of the paper.

    A prior that follows the relations or the training comes with the outputs, fixed numbers from the config.

    The batch mean of few samples is noisy: if B is not much larger than K_F, the term is biased upwards.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        sizes = config.prior if isinstance(config.prior, tuple) else (1.0,) * context.num_fine
        if len(sizes) != context.num_fine:
            raise TrialError(f"objective.prior needs one size per fine class ({context.num_fine}), it has {len(sizes)}")
        self.log_prior: Tensor
        log_prior = torch.tensor(sizes, dtype=torch.float64).div(sum(sizes)).log()
        self.register_buffer("log_prior", log_prior, persistent=False)

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar in [0, log K_F] for a uniform prior."""
        mean = provided(outputs.log_probs, Need.FINE_HEAD).exp().mean(dim=0)  # (num_fine,)
        negative_entropy: Tensor = torch.special.xlogy(mean, mean).sum()
        log_prior = self.log_prior if outputs.log_prior is None else outputs.log_prior
        return negative_entropy - (mean * log_prior.to(mean.dtype)).sum()
