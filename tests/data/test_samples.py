"""Samples of a data set for people to look at: the same ones each time, small, without fine labels."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fgtune.config.schema.data import DigitsConfig
from fgtune.data.base import Dataset
from fgtune.data.load import load_dataset
from fgtune.data.samples import sample_card


def pixels(url: str) -> np.ndarray:
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def table(n: int = 40, features: int = 9, classes: int = 2, **changes: object) -> Dataset:
    inputs = np.arange(n * features, dtype=np.float32).reshape(n, features)
    coarse = (np.arange(n) % classes)[:, None]
    return replace(Dataset("made", inputs, coarse, (classes,)), **changes)


def test_digits_are_pictures_of_their_coarse_classes():
    digits = load_dataset(DigitsConfig())
    card = sample_card(digits)
    assert [each.size for each in card.classes] == [int((digits.coarse[:, 0] == label).sum()) for label in (0, 1)]
    known = {np.round(255 * row).astype(np.uint8).tobytes(): label for row, (label,) in
             zip(digits.inputs, digits.coarse, strict=True)}  # fmt: skip
    for label, each in enumerate(card.classes):
        assert len(each.pictures) == 6
        assert {known[pixels(url).tobytes()] for url in each.pictures} == {label}
    assert card == sample_card(digits)
    assert sum(len(url) for each in card.classes for url in each.pictures) < 5_000


def test_fine_labels_change_nothing():
    digits = load_dataset(DigitsConfig())
    scrambled = np.random.default_rng(0).permutation(digits.fine)
    assert sample_card(replace(digits, fine=scrambled)) == sample_card(digits)
    assert sample_card(replace(digits, fine=None, num_fine=None)) == sample_card(digits)


def test_rows_of_a_table_have_its_first_columns_and_gaps_stay_gaps():
    inputs = table().inputs.copy()
    inputs[0, 1] = np.nan
    names = tuple(f"gene {number}\x1b[31m" for number in range(9))
    card = sample_card(table(inputs=inputs, feature_names=names, coarse_names=(("left", "right"),)))
    assert (len(card.columns), card.more_columns) == (6, 3)
    assert "\x1b" not in card.columns[0]
    assert [each.name for each in card.classes] == ["left", "right"]
    assert card.classes[0].rows[0] == (0.0, None, 2.0, 3.0, 4.0, 5.0)
    assert card.classes[0].rows[1][0] == float(38 * 9)  # the last sample of the class


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [((3, 100, 60), np.uint8, (40, 24, 3)), ((1, 5, 5), np.float32, (5, 5)), ((7, 4, 4), np.float32, (4, 4, 3))],
)
def test_pictures_are_shrunk_and_show_at_most_three_channels(shape, dtype, size):
    rng = np.random.default_rng(1)
    inputs = (rng.integers(0, 256, (20, *shape)) if dtype == np.uint8 else rng.normal(size=(20, *shape))).astype(dtype)
    card = sample_card(table(20, inputs=inputs))
    drawn = pixels(card.classes[0].pictures[0])
    assert drawn.shape == size
    if dtype == np.float32:
        assert (drawn.min(), drawn.max()) == (0, 255)  # numbers that are no shares are stretched
    assert card.columns == ()


def test_of_many_classes_the_first_are_shown_and_small_ones_have_fewer():
    card = sample_card(table(27, classes=26))
    assert (len(card.classes), card.more_classes) == (8, 18)
    assert [len(each.rows) for each in card.classes[:2]] == [2, 1]


def test_bytes_that_are_kept_as_numbers_are_drawn_as_they_are():
    values = np.random.default_rng(2).integers(10, 200, (4, 3, 6, 5))
    card = sample_card(table(4, inputs=values.astype(np.float32)))
    np.testing.assert_array_equal(np.moveaxis(pixels(card.classes[0].pictures[0]), -1, 0), values[0])
