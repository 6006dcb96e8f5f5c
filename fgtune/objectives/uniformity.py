"""Use of all fine classes (FALCON eq. 9): the distance of the batch-mean prediction from uniform."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from fgtune.config.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs


class UniformityTerm:
    """log K_F - H(mean of p over the batch) = KL(mean p, uniform) >= 0, in nats.

    The batch mean of few samples is noisy: with B not much above K_F the term is biased upwards.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, config: ObjectiveConfig) -> None:
        del config  # nothing to set

    def __call__(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar in [0, log K_F]."""
        mean = outputs.log_probs.exp().mean(dim=0)  # (num_fine,)
        negative_entropy: Tensor = torch.special.xlogy(mean, mean).sum()
        return negative_entropy + math.log(mean.numel())
