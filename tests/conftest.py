"""Settings for the whole suite: one thread a process, since tests run small work beside other work."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch, FAISS and BLAS are first imported
