"""Plain data as the text of a YAML file, which a person may read and change."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any


def yaml_text(plain: Mapping[str, Any], *comments: str) -> str:
    """A mapping as YAML in its own order, below comments of a line each."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    writer.dump(dict(plain), buffer)
    return "".join(f"# {line}\n" for line in comments) + buffer.getvalue()
