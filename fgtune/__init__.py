"""fgtune: ablation and hyperparameter studies for methods that learn fine classes from coarse labels.

From Python, ``load_study``, ``plan``, ``run_study`` and ``open_results`` do what the command line does; see
``docs/python.md``. Each is imported when it is first used. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ConfigError": "errors",
    "FgtuneError": "errors",
    "discover": "app.discover",
    "import_results": "app.import_results",
    "load_study": "app.api",
    "open_results": "app.api",
    "plan": "app.api",
    "run_study": "app.api",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"fgtune.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
