"""Plain data as the text of a YAML file, which a person may read and change."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any


def yaml_text(plain: Mapping[str, Any], *comments: str, escaped: bool = False) -> str:
    """A mapping as YAML in its own order, below comments of a line each.

    Args:
        plain: Plain data.
        comments: Lines that come first.
        escaped: Write every sign beyond ASCII by its code.
    """
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width, writer.allow_unicode = 120, not escaped
    writer.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    writer.dump(dict(plain), buffer)
    return "".join(f"# {line}\n" for line in comments) + buffer.getvalue()
