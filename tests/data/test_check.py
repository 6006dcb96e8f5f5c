from __future__ import annotations

import re

import numpy as np
import pytest

from fgtune.data.check import check_dataset
from fgtune.errors import ConfigError, DataError

COARSE = [0, 1] * 6


def test_a_good_data_set_passes(make_dataset):
    check_dataset(make_dataset(COARSE, fine=np.arange(12) % 3))


def test_samples_without_any_label_are_allowed(make_dataset):
    check_dataset(make_dataset([[0, -1], [-1, 0], [-1, -1], [1, 1]] * 3))


def test_an_error_is_one_of_the_users_and_says_where_rule_value_and_fix(make_dataset):
    with pytest.raises(ConfigError) as caught:
        check_dataset(make_dataset([0, 1] * 4))
    assert str(caught.value) == "sample: inputs: must hold at least 10 samples, got 8. Fix: Use more samples."


def with_inputs(*bad):
    inputs = np.zeros((12, 2, 2), dtype=np.float32)
    for row, value in bad:
        inputs[row, 1, 1] = value
    return inputs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"inputs": np.zeros(12, np.float32)}, "inputs: must be (N, ...), with at least one", id="flat"),
        pytest.param({"inputs": np.zeros((12, 0), np.float32)}, "got (12, 0). Fix: Reshape", id="no features"),
        pytest.param({"inputs": np.float32(1.0)}, "inputs: must be (N, ...)", id="scalar"),
        pytest.param(
            {"inputs": with_inputs((7, np.nan), (3, np.inf), (9, -np.inf))},
            "inputs: must be finite in float32: 1 NaN and 2 infinite values, the first in row 3",
            id="not finite",
        ),
        pytest.param(
            {"inputs": np.zeros((13, 2), np.float32)},
            "coarse: must have one entry per sample (13), it has 12",
            id="coarse",
        ),
        pytest.param(
            {"fine": np.zeros(11, np.int64)}, "fine: must have one entry per sample (12), it has 11", id="fine"
        ),
        pytest.param(
            {"given_split": np.zeros(14, np.int64)}, "split: must have one entry per sample (12), it has 14", id="split"
        ),
        pytest.param(
            {"fine": np.array([0] * 5 + [-1] * 7)}, "fine: labels must be >= 0, row 5 breaks this", id="fine -1"
        ),
        pytest.param({"num_coarse": (3,)}, "coarse: coarse class 2 has no samples", id="last class empty"),
        pytest.param({"num_coarse": (1,)}, "row 1 breaks this, got 1", id="label too large"),
        pytest.param({"given_split": np.arange(12) % 4}, "must be 0 (train), 1 (val) or 2 (test), row 3", id="part 3"),
        pytest.param({"given_split": np.arange(12) % 2}, "split: no sample is in 'test'", id="no test"),
        pytest.param({"given_split": np.arange(12) % 2 + 1}, "split: no sample is in 'train'", id="no train"),
        pytest.param(
            {"given_split": np.array([0, 1, 0, 2] * 3)},
            "split: coarse class 1 of source 0 has no sample in 'train'",
            id="class only outside train",
        ),
    ],
)
def test_each_fault_is_named(make_dataset, fields, message):
    with pytest.raises(DataError, match=re.escape(message)):
        check_dataset(make_dataset(COARSE, **fields))


@pytest.mark.parametrize(
    ("coarse", "message"),
    [
        pytest.param([0, 1, 3] * 4, "coarse: coarse class 2 has no samples (labels go up to 3)", id="gap"),
        pytest.param([1, 2, 3] * 4, "coarse: coarse class 0 has no samples", id="starts at 1"),
        pytest.param([0, 1, 10**15] * 4, "coarse: coarse class 2 has no samples", id="huge label"),
        pytest.param([0, 1, -2] * 4, "labels must be -1 (none) or 0 .. K-1, row 2 breaks this, got -2", id="below -1"),
        pytest.param([-1] * 12, "coarse: no sample has a label", id="nothing labelled"),
        pytest.param([[0, 0], [1, 2]] * 6, "coarse: coarse class 1 of source 1 has no samples", id="gap in a source"),
        pytest.param([[0, -1], [1, -1]] * 6, "coarse: no sample has a label of source 1", id="empty source"),
    ],
)
def test_each_fault_of_coarse_labels_is_named(make_dataset, coarse, message):
    with pytest.raises(DataError, match=re.escape(message)):
        check_dataset(make_dataset(coarse))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_bytes_with_one_or_three_channels(make_dataset, channels):
    check_dataset(make_dataset(COARSE, inputs=np.zeros((12, channels, 4, 5), np.uint8)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": np.zeros((12, 5), np.uint8)}, "inputs: uint8 inputs are pixels and must be (N, 1 or 3,"),
        ({"inputs": np.zeros((12, 4, 5, 3), np.uint8)}, "height, width), got (12, 4, 5, 3). Fix: Transpose"),
        ({"fine_values": np.zeros((11, 1), np.float32)}, "fine_values: must have one entry per sample (12), it has 11"),
        ({"fine_values": np.zeros(12, np.float32)}, "fine_values: must be (N, columns), got (12,)"),
        ({"fine_values": np.full((12, 2), np.inf, np.float32)}, "continuous fine targets must be finite, row 0"),
    ],
)  # fmt: skip
def test_bad_images_and_targets_are_told(make_dataset, fields, message):
    with pytest.raises(DataError, match=re.escape(message)):
        check_dataset(make_dataset(COARSE, **fields))
