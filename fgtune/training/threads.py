"""How many threads numerical libraries use for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def trial_threads(threads: int) -> Iterator[None]:
    """Let torch, BLAS and OpenMP use so many threads for a while, as in a trial.

    Sums over another number of threads differ in the last bit, k-means with more than 256 samples among them. torch is
    told itself: the MKL in it is linked so that threadpoolctl does not find it.
    """
    from threadpoolctl import threadpool_limits

    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # libraries that are loaded only now, scikit-learn's, read it
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
        if variable is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = variable
