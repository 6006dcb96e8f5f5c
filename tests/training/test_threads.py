"""Threads of a trial are those of every library, also of those that are loaded only then."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os
from fgtune.training.threads import trial_threads
from threadpoolctl import threadpool_info

def pools():
    return [pool["num_threads"] for pool in threadpool_info()]

with trial_threads(1):
    from sklearn.cluster import KMeans
    KMeans(2, n_init=1).fit([[0.0], [1.0], [2.0]])
    inside = pools()
print(json.dumps({"inside": inside, "variable": os.environ.get("OMP_NUM_THREADS")}))
"""


@pytest.mark.slow
@pytest.mark.integration
def test_libraries_loaded_meanwhile_use_so_many_threads():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert len(report["inside"]) >= 4  # NumPy's and SciPy's BLAS, the OpenMP of torch and of scikit-learn
    assert set(report["inside"]) == {1}
    assert report["variable"] is None  # as before
