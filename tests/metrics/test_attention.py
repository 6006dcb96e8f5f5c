"""Attention maps by the formula, and the share of attention in a mask by painting every pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.errors import TrialError
from fgtune.metrics.attention import attention_map, attention_share


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4))
def test_map_is_the_sum_of_squares_over_channels_at_unit_length(seed, n, channels, side):
    activations = np.random.default_rng(seed).standard_normal((n, channels, side, side + 1)).astype(np.float32)
    maps = attention_map(activations)
    assert maps.dtype == np.float32
    for sample, found in zip(activations, maps, strict=True):
        expected = sum(channel.astype(float) ** 2 for channel in sample)
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-5)
        assert np.square(found).sum() == pytest.approx(1, rel=1e-5)


def test_sign_order_of_channels_and_scale_do_not_matter():
    activations = np.random.default_rng(0).standard_normal((2, 5, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(attention_map(activations), attention_map(-1024 * activations[:, ::-1]))
    np.testing.assert_allclose(attention_map(1e18 * activations), attention_map(activations), rtol=1e-6)


def test_a_silent_map_stays_zero_and_has_no_share():
    maps = attention_map(np.zeros((1, 3, 2, 2)))
    assert not maps.any()
    assert math.isnan(attention_share(maps, np.ones((1, 2, 2)))[0])


def test_share_of_a_mask_at_the_resolution_of_the_map():
    maps = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    assert attention_share(maps, np.array([[[True, False], [False, True]]])).tolist() == [0.5]
    assert attention_share(maps, np.ones((1, 2, 2))).tolist() == [1.0]
    assert attention_share(maps, np.zeros((1, 2, 2))).tolist() == [0.0]


def painted(attention, mask):
    """The share when both are blown up to a grid that each divides, so that no pixel lies in two cells."""
    common = [math.lcm(a, b) for a, b in zip(attention.shape, mask.shape, strict=True)]
    fine = [
        np.kron(array, np.ones([c // s for c, s in zip(common, array.shape, strict=True)]))
        for array in (attention, mask)
    ]
    return (fine[0] * fine[1]).sum() / fine[0].sum()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), *[st.integers(1, 9)] * 4)
def test_share_of_a_mask_in_pixels_equals_painting(seed, height, width, rows, columns):
    rng = np.random.default_rng(seed)
    maps, masks = rng.random((3, height, width)), rng.random((3, rows, columns)) < 0.5
    shares = attention_share(maps, masks)
    np.testing.assert_allclose(
        shares, [painted(a, m.astype(float)) for a, m in zip(maps, masks, strict=True)], atol=1e-12
    )
    np.testing.assert_allclose(shares + attention_share(maps, ~masks), 1.0)


def test_a_blind_map_scores_the_area_of_the_mask():
    masks = np.zeros((1, 32, 32), dtype=bool)
    masks[0, 3:8, 20:25] = True
    assert attention_share(np.ones((1, 8, 8)), masks)[0] == pytest.approx(25 / 32**2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: attention_map(np.ones((2, 3, 3))),
            ValueError,
            r"feature_map must be \(n, C, H, W\) .*got shape \(2, 3, 3\)",
        ),
        (lambda: attention_map(np.ones((2, 0, 3, 3))), ValueError, r"C, H, W >= 1, got shape \(2, 0, 3, 3\)"),
        (lambda: attention_map(np.full((2, 1, 1, 1), np.nan)), TrialError, "2 of 2 samples hold NaN or infinity"),
        (lambda: attention_share(np.ones((1, 2)), np.ones((1, 2, 2))), ValueError, r"maps must be \(n, H, W\)"),
        (lambda: attention_share(np.ones((1, 2, 2)), np.ones((2, 2, 2))), ValueError, "same length, got 1 and 2"),
        (lambda: attention_share(-np.ones((1, 2, 2)), np.ones((1, 2, 2))), ValueError, "maps must be finite and >= 0"),
        (lambda: attention_share(np.ones((1, 2, 2)), 2 * np.ones((1, 2, 2))), ValueError, r"masks must be in \[0, 1\]"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
