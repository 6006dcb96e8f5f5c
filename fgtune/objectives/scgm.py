"""SCGM: a mixture of Gaussian subclasses below coarse classes, trained by expectation-maximisation (Ni et al. 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, mean_over_labels, provided
from fgtune.objectives.class_vectors import ClassVectors

_TOLERANCE, _CHECKED_EVERY, _MOST_ROUNDS = 0.1, 10, 10_000
"""The balancing ends once row factors change by less than this in all, looked at every so many rounds (as released)."""
_LOWEST = -700.0
"""Exponent whose exponential is still a number above 0 in float64."""


class ScgmTerm(Term):
    """alpha (-log p(z | x) - log p(y | z)) plus a coarse cross-entropy, for the subclass z that a sample is in.

    With v the normalised embedding, m_z the normalised class vectors of the fine head and w_y vectors of the coarse
    classes: p(z | x) is the fine head's prediction, softmax over z of v m_z / temperature; p(y | z) is the softmax over
    y of norm(w_y) m_z; the coarse cross-entropy is that of the logits relu(v) w_y. Every few epochs all training
    samples are assigned anew: to the largest entry of (p(z | x) p(y | z))^sharpness, scaled so that all subclasses
    have the same mass. Before a sample is assigned only the coarse cross-entropy counts.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.PROTOTYPES})
    on_validation: ClassVar[bool] = False  # only training samples are assigned

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        self.settings = config.scgm
        vectors = (
            ClassVectors(number, context.embedding_dim, nn.init.xavier_uniform_) for number in context.num_coarse
        )
        self.classes = nn.ModuleList(vectors)
        self.assigned: Tensor
        self.register_buffer("assigned", torch.full((len(context.groups),), -1, dtype=torch.int64))

    def surveys(self, epoch: int) -> bool:
        """Whether samples are assigned anew before ``epoch`` (1-based)."""
        return (epoch - 1) % self.settings.every_epochs == 0

    @torch.no_grad()
    def survey(self, outputs: StepOutputs) -> None:
        """Assign all training samples that have a coarse label (the E-step)."""
        log_share = provided(outputs.log_probs, Need.FINE_HEAD).double()  # (n, K_F)
        for source, labels in enumerate(outputs.coarse.T):
            of_class = self._log_parents(source, outputs).double()  # (K_C, K_F)
            log_share = log_share + of_class[labels.clamp_min(0)] * (labels >= 0).unsqueeze(1)
        labelled = (outputs.coarse >= 0).any(dim=1)
        self.assigned.fill_(-1)
        if labelled.any():
            self.assigned[labelled] = balanced_assignment(log_share[labelled], self.settings.sharpness)

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        log_probs, rows = provided(outputs.log_probs, Need.FINE_HEAD), provided(outputs.rows, "rows")
        embedded = provided(outputs.embedded, Need.PROTOTYPES)
        subclass = self.assigned[rows]
        known, place = subclass >= 0, subclass.clamp_min(0)
        of_subclass = -log_probs.gather(1, place.unsqueeze(1)).squeeze(1)
        values = []
        for source, labels in enumerate(outputs.coarse.T):
            log_parents = self._log_parents(source, outputs)
            of_parent = -log_parents[labels.clamp_min(0), place]
            logits = embedded.relu() @ self.classes.get_parameter(f"{source}.weight").T
            coarse = functional.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
            values.append(coarse + self.settings.alpha * (of_subclass + of_parent).where(known, 0.0))
        return mean_over_labels(values, [labels >= 0 for labels in outputs.coarse.T])

    def _log_parents(self, source: int, outputs: StepOutputs) -> Tensor:
        """(K_C, K_F) logarithm of p(y | z), the probability of each coarse class of a source below each subclass."""
        directions = functional.normalize(self.classes.get_parameter(f"{source}.weight"), dim=1)
        return (directions @ provided(outputs.prototypes, Need.PROTOTYPES).T).log_softmax(dim=0)


def balanced_assignment(log_share: Tensor, sharpness: float) -> Tensor:
    """(n,) class of each sample, once the powers of its shares are scaled so that all classes have the same mass.

    Rows and columns are scaled in turns (Sinkhorn-Knopp) until the row factors settle. Powers are relative to the
    largest of a row, which takes nothing from the result, and keeps them within the range of float64.

    Args:
        log_share: (n, K) float64 logarithms of shares; a row may lack a constant.
        sharpness: Exponent of the shares; the larger, the closer to an assignment of minimal cost.

    Example:
        >>> shares = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
        >>> balanced_assignment(shares.log(), 25.0)
        tensor([0, 0, 1, 1])
    """
    top = log_share.max(dim=1, keepdim=True).values
    powers = (sharpness * (log_share - top)).clamp_min(_LOWEST).exp()  # (n, K)
    samples, classes = powers.shape
    rows = (sharpness * (top - top.max())).clamp_min(_LOWEST).exp().squeeze(1) / samples
    columns = torch.full((classes,), 1 / classes, dtype=powers.dtype, device=powers.device)
    for done in range(_MOST_ROUNDS):
        columns = 1 / (classes * (rows @ powers))
        scaled = 1 / (samples * (powers @ columns))
        change = (rows / scaled - 1).abs().sum() if done % _CHECKED_EVERY == 0 else None
        rows = scaled
        if change is not None and change <= _TOLERANCE:
            break
    return (powers * columns).argmax(dim=1)
