"""The kinds of trial that a study may have: fgtune's own trainer where no ``kind`` is given, or another by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.config.schema.imported import ImportedRunConfig, ImportedTrialConfig
from fgtune.config.schema.trial import BaseTrialConfig, TrialConfig

OWN = "discovery trial"
_TAGS = {"imported": "imported trial", "function": "function trial"}


def _tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return OWN if kind is None else _TAGS.get(str(kind), f"no trial of kind {kind}")


# Tags contain a space: they appear in the locations of validation errors, where no key can be mistaken for them.
AnyTrial = Annotated[
    Annotated[TrialConfig, Tag(OWN)]
    | Annotated[ImportedTrialConfig, Tag(_TAGS["imported"])]
    | Annotated[FunctionTrialConfig, Tag(_TAGS["function"])],
    Discriminator(_tag),
]


def declares_metrics(study: Any) -> bool:
    """Whether the trial of a study, as plain data, says itself what its metrics are."""
    trial = study.get("trial") if isinstance(study, dict) else None
    return isinstance(trial, dict) and str(trial.get("kind")) in _TAGS


_STORED: Mapping[str, type[BaseTrialConfig]] = {"imported_run": ImportedRunConfig, "function": FunctionTrialConfig}


def trial_from_plain(config: Mapping[str, Any]) -> BaseTrialConfig:
    """The config of a finished cell, as its line in the ledger has it.

    Raises:
        ValueError: It is not what this version writes.
    """
    return _STORED.get(str(config.get("kind")), TrialConfig).from_plain(dict(config))
