"""ANCOR: coarse classification, and contrast by angles within coarse classes (Bukchin et al., CVPR 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import KeyEncoding, Need, StepOutputs, Term, TermContext, mean_over_labels, provided
from fgtune.objectives.xu import projection
from fgtune.streams import torch_stream


class AncorTerm(Term):
    """Cross-entropy of the coarse label, plus InfoNCE among samples of the coarse class after angular normalisation.

    q and k are projections of views x0 and x1, the second by a momentum encoder; coarse logits are a linear map W of
    relu(q). The angular normalisation of v in coarse class y is A(v) = norm(norm(v) - norm(W_y)), without a gradient
    through W. The contrast is the cross-entropy of k among k and the keys of a queue of class y,
    -log exp(A(q) A(k) / T) / (exp(A(q) A(k) / T) + sum_j exp(A(q) A(k_j) / T)), so that it acts on the angles around
    W_y alone, along which the classification has no gradient. Every queue starts full of random directions.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.KEYS})
    on_validation: ClassVar[bool] = False  # the queues hold training samples

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        settings = config.ancor
        size, dim = settings.size, settings.projection_dim
        self.key_encoding = KeyEncoding.of(settings)
        self.temperature, self.contrast, self.momentum = settings.temperature, settings.contrast, settings.key_momentum
        self.query = projection(context.feature_dim, dim)
        self.key = projection(context.feature_dim, dim).requires_grad_(False)
        self.classes = nn.ModuleList(nn.Linear(dim, number) for number in context.num_coarse)
        self.queue: Tensor
        self.filled: Tensor
        total = sum(context.num_coarse)
        self.register_buffer("queue", torch.empty(total, size, dim))  # of all classes of all sources
        self.register_buffer("filled", torch.zeros(total, dtype=torch.int64))  # number of keys ever added
        self._numbers = context.num_coarse
        self._starts = [sum(context.num_coarse[:source]) for source in range(len(context.num_coarse))]
        self._new: tuple[Tensor, Tensor] | None = None  # keys and coarse labels of the last batch

    def initialize_buffers(self, seed: int) -> None:
        """Copy the query projection to the key projection, and fill the queues."""
        self.key.load_state_dict(self.query.state_dict())
        self.queue.normal_(generator=torch_stream(seed, "queue"))
        self.queue.copy_(functional.normalize(self.queue, dim=2))

    def coarse_logits(self, features: Tensor) -> list[Tensor]:
        """For each source, (B, K_C) logits of features (B, feature_dim)."""
        return [linear(self.query(features).relu()) for linear in self.classes]

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        query = self.query(provided(outputs.features, "features"))  # (B, p)
        with torch.no_grad():
            key = self.key(provided(outputs.keys, Need.KEYS))
        self._new = key, outputs.coarse
        values, labelled = [], []
        for source, labels in enumerate(outputs.coarse.T):
            logits = self.classes[source](query.relu())
            value = functional.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
            directions = functional.normalize(self.classes.get_parameter(f"{source}.weight").detach(), dim=1)
            values.append(value + self.contrast * self._contrast(query, key, labels, directions, self._starts[source]))
            labelled.append(labels >= 0)
        return mean_over_labels(values, labelled)

    def _contrast(self, query: Tensor, key: Tensor, labels: Tensor, directions: Tensor, start: int) -> Tensor:
        """(B,) InfoNCE of each sample in the angles around its coarse class; 0 without a label.

        Args:
            query: (B, p).
            key: (B, p).
            labels: (B,) coarse class in a source, -1 for none.
            directions: (K_C, p) normalised weight vectors of its classes.
            start: Place of the first of its classes among the queues.
        """
        total = query.new_zeros(len(query))
        for label in torch.unique(labels).tolist():
            if label >= 0:
                chosen = (labels == label).nonzero().squeeze(1)
                around = directions[label]
                own, positive = _angular(query[chosen], around), _angular(key[chosen], around)
                negatives = _angular(self.queue[start + label], around)
                logits = torch.cat([(own * positive).sum(dim=1, keepdim=True), own @ negatives.T], dim=1)
                logits = logits / self.temperature
                total = total.index_add(0, chosen, logits.logsumexp(dim=1) - logits[:, 0])
        return total

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the key projection, and replace the oldest keys in the queue of each class by those of the batch."""
        torch._foreach_lerp_([*self.key.parameters()], [*self.query.parameters()], 1.0 - self.momentum)
        if self._new is None:
            return
        keys, coarse = self._new
        size = self.queue.shape[1]
        for start, number, labels in zip(self._starts, self._numbers, coarse.T, strict=True):
            is_class = labels.unsqueeze(1) == torch.arange(number, device=labels.device)  # (B, K_C)
            counts, places = is_class.sum(dim=0), (is_class.cumsum(dim=0) - 1).gather(1, labels.clamp_min(0)[:, None])
            rank, mine = places.squeeze(1), labels.clamp_min(0)
            kept = (labels >= 0) & (rank >= counts[mine] - size)  # of more keys than fit, the last ones
            slots = (self.filled[start + mine] + rank) % size
            self.queue[start + mine[kept], slots[kept]] = keys[kept]
            self.filled[start : start + number] += counts
        self._new = None


def _angular(vectors: Tensor, around: Tensor) -> Tensor:
    """(B, p) directions of normalised ``vectors`` (B, p) as seen from the unit vector ``around`` (p,)."""
    return functional.normalize(functional.normalize(vectors, dim=1) - around, dim=1)
