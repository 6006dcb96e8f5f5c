from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fgtune.config.schema.data import ArraysConfig
from fgtune.data.load import load_dataset
from fgtune.data.samples import MOST_CLASSES, MOST_COLUMNS, MOST_PICTURES, MOST_ROWS, PICTURE_PX, sample_card


@pytest.fixture
def dataset(tmp_path):
    """Load inputs with 12 coarse classes, whose names begin with ``kind``."""

    def load(inputs):
        coarse = np.array([f"kind {n % 12:02d}" for n in range(len(inputs))])
        np.savez(tmp_path / "data.npz", inputs=inputs, coarse=coarse)
        return load_dataset(ArraysConfig(kind="arrays", path=str(tmp_path / "data.npz")))

    return load


def test_rows_of_a_table_are_its_own_from_the_first_to_the_last_of_a_class(dataset):
    values = np.arange(60 * 9, dtype=np.float32).reshape(60, 9)
    card = sample_card(dataset(values))
    assert len(card.classes) == MOST_CLASSES
    assert (card.more_classes, card.more_columns) == (12 - MOST_CLASSES, 9 - MOST_COLUMNS)
    first = card.classes[0]
    assert (first.name, first.size, len(first.rows)) == ("kind 00", 5, MOST_ROWS)
    assert first.rows == (tuple(values[0, :MOST_COLUMNS]), tuple(values[48, :MOST_COLUMNS]))


def test_pictures_keep_their_pixels_and_large_ones_shrink(dataset):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (120, 3, 8, 10), dtype=np.uint8)
    card = sample_card(dataset(small))
    drawn = card.classes[1].pictures
    assert len(drawn) == MOST_PICTURES
    decoded = [Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2]))) for each in drawn]
    np.testing.assert_array_equal(np.moveaxis(np.asarray(decoded[0]), -1, 0), small[1])
    large = sample_card(dataset(rng.integers(0, 256, (24, 1, 90, 60), dtype=np.uint8)))
    picture = Image.open(io.BytesIO(base64.b64decode(large.classes[0].pictures[0].partition(",")[2])))
    assert max(picture.size) == PICTURE_PX


def test_no_fine_label_is_read(dataset):
    loaded = dataset(np.arange(120, dtype=np.float32).reshape(60, 2))
    with_fine = replace(loaded, fine=np.arange(60, dtype=np.int64) % 24, num_fine=24)
    assert sample_card(with_fine) == sample_card(loaded)
