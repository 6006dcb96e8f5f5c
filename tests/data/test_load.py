from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.data import (
    ArraysConfig,
    DataConfig,
    DiabetesConfig,
    DigitsConfig,
    HierarchyConfig,
    PatchesConfig,
)
from fgtune.config.schema.paths import kinds_of
from fgtune.config.schema.trial import TrialConfig
from fgtune.data import DATASETS
from fgtune.data.check import check_dataset
from fgtune.data.load import load_dataset
from fgtune.errors import DataError
from fgtune.testing.datasets import check_dataset as check_dataset_contract

MADE = {
    "digits": DigitsConfig(),
    "diabetes": DiabetesConfig(),
    "patches": PatchesConfig(),
    "hierarchy": HierarchyConfig(num_samples=300),
}


@pytest.fixture(params=list(DATASETS))
def config(request, tmp_path, layouts):
    """A config of each kind in the registry."""
    if request.param in MADE:
        return MADE[request.param]
    return TypeAdapter(DataConfig).validate_json(json.dumps(layouts.tiny_config(request.param, tmp_path / "set")))


def test_the_registry_covers_every_kind_of_config():
    assert sorted(kinds_of(TrialConfig, "data")) == sorted(DATASETS)


def test_every_kind_keeps_the_contract(config):
    check_dataset_contract(config.to_plain())


def test_every_kind_gives_pixels_as_uint8_and_numbers_as_float32(config):
    data = load_dataset(config)
    pixels = len(data.inputs.shape) == 4 and config not in MADE.values()
    assert data.inputs.dtype == (np.uint8 if pixels else np.float32)
    for array in (data.inputs[:], data.coarse):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_data_seed_changes_the_samples_that_a_limit_keeps():
    kept = [load_dataset(HierarchyConfig(num_samples=300, limit=50, data_seed=seed)).fingerprint for seed in (0, 1)]
    assert kept[0] != kept[1]


def test_a_limit_counts_and_numbers_only_the_fine_classes_that_remain():
    data = load_dataset(PatchesConfig(limit=40))
    assert data.num_fine == np.unique(data.fine).size < 128


def test_a_limit_below_the_number_of_coarse_classes_raises():
    with pytest.raises(DataError, match=re.escape("patches: trial.data.limit: must be >= 32")):
        load_dataset(PatchesConfig(limit=20))


def test_a_limit_does_not_hide_a_fault(tmp_path):
    inputs = np.zeros((500, 2))
    inputs[499] = np.nan
    np.savez(tmp_path / "bad.npz", inputs=inputs, coarse=np.arange(500) % 2)
    with pytest.raises(DataError, match="2 NaN and 0 infinite values, the first in row 499"):
        load_dataset(ArraysConfig(path=str(tmp_path / "bad.npz"), limit=10))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_limited_data_set_keeps_all_that_is_checked(tmp_path_factory, data):
    count = data.draw(st.integers(10, 60))
    labels = st.lists(st.integers(-1, 2), min_size=count, max_size=count)
    coarse = np.unique(data.draw(labels), return_inverse=True)[1].astype(np.int64)
    split = np.array([0, 1, 2])[np.arange(count) % 3]
    split[np.unique(coarse, return_index=True)[1]] = 0
    assume(len(np.unique(split)) == 3)  # the first samples of the classes may be all that was in a part
    path = tmp_path_factory.mktemp("limits") / f"{stable_hash([coarse.tolist()])}.npz"
    np.savez(path, inputs=np.arange(count)[:, None], coarse=coarse, split=split)
    limit = data.draw(st.integers(10, count))
    groups = np.unique(np.stack([coarse, split]), axis=1).shape[1]
    config = ArraysConfig(path=str(path), limit=limit)
    if limit < groups:
        with pytest.raises(DataError, match=f"must be >= {groups}"):
            load_dataset(config)
        return
    part = load_dataset(config)
    check_dataset(part)
    rows = part.inputs[:, 0].astype(int)
    assert len(rows) == limit
    assert (np.diff(rows) > 0).all()
    assert (part.coarse[:, 0] == coarse[rows]).all()
    assert (part.given_split == split[rows]).all()
