"""Class numbers from the labels of a table."""

from __future__ import annotations

import pandas as pd

from fgtune.data.labels import number_classes


def test_every_form_of_an_empty_cell_is_no_label():
    column = pd.array([3, None, 10], dtype="Int64").tolist()  # pandas' own missing value among whole numbers
    numbers, names = number_classes([*column, "", None, float("nan"), 3.0, -1])
    assert numbers.tolist() == [0, -1, 1, -1, -1, -1, 0, -1]
    assert names == ("3", "10")
