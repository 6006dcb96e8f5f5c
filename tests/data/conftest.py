"""Small data sets for the tests of data, made without any loader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

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
