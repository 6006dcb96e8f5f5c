"""Class numbers from labels of any kind."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgtune.data.labels import MISSING_WORDS, is_missing, missing_words, number_classes, plain_cells

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
    (note,) = missing_words(names, numbers, "column 'x'")
    assert note.startswith(f"column 'x' holds the text {word.upper()} in 2 rows, which is taken as the name of a class")
    assert missing_words(("a",), np.zeros(3, np.int64), "x") == ()
