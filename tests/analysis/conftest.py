from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _module(file: str) -> ModuleType:
    name = f"fgtune_{Path(file).stem}_studies"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The module that writes study folders with made-up numbers."""
    return _module("synthetic.py")


@pytest.fixture(scope="session")
def synthetic_search() -> ModuleType:
    """The module that writes folders of searches with made-up numbers."""
    return _module("synthetic_search.py")


@pytest.fixture(scope="session")
def kf_accuracy() -> dict[str, float]:
    """Accuracies that make the low ratio hurt much, the high one less, and the middle one nearly not."""
    return {"baseline": 0.934, "num_fine_ratio=0.8": 0.81, "num_fine_ratio=1.2": 0.925, "num_fine_ratio=1.5": 0.86}
