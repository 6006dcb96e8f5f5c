"""The loss terms of Xu et al.: coarse classification (Base), individual classification, and the upper bound (Fine)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.schema.contrast import ParametricInstanceConfig, QueueInstanceConfig
from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import KeyEncoding, Need, StepOutputs, Term, TermContext, mean_over_labels, provided
from fgtune.objectives.class_vectors import ClassVectors
from fgtune.streams import torch_stream


class BaseTerm(Term):
    """Mean cross-entropy over all (sample, source) pairs with a label; one linear head per source.

    Label smoothing spreads a share of each target over all coarse classes of the source.
    """

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(context.feature_dim, k) for k in context.num_coarse)
        self.smoothing = config.label_smoothing

    def coarse_logits(self, features: Tensor) -> list[Tensor]:
        """For each source, (B, K_C) logits of features (B, feature_dim)."""
        return [head(features) for head in self.heads]

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        features = provided(outputs.features, "features")
        values, labelled = [], []
        for source, logits in enumerate(self.coarse_logits(features)):
            labels = outputs.coarse[:, source]
            values.append(
                functional.cross_entropy(
                    logits, labels, ignore_index=-1, reduction="none", label_smoothing=self.smoothing
                )
            )
            labelled.append(labels >= 0)
        return mean_over_labels(values, labelled)


class FineTerm(Term):
    """Mean cross-entropy between the fine head and the fine labels: the upper bound."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.FINE_LABELS})
    on_validation: ClassVar[bool] = False  # a validation loss on fine labels would not be label-free

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        return functional.nll_loss(
            provided(outputs.log_probs, Need.FINE_HEAD), provided(outputs.fine, Need.FINE_LABELS)
        )


def instance_term(config: ObjectiveConfig, context: TermContext) -> Term:
    """The instance term of the kind in the config."""
    if isinstance(config.instance, QueueInstanceConfig):
        return QueueInstanceTerm(config.instance, context)
    return ParametricInstanceTerm(config.instance, context)


class ParametricInstanceTerm(Term):
    """Mean cross-entropy of a sample's index under a linear classifier with one row per training sample.

    With ``scope: all`` the softmax runs over all n samples. With ``scope: coarse`` it runs over the n_b samples that
    share every coarse label with the sample: the rows of each group are gathered, which costs O(d n_b) per sample and
    forms no n-wide matrix (Xu et al., the efficient variant).
    """

    on_validation: ClassVar[bool] = False  # a validation sample is no class

    def __init__(self, config: ParametricInstanceConfig, context: TermContext) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(context.groups), context.feature_dim))
        self.temperature = config.temperature
        self.within = config.scope == "coarse"
        order = torch.argsort(context.groups, stable=True)
        sizes = torch.bincount(context.groups)
        starts = sizes.cumsum(0) - sizes
        position = torch.empty_like(order)
        position[order] = torch.arange(len(order)) - starts[context.groups[order]]
        self.groups: Tensor
        self.order: Tensor
        self.position: Tensor
        self.register_buffer("groups", context.groups.clone(), persistent=False)
        self.register_buffer("order", order, persistent=False)  # training positions, group by group
        self.register_buffer("position", position, persistent=False)  # place of each sample within its group
        self._bounds = [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw as torch's linear layers do: uniformly within 1 / sqrt(feature_dim)."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0; 0 for a sample that is alone in its group."""
        features, rows = provided(outputs.features, "features"), provided(outputs.rows, "rows")
        if not self.within:
            return functional.cross_entropy(features @ self.weight.T / self.temperature, rows)
        total = features.sum() * 0.0
        groups = self.groups[rows]
        for group in torch.unique(groups).tolist():
            chosen = (groups == group).nonzero().squeeze(1)
            start, end = self._bounds[group]
            logits = features[chosen] @ self.weight[self.order[start:end]].T / self.temperature  # (m, n_b)
            total = total + functional.cross_entropy(logits, self.position[rows[chosen]], reduction="sum")
        return total / len(rows)


class QueueInstanceTerm(Term):
    """InfoNCE of a sample's projection against its momentum key and a queue of earlier keys (MoCo v2 form).

    Keys are features of view x1 by a momentum encoder, projected by a momentum copy of the projection head. With a
    coarse weight, that times the cross-entropy of the coarse label is added, with the cosine of the projection to a
    vector for each coarse class, over the same temperature, as logits (the released CoIns).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.KEYS})
    on_validation: ClassVar[bool] = False  # the queue holds training samples

    def __init__(self, config: QueueInstanceConfig, context: TermContext) -> None:
        super().__init__()
        self.temperature, self.momentum = config.temperature, config.key_momentum
        self.key_encoding = KeyEncoding.of(config)
        self.coarse_weight, self._starts_full = config.coarse_weight, config.start == "random"
        self.query = projection(context.feature_dim, config.projection_dim)
        self.key = projection(context.feature_dim, config.projection_dim).requires_grad_(False)
        numbers = context.num_coarse if config.coarse_weight > 0 else ()
        self.classes = nn.ModuleList(
            ClassVectors(number, config.projection_dim, _within_inverse_root) for number in numbers
        )
        self.queue: Tensor
        self.filled: Tensor
        self.register_buffer("queue", torch.zeros(config.size, config.projection_dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))  # number of keys ever added
        self._new_keys: Tensor | None = None
        self._known: int | None = 0  # ``filled`` where it need not be waited for; None after it was restored

    def initialize_buffers(self, seed: int) -> None:
        """Copy the query projection to the key projection; fill the queue if it starts full."""
        self.key.load_state_dict(self.query.state_dict())
        if self._starts_full:
            self.queue.normal_(generator=torch_stream(seed, "queue"))
            self.queue.copy_(functional.normalize(self.queue, dim=1))

    def coarse_logits(self, features: Tensor) -> list[Tensor] | None:
        """For each source, (B, K_C) logits of features (B, feature_dim); None without a coarse weight."""
        if not self.classes:
            return None
        query = functional.normalize(self.query(features), dim=1)
        return [directions(query) / self.temperature for directions in self.classes]

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0; only the filled part of the queue counts."""
        query = functional.normalize(self.query(provided(outputs.features, "features")), dim=1)  # (B, p)
        with torch.no_grad():
            key = functional.normalize(self.key(provided(outputs.keys, Need.KEYS)), dim=1)
        if self._known is None and not self._starts_full:
            self._known = int(self.filled)
        known = self.queue if self._starts_full or self._known is None else self.queue[: self._known]
        logits = torch.cat([(query * key).sum(dim=1, keepdim=True), query @ known.T], dim=1) / self.temperature
        self._new_keys = key
        contrast = functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))
        return (
            contrast + self.coarse_weight * self._of_coarse_labels(query, outputs.coarse) if self.classes else contrast
        )

    def _of_coarse_labels(self, query: Tensor, coarse: Tensor) -> Tensor:
        """Mean cross-entropy of the coarse labels (B, sources) of normalised projections (B, p)."""
        values = [
            functional.cross_entropy(directions(query) / self.temperature, labels, ignore_index=-1, reduction="none")
            for directions, labels in zip(self.classes, coarse.T, strict=True)
        ]
        return mean_over_labels(values, [labels >= 0 for labels in coarse.T])

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known = None  # read anew

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the key projection, and replace the oldest keys in the queue by those of the batch."""
        torch._foreach_lerp_([*self.key.parameters()], [*self.query.parameters()], 1.0 - self.momentum)
        if self._new_keys is not None:
            keys = self._new_keys[-len(self.queue) :]
            slots = (self.filled + torch.arange(len(keys), device=keys.device)) % len(self.queue)
            self.queue[slots] = keys
            self.filled += len(keys)
            self._known = None if self._known is None else min(self._known + len(keys), len(self.queue))
            self._new_keys = None


def _within_inverse_root(weight: Tensor, generator: torch.Generator) -> None:
    """Draw as the released code does, uniformly within 1 / sqrt(classes); their length sets how fast they turn."""
    bound = 1 / math.sqrt(len(weight))
    nn.init.uniform_(weight, -bound, bound, generator=generator)


def projection(feature_dim: int, projection_dim: int) -> nn.Sequential:
    """The two layers by which MoCo v2, CoIns and ANCOR project features."""
    return nn.Sequential(nn.Linear(feature_dim, feature_dim), nn.ReLU(), nn.Linear(feature_dim, projection_dim))
