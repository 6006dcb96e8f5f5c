"""Which columns of a table are features."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.schema.data import ArraysConfig
from fgtune.config.schema.data_tables import TableColumnsConfig
from fgtune.data.load import load_dataset
from fgtune.data.readers.features import feature_columns, resolution_warnings
from fgtune.errors import DataError

COUNT = 60
RNG = np.random.default_rng(0)
FINE = np.repeat(np.arange(6), 10)
BASE = {"a": RNG.normal(size=COUNT), "b": RNG.integers(0, 9, COUNT), "genus": np.array(["A", "B"])[FINE // 3]}

LEFT_OUT = {
    "row numbers": ("n", np.arange(COUNT)),
    "row numbers from 1": ("n", np.arange(COUNT) + 1.0),
    "row numbers downwards": ("n", COUNT - np.arange(COUNT)),
    "rows of a larger table": ("n", np.cumsum(RNG.integers(1, 9, COUNT))),
    "equal steps": ("t", np.arange(COUNT) * 0.25),
    "dates in order": ("day", pd.date_range("2024-01-01", periods=COUNT)),
    "an unnamed column": ("", RNG.normal(size=COUNT)),
    "pandas' unnamed column": ("Unnamed: 0", RNG.normal(size=COUNT)),
    "its column of a file saved twice": ("Unnamed: 0.1", RNG.normal(size=COUNT)),
    "an id": ("id", RNG.permutation(COUNT)),
    "an id with a prefix": ("patient_id", RNG.integers(0, 5, COUNT)),
    "an id in camel case": ("SampleID", RNG.permutation(COUNT)),
    "a name by id": ("barcode", [f"c{n % 7}" for n in range(COUNT)]),
    "a shuffled index": ("index", RNG.permutation(COUNT)),
    "another text in every row": ("who", [f"person {n}" for n in RNG.permutation(COUNT)]),
    "the coarse label as a code": ("code", np.array([70, 40])[FINE // 3]),
    "the coarse label as a truth value": ("is_b", FINE // 3 == 1),
    "a label by its name": ("Label", RNG.integers(0, 6, COUNT)),
    "a fine label by its name": ("subclass", FINE),
}
FEATURES = {
    "a measurement": ("x", RNG.normal(size=COUNT)),
    "a count": ("count", RNG.integers(0, 40, COUNT)),
    "different counts": ("count", RNG.permutation(COUNT)),
    "an index that is measured": ("body_mass_index", RNG.normal(size=COUNT)),
    "a word that ends in id": ("acid", RNG.integers(0, 9, COUNT)),
    "a grid": ("GRID", RNG.integers(0, 9, COUNT)),
    "a real number called class": ("class", RNG.normal(size=COUNT)),
    "one value": ("constant", np.ones(COUNT, int)),
    "two values beside the classes": ("flag", RNG.integers(0, 2, COUNT)),
    "the fine class as a code": ("code", FINE * 3 % 7),
}


def chosen(name, values, **columns):
    frame = pd.DataFrame({**BASE, name: values})
    return feature_columns(frame, TableColumnsConfig.from_plain({"coarse": "genus", **columns}), "mine.csv")


@pytest.mark.parametrize("case", LEFT_OUT)
def test_bookkeeping_is_left_out_with_a_warning_unless_it_is_kept_or_named(case):
    name, values = LEFT_OUT[case]
    names, notes = chosen(name, values)
    assert names == ("a", "b")
    assert len(notes) == 1
    assert notes[0].startswith(f"mine.csv: left out of the features: {name or '(no name)'} (")
    assert chosen(name, values, keep=[name]) == (("a", "b", name), ())
    assert chosen(name, values, exclude=[name]) == (("a", "b"), ())
    assert chosen(name, values, features=["a", name]) == (("a", name), ())


@pytest.mark.parametrize("case", FEATURES)
def test_measurements_are_features(case):
    name, values = FEATURES[case]
    assert chosen(name, values) == (("a", "b", name), ())


def test_a_measurement_in_the_order_of_the_file_is_kept_and_told():
    values = np.sort(RNG.normal(size=COUNT))
    names, (note,) = chosen("when", values)
    assert names == ("a", "b", "when")
    assert note.startswith("mine.csv: features whose values rise or fall from row to row: when.")
    assert not chosen("when", values, keep="when")[1]


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_fine_labels_never_decide_what_a_feature_is(renaming, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({**BASE, "x": FINE * 2 % 7, "species": np.array(renaming)[FINE]})
    columns = TableColumnsConfig.from_plain({"coarse": "genus", "fine": "species"})
    before = feature_columns(frame, columns, "")
    assert feature_columns(frame.assign(species=rng.permutation(frame["species"])), columns, "") == before
    assert before[0] == ("a", "b", "x")


def test_columns_that_do_not_exist_are_named_with_what_is_near():
    with pytest.raises(
        DataError, match=re.escape("no column 'bb'; the table has a, b, genus, x. Fix: Did you mean 'b'?")
    ):
        chosen("x", np.ones(COUNT), keep=["bb"])


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="no column is left for the features"):
        chosen("n", np.arange(COUNT), exclude=["a", "b"])


def test_every_value_of_a_text_column_becomes_a_feature_on_request(tmp_path):
    site = ["north", "south", "", "NA"] * 15
    pd.DataFrame({**BASE, "site": site}).to_csv(tmp_path / "a.csv", index=False)
    plain = {"path": str(tmp_path / "a.csv"), "columns": {"coarse": "genus", "one_hot": "site"}}
    data = load_dataset(ArraysConfig.from_plain(plain))
    assert data.feature_names == ("a", "b", "site=NA", "site=north", "site=south")
    assert data.inputs[:4, 2:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    plain["columns"] |= {"features": ["b", "site"]}
    assert load_dataset(ArraysConfig.from_plain(plain)).feature_names == ("b", "site=NA", "site=north", "site=south")


@pytest.mark.parametrize("gap", [False, True])
def test_values_that_become_the_same_in_float32_are_named_also_beside_missing_ones(tmp_path, gap):
    seconds = 1.7e9 + RNG.permutation(COUNT)
    if gap:
        seconds[3] = np.nan
    pd.DataFrame({**BASE, "seconds": seconds, "empty": np.nan, "same": 5.0}).to_csv(tmp_path / "a.csv", index=False)
    plain = {"path": str(tmp_path / "a.csv"), "columns": {"coarse": "genus", "exclude": ["empty"]}, "impute": "median"}
    notes = [note for note in load_dataset(ArraysConfig.from_plain(plain)).notes if "float32" in note]
    assert [re.findall(r"\((.*)\)", note) for note in notes] == [["seconds"]]


def test_numbers_of_any_size_and_features_without_one_have_no_steps_to_warn_of():
    values = np.array([[np.nan, 3e38, np.inf], [np.inf, -3e38, 1.0]], dtype=np.float32)
    assert not list(resolution_warnings(values, lambda place: values[:, place], None, "here"))


def test_a_column_of_one_value_is_one_feature_on_request(tmp_path):
    pd.DataFrame({**BASE, "site": "north"}).to_csv(tmp_path / "a.csv", index=False)
    plain = {"path": str(tmp_path / "a.csv"), "columns": {"coarse": "genus", "one_hot": "site"}}
    data = load_dataset(ArraysConfig.from_plain(plain))
    assert data.feature_names == ("a", "b", "site=north")
    assert (data.inputs[:, 2] == 1).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": ["a"], "exclude": ["b"]}, "features names all inputs, so exclude and keep have no meaning"),
        ({"keep": ["b"], "exclude": ["b"]}, "a column means one thing; b is named twice"),
        ({"one_hot": ["b"], "exclude": ["b"]}, "a column means one thing; b is named twice"),
        ({"one_hot": ["genus"]}, "a column means one thing; genus is named twice"),
    ],
)
def test_columns_that_mean_two_things_are_refused(columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TableColumnsConfig.from_plain({"coarse": "genus", **columns})


def test_a_single_name_is_a_list_of_one():
    one, several = (TableColumnsConfig.from_plain({"coarse": given}) for given in ("genus", ["genus"]))
    assert one == several
    assert one.digest == several.digest


@pytest.mark.parametrize("kind", ["table", "arrays"])
def test_values_that_become_alike_in_float32_are_told(tmp_path, kind):
    rng = np.random.default_rng(2)
    seconds = rng.integers(1_700_000_000, 1_700_000_900, COUNT)
    plain = {"a": BASE["a"], "seconds": seconds, "constant": np.full(COUNT, 7.5), "far": rng.normal(1e6, 100, COUNT)}
    if kind == "table":
        path = tmp_path / "a.csv"
        pd.DataFrame({**plain, "genus": BASE["genus"]}).to_csv(path, index=False)
        config = {"path": str(path), "columns": {"coarse": "genus"}}
    else:
        path = tmp_path / "a.npz"
        np.savez(path, inputs=np.stack(list(plain.values()), axis=1), coarse=FINE // 3)
        config = {"path": str(path)}
    told = [note for note in load_dataset(ArraysConfig.from_plain(config)).notes if "float32" in note]
    assert len(told) == 1
    assert f"({'seconds' if kind == 'table' else '1'})" in told[0]
