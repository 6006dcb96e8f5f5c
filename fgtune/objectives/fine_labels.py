"""Cross-entropy of the fine label (Fine of Xu et al.): the upper bound, which reads fine labels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, Term, TermContext, provided


class FineTerm(Term):
    """Mean cross-entropy of the fine label by the fine head."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.FINE_HEAD, Need.FINE_LABELS})
    on_validation: ClassVar[bool] = False  # a validation loss that read fine labels would not be label-free

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:  # noqa: ARG002 (one signature for all)
        super().__init__()

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The term, a scalar >= 0."""
        return functional.nll_loss(
            provided(outputs.log_probs, Need.FINE_HEAD), provided(outputs.fine, Need.FINE_LABELS)
        )
