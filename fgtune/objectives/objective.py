"""The weighted sum of the chosen terms. A weight of 0 removes its term, and with it what only that term needs."""

from __future__ import annotations

import math
from importlib import import_module

from torch import Tensor

from fgtune.config.objective import ObjectiveConfig, PseudoLabelConfig
from fgtune.objectives import TERMS
from fgtune.objectives.base import Need, StepOutputs, Term


class Objective:
    """The objective of one trial.

    Attributes:
        terms: The chosen terms by name, with their weights (> 0).
        needs: Union of what the terms need.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        self.terms: dict[str, tuple[float, Term]] = {}
        for name, place in TERMS.items():
            weight: float = getattr(config, f"lambda_{name}")
            if weight > 0:
                module, _, attribute = place.partition(":")
                self.terms[name] = (weight, getattr(import_module(module), attribute)(config))
        self.needs: frozenset[Need] = frozenset().union(*(term.needs for _, term in self.terms.values()))

    def __call__(self, outputs: StepOutputs) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, a scalar with gradient, and the detached unweighted value of every term."""
        total = outputs.log_probs.new_zeros(())
        values: dict[str, Tensor] = {}
        for name, (weight, term) in self.terms.items():
            value = term(outputs)
            total = total + weight * value
            values[name] = value.detach()
        return total, values


def soft_epochs(config: PseudoLabelConfig, epochs: int) -> int:
    """Length S of the soft phase in epochs; the balance of the relations follows it too, whatever the hardening."""
    return round(config.soft_fraction * epochs)


def softness(config: PseudoLabelConfig, epoch: int, epochs: int) -> float:
    """Blend tau at ``epoch`` (1-based): (1 + cos(pi (e - 1) / S)) / 2 for e <= S, then 0 (released FALCON code)."""
    if config.hardening == "none":
        return 1.0
    phase = soft_epochs(config, epochs)
    if config.hardening == "hard" or epoch > phase:
        return 0.0
    return 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / phase))
