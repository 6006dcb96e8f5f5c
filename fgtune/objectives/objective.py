"""The weighted sum of the chosen terms, including plugin terms.

A weight of 0 removes its term, together with what only that term needs.
"""

from __future__ import annotations

import math
from importlib import import_module

from torch import Tensor, nn

from fgtune.catalog.terms import TERMS
from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.base import Config
from fgtune.config.schema.contrast import QueueInstanceConfig
from fgtune.config.schema.objective import ObjectiveConfig, PseudoLabelConfig
from fgtune.config.schema.plugin import PluginTermConfig
from fgtune.errors import ConfigError
from fgtune.objectives.base import KeyEncoding, Need, StepOutputs, Term, TermContext, provided


class Objective(nn.Module):
    """The objective of one trial; a module, since terms may have parameters and buffers.

    Attributes:
        weights: Weight of each chosen term (> 0), by name.
        needs: Union of what the terms need.
    """

    def __init__(self, config: ObjectiveConfig, context: TermContext) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        chosen: dict[str, nn.Module] = {}
        for name, spec in TERMS.items():
            if config.weight(name) > 0:
                module, _, attribute = spec.place.partition(":")
                self.weights[name] = config.weight(name)
                chosen[name] = getattr(import_module(module), attribute)(config, context)
        for name, (term, options) in extra_terms(config).items():
            self.weights[name] = config.extra[name].weight
            chosen[name] = term(options, context)
        self._terms = nn.ModuleDict(chosen)
        self._shared_encoding = (
            KeyEncoding.of(config.instance) if isinstance(config.instance, QueueInstanceConfig) else None
        )
        self._divisor = 1.0 + sum(term.added_divisor(self.weights[name]) for name, term in self._chosen().items())

    def term(self, name: str) -> Term | None:
        """A chosen term by name, or None."""
        return self._chosen().get(name)

    @property
    def needs(self) -> frozenset[Need]:
        """What the trainer has to provide."""
        return frozenset().union(*(term.needs for term in self._chosen().values()))

    @property
    def key_encoding(self) -> KeyEncoding | None:
        """How keys are made for the terms that need them, one way for all; None if none does."""
        asking = [term for term in self._chosen().values() if Need.KEYS in term.needs]
        own = next((term.key_encoding for term in asking if term.key_encoding is not None), self._shared_encoding)
        return own if asking else None

    def forward(self, outputs: StepOutputs, validation: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, a scalar with gradient, and the detached unweighted value of every term.

        Args:
            outputs: Outputs of a forward pass.
            validation: Leave out terms that have no (label-free) value outside the training split.
        """
        values: dict[str, Tensor] = {}
        total = provided(outputs.log_probs if outputs.features is None else outputs.features, "features").new_zeros(())
        trained = self.trained(outputs)
        for name, term in self._chosen().items():
            if term.on_validation or not validation:
                value = term(outputs)
                if name in trained:
                    total = total + self.weights[name] * value
                values[name] = value.detach()
        return total / self._divisor, values

    def trained(self, outputs: StepOutputs) -> frozenset[str]:
        """Terms that count now: those whose stage has begun, or else all that have none."""
        stages = {name: term.takes_over(outputs) for name, term in self._chosen().items()}
        alone = frozenset(name for name, has_begun in stages.items() if has_begun)
        return alone or frozenset(name for name, has_begun in stages.items() if has_begun is None)

    def surveys(self, epoch: int) -> bool:
        """Whether a term wants to see the whole training split before ``epoch`` (1-based)."""
        return any(term.surveys(epoch) for term in self._chosen().values())

    def survey(self, epoch: int, outputs: StepOutputs) -> None:
        """Show the training split to the terms that want it before ``epoch``."""
        for term in self._chosen().values():
            if term.surveys(epoch):
                term.survey(outputs)

    def coarse_logits(self, features: Tensor) -> list[Tensor] | None:
        """For each source, (B, K_C) logits of a term's coarse head for features (B, feature_dim); None without one."""
        heads = (term.coarse_logits(features) for term in self._chosen().values())
        return next((logits for logits in heads if logits is not None), None)

    def initialize_buffers(self, seed: int) -> None:
        """Set what terms draw once; call after their parameters are initialised."""
        for term in self._chosen().values():
            term.initialize_buffers(seed)

    def after_step(self) -> None:
        """Call after every optimiser step."""
        for term in self._chosen().values():
            term.after_step()

    def _chosen(self) -> dict[str, Term]:
        return {name: term for name, term in self._terms.items() if isinstance(term, Term)}


def soft_epochs(config: PseudoLabelConfig, epochs: int) -> int:
    """Length S of the soft phase in epochs; the balance of the relations follows it too, with any hardening."""
    return round(config.soft_fraction * epochs)


def softness(config: PseudoLabelConfig, epoch: int, epochs: int) -> float:
    """Blend tau at ``epoch`` (1-based): (1 + cos(pi (e - 1) / S)) / 2 for e <= S, then 0 (released FALCON code)."""
    if config.hardening == "none":
        return 1.0
    phase = soft_epochs(config, epochs)
    if config.hardening == "hard" or epoch > phase:
        return 0.0
    return 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / phase))


# --- plugin terms ---------------------------------------------------------------------------------------------------


def load_term(config: PluginTermConfig, path: str) -> tuple[type[Term], Config]:
    """The class of a term and its options; ``path`` is for messages.

    Raises:
        ConfigError: As for ``load_plugin``, or the plugin is not a term, or is one that reads fine labels.
    """
    target, options = load_plugin(config, path, Term, ("options", "context"))
    if Need.FINE_LABELS in target.needs:
        rule, fix = "asks for fine labels, which only lambda_fine may read", "take FINE_LABELS out of its needs"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    return target, options


def extra_terms(config: ObjectiveConfig) -> dict[str, tuple[type[Term], Config]]:
    """Class and options of each extra term with a weight above 0, by name.

    Raises:
        ConfigError: As for ``load_term``, or a term needs keys and the config does not configure their encoder.
    """
    found = {}
    for name, term in config.extra.items():
        if term.weight > 0:
            path = f"trial.objective.extra.{name}"
            found[name] = load_term(term, path)
            if Need.KEYS in found[name][0].needs and not isinstance(config.instance, QueueInstanceConfig):
                rule, fix = "asks for keys of a momentum encoder", "set objective.instance: {kind: queue}"
                raise ConfigError(rule, path=f"{path}.kind", value=term.kind, fix=fix)
    return found


def needs_neighbors(config: ObjectiveConfig) -> bool:
    """Whether any term, including extra ones, uses neighbours."""
    return any(TERMS[name].neighbors for name in config.terms) or any(
        Need.NEIGHBORS in term.needs for term, _ in extra_terms(config).values()
    )
