"""Principal components are found with one thread, whatever else the process uses."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from fgtune.data.noise import look_alikes
from fgtune.data.principal import one_thread, principal_space


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_one_thread_is_one_inside_and_as_before_outside():
    with threadpool_limits(2):
        before = blas_threads()
        with one_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before
    assert before != {1}


def test_numpy_decomposes_and_multiplies_with_one_thread(monkeypatch):
    seen = []
    decompose = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda values: (seen.append(blas_threads()), decompose(values))[1])
    values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    with threadpool_limits(2):
        space = principal_space(values)
        several = space.project(values), look_alikes(values, np.arange(40) % 2)
    assert seen == [{1}]
    with threadpool_limits(1):
        single = space.project(values), look_alikes(values, np.arange(40) % 2)
    assert several[0].tobytes() == single[0].tobytes()
    assert [each.tobytes() for each in several[1]] == [each.tobytes() for each in single[1]]
