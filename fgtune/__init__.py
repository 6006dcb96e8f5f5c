"""fgtune: ablation and hyperparameter studies for methods that learn fine classes from coarse labels.

From Python, ``load_study``, ``plan``, ``run`` and ``open_results`` do what the command line does (``docs/python.md``);
each is imported when it is first used. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ConfigError": "errors",
    "FgtuneError": "errors",
    "load_study": "api",
    "open_results": "api",
    "plan": "api",
}

__all__ = [*_HOMES, "__version__", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for; ``run`` is the module ``fgtune.run``, which can be called like the function."""
    from importlib import import_module

    if name == "run":
        return import_module("fgtune.run")
    if name in _HOMES:
        return getattr(import_module(f"fgtune.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
