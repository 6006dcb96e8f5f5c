"""Configs of parts that live in a package of the user, and how a ``kind`` shows that it names one of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, JsonValue, Tag

from fgtune.config.schema.base import Config, Weight
from fgtune.config.schema.data_base import BaseDataConfig
from fgtune.plugins import KIND_PATTERN

PluginKind = Annotated[str, Field(pattern=KIND_PATTERN)]
Options = dict[str, JsonValue]


class PluginConfig(Config):
    """A part of your own: ``docs/plugins.md`` shows how to write one, and how to permit its import."""

    kind: PluginKind
    """Where it lives, as ``package.module:name``."""
    options: Options = Field(default_factory=dict)
    """Its own settings, validated by its ``Options`` class."""


class PluginDataConfig(BaseDataConfig):
    """A data set of your own: ``docs/plugins.md`` shows how to write one, and how to permit its import."""

    kind: PluginKind
    """Where its loader lives, as ``package.module:name``."""
    options: Options = Field(default_factory=dict)
    """Its own settings, validated by its ``Options`` class."""


class PluginTermConfig(PluginConfig):
    """A loss term of your own; a weight of 0 removes it, and it is then not built."""

    weight: Weight
    """Its factor in the objective."""


AnyPlugin = PluginConfig | PluginDataConfig


def is_plugin_kind(kind: object) -> bool:
    """Whether a value of ``kind`` names a part outside of fgtune."""
    return isinstance(kind, str) and ":" in kind


def _side(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "own part" if is_plugin_kind(kind) else "shipped part"


# Tags with a blank: they stand in the locations of validation errors, where no key can be mistaken for them.
SHIPPED, OWN, BY_KIND = Tag("shipped part"), Tag("own part"), Discriminator(_side)
"""Put a union of shipped configs and a plugin config together: ``Annotated[Annotated[Shipped, SHIPPED] |
Annotated[PluginConfig, OWN], BY_KIND]``. The shipped ones are validated as if they were alone."""
