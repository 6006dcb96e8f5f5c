"""Class numbers from labels of any kind."""

from __future__ import annotations

import os
import unicodedata
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgtune.data.labels import (
    MISSING_WORDS,
    check_exact,
    doubtful_names,
    is_missing,
    number_classes,
    plain_cells,
)
from fgtune.errors import DataError

NOTHING = [
    None, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.float32("nan"), Decimal("NaN"), np.ma.masked, "", " ",
]  # fmt: skip
SOMETHING = ["NA", "None", "null", "nan", "N/A", "<NA>", 0, False, 0.0, "0", b"x", np.int8(0)]


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_whatever_stands_for_nothing_is_no_label(value):
    assert is_missing(value)
    numbers, names = number_classes(["b", value, "a"])
    assert numbers.tolist() == [1, -1, 0]
    assert names == ("a", "b")


@pytest.mark.parametrize("value", SOMETHING, ids=repr)
def test_words_and_zeros_are_labels(value):
    assert not is_missing(value)
    assert number_classes([value])[0].tolist() == [0]


def test_every_form_of_an_empty_cell_is_no_label():
    column = pd.array([3, None, 10], dtype="Int64").tolist()  # pandas' own missing value among whole numbers
    numbers, names = number_classes([*column, "", None, float("nan"), 3.0, -1, "-1", Decimal(3)])
    assert numbers.tolist() == [0, -1, 1, -1, -1, -1, 0, -1, -1, 0]
    assert names == ("3", "10")


def test_composed_and_decomposed_letters_are_one_name():
    numbers, names = number_classes(["Orchid\u00e9e", "Orchide\u0301e", b"Orchid\xc3\xa9e"])
    assert numbers.tolist() == [0, 0, 0]
    assert names == (unicodedata.normalize("NFC", "Orchide\u0301e"),)


def test_01_and_1_are_two_classes_in_a_fixed_order():
    assert number_classes(["1", "01", "10", "001"])[1] == ("001", "01", "1", "10")


@given(st.lists(st.integers(-(10**25), 10**25).filter(lambda n: n != -1), min_size=1))
def test_whole_numbers_of_any_size_keep_apart_and_are_sorted_as_numbers(values):
    numbers, names = number_classes(values)
    assert [int(name) for name in names] == sorted(set(values))
    assert [int(names[number]) for number in numbers] == values


@pytest.mark.slow
@given(st.lists(st.one_of(st.text(), st.none(), st.integers(), st.floats(), st.booleans())), st.randoms())
def test_classes_do_not_depend_on_the_order_of_the_samples(values, random):
    numbers, names = number_classes(values)
    order = list(range(len(values)))
    random.shuffle(order)
    again, same = number_classes([values[place] for place in order])
    assert same == names
    assert again.tolist() == [numbers[place] for place in order]
    assert set(numbers.tolist()) - {-1} == set(range(len(names)))


def test_digits_of_which_python_makes_no_number_are_sorted():
    long = "1" + "0" * 5000
    assert number_classes([long, "2", "-" + long])[1] == ("-" + long, "2", long)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.0", "", "3.0"], ["1", None, "3"]),
        (["1", "NA", "nan", "10"], ["1", None, None, "10"]),
        (["01", "1", "NA"], ["01", "1", "NA"]),
        (["a", "NA", "None"], ["a", "NA", "None"]),
        (["NA", "null"], ["NA", "null"]),
        (["1.50", "-0", "1e3", "100000000000000001.0"], ["1.5", "0", "1000", "100000000000000001"]),
        (["1", "x"], ["1", "x"]),
        ([None, "  "], [None, None]),
        (["1e999"], ["1e999"]),
    ],
    ids=str,
)
def test_cells_of_text_files_are_numbers_only_where_all_are(cells, expected):
    assert plain_cells(cells) == expected


@given(st.lists(st.one_of(st.integers(), st.floats(-1e15, 1e15, allow_nan=False)), min_size=1))
def test_numbers_that_were_written_as_text_are_the_classes_that_they_were(values):
    numbers = number_classes(plain_cells([repr(value) for value in values]))[0].tolist()
    for first, one in enumerate(values):
        for second, other in enumerate(values):
            assert (numbers[first] == numbers[second]) == (one == other)


@pytest.mark.parametrize("word", sorted(MISSING_WORDS))
def test_a_class_that_is_called_like_a_missing_value_is_told(word):
    numbers, names = number_classes(["a", word.upper(), word.upper()])
    (note,) = doubtful_names(names, numbers, "column 'x'")
    assert note.startswith(f"column 'x' holds the text {word.upper()} in 2 rows, which is taken as the name of a class")
    assert not list(doubtful_names(("a",), np.zeros(3, np.int64), "x"))


@pytest.mark.parametrize(
    "names",
    [("TRUE", "True"), ("01", "1"), ("1.0", "1"), ("a", "a\ufeff"), ("a b", "a\u2009b"), ("Ａ", "A"), ("-1.", "-01")],
)
def test_names_that_look_alike_are_told(names):
    numbers, known = number_classes([*names, "other"])
    assert len(known) == 3
    (note,) = doubtful_names(known, numbers, "column 'x'")
    assert "each is a class of its own" in note
    assert all(repr(name) in note for name in known if name != "other")


@pytest.mark.parametrize("names", [("a", "b"), ("10", "1"), ("1.5", "1"), ("0", "00a"), ("a1", "a01"), ("é", "e")])
def test_names_that_a_reader_tells_apart_are_not(names):
    numbers, known = number_classes(names)
    assert not list(doubtful_names(known, numbers, "x"))


@pytest.mark.parametrize(
    ("labels", "rows"),
    [([-1, 1, 1], "1 row"), ([-1, 0, 1, -1, None], "2 rows"), (["-1", "-2", "3"], "1 row")],
)
def test_minus_one_that_may_be_a_class_is_told(labels, rows):
    numbers, names = number_classes(labels)
    (note,) = doubtful_names(names, numbers, "column 'x'", labels) if "3" not in labels else (None,)
    if note is not None:
        assert note.startswith(f"column 'x' holds -1 in {rows}, which stands for no label")


@pytest.mark.parametrize("labels", [[-1, 0, 1, 2], [None, 0, 1], ["a", "-1"], [float("nan"), 1.0]])
def test_minus_one_beside_other_classes_is_no_label_and_nothing_is_said(labels):
    numbers, names = number_classes(labels)
    assert not list(doubtful_names(names, numbers, "x", labels))


def test_wells_of_a_plate_are_no_numbers_and_those_of_programs_are():
    for wells in (["1E2", "10E1"], ["1e2", "10e1"], ["1E2", "2E2"]):
        assert plain_cells(wells) == wells
    assert plain_cells(["1e+16", "9007199254740993e+0", "1.5e-05"]) == [
        "10000000000000000",
        "9007199254740993",
        "1.5e-05",
    ]


@pytest.mark.parametrize("values", [[0.0, 2.0**53 + 2], [np.inf, 0.0], np.array([2**24 + 2], np.float32)])
def test_real_numbers_that_cannot_be_told_from_their_neighbours_are_no_labels(values):
    with pytest.raises(DataError, match="labels that are real numbers must be exact"):
        check_exact(np.asarray(values), "a.parquet", "group")
    check_exact(np.array([2.0**52, -1.0, np.nan]), "", "")
    check_exact(np.array([2.0**53 - 1]), "", "")
    check_exact(np.array([2**24 - 1], np.float32), "", "")
    check_exact(np.array([2**60]), "", "")


def test_bytes_of_a_file_name_that_are_no_utf8_are_spelled_out_and_stay_apart():
    numbers, names = number_classes([os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8"), "caf\u00e9"])
    assert numbers.tolist() == [1, 0, 2]
    assert [name.encode() for name in names] == [b"caf\\udce8", b"caf\\udce9", "caf\u00e9".encode()]
