"""Cross-entropy of the coarse label by a linear head of its own (Base of Xu et al.; the coarse loss of FIERCE)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from fgtune.config.objective import ObjectiveConfig
from fgtune.objectives.base import StepOutputs, Term, TermContext, mean_over_pairs, provided


class BaseTerm(Term):
    """Mean cross-entropy over all (sample, source) pairs with a label; one linear head a source.

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
        sums, counts = [], []
        for source, logits in enumerate(self.coarse_logits(features)):
            labels = outputs.coarse[:, source]
            known = int((labels >= 0).sum())
            if known:
                loss = functional.cross_entropy(
                    logits, labels, ignore_index=-1, reduction="sum", label_smoothing=self.smoothing
                )
                sums.append(loss)
                counts.append(known)
        return mean_over_pairs(sums, counts, features)
