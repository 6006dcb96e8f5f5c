"""Use of all fine classes (FALCON eq. 9): the distance of the batch-mean prediction from a prior, uniform if none."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.objective import ObjectiveConfig
from fgtune.errors import TrialError
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, provided


class UniformityTerm(Term):
    """KL(mean of p over the batch, prior) >= 0 in nats; log K_F - H(mean p) for the uniform prior of the paper.

    The batch mean of few samples is noisy: with B not much above K_F the term is biased upwards.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD})

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        sizes = config.prior or (1.0,) * context.num_fine
        if len(sizes) != context.num_fine:
            raise TrialError(f"objective.prior needs one size a fine class ({context.num_fine}), it has {len(sizes)}")
        self.log_prior: Tensor
        log_prior = torch.tensor(sizes, dtype=torch.float64).div(sum(sizes)).log()
        self.register_buffer("log_prior", log_prior, persistent=False)

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar in [0, log K_F] for a uniform prior."""
        mean = provided(outputs.log_probs, Need.FINE_HEAD).exp().mean(dim=0)  # (num_fine,)
        negative_entropy: Tensor = torch.special.xlogy(mean, mean).sum()
        return negative_entropy - (mean * self.log_prior.to(mean.dtype)).sum()
