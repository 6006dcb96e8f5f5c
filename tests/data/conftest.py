"""Small data sets for the tests of data, made without any loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import support.layouts
from PIL import Image

from fgtune.data.base import Dataset


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """A valid data set from coarse labels ((N,) or (N, sources)); keyword arguments replace any of its fields."""

    def make(coarse, **fields) -> Dataset:
        coarse = np.asarray(coarse, dtype=np.int64)
        coarse = coarse[:, None] if coarse.ndim == 1 else coarse
        given = {
            "name": "sample",
            "inputs": np.arange(len(coarse) * 3, dtype=np.float32).reshape(-1, 3),
            "coarse": coarse,
            "num_coarse": tuple(int(labels.max()) + 1 for labels in coarse.T),
        }
        return Dataset(**(given | fields))

    return make


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Caches go below the test's own folder; returns where decoded images go."""
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def save_image() -> Callable[..., np.ndarray]:
    """Write a random image of (height, width) and return its pixels, (height, width, 3); PNG keeps them exactly."""
    rng = np.random.default_rng(0)

    def save(path: Path, shape=(8, 8), mode="RGB") -> np.ndarray:
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        return pixels

    return save


@pytest.fixture(scope="session")
def layouts() -> ModuleType:
    """The module that writes tiny data sets in published layouts."""
    return support.layouts


@pytest.fixture(scope="session")
def cifar_root(layouts, tmp_path_factory) -> Path:
    """A folder with a tiny CIFAR-100; tests must not change it."""
    root = tmp_path_factory.mktemp("cifar")
    layouts.write_cifar100(root)
    return root
