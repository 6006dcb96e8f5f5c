"""Parts that several test files share; importing any of them first limits all thread pools to one thread.

BLAS and OpenMP read the variable when they are loaded, so it is set before NumPy is imported, and with it before torch
and FAISS. Sums over several threads round differently in the last bit.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
