"""The parts of a trial that live in the user's own package: imported and checked before any data are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fgtune.config.plugin import PluginConfig, PluginDataConfig
from fgtune.config.plugin_options import load_plugin
from fgtune.config.trial import TrialConfig
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.relations.solve import solver_of


def check_own_parts(config: TrialConfig) -> None:
    """Raise unless every part of the user's own may be imported, is of its sort, and takes its options.

    Nothing is imported for a trial of shipped parts alone.

    Raises:
        ConfigError: With a path below ``trial``; ``MultiConfigError`` when several parts are wrong.
    """
    errors: list[ConfigError] = []
    for check in _checks(config):
        try:
            check()
        except ConfigError as error:
            errors += error.errors if isinstance(error, MultiConfigError) else [error]
    MultiConfigError.raise_all(errors)


def _checks(config: TrialConfig) -> Iterator[Callable[[], object]]:
    """One check a part of the user's own."""
    data, backbone, solver = config.data, config.model.backbone, config.relations.solver
    if isinstance(data, PluginDataConfig):
        yield partial(load_plugin, data, "trial.data")
    if isinstance(backbone, PluginConfig):
        from fgtune.models.classifier import backbone_class

        yield partial(backbone_class, backbone)
    if isinstance(solver, PluginConfig):
        yield partial(solver_of, solver)
    if config.objective.extra:
        from fgtune.objectives.extra import extra_terms

        yield partial(extra_terms, config.objective)
