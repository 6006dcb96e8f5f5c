"""Terms of the user's own: the classes behind ``objective.extra``, and what they ask of the trainer."""

from __future__ import annotations

from fgtune.config.reading.plugin_options import load_plugin
from fgtune.config.schema.base import Config
from fgtune.config.schema.objective import ObjectiveConfig, QueueInstanceConfig
from fgtune.config.schema.plugin import PluginTermConfig
from fgtune.errors import ConfigError
from fgtune.objectives.base import Need, Term


def load_term(config: PluginTermConfig, path: str) -> tuple[type[Term], Config]:
    """The class of a term and its options; ``path`` is for messages.

    Raises:
        ConfigError: As from ``load_plugin``, or what it names is no term, or one that reads fine labels.
    """
    target, options = load_plugin(config, path, Term)
    if Need.FINE_LABELS in target.needs:
        rule, fix = "asks for fine labels, which only lambda_fine may read", "take FINE_LABELS out of its needs"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    return target, options


def extra_terms(config: ObjectiveConfig) -> dict[str, tuple[type[Term], Config]]:
    """Class and options of each extra term of a weight above 0, by name.

    Raises:
        ConfigError: As from ``load_term``, or a term asks for keys and nothing says how its encoder moves.
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
    """Whether some term, extra ones included, is computed on neighbours."""
    return config.lambda_nn > 0 or any(Need.NEIGHBORS in term.needs for term, _ in extra_terms(config).values())
