"""Clustering metrics against scikit-learn, brute force over matchings, and hand cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from fgtune.catalog.metrics import METRICS
from fgtune.metrics import clustering
from fgtune.metrics.clustering import contingency

NAMES = ("clustering_accuracy", "macro_accuracy", "ari", "nmi", "v_measure", "homogeneity", "completeness")
SYMMETRIC = ("clustering_accuracy", "ari", "nmi", "v_measure")
SKLEARN = {
    "ari": sklearn_metrics.adjusted_rand_score,
    "nmi": sklearn_metrics.normalized_mutual_info_score,
    "v_measure": sklearn_metrics.v_measure_score,
    "homogeneity": sklearn_metrics.homogeneity_score,
    "completeness": sklearn_metrics.completeness_score,
}

tables = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5), elements=st.integers(0, 6)
).filter(np.any)


def value(name, counts):
    return getattr(clustering, f"{name}_from_counts")(counts)


def labels_of(counts):
    rows, columns = np.indices(counts.shape)
    return np.repeat(rows.ravel(), counts.ravel()), np.repeat(columns.ravel(), counts.ravel())


def all_matchings(num_preds, num_target):
    """Every full one-to-one matching, as lists of (predicted, true) pairs."""
    if num_preds <= num_target:
        for columns in itertools.permutations(range(num_target), num_preds):
            yield list(enumerate(columns))
    else:
        for rows in itertools.permutations(range(num_preds), num_target):
            yield [(row, column) for column, row in enumerate(rows)]


def brute_force(counts):
    """The largest share matched, and the largest macro accuracy among the matchings that reach it."""
    sizes = counts.sum(axis=0)
    scored = []
    for pairs in all_matchings(*counts.shape):
        matched = sum(int(counts[pair]) for pair in pairs)
        recalls = [counts[row, column] / sizes[column] for row, column in pairs if sizes[column]]
        scored.append((matched, sum(recalls) / np.count_nonzero(sizes)))
    best = max(matched for matched, _ in scored)
    return best / counts.sum(), max(macro for matched, macro in scored if matched == best)


@settings(deadline=None, max_examples=60)
@given(tables)
def test_accuracies_equal_brute_force_over_all_matchings(counts):
    accuracy, macro = brute_force(counts)
    assert value("clustering_accuracy", counts) == pytest.approx(accuracy, abs=1e-12)
    assert value("macro_accuracy", counts) == pytest.approx(macro, abs=1e-9)


@pytest.mark.parametrize("name", SKLEARN)
@settings(deadline=None, max_examples=60)
@given(counts=tables)
def test_agrees_with_scikit_learn(name, counts):
    preds, target = labels_of(counts)
    assert value(name, counts) == pytest.approx(SKLEARN[name](target, preds), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(tables, st.randoms(use_true_random=False))
def test_numbering_of_classes_does_not_matter(counts, random):
    rows, columns = list(range(counts.shape[0])), list(range(counts.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    for name in NAMES:
        assert value(name, counts[rows][:, columns]) == pytest.approx(value(name, counts), abs=1e-9), name


@settings(deadline=None, max_examples=60)
@given(tables)
def test_swapping_predicted_and_true_keeps_symmetric_metrics_and_swaps_the_others(counts):
    for name in SYMMETRIC:
        assert value(name, counts.T) == pytest.approx(value(name, counts), abs=1e-9), name
    assert value("homogeneity", counts.T) == pytest.approx(value("completeness", counts), abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(tables)
def test_values_stay_within_the_catalogued_range(counts):
    for name in NAMES:
        assert METRICS[name].low <= value(name, counts) <= METRICS[name].high, name


@settings(deadline=None, max_examples=60)
@given(tables)
def test_nmi_with_arithmetic_mean_is_the_v_measure(counts):
    assert value("nmi", counts) == pytest.approx(value("v_measure", counts), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(tables)
def test_classes_without_samples_change_nothing(counts):
    padded = np.pad(counts, ((1, 2), (2, 1)))
    for name in NAMES:
        assert value(name, padded) == pytest.approx(value(name, counts), abs=1e-9), name


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_perfect_clustering_scores_one(name):
    assert value(name, np.array([[0, 7, 0], [0, 0, 2], [4, 0, 0]])) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (2, 0)])
def test_no_samples_give_nan(name, shape):
    assert math.isnan(value(name, np.zeros(shape, dtype=np.int64)))


def test_hand_case_surplus_predicted_class_counts_as_error():
    counts = np.array([[6, 0], [4, 0], [0, 10]])
    assert value("clustering_accuracy", counts) == 16 / 20
    assert value("macro_accuracy", counts) == pytest.approx((6 / 10 + 1) / 2)
    np.testing.assert_array_equal(clustering.matching(counts), [0, -1, 1])


def test_hand_case_missing_predicted_class_counts_as_error():
    counts = np.array([[6, 0, 4], [0, 10, 0]])
    assert value("clustering_accuracy", counts) == 16 / 20
    assert value("macro_accuracy", counts) == pytest.approx(2 / 3)
    np.testing.assert_array_equal(clustering.matching(counts), [0, 1])


def test_matching_gives_up_the_largest_cell_for_a_larger_sum():
    np.testing.assert_array_equal(clustering.matching(np.array([[5, 4], [4, 0]])), [1, 0])


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_equal_matchings_are_told_apart_by_macro_accuracy(order):
    # The first predicted class may take either of two true classes for 3 samples: all of the one, 3/4 of the other.
    counts = np.array([[3, 3, 0], [0, 1, 9]])[:, order]
    assert value("clustering_accuracy", counts) == 12 / 16
    assert value("macro_accuracy", counts) == pytest.approx((1 + 0 + 1) / 3)


def test_macro_accuracy_weighs_true_classes_equally():
    counts = np.array([[98, 1], [0, 1]])
    assert value("clustering_accuracy", counts) == 0.99
    assert value("macro_accuracy", counts) == pytest.approx((1 + 1 / 2) / 2)


def test_ari_hand_case_and_chance_level():
    counts = np.array([[2, 0], [1, 1]])
    assert value("ari", counts) == pytest.approx(sklearn_metrics.adjusted_rand_score([0, 0, 0, 1], [0, 0, 1, 1]))
    assert value("ari", np.array([[1, 1], [1, 1]])) == pytest.approx(-0.5)
    rng = np.random.default_rng(0)
    independent = contingency(rng.integers(10, size=20_000), rng.integers(10, size=20_000), 10, 10)
    assert abs(value("ari", independent)) < 0.002


def test_ari_of_many_samples_does_not_overflow():
    counts = np.diag([10**8, 10**8]) + 10**6
    assert value("ari", counts) == pytest.approx(value("ari", counts // 10**6), abs=1e-3)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.array([1, 2]), r"counts must have 2 dimension\(s\), got shape \(2,\)"),
        (np.array([[1, -2]]), r"counts must be >= 0, got values from -2 to 1"),
        (np.array([[0.5]]), r"counts must be integers, got dtype float64"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_counts_of_another_kind_are_refused(name, counts, message):
    with pytest.raises(ValueError, match=message):
        value(name, counts)
