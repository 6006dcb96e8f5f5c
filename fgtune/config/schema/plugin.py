"""Configs of parts that live in a user's package, and how a ``kind`` shows that it names one of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, JsonValue, Tag

from fgtune.config.schema.base import BaseDataConfig, Config, Weight
from fgtune.plugins import KIND_PATTERN

PluginKind = Annotated[str, Field(pattern=KIND_PATTERN)]
Options = dict[str, JsonValue]


class PluginConfig(Config):
    """Your own part: ``docs/plugins.md`` shows how to write one, and how to permit its import."""

    kind: PluginKind
    """Where it lives, as ``package.module:name``."""
    options: Options = Field(default_factory=dict)
    """Its own settings, validated by its ``Options`` class."""


class PluginDataConfig(BaseDataConfig):
    """Your own data set: ``docs/plugins.md`` shows how to write one, and how to permit its import."""

    kind: PluginKind
    """Where its loader lives, as ``package.module:name``."""
    options: Options = Field(default_factory=dict)
    """Its own settings, validated by its ``Options`` class."""


class PluginTermConfig(PluginConfig):
    """Your own loss term; a weight of 0 removes it, and it is then not built."""

    weight: Weight
    """Its factor in the objective."""


AnyPlugin = PluginConfig | PluginDataConfig


def is_plugin_kind(kind: object) -> bool:
    """Whether a value of ``kind`` names a part outside fgtune."""
    return isinstance(kind, str) and ":" in kind


def _side(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "own part" if is_plugin_kind(kind) else "shipped part"


# Tags contain a space: they appear in the locations of validation errors, where no key can be mistaken for them.
SHIPPED, PLUGIN, BY_KIND = Tag("shipped part"), Tag("own part"), Discriminator(_side)
"""They join a union of shipped configs and a plugin config: ``Annotated[Annotated[Shipped, SHIPPED] |
Annotated[PluginConfig, PLUGIN], BY_KIND]``. The shipped ones are validated as if they were alone."""
