"""What the settings of a config mean, from the texts below them in its source.

Pydantic reads these texts itself (``use_attribute_docstrings``), of every class that is made: a quarter of a CPU second
in every command and every worker, of which few ever show one.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from textwrap import dedent

from pydantic import BaseModel


@cache
def descriptions(config: type[BaseModel]) -> Mapping[str, str]:
    """The text below each field of a config, or the field's own description; nothing of a field without any.

    Args:
        config: Its class. One without a source file, as in a notebook's cell that is gone, has no texts.
    """
    texts: dict[str, str] = {}
    for each in reversed(config.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            texts |= _texts(each)
    own = {name: field.description for name, field in config.model_fields.items() if field.description}
    return {name: text for name, text in (texts | own).items() if text and name in config.model_fields}


def _texts(config: type[BaseModel]) -> dict[str, str]:
    """The texts in the body of one class; a field that it declares anew without one has none."""
    try:
        (tree,) = ast.parse(dedent(inspect.getsource(config))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) and tree.name == config.__name__ else []
    texts = {}
    for field, below in zip(body, [*body[1:], None], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            said = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
            texts[field.target.id] = inspect.cleandoc(said) if isinstance(said, str) else ""
    return texts
