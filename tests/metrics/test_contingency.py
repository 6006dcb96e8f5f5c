"""The contingency matrix against a loop and scikit-learn, and what bad input gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix

from fgtune.metrics.clustering import contingency


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=40))
def test_counts_every_pair_once(pairs):
    expected = np.zeros((5, 3), dtype=np.int64)
    for pred, true in pairs:
        expected[pred, true] += 1
    counts = contingency([p for p, _ in pairs], [t for _, t in pairs], 5, 3)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


def test_agrees_with_scikit_learn_when_every_class_occurs():
    rng = np.random.default_rng(0)
    preds = np.concatenate([np.arange(7), rng.integers(7, size=200)])
    target = np.concatenate([np.arange(7) % 5, rng.integers(5, size=200)])
    np.testing.assert_array_equal(contingency(preds, target, 7, 5), contingency_matrix(target, preds).T)


def test_narrow_integer_types_do_not_overflow():
    preds = np.full(3, 200, dtype=np.uint8)
    assert contingency(preds, preds, 201, 201)[200, 200] == 3


def test_no_samples_give_zeros():
    np.testing.assert_array_equal(contingency([], [], 2, 3), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        ([0, 2], [0, 0], r"preds must be in \[0, 1\], got values from 0 to 2"),
        ([0, 1], [0, -1], r"target must be in \[0, 2\], got values from -1 to 0"),
        ([0.0, 1.0], [0, 0], r"preds must be integers, got dtype float64"),
        ([True, False], [0, 0], r"preds must be integers, got dtype bool"),
        ([[0, 1]], [0, 0], r"preds must have 1 dimension\(s\), got shape \(1, 2\)"),
        ([0, 1], [0], r"preds and target must have the same length, got 2 and 1"),
    ],
)
def test_bad_labels_are_refused_by_name(preds, target, message):
    with pytest.raises(ValueError, match=message):
        contingency(preds, target, 2, 3)


def test_needs_at_least_one_class():
    with pytest.raises(ValueError, match="num_target must be >= 1, got 0"):
        contingency([], [], 2, 0)
