"""A small, quick cell: 300 samples of a Gaussian hierarchy, a narrow MLP, a few epochs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

BASE = {
    "data": {"kind": "hierarchy", "num_samples": 300, "num_coarse": 2, "fine_per_coarse": 3, "dim": 6},
    "model": {"backbone": {"kind": "mlp", "hidden": [16]}},
    "classes": {"num_fine": 6},
    "augmentation": {"kind": "noise", "std": 0.1},
    "relations": {"every_steps": 3},
    "epochs": 4,
    "batch_size": 64,
}


@pytest.fixture(scope="session")
def make_config():
    from fgtune.config.reading.merge import patch
    from fgtune.config.schema.trial import TrialConfig

    def make(changes: dict | None = None):
        return TrialConfig.from_plain(patch(BASE, changes or {}, TrialConfig))

    return make


@pytest.fixture(scope="session")
def make_trainer(make_config):
    from fgtune.data.load import load_dataset
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import prepare_split, views

    def make(changes: dict | None = None, seed: int = 0, change_data=lambda dataset: dataset):
        config = make_config(changes)
        dataset = change_data(load_dataset(config.data))
        prepared = prepare_split(dataset, config, seed, threads=1)
        return build_trainer(config, *views(dataset, prepared), prepared, seed)

    return make


@pytest.fixture(scope="session")
def scramble_fine():
    def scramble(dataset):
        return replace(dataset, fine=np.random.default_rng(0).permutation(dataset.fine))

    return scramble
