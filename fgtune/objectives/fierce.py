"""Entropic regularisation (FIERCE): features, quantised over fixed prototypes, should spread over all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.errors import ConfigError
from fgtune.objectives.base import StepOutputs, Term, TermContext, provided
from fgtune.streams import torch_stream


class EntropicTerm(Term):
    """log2 K minus the entropy, in bits, of the batch-averaged assignment of features to K prototypes.

    With several groups of prototypes it is the mean over them.

    A collapsed batch has entropy 0, one that is spread evenly log2 K. With B hard assignments the entropy is at most
    log2 B bits, so the term has a floor of log2(K / B) if B < K.
    """

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        self.settings = config.entropic
        if self.settings.placement == "bins" and context.feature_dim != 1:
            rule = f"bins divide a single feature, and the backbone gives {context.feature_dim}"
            fix = "give the backbone one feature, or draw prototypes"
            raise ConfigError(rule, path="trial.objective.entropic.placement", value="bins", fix=fix)
        shape = (self.settings.groups, self.settings.prototypes, context.feature_dim)
        self.prototypes: Tensor
        self.register_buffer("prototypes", torch.empty(shape))

    def initialize_buffers(self, seed: int) -> None:
        """Place the prototypes, which stay fixed: drawn uniformly in every dimension, or as equal bins."""
        scale, placement = self.settings.scale, self.settings.placement
        if placement == "bins":
            bins = torch.arange(1, self.settings.prototypes + 1, dtype=self.prototypes.dtype)
            self.prototypes.copy_(scale * bins[:, None])
            return
        low = 0.0 if placement == "positive" else -scale
        self.prototypes.uniform_(low, scale, generator=torch_stream(seed, "prototypes"))

    def added_divisor(self, weight: float) -> float:
        """The term's weight with normalised weighting (published for ages), else 0."""
        return weight if self.settings.weighting == "normalized" else 0.0

    def similarity(self, features: Tensor) -> Tensor:
        """Similarity (groups, B, prototypes) of features (B, feature_dim)."""
        prototypes = self.prototypes.to(features.dtype)
        if self.settings.similarity == "dot":
            return features @ prototypes.transpose(1, 2)
        if self.settings.similarity == "cosine":
            return functional.normalize(features, dim=1) @ functional.normalize(prototypes, dim=2).transpose(1, 2)
        if self.settings.placement == "bins":  # the form below would lose small differences of large numbers
            return -(features - prototypes.transpose(1, 2)).square()
        squares = features.square().sum(dim=1)[None, :, None] + prototypes.square().sum(dim=2)[:, None, :]
        return 2 * features @ prototypes.transpose(1, 2) - squares

    def assignments(self, features: Tensor, generator: torch.Generator | None) -> Tensor:
        """Assignment (groups, B, prototypes), rows summing to 1; hard ones carry the soft ones' gradient."""
        logits = self.similarity(features) / self.settings.temperature
        if self.settings.noise == "gumbel" and generator is not None:
            uniform = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=logits.dtype)
            tiny = torch.finfo(logits.dtype).tiny
            logits = logits - (-uniform.clamp_min(tiny).log()).clamp_min(tiny).log()
        soft = logits.softmax(dim=2)
        if self.settings.assignment == "soft":
            return soft
        hard = torch.zeros_like(soft).scatter_(2, soft.argmax(dim=2, keepdim=True), 1.0)
        return hard + soft - soft.detach()

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar in [0, log2 K]."""
        mean = self.assignments(provided(outputs.features, "features"), outputs.generator).mean(dim=1)  # (groups, K)
        entropy = -torch.special.xlogy(mean, mean.clamp_min(1e-12)).sum(dim=1) / math.log(2)  # (groups,)
        value: Tensor = math.log2(mean.shape[1]) - entropy.mean()
        return value
