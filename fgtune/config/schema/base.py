"""The base of every config: frozen, closed to unknown keys, strict about types, without NaN or infinity."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen config node. Build one from plain data with ``from_plain``; change one by merging and rebuilding."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def from_plain(cls, data: Any) -> Self:
        """Validate plain data (dicts, lists, numbers, strings) in strict JSON mode, where lists may become tuples."""
        return cls.model_validate_json(json.dumps(data))

    def to_plain(self) -> dict[str, Any]:
        """The config as plain data, every default filled in; ``from_plain`` reads it back to an equal config."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain


def stable_hash(data: Any, length: int = 12) -> str:
    """A hexadecimal digest of plain data that does not depend on key order."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
