from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits as sklearn_digits

from fgtune.config.schema.data import DigitsConfig
from fgtune.data.sets import scikit_learn
from fgtune.data.sets.scikit_learn import load_digits


def test_default_groups_give_all_digits_with_the_digit_as_fine_class():
    pixels, digit = sklearn_digits(return_X_y=True)
    data = load_digits(DigitsConfig())
    assert data.inputs.shape == (1797, 64)
    assert data.inputs.min() == 0.0
    assert data.inputs.max() == 1.0
    assert np.array_equal(data.inputs * 16, pixels)
    assert np.array_equal(data.fine, digit)
    assert np.array_equal(data.coarse[:, 0], digit >= 5)


def test_groups_choose_digits_and_number_fine_classes_group_by_group():
    _, digit = sklearn_digits(return_X_y=True)
    data = load_digits(DigitsConfig(coarse_groups=((8, 3), (1,))))
    used = digit[np.isin(digit, (1, 3, 8))]
    assert data.num_coarse == (2,)
    assert data.num_fine == 3
    assert np.array_equal(data.fine, np.select([used == 3, used == 8], [0, 1], 2))
    assert np.array_equal(data.coarse[:, 0], used == 1)


def test_a_digit_in_two_groups_is_an_error():
    with pytest.raises(ValidationError, match=r"\[3\] appear more than once in coarse_groups"):
        DigitsConfig(coarse_groups=((1, 3), (3,)))


@pytest.mark.parametrize("found", [True, False], ids=["file", "loader"])
def test_the_digits_are_those_of_the_loader_of_scikit_learn(monkeypatch, found):
    if not found:
        monkeypatch.setattr(scikit_learn, "find_spec", lambda _: None)
    for here, there in zip(scikit_learn._pixels_and_digits(), sklearn_digits(return_X_y=True), strict=True):
        assert here.dtype == there.dtype
        assert np.array_equal(here, there)
