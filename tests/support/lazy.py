"""Modules that take seconds to import, imported when a test first uses them: collection does not wait for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for the module ``name``, which is imported at the first use of an attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("__", "_pytest", "_mock")):  # pytest asks every object of a test module for some
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)
