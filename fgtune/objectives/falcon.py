"""The four loss terms of FALCON: coarse cross-entropy, neighbour agreement, confidence and uniformity."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.errors import TrialError
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, labelled_groups, mean_over_labels, provided
from fgtune.objectives.log_space import OUTSIDE, log_dot, log_sum_within, mean_probability


class CoarseTerm(Term):
    """Mean of -log p(y), with log p(y) the log-sum-exp of log p_i over the fine classes i whose parent is y.

    On its own it cannot split a coarse class: within the class its gradient with respect to log p depends on i only
    through p_i (FALCON appendix B: equal gradients with respect to every p_i of the true group).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.RELATIONS})

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        labelled, in_groups = zip(*labelled_groups(outputs), strict=True)
        values = [-log_sum_within(log_probs, in_group) for in_group in in_groups]
        return mean_over_labels(values, list(labelled))


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
        disagreement = -log_dot(log_p, log_q)  # (B, k)
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
        groups = labelled_groups(outputs)
        values = [-(self._target(teacher, in_group, outputs.softness) * log_probs).sum(dim=1) for _, in_group in groups]
        return mean_over_labels(values, [labelled for labelled, _ in groups])

    def _target(self, teacher: Tensor, in_group: Tensor, softness: float) -> Tensor:
        """(B, num_fine) pseudo-labels; of a sample without a label some distribution that nothing depends on."""
        target = (teacher / self.temperature).masked_fill(~in_group, OUTSIDE).softmax(dim=1)
        if softness == 1.0:
            return target
        best = target.argmax(dim=1, keepdim=True)
        rest = torch.full_like(best, 1.0 - softness, dtype=target.dtype)
        return (softness * target).scatter_add_(1, best, rest)


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
        mean = mean_probability(provided(outputs.log_probs, Need.FINE_HEAD))  # (num_fine,)
        negative_entropy: Tensor = torch.special.xlogy(mean, mean).sum()
        log_prior = self.log_prior if outputs.log_prior is None else outputs.log_prior
        return negative_entropy - (mean * log_prior.to(mean.dtype)).sum()
