"""Coarse accuracy from samples, from stored counts, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgtune.metrics.coarse import coarse_accuracy, coarse_accuracy_from_counts, coarse_counts

PARENTS = np.array([0, 0, 1, 1])


def test_share_of_samples_whose_predicted_parent_is_their_label():
    assert coarse_accuracy([0, 1, 2, 3, 3], PARENTS, [0, 0, 1, 0, 1]) == 4 / 5


def test_samples_without_label_are_left_out():
    assert coarse_accuracy([0, 1, 2, 3], PARENTS, [0, -1, -1, 0]) == 1 / 2


def test_no_labelled_sample_gives_nan():
    assert math.isnan(coarse_accuracy([0, 1], PARENTS, [-1, -1]))
    assert math.isnan(coarse_accuracy([], PARENTS, []))
    assert math.isnan(coarse_accuracy_from_counts(np.zeros((1, 4, 2), dtype=int), PARENTS[None]))


def test_sources_count_equally_and_empty_ones_not_at_all():
    parents = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]])
    labels = np.array([[0, 0, -1], [0, -1, -1], [1, -1, -1], [0, -1, -1]])
    # source 0: 3 of 4, source 1: 1 of 1, source 2: no label
    assert coarse_accuracy([0, 1, 2, 3], parents, labels) == pytest.approx((3 / 4 + 1) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_stored_counts_give_the_same_bits(seed):
    rng = np.random.default_rng(seed)
    num_coarse = (3, 5)
    parents = np.stack([rng.integers(classes, size=8) for classes in num_coarse])
    preds = rng.integers(8, size=200)
    labels = np.stack([rng.integers(-1, classes, size=200) for classes in num_coarse], axis=1)
    counts = coarse_counts(preds, labels, 8, num_coarse)
    assert counts.shape == (2, 8, 5)
    assert coarse_accuracy_from_counts(counts, parents) == coarse_accuracy(preds, parents, labels)


def test_counts_hold_labelled_samples_only_and_zero_beyond_a_sources_classes():
    counts = coarse_counts([0, 1, 1], np.array([[0, 1], [-1, 2], [0, -1]]), 2, (1, 3))
    np.testing.assert_array_equal(counts, [[[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]])


def test_counts_of_one_source_take_plain_labels():
    np.testing.assert_array_equal(coarse_counts([1, 0], [1, 1], 2, (2,)), [[[0, 1], [0, 1]]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coarse_accuracy([4], PARENTS, [0]), r"preds must be in \[0, 3\], got values from 4 to 4"),
        (lambda: coarse_accuracy([0], PARENTS, [-2]), r"coarse must be >= -1, got values from -2 to -2"),
        (lambda: coarse_accuracy([0], -PARENTS, [0]), r"fine_to_coarse must be >= 0, got values from -1 to 0"),
        (lambda: coarse_accuracy([0, 1], PARENTS, [0]), r"preds and coarse must have the same length, got 2 and 1"),
        (lambda: coarse_accuracy([0], PARENTS, [[0, 0]]), r"coarse has 2 source\(s\), fine_to_coarse has 1"),
        (lambda: coarse_counts([0], [[0, 0]], 1, (1,)), r"coarse has 2 source\(s\), num_coarse names 1"),
        (lambda: coarse_counts([0], [3], 1, (2,)), r"target must be in \[0, 1\], got values from 3 to 3"),
        (
            lambda: coarse_accuracy_from_counts(np.zeros((1, 3, 2), dtype=int), PARENTS[None]),
            r"fine_to_coarse must have shape \(1, 3\) as the counts say, got \(1, 4\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
