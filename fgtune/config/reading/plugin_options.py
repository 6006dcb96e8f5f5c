"""From the config of a part of the user's own to that part and its validated options."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fgtune.config.reading.explain import explain
from fgtune.config.reading.source import Origins
from fgtune.config.schema.base import Config
from fgtune.config.schema.plugin import AnyPlugin
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.plugins import resolve


class NoOptions(Config):
    """The options of a part that has none."""


def load_plugin(config: AnyPlugin, path: str, base: type[Any] | None = None) -> tuple[Any, Config]:
    """Import the part that ``config`` names and validate its options by the part's own class.

    Args:
        config: Kind and options.
        path: Dotted path of the config, for messages: ``trial.model.backbone``.
        base: The part must be a class that derives from this one; None takes a function too.

    Returns:
        The object (a class or function), and an instance of its ``Options``, or of ``NoOptions`` where it has none.

    Raises:
        ConfigError: The package may not be imported, does not hold the part, or the options are wrong.
    """
    target = resolve(config.kind, f"{path}.kind")
    if not callable(target):
        raise ConfigError("must name a class or a function", path=f"{path}.kind", value=config.kind)
    if base is not None and not (isinstance(target, type) and issubclass(target, base)):
        rule, fix = f"must name a subclass of {base.__name__}", f"derive it from {base.__module__}.{base.__name__}"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    options = getattr(target, "Options", NoOptions)
    if not (isinstance(options, type) and issubclass(options, Config)):
        rule, fix = "its Options must be a subclass of fgtune.config.schema.base.Config", "derive it from Config"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix=fix)
    try:
        return target, options.from_plain(config.options)
    except ValidationError as error:
        section = (*path.split("."), "options")
        # Without a name the origins know no place; whoever knows the study file adds it.
        MultiConfigError.raise_all(explain(error, config.options, options, Origins(""), section))
        raise
