from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chisquare

from fgtune.config.schema.data import PatchesConfig
from fgtune.data.sets.synthetic import make_patches, place_squares


def colors_of(image):
    """The colours in an image, black left out, with the number of their pixels."""
    pixels, counts = np.unique(image.reshape(3, -1).T, axis=0, return_counts=True)
    return {tuple(pixel): int(count) for pixel, count in zip(pixels, counts, strict=True) if pixel.any()}


@pytest.mark.parametrize("nested", [False, True])
def test_an_image_holds_one_whole_square_of_each_kind_in_its_own_color(nested):
    data = make_patches(PatchesConfig(nested=nested, num_images=128))
    assert data.inputs.shape == (128, 3, 32, 32)
    big_colors, small_colors = {}, {}
    for image, big, small in zip(data.inputs, data.coarse[:, 0], data.fine, strict=True):
        by_size = {count: color for color, count in colors_of(image).items()}
        assert set(by_size) == {14 * 14, 5 * 5}  # nothing covered, so the squares do not overlap
        assert big_colors.setdefault(big, by_size[196]) == by_size[196]
        assert small_colors.setdefault(small, by_size[25]) == by_size[25]
        rows, columns = np.nonzero((image == np.array(by_size[196])[:, None, None]).all(axis=0))
        assert np.ptp(rows) == np.ptp(columns) == 13
    assert len(set(big_colors.values())) == 32
    assert len(set(small_colors.values())) == 128


@pytest.mark.parametrize("nested", [False, True])
def test_every_patch_occurs_equally_often(nested):
    data = make_patches(PatchesConfig(nested=nested))
    assert np.bincount(data.coarse[:, 0]).tolist() == [16] * 32
    assert np.bincount(data.fine).tolist() == [4] * 128


def test_nested_patches_have_one_parent_and_published_ones_do_not():
    nested, published = (make_patches(PatchesConfig(nested=nested)) for nested in (True, False))
    assert len({*zip(nested.fine, nested.coarse[:, 0], strict=True)}) == 128
    assert np.bincount(nested.coarse[np.unique(nested.fine, return_index=True)[1], 0]).tolist() == [4] * 32
    assert len({*zip(published.fine, published.coarse[:, 0], strict=True)}) > 400


def test_nested_changes_the_big_patches_alone():
    nested, published = (make_patches(PatchesConfig(nested=nested)) for nested in (True, False))
    assert np.array_equal(nested.fine, published.fine)
    assert np.array_equal(nested.inputs.any(axis=1), published.inputs.any(axis=1))


def test_another_data_seed_gives_other_images():
    assert make_patches(PatchesConfig(data_seed=0)).fingerprint != make_patches(PatchesConfig(data_seed=1)).fingerprint


@pytest.mark.parametrize(("canvas", "big", "small"), [(6, 3, 2), (5, 3, 2), (5, 4, 1)])
def test_all_placements_without_overlap_are_equally_likely(canvas, big, small):
    def pixels(corner, side):
        return {(corner[0] + i, corner[1] + j) for i in range(side) for j in range(side)}

    corners = [[*itertools.product(range(canvas - side + 1), repeat=2)] for side in (big, small)]
    allowed = [(b, s) for b, s in itertools.product(*corners) if not pixels(b, big) & pixels(s, small)]
    big_at, small_at = place_squares(60 * len(allowed), canvas, big, small, np.random.default_rng(0))
    drawn = [(tuple(b), tuple(s)) for b, s in zip(big_at.tolist(), small_at.tolist(), strict=True)]
    counts = [drawn.count(pair) for pair in allowed]
    assert sum(counts) == len(drawn)
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"big_size": 28}, r"big_size \+ small_size must be <= canvas \(32\), they sum to 33"),
        ({"nested": True, "num_small": 16}, "nested patches need num_small >= num_big, got 16 < 32"),
        ({"num_images": 100}, "so that every patch occurs; got 100 < 128"),
    ],
)
def test_impossible_dials_are_errors(fields, message):
    with pytest.raises(ValidationError, match=message):
        PatchesConfig(**fields)
