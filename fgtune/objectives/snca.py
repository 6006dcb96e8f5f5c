"""SNCA: neighbourhood components over a memory of all training samples, with coarse labels (Wu et al., ECCV 2018)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import StepOutputs, Term, TermContext, mean_over_labels, provided
from fgtune.objectives.log_space import OUTSIDE
from fgtune.streams import torch_stream


class SncaTerm(Term):
    """Mean of -log p_i, with p_i the share of a sample's neighbourhood that has its coarse label.

    p_ij is the softmax over all other labelled training samples j of cos(x_i, m_j) / temperature, with x_i the
    normalised embedding of the sample and m_j what the memory holds of sample j; p_i sums it over those with the label
    of i. After a step the memory of a sample moves towards its embedding, momentum * m_i + (1 - momentum) * x_i, and
    is normalised. The gradient reaches x_i alone. A sample that is alone with its label counts as 0.
    """

    on_validation: ClassVar[bool] = False  # the memory holds training samples, and a validation sample is none

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        settings = config.snca
        labels = provided(context.coarse, "coarse labels")
        self.temperature, self.momentum = settings.temperature, settings.memory_momentum
        self.embed = nn.Linear(context.feature_dim, settings.projection_dim)
        self.memory: Tensor
        self.labels: Tensor
        self.register_buffer("memory", torch.empty(len(labels), settings.projection_dim))
        self.register_buffer("labels", labels.clone(), persistent=False)
        self._seen: tuple[Tensor, Tensor] | None = None  # rows, and their embeddings, of the last batch

    def initialize_buffers(self, seed: int) -> None:
        """Fill the memory with random vectors whose expected squared norm is 1, as released."""
        bound = math.sqrt(3 / self.memory.shape[1])
        self.memory.uniform_(-bound, bound, generator=torch_stream(seed, "memory"))

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        features, rows = provided(outputs.features, "features"), provided(outputs.rows, "rows")
        embedded = functional.normalize(self.embed(features), dim=1)  # (B, p)
        self._seen = rows, embedded.detach()
        nearness = embedded @ self.memory.T / self.temperature  # (B, n)
        nearness = nearness.scatter(1, rows.unsqueeze(1), OUTSIDE)
        values, labelled = [], []
        for own, others in zip(outputs.coarse.T, self.labels.T, strict=True):
            same = own.unsqueeze(1) == others  # (B, n)
            has_company = same.sum(dim=1) > 1
            everyone = nearness.masked_fill(others < 0, OUTSIDE).logsumexp(dim=1)
            value = everyone - nearness.masked_fill(~same, OUTSIDE).logsumexp(dim=1)
            values.append(value.where(has_company, 0.0))
            labelled.append(own >= 0)
        return mean_over_labels(values, labelled)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move what is remembered of the batch towards its embeddings."""
        if self._seen is not None:
            rows, embedded = self._seen
            mixed = self.memory[rows].lerp(embedded, 1.0 - self.momentum)
            self.memory[rows] = functional.normalize(mixed, dim=1)
            self._seen = None
