"""Sets of coarse labels: as they stand in files, as sources, and as groups of equal sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fgtune.config.schema.data import ArraysConfig, DigitsConfig
from fgtune.config.schema.data_tables import TableColumnsConfig
from fgtune.data.label_sets import set_groups
from fgtune.data.load import load_dataset
from fgtune.errors import DataError

SETS = [{"a"}, {"a", "b"}, set(), {"c"}, None, {"b", "c"}] * 3
INDICATOR = np.array([[-1] * 3 if each is None else [name in each for name in "abc"] for each in SETS], dtype=np.int64)
TEXT = ["" if each is None else "|".join(sorted(each)) or "|" for each in SETS]
INPUTS = np.random.default_rng(0).standard_normal((len(SETS), 2))


def test_names_with_a_delimiter_become_a_source_a_label(tmp_path):
    np.savez(tmp_path / "s.npz", inputs=INPUTS, coarse=np.array(TEXT, dtype=object))
    data = load_dataset(ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={}))
    assert (data.coarse == INDICATOR).all()
    assert data.num_coarse == (2, 2, 2)
    assert data.label_sets
    assert data.coarse_names == (("without a", "with a"), ("without b", "with b"), ("without c", "with c"))


def test_columns_of_zero_and_one_mean_the_same_as_names(tmp_path):
    np.savez(tmp_path / "s.npz", inputs=INPUTS, coarse=INDICATOR)
    assert (load_dataset(ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={})).coarse == INDICATOR).all()


def test_a_table_holds_sets_in_one_column_or_in_several(tmp_path):
    rows = [f"{x},{y},{text},{','.join('' if v < 0 else str(v) for v in row)}"
            for (x, y), text, row in zip(INPUTS, TEXT, INDICATOR, strict=True)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["x,y,sets,a,b,c", *rows]))
    for columns in (("sets",), ("a", "b", "c")):
        given_columns = TableColumnsConfig(features=("x", "y"), coarse=columns)
        config = ArraysConfig(path=str(tmp_path / "t.csv"), columns=given_columns, coarse_sets={})
        assert (load_dataset(config).coarse == INDICATOR).all()


def test_another_delimiter(tmp_path):
    np.savez(
        tmp_path / "s.npz", inputs=INPUTS, coarse=np.array([each.replace("|", " ; ") for each in TEXT], dtype=object)
    )
    config = ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={"delimiter": ";"})
    assert (load_dataset(config).coarse == INDICATOR).all()


def test_a_row_with_one_missing_label_is_a_set_that_is_not_known(tmp_path):
    coarse = INDICATOR.copy()
    coarse[0, 2] = -1
    np.savez(tmp_path / "s.npz", inputs=INPUTS, coarse=coarse)
    assert (load_dataset(ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={})).coarse[0] == -1).all()


@pytest.mark.parametrize(
    ("coarse", "message"),
    [
        (np.array([["x", "y"], ["y", "z"]] * 9), "several columns are a set only if each holds 0 and 1; column 0"),
        (np.array([[0, 1], [1, 1]] * 9), "every label must be had by some samples and not by others; label 1 is not"),
        (np.array([0, 1] * 9), "one column of coarse labels holds sets only where it holds text"),
    ],
)
def test_columns_that_are_no_sets_are_an_error(tmp_path, coarse, message):
    np.savez(tmp_path / "s.npz", inputs=INPUTS, coarse=coarse)
    with pytest.raises(DataError, match=f"trial.data.coarse_sets: {message}"):
        load_dataset(ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={}))


def test_a_column_of_something_else_is_told_before_memory_is_taken(tmp_path):
    names = np.array([f"id{row}" for row in range(1200)], dtype=object)
    np.savez(tmp_path / "s.npz", inputs=np.arange(1200.0)[:, None], coarse=names)
    with pytest.raises(DataError, match="holds 1,200 different labels, at most 1,000 can form sets"):
        load_dataset(ArraysConfig(path=str(tmp_path / "s.npz"), coarse_sets={}))


def test_digits_have_the_labels_that_are_given_them():
    config = DigitsConfig(label_sets={"even": (0, 2, 4, 6, 8), "loop": (0, 6, 8, 9)})
    assert DigitsConfig.from_plain(config.to_plain()) == config
    data = load_dataset(config)
    for digit in range(10):
        assert (data.coarse[data.fine == digit] == [digit % 2 == 0, digit in (0, 6, 8, 9)]).all()
    with pytest.raises(ValidationError, match="label_sets stand in place of coarse_groups"):
        DigitsConfig(label_sets={"even": (0, 2)}, coarse_groups=((0, 1), (2, 3)))


@given(st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=2), min_size=1, max_size=20), st.integers(1, 5))
def test_the_most_frequent_sets_are_told_apart(rows, most):
    groups, sets = set_groups(np.array(rows), most)
    assert len(sets) == min(most, len({*map(tuple, rows)}))
    kept = [tuple(each) for each in sets.tolist()]
    for row, group in zip(rows, groups, strict=True):
        assert (group == -1) == (tuple(row) not in kept)
        if group >= 0:
            assert kept[group] == tuple(row)
    fewest = min(rows.count(list(each)) for each in kept)
    assert all(rows.count(row) <= fewest for row in rows if tuple(row) not in kept)
