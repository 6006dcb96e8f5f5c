"""Test processes compute with one thread, so that two runs in one of them add up alike to the last bit."""

from __future__ import annotations

import os

import numpy as np
from threadpoolctl import threadpool_info


def test_every_thread_pool_of_this_process_has_one_thread():
    expected = int(os.environ["OMP_NUM_THREADS"])
    assert np.ones((2, 2)).trace() == 2  # NumPy's BLAS is loaded, and was so before this file
    pools = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    assert pools
    assert set(pools.values()) == {expected}, pools
