from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from fgtune.config.schema.data import ArraysConfig
from fgtune.data.load import load_dataset
from fgtune.data.readers.tables import read_table
from fgtune.errors import DataError

COUNT = 12


def frame(**changes) -> pd.DataFrame:
    """Two features and labels of every sort; keyword arguments replace columns, None removes one."""
    columns = {
        "a": np.arange(COUNT) / 8,
        "b": np.arange(COUNT),
        "group": ["y", "x", "x"] * 4,
        "annotator": [1.0, np.nan, 3.0] * 4,
        "kind": ["k10", "k9", "k9", "k1"] * 3,
        "age": np.arange(COUNT) + 20,
        "part": ["train", "train", "train", "val", "train", "test"] * 2,
    }
    return pd.DataFrame({name: column for name, column in (columns | changes).items() if column is not None})


@pytest.fixture(params=["csv", "parquet"])
def load(request, tmp_path):
    """Write the table in either format and load it with the given columns."""

    def load_with(table=None, columns=None, **fields):
        path = tmp_path / f"mine.{request.param}"
        table = frame() if table is None else table
        table.to_csv(path, index=False) if request.param == "csv" else table.to_parquet(path)
        columns = {"features": ["a", "b"], "coarse": ["group"]} if columns is None else columns
        return load_dataset(ArraysConfig.from_plain({"path": str(path), "columns": columns, **fields}))

    return load_with


def test_features_and_labels_come_from_their_columns(load):
    columns = {
        "features": ["b", "a"],
        "coarse": ["group", "annotator"],
        "fine": "kind",
        "fine_values": ["age"],
        "split": "part",
    }
    data = load(columns=columns)
    assert data.inputs.tolist() == [[n, n / 8] for n in range(COUNT)]
    assert data.coarse.tolist() == [[1, 0], [0, -1], [0, 1]] * 4
    assert data.coarse_names == (("x", "y"), ("1", "3"))
    assert data.num_coarse == (2, 2)
    assert data.fine_names == ("k1", "k10", "k9")
    assert data.fine.tolist() == [1, 2, 2, 0] * 3
    assert data.fine_values[:, 0].tolist() == list(range(20, 20 + COUNT))
    assert data.given_split.tolist() == [0, 0, 0, 1, 0, 2] * 2


def test_without_features_every_other_column_is_one(load):
    columns = {"coarse": ["group"], "fine": "kind"}
    order = np.array([5, 3, 8, 1, 0, 11, 10, 2, 4, 6, 9, 7])
    data = load(frame(annotator=None, part=None, a=order / 8, b=order % 5, age=order**2), columns)
    assert data.inputs.tolist() == [[n / 8, n % 5, n**2] for n in order]
    assert data.feature_names == ("a", "b", "age")
    assert not data.notes


def test_whole_numbers_are_ordered_as_numbers(load):
    data = load(frame(kind=[10, 9, 9, 1] * 3), {"features": ["a"], "coarse": ["group"], "fine": "kind"})
    assert data.fine_names == ("1", "9", "10")


@pytest.mark.parametrize("labels", [["x", "", "y"] * 4, ["x", None, "y"] * 4, [0, -1, 1] * 4])
def test_empty_cells_and_minus_one_are_no_label(load, labels):
    assert load(frame(group=labels)).coarse[:, 0].tolist() == [0, -1, 1] * 4


def test_coarse_labels_from_abundances_are_the_largest(load):
    table = frame(grass=[0.7, 0.1, 0.2] * 4, roof=[0.2, 0.8, 0.2] * 4, road=[0.1, 0.1, 0.6] * 4)
    columns = {"features": ["a", "b"], "fine_values": ["grass", "roof", "road"]}
    data = load(table, columns, derive_coarse="argmax")
    assert data.coarse[:, 0].tolist() == [0, 1, 2] * 4
    assert data.fine_values.shape == (COUNT, 3)


FAULTS = [
    pytest.param(
        {"columns": {"features": ["c"], "coarse": ["group"]}},
        "no column 'c'; the table has a, b, group, annotator, kind, age, part. Fix: Name the columns as",
        id="no such feature",
    ),
    pytest.param({"columns": {"features": ["a"], "coarse": ["x"]}}, "no column 'x'; the table has", id="no such label"),
    pytest.param(
        {"columns": {"coarse": ["x"]}}, "no column 'x'; the table has", id="no such label beside all features"
    ),
    pytest.param(
        {"columns": {"coarse": ["group"]}},
        "kind: must be a column of real numbers, got '",
        id="text among the features",
    ),
    pytest.param(
        {"table": frame(a=["1", "2", "x"] * 4)},
        "a: must be a column of real numbers, and one of its cells is 'x', got '",
        id="text in a feature",
    ),
    pytest.param(
        {"table": frame(a=[np.nan, 1.0] * 6)}, "inputs: must be finite in float32: 6 NaN", id="a feature with gaps"
    ),
    pytest.param(
        {"table": frame(kind=["k", None] * 6), "columns": {"features": ["a"], "coarse": ["group"], "fine": "kind"}},
        "kind: every sample needs a fine class, row 1 has none",
        id="a sample without fine class",
    ),
    pytest.param(
        {"columns": {"features": ["a"], "coarse": ["group"], "split": "kind"}},
        "kind: must be one of 'train', 'val', 'test', row 0 is not, got 'k10'",
        id="a column that is no split",
    ),
    pytest.param(
        {
            "table": frame(age=[1.0, np.nan] * 6),
            "columns": {"features": ["a"], "coarse": ["group"], "fine_values": ["age"]},
        },
        "fine_values: continuous fine targets must be finite, row 1 is not",
        id="a sample without target",
    ),
    pytest.param(
        {"columns": {"features": ["a"], "coarse": ["age"], "fine_values": ["b"]}, "table": frame(age=[""] * COUNT)},
        "coarse: no sample has a label",
        id="an empty coarse column",
    ),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_each_fault_gives_one_clear_error_that_names_the_file(load, changes, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(**changes)
    assert "mine." in str(caught.value).split(": ")[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,a\n1,2\n", "column 'a' occurs twice"),
        ("a.csv", b"", "no column 'a'; the table has no columns"),
        ("a.csv", b"\xff\xfe\x00a", "is not a readable CSV file in UTF-8"),
        ("a.csv", b"a,group\n1,2\n1,2,3,4\n", "is not a readable CSV file"),
        ("a.csv", b"a,group\n1,b\n2,c\0d\n", "is not a readable CSV file in UTF-8 (a NUL byte in line 3)"),
        ("a.parquet", b"PAR1 nothing of the sort", "is not a readable Parquet file"),
        ("a.parquet", b"", "is not a readable Parquet file"),
    ],
)
def test_damaged_tables_are_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    config = ArraysConfig.from_plain(
        {"path": str(tmp_path / name), "columns": {"features": ["a"], "coarse": ["group"]}}
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_dataset(config)


def test_a_missing_table_is_told(tmp_path):
    config = ArraysConfig.from_plain({"path": str(tmp_path / "x.csv"), "columns": {"coarse": ["group"]}})
    with pytest.raises(DataError, match=r"no such file. Fix: Name a .csv or .parquet file"):
        load_dataset(config)


# --- cells as they are ---------------------------------------------------------------------------------------------

KINDS = {
    "text": pd.Series(["b", None, "a"] * 4),
    "nullable text": pd.Series(["b", None, "a"] * 4, dtype="string"),
    "arrow text": pd.Series(["b", None, "a"] * 4, dtype="string[pyarrow]"),
    "objects": pd.Series(["b", np.nan, "a"] * 4, dtype=object),
    "categories": pd.Series(["b", None, "a"] * 4, dtype="category"),
    "categories of numbers": pd.Series(pd.Categorical([10**17 + 2, None, 10**17 + 1] * 4)),
    "real numbers": pd.Series([2.0, None, 1.0] * 4),
    "nullable numbers": pd.Series([2, None, 1] * 4, dtype="Int64"),
    "nullable long numbers": pd.Series([10**17 + 2, None, 10**17 + 1] * 4, dtype="Int64"),
    "nullable unsigned": pd.Series([2**64 - 1, None, 2**64 - 2] * 4, dtype="UInt64"),
    "nullable truth values": pd.Series([True, None, False] * 4, dtype="boolean"),
    "arrow numbers": pd.Series([10**17 + 2, None, 10**17 + 1] * 4, dtype="int64[pyarrow]"),
    "dates": pd.Series(pd.to_datetime(["2024-02-01", None, "2024-01-01"] * 4)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_label_of_any_type_is_none_and_no_number_becomes_another(load, kind):
    data = load(frame(group=KINDS[kind].array))
    assert data.coarse[:, 0].tolist() == [1, -1, 0] * 4
    assert data.num_coarse == (2,)
    columns = {"features": ["a"], "coarse": ["annotator"], "fine": "group"}
    with pytest.raises(DataError, match="group: every sample needs a fine class, row 1 has none, and 3 more rows"):
        load(frame(group=KINDS[kind].array), columns)


def test_text_that_says_missing_is_a_class_and_is_told(load):
    data = load(frame(group=["NA", "None", "x"] * 4))
    assert data.coarse_names == (("NA", "None", "x"),)
    assert len(data.notes) == 1
    assert "coarse column 'group' holds the text NA, None in 8 rows, which is taken as" in data.notes[0]


def test_leading_zeros_of_text_are_kept(load):
    assert load(frame(group=["01", "1", "2"] * 4)).coarse_names == (("01", "1", "2"),)


def test_real_numbers_that_are_whole_are_sorted_as_numbers(load):
    data = load(frame(kind=[10.0, 2.0, 1.0] * 4), {"features": ["a"], "coarse": ["group"], "fine": "kind"})
    assert data.fine_names == ("1", "2", "10")
    assert not data.notes


def test_a_fine_column_of_fractions_is_told_to_be_taken_as_classes(load):
    data = load(frame(kind=[10.5, 2.0, 1.25] * 4), {"features": ["a"], "coarse": ["group"], "fine": "kind"})
    assert data.num_fine == 3
    assert "fine column 'kind' holds real numbers such as 1.25, and each of its 3 values" in data.notes[0]


def test_a_column_of_that_name_but_another_spelling_is_suggested(load):
    with pytest.raises(DataError, match=re.escape("no column 'grup'; the table has a, b")) as caught:
        load(columns={"features": ["a"], "coarse": ["grup"]})
    assert "Did you mean 'group'?" in str(caught.value)


def test_names_of_rows_that_pandas_stored_are_read_only_where_they_are_named(tmp_path):
    table = frame(annotator=None, part=None, kind=None).set_index("group")
    table.to_parquet(tmp_path / "a.parquet")
    columns = {"coarse": ["group"], "features": ["a", "b"]}
    named = ArraysConfig.from_plain({"path": str(tmp_path / "a.parquet"), "columns": columns})
    assert load_dataset(named).coarse_names == (("x", "y"),)
    assert list(read_table(tmp_path / "a.parquet", [], others=True).columns) == ["a", "b", "age"]


# --- .npy files side by side, and continuous targets in .npz -------------------------------------------------------


@pytest.fixture
def save_npy(tmp_path):
    def save(**arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        files = {name: str(tmp_path / f"{name}.npy") for name in arrays if name != "inputs"}
        return ArraysConfig.from_plain({"path": str(tmp_path / "inputs.npy"), "files": files})

    return save


INPUTS, COARSE = np.arange(24.0).reshape(12, 2), np.arange(12) % 3


def test_npy_files_side_by_side(save_npy):
    data = load_dataset(
        save_npy(inputs=INPUTS, coarse=COARSE, fine=np.arange(12), split=np.array(["train"] * 10 + ["val", "test"]))
    )
    assert np.array_equal(data.inputs, INPUTS)
    assert data.num_fine == 12
    assert data.given_split.tolist() == [0] * 10 + [1, 2]


def test_a_damaged_or_pickled_npy_is_told(save_npy, tmp_path):
    config = save_npy(inputs=INPUTS, coarse=COARSE)
    (tmp_path / "coarse.npy").write_bytes((tmp_path / "coarse.npy").read_bytes()[:-3])
    with pytest.raises(DataError, match="coarse: is damaged: 93 bytes of data where"):
        load_dataset(config)
    np.save(tmp_path / "coarse.npy", np.array([{}] * 12), allow_pickle=True)
    with pytest.raises(DataError, match="coarse: holds Python objects that are no labels"):
        load_dataset(config)
    (tmp_path / "coarse.npy").unlink()
    with pytest.raises(DataError, match=r"coarse.npy: coarse: no such file"):
        load_dataset(config)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_real_fine_labels_are_continuous_targets(tmp_path, dtype):
    ages = (np.arange(12) / 4).astype(dtype)
    np.savez(tmp_path / "a.npz", inputs=INPUTS, coarse=COARSE, fine=ages)
    data = load_dataset(ArraysConfig(path=str(tmp_path / "a.npz")))
    assert data.fine is data.num_fine is None
    assert np.array_equal(data.fine_values, ages[:, None])
    assert not data.fine_values.flags.writeable


def test_classes_and_targets_may_both_be_given(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=INPUTS, coarse=COARSE, fine=np.arange(12), fine_values=INPUTS)
    data = load_dataset(ArraysConfig(path=str(tmp_path / "a.npz"), limit=10))
    assert np.array_equal(data.fine_values, data.inputs)
    assert data.num_fine == 10
    np.savez(tmp_path / "b.npz", inputs=INPUTS, coarse=COARSE, fine=np.arange(12.0), fine_values=INPUTS)
    with pytest.raises(DataError, match="fine: holds continuous targets, and so does 'fine_values'"):
        load_dataset(ArraysConfig(path=str(tmp_path / "b.npz")))


def test_coarse_labels_from_the_targets_of_an_npz(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=INPUTS, fine_values=np.arange(12.0))
    data = load_dataset(ArraysConfig(path=str(tmp_path / "a.npz"), derive_coarse="median"))
    assert data.coarse[:, 0].tolist() == [0] * 6 + [1] * 6
    with pytest.raises(DataError, match="derive_coarse: needs several columns of targets, got 'argmax'"):
        load_dataset(ArraysConfig(path=str(tmp_path / "a.npz"), derive_coarse="argmax"))


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"path": "x.npy"}, "files belongs to a path that ends in .npy, and such a path needs it"),
        ({"path": "x.npz", "columns": {"coarse": ["a"]}}, "columns belongs to a path that ends in .csv or .parquet"),
        ({"path": "x.csv", "columns": {}}, "give coarse labels or derive_coarse, one of them"),
        ({"path": "x.csv", "columns": {"coarse": ["a"], "fine": "a"}}, "a column means one thing; a is named twice"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(plain, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ArraysConfig.from_plain(plain)


def test_columns_of_lists_are_left_out_where_they_are_excluded_and_refused_elsewhere(tmp_path):
    table = frame(annotator=None, part=None, kind=None).assign(vector=[[1.0, 2.0]] * COUNT)
    table.to_parquet(tmp_path / "a.parquet")
    plain = {"path": str(tmp_path / "a.parquet"), "columns": {"coarse": ["group"]}}
    with pytest.raises(DataError, match="column 'vector' holds list<element: double>"):
        load_dataset(ArraysConfig.from_plain(plain))
    with pytest.raises(DataError, match=re.escape("no column 'vectors'")):
        load_dataset(ArraysConfig.from_plain({**plain, "columns": {"coarse": ["group"], "exclude": ["vectors"]}}))
    without = {**plain, "columns": {"coarse": ["group"], "exclude": ["vector"], "keep": ["a", "b", "age"]}}
    assert load_dataset(ArraysConfig.from_plain(without)).feature_names == ("a", "b", "age")


def test_decimals_and_truth_values_with_gaps_are_numbers(tmp_path):
    from decimal import Decimal

    price, flag = [Decimal("1.5"), None, Decimal("2.25")] * 4, pd.array([True, None, False] * 4, dtype="boolean")
    frame(price=price, flag=flag, group=[Decimal(1), Decimal(2)] * 6).to_parquet(tmp_path / "a.parquet")
    columns = {"coarse": ["group"], "features": ["price", "flag"]}
    config = ArraysConfig.from_plain({"path": str(tmp_path / "a.parquet"), "columns": columns, "impute": "median"})
    data = load_dataset(config)
    assert data.coarse_names == (("1", "2"),)
    assert np.array_equal(data.inputs[:3], [[1.5, 1], [np.nan, np.nan], [2.25, 0]], equal_nan=True)


@pytest.mark.parametrize(
    "cells",
    [["1,234.5", "2,000"], ["0,5", "0,25"], ["5 %", "7 %"], ["$5", "-$7.5"], ["1.5", "?"], ["1.5", "n/a yet"]],
)
def test_text_that_was_meant_as_numbers_is_never_left_out_in_silence(tmp_path, cells):
    written = [cells[0].replace("5", str(n % 10), 1) + "0" * (n // 10) for n in range(COUNT - 1)] + [cells[1]]
    frame(b=None, kind=None, annotator=None, part=None, age=None, price=written).to_csv(tmp_path / "a.csv", index=False)
    plain = {"path": str(tmp_path / "a.csv"), "columns": {"coarse": ["group"]}}
    with pytest.raises(DataError, match="must be a column of real numbers, and one of its cells is") as caught:
        load_dataset(ArraysConfig.from_plain(plain))
    assert "write numbers with a point" in str(caught.value)


@pytest.mark.parametrize(("sign", "shown"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'")])
def test_another_separator_is_named(tmp_path, sign, shown):
    frame().to_csv(tmp_path / "a.csv", index=False, sep=sign)
    plain = {"path": str(tmp_path / "a.csv"), "columns": {"coarse": ["group"]}}
    with pytest.raises(DataError, match=re.escape(f"Its first line is separated by {shown}")):
        load_dataset(ArraysConfig.from_plain(plain))


def test_another_encoding_is_told_with_what_helps(tmp_path):
    (tmp_path / "a.csv").write_bytes("coarse,f\na,1\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"Save it as text in UTF-8\."):
        read_table(tmp_path / "a.csv", ["coarse"])
