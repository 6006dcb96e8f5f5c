"""Scales and fillings of features, against scikit-learn."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import RobustScaler, StandardScaler

from fgtune.config.schema.data import ArraysConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Preparation
from fgtune.data.load import load_dataset
from fgtune.data.preparation import as_prepared, fitted_scale, preparation_of
from fgtune.errors import DataError
from fgtune.training.prepared import prepare_split, views

ROWS = np.arange(40)


@pytest.fixture
def gappy(make_dataset):
    """60 samples of four features of different scales, some missing, one of a single value."""

    def make(seed=0, **wanted):
        rng = np.random.default_rng(seed)
        values = (rng.standard_t(2, (60, 4)) * [1, 1e4, 1e-3, 0] + [0, 5e4, 3, 7]).astype(np.float32)
        if wanted.get("impute") is not None:
            values[rng.random(values.shape) < 0.2] = np.nan
            values[0] = [1, 2, 3, 7]
        return make_dataset(np.arange(60) % 2, inputs=values, preparation=Preparation(**wanted))

    return make


@pytest.mark.parametrize("impute", ["median", "mean", -2.5, None])
@pytest.mark.parametrize("standardize", ["standard", "robust", None])
def test_features_are_scaled_and_filled_as_scikit_learn_does_it_by_the_training_samples(gappy, standardize, impute):
    data = gappy(standardize=standardize, impute=impute)
    expected = np.array(data.inputs, dtype=np.float64)
    if impute is not None:
        constant = {"strategy": "constant", "fill_value": impute} if isinstance(impute, float) else {"strategy": impute}
        expected = SimpleImputer(**constant).fit(expected[ROWS]).transform(expected)
    if standardize is not None:
        scaler = StandardScaler() if standardize == "standard" else RobustScaler(unit_variance=True)
        expected = scaler.fit(expected[ROWS]).transform(expected)
    found = as_prepared(data, fitted_scale(data, ROWS))
    assert found.inputs.dtype == np.float32
    assert found.preparation is None
    ranged = slice(3) if standardize == "robust" else slice(4)  # without a range, scikit-learn keeps the unit
    assert found.inputs[:, ranged] == pytest.approx(expected[:, ranged], rel=2e-4, abs=1e-4)
    assert not found.inputs.flags.writeable


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["standard", "robust", None]), st.sampled_from(["median", "mean"]))
def test_samples_that_are_not_of_the_training_split_change_nothing(seed, standardize, impute):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(60, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    wanted = Preparation(standardize, impute)
    first, second = (Data(values, wanted), Data(np.where(np.arange(60)[:, None] < 40, values, 1e6), wanted))
    assert fitted_scale(first, ROWS) == fitted_scale(second, ROWS)


class Data:
    def __init__(self, inputs, preparation):
        self.inputs, self.preparation = inputs, preparation


def test_a_feature_without_any_value_counts_as_zero(make_dataset):
    values = np.array([[np.nan, 1.0]] * 10 + [[4.0, 2.0]] * 2, dtype=np.float32)
    data = make_dataset(np.arange(12) % 2, inputs=values, preparation=Preparation("standard", "median"))
    found = as_prepared(data, fitted_scale(data, np.arange(10))).inputs
    assert found.tolist() == [[0, 0]] * 10 + [[4, 1]] * 2


def test_without_a_wish_the_data_set_stays_the_same(make_dataset):
    data = make_dataset(np.arange(12) % 2)
    assert fitted_scale(data, ROWS) is None
    assert as_prepared(data, None) is data


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"standardize": "none"}, None),
        ({"standardize": False}, None),
        ({"standardize": True}, Preparation("standard")),
        ({"standardize": "robust", "impute": "mean"}, Preparation("robust", "mean")),
        ({"impute": 0}, Preparation(None, 0.0)),
    ],
    ids=str,
)
def test_what_a_config_asks_for(fields, expected):
    assert preparation_of(ArraysConfig.from_plain({"path": "a.npz", **fields})) == expected


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"metres": rng.normal(size=90), "grams": rng.normal(size=90) * 5000 + 40000})
    frame["group"] = np.array(["a", "b", "c"])[np.arange(90) % 3]
    frame.to_csv(tmp_path / "t.csv", index=False)

    def config(**fields):
        return {"kind": "arrays", "path": str(tmp_path / "t.csv"), "columns": {"coarse": "group"}, **fields}

    return frame, tmp_path / "t.csv", config


def test_trainer_and_evaluator_see_inputs_of_the_scale_of_the_seed(table):
    _, _, config = table
    trial = {"data": config(standardize=True), "classes": {"num_fine": 6}}
    data = load_dataset(ArraysConfig.from_plain(trial["data"]))
    assert data.inputs[:, 1].mean() > 1000
    for seed in (0, 1):
        prepared = prepare_split(data, TrialConfig.from_plain(trial), seed, threads=1)
        for view in views(data, prepared):
            rows = view.inputs[prepared.splits.train]
            assert rows.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
            assert rows.std(axis=0) == pytest.approx([1, 1], abs=1e-5)
    other = prepare_split(data, TrialConfig.from_plain({**trial, "data": config(standardize="none")}), 0, threads=1)
    assert other.scale == fitted_scale(data, other.splits.train)


def test_scales_that_differ_are_warned_of_until_something_is_said(table):
    _, _, config = table
    (note,) = load_dataset(ArraysConfig.from_plain(config())).notes
    assert "feature 'grams' has a standard deviation of 4.8" in note
    for said in (True, "robust", "none", False):
        assert not load_dataset(ArraysConfig.from_plain(config(standardize=said))).notes


def test_missing_features_are_one_error_with_columns_and_rows_unless_they_are_filled(table):
    frame, path, config = table
    frame.loc[[3, 5, 70], "metres"] = np.nan
    frame.loc[5, "grams"] = np.nan
    frame.to_csv(path, index=False)
    with pytest.raises(
        DataError, match=re.escape("in columns metres (3), grams (1); in rows 3, 5, 70. Fix:")
    ) as caught:
        load_dataset(ArraysConfig.from_plain(config()))
    assert "data.impute: median fills what is missing" in str(caught.value)
    assert np.isnan(load_dataset(ArraysConfig.from_plain(config(impute="median"))).inputs).sum() == 4
    frame.loc[9, "grams"] = np.inf
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"0 NaN and 1 infinite values, the first in row 9; in columns grams \(1\)"):
        load_dataset(ArraysConfig.from_plain(config(impute="median")))


def test_inputs_that_are_no_features_are_not_scaled(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.zeros((12, 3, 4, 4)), coarse=np.arange(12) % 2)
    with pytest.raises(
        DataError, match=re.escape("standardize and impute are for (N, features) inputs, got (12, 3, 4")
    ):
        load_dataset(ArraysConfig(path=str(tmp_path / "a.npz"), standardize=True))
