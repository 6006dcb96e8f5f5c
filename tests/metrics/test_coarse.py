"""Coarse accuracy from samples, from stored counts, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from fgtune.errors import TrialError
from fgtune.metrics.coarse import (
    allowed_classes,
    coarse_accuracy,
    coarse_accuracy_from_counts,
    coarse_counts,
    coarse_probabilities,
    coarse_top,
    predict_within,
)

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


def test_coarse_probabilities_sum_those_of_the_fine_classes():
    probs = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(coarse_probabilities(probs, [0, 2, 0, 2], 4), [[0.4, 0, 0.6, 0], [1, 0, 0, 0]])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(3, 8), st.integers(1, 7))
def test_top_k_equals_scikit_learn(seed, num_coarse, k):
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(num_coarse), 30), rng.integers(0, num_coarse, 30)
    k = min(k, num_coarse - 1)
    expected = top_k_accuracy_score(labels, probs, k=k, labels=range(num_coarse))
    assert coarse_top([probs], labels, k) == pytest.approx(expected)


def test_top_one_may_differ_from_the_parent_of_the_top_fine_class():
    probs = np.array([[0.4, 0.0, 0.3, 0.3]])
    assert coarse_accuracy(probs.argmax(axis=1), PARENTS, [1]) == 0.0
    assert coarse_top([coarse_probabilities(probs, PARENTS, 2)], [1], 1) == 1.0


def test_equal_probabilities_rank_by_class_number_so_a_uniform_prediction_is_no_hit_for_all():
    uniform = np.full((4, 4), 0.25)
    assert coarse_top([uniform], np.arange(4), 1) == 0.25
    assert coarse_top([uniform], np.arange(4), 3) == 0.75
    assert coarse_top([uniform], np.arange(4), 5) == 1.0


def test_top_k_is_the_mean_over_sources_that_label_something():
    probs = [np.array([[0.9, 0.1]] * 4), np.array([[0.2, 0.3, 0.5]] * 4), np.array([[1.0]] * 4)]
    coarse = np.array([[0, 2, -1], [0, -1, -1], [0, -1, -1], [1, 0, -1]])
    assert coarse_top(probs, coarse, 1) == (3 / 4 + 1 / 2) / 2
    assert coarse_top(probs, coarse, 2) == (1 + 1 / 2) / 2
    assert math.isnan(coarse_top(probs, np.full((4, 3), -1), 1))
    assert math.isnan(coarse_top([np.empty((0, 2))], [], 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coarse_top([np.ones((1, 2))], [0], 0), r"k must be >= 1, got 0"),
        (lambda: coarse_top([np.ones((1, 2))], [[0, 0]], 1), r"coarse has 2 source\(s\), probs has 1"),
        (lambda: coarse_top([np.ones((1, 2))], [2], 1), r"coarse must be in \[0, 1\], got values from 2 to 2"),
        (lambda: coarse_top([np.ones((2, 2))], [0], 1), r"probs and coarse must have the same length, got 2 and 1"),
        (lambda: coarse_probabilities(np.ones((1, 3)), PARENTS, 2), r"columns of probs and fine_to_coarse .*3 and 4"),
        (lambda: coarse_probabilities(np.ones((1, 4)), PARENTS, 1), r"fine_to_coarse must be in \[0, 0\]"),
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


def test_a_diverged_model_is_told():
    with pytest.raises(TrialError, match="probs must be finite, 1 of 2 rows hold NaN or infinity"):
        coarse_top([np.array([[math.nan, 1.0], [0.0, 1.0]])], [0, 1], 1)


def slowly_within(scores, parents, labels):
    """The restriction of one sample, in the words of the documentation."""
    agrees = [
        {fine for fine, parent in enumerate(source) if parent == label}
        for source, label in zip(parents, labels, strict=True)
        if label >= 0
    ]
    left = set.intersection(*agrees) if agrees else set()
    left = left or next((each for each in agrees if each), set()) or set(range(len(scores)))
    return max(sorted(left), key=lambda fine: scores[fine])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_the_restricted_prediction_is_the_best_class_that_the_labels_leave(seed, sources, num_fine):
    rng = np.random.default_rng(seed)
    parents = rng.integers(0, 3, (sources, num_fine))
    labels = rng.integers(-1, 4, (40, sources))  # class 3 is the parent of none
    scores = rng.integers(0, 4, (40, num_fine)) / 4  # with ties
    expected = [slowly_within(row, parents, each) for row, each in zip(scores, labels, strict=True)]
    assert predict_within(scores, parents, labels).tolist() == expected
    assert allowed_classes(parents, labels).any(axis=1).all()


def test_a_restricted_prediction_has_the_known_label_as_its_parent():
    assert predict_within([[0.9, 0.0, 0.1, 0.0]] * 3, PARENTS, [0, 1, -1]).tolist() == [0, 2, 0]
    assert predict_within(np.zeros((0, 4)), PARENTS, []).tolist() == []


def test_several_sources_restrict_together_and_the_first_that_can_where_they_contradict():
    parents = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    scores = [[0.4, 0.3, 0.2, 0.1]] * 4
    assert predict_within(scores, parents, [[1, 1], [1, -1], [-1, 1], [7, 1]]).tolist() == [3, 2, 1, 1]
    apart = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    assert predict_within(scores[:1], apart, [[1, 0]]).tolist() == [2]


@pytest.mark.parametrize("coarse", [[0, 1], [[0, 1]], [0.5]])
def test_labels_of_another_number_or_kind_are_refused(coarse):
    with pytest.raises(ValueError, match="coarse"):
        predict_within([[0.5, 0.5, 0.0, 0.0]], PARENTS, coarse)
