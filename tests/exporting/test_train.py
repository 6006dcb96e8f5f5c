"""Training once more runs with the threads of a trial, also in libraries that are loaded only then."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os
from fgtune.exporting.train import trial_threads
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
def test_libraries_loaded_while_training_use_its_threads():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert len(report["inside"]) >= 4  # NumPy's and SciPy's BLAS, the OpenMP of torch and of scikit-learn
    assert set(report["inside"]) == {1}
    assert report["variable"] is None  # as before


def test_a_pretrained_arm_is_trained_once_more_from_its_encoder_and_predicts_alone(make_config, tmp_path):
    import numpy as np

    from fgtune.data.load import load_dataset
    from fgtune.exporting.train import train_on_all
    from fgtune.exporting.trained_model import FineModel, empty_network
    from fgtune.results.storage import FolderStorage

    config = make_config({"model.pretrain": {"kind": "scarf", "epochs": 2, "dim": 8}, "epochs": 2})
    dataset = load_dataset(config.data)
    first, again, alone = (
        train_on_all(config, dataset, 0, 1, lambda _: None, encoders)
        for encoders in (FolderStorage(tmp_path), FolderStorage(tmp_path), None)
    )
    assert len(list(tmp_path.glob("*.pt"))) == 1
    assert first.metrics == again.metrics == alone.metrics
    network = empty_network(config, first.model.inputs, 6)
    network.load_state_dict(first.model.network.state_dict())
    copy = FineModel(config, first.model.inputs, network.eval(), first.model.fine_to_coarse, None)
    assert np.array_equal(copy.predict(dataset.inputs).fine, first.model.predict(dataset.inputs).fine)
