"""The contract of every kind of part, as checks: fgtune's own parts pass them, and a user's should too.

``backbones``, ``solvers``, ``terms`` and ``datasets`` each have a ``check_...`` function, to be called from a test, and
its individual checks as ``CHECKS``. They do not need pytest. ``docs/plugins.md`` shows their use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from fgtune.config.schema.plugin import is_plugin_kind
from fgtune.plugins import permitting

Plain = Mapping[str, Any]
"""A section as a study file has it."""


class ContractError(AssertionError):
    """A part breaks its contract."""


def require(holds: bool, rule: str) -> None:
    """Raise unless ``rule``, a sentence about the part, holds.

    Raises:
        ContractError: With the rule as its text.
    """
    if not holds:
        raise ContractError(rule)


def permitted(sections: Iterable[Plain]) -> AbstractContextManager[None]:
    """Permit the packages of the parts that ``sections`` name: whoever tests a part trusts it."""
    kinds = [section.get("kind") for section in sections]
    return permitting([str(kind).partition(":")[0] for kind in kinds if is_plugin_kind(kind)])
