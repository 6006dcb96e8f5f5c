"""Recall@k against brute force in float64 and scikit-learn, and the properties that its definition implies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from fgtune.errors import TrialError
from fgtune.metrics import retrieval
from fgtune.metrics.retrieval import nearest_blocks, recall_at_k, recalls, unit_rows


def brute_force(features, labels, k):
    """One query at a time: sort all others by similarity, ties by lower index, and look for the label."""
    unit = unit_rows(features, "features").astype(np.float64)
    known = [i for i in range(len(labels)) if labels[i] >= 0]
    if len(known) < 2:
        return math.nan
    hits = 0
    for i in known:
        others = sorted((j for j in known if j != i), key=lambda j: (-float((unit[i] * unit[j]).sum()), j))
        hits += any(labels[j] == labels[i] for j in others[:k])
    return hits / len(known)


def sample(seed, n, dim, classes):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dim)).astype(np.float32), rng.integers(-1, classes, n)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 25), st.integers(1, 4), st.integers(1, 4))
def test_recall_equals_brute_force(seed, n, dim, classes):
    features, labels = sample(seed, n, dim, classes)
    values = recall_at_k(features, labels, [1, 3, 40])
    for k, value in values.items():
        np.testing.assert_equal(value, brute_force(features, labels, k))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_exact_duplicates_and_zero_vectors_are_ranked_by_lower_index(seed, distinct):
    rng = np.random.default_rng(seed)
    features = np.vstack([np.zeros((1, 3)), rng.integers(-1, 2, (distinct, 3))])[rng.integers(0, distinct + 1, 9)]
    labels = rng.integers(0, 3, 9)
    for k, value in recall_at_k(features.astype(np.float32), labels, [1, 2, 4]).items():
        assert value == brute_force(features, labels, k)


def test_recall_equals_scikit_learn_on_a_larger_sample_cut_into_blocks(monkeypatch):
    monkeypatch.setattr(retrieval, "_QUERY_BLOCK", 97)
    monkeypatch.setattr(retrieval, "_BLOCK_NUMBERS", 1000)
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 30, 1000)
    features = (rng.standard_normal((30, 16))[labels] + 1.5 * rng.standard_normal((1000, 16))).astype(np.float32)
    found = NearestNeighbors(n_neighbors=8, metric="cosine").fit(features).kneighbors(return_distance=False)
    values = recall_at_k(features, labels, [1, 2, 4, 8])
    for k, value in values.items():
        assert value == pytest.approx((labels[found[:, :k]] == labels[:, None]).any(axis=1).mean(), abs=1e-12)
    assert 0.1 < values[1] < values[8] < 1


def test_a_sample_never_finds_itself_though_others_are_its_duplicates():
    features = np.ones((40, 2), dtype=np.float32)
    assert recall_at_k(features, np.arange(40), [1, 39, 100]) == {1: 0.0, 39: 0.0, 100: 0.0}


def test_recall_never_falls_in_k_and_counts_everyone_at_the_end():
    features, labels = sample(1, 60, 3, 5)
    labels[0] = 99  # alone in its class: a miss at any k
    values = recall_at_k(features, labels, range(1, 80))
    assert sorted(values.values()) == list(values.values())
    assert values[79] == 1 - 1 / (labels >= 0).sum()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_neither_scaling_of_samples_nor_the_order_of_rows_matters(seed):
    features, labels = sample(seed, 30, 4, 4)
    rng = np.random.default_rng(seed)
    order, scale = rng.permutation(30), 2.0 ** rng.integers(-20, 20, (30, 1))
    assert recall_at_k(features, labels, [1, 4]) == recall_at_k((features * scale)[order], labels[order], [1, 4])


def test_unlabelled_samples_are_neither_queries_nor_found():
    features, labels = sample(2, 50, 3, 3)
    known = labels >= 0
    assert 0 < (~known).sum() < 40
    assert recall_at_k(features, labels, [1, 2]) == recall_at_k(features[known], labels[known], [1, 2])


def test_several_labellings_share_a_search_and_agree_with_single_ones(monkeypatch):
    features, first = sample(4, 40, 3, 4)
    _, second = sample(5, 40, 3, 2)
    full = np.abs(first)
    labels = np.column_stack([full, first, (full + 1) % 3, second, np.full(40, -1)])
    searches = []
    monkeypatch.setattr(
        retrieval, "nearest_blocks", lambda *args, **kw: searches.append(1) or nearest_blocks(*args, **kw)
    )
    table = recalls(features, labels, [1, 5])
    assert len(searches) == 3  # full and its relabelling share one; the last labelling needs none
    for column in range(5):
        single = recall_at_k(features, labels[:, column], [1, 5])
        np.testing.assert_equal(table[:, column], list(single.values()))


@pytest.mark.parametrize("labels", [[], [0], [-1, -1, -1], [0, -1]])
def test_fewer_than_two_labelled_samples_are_undefined(labels):
    assert math.isnan(recall_at_k(np.ones((len(labels), 2)), np.array(labels, dtype=int), [1])[1])


@pytest.mark.parametrize(
    ("features", "labels", "ks", "error", "message"),
    [
        ([1.0, 2.0], [0, 1], [1], ValueError, r"features must be a matrix with at least one column, got shape \(2,\)"),
        (np.ones((2, 0)), [0, 1], [1], ValueError, r"at least one column, got shape \(2, 0\)"),
        (np.ones((2, 1)), [0], [1], ValueError, "features and labels must have the same length, got 2 and 1"),
        (np.ones((2, 1)), [0, -2], [1], ValueError, "labels must be >= -1, got values from -2 to 0"),
        (np.ones((2, 1)), [0, 0], [0, 1], ValueError, r"ks must be one or more numbers >= 1, got \[0, 1\]"),
        (np.ones((2, 1)), [0, 0], [], ValueError, r"ks must be one or more numbers >= 1, got \[\]"),
        ([[1.0], [math.nan]], [0, 0], [1], TrialError, "features must be finite, 1 of 2 rows hold NaN or infinity"),
        ([[math.inf], [1.0]], [0, 0], [1], TrialError, "features must be finite, 1 of 2 rows"),
    ],
)
def test_bad_input_is_refused(features, labels, ks, error, message):
    with pytest.raises(error, match=message):
        recall_at_k(features, labels, ks)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 20))
def test_nearest_in_another_gallery_equals_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    gallery, queries = (unit_rows(rng.standard_normal((m, 4)), "features") for m in (n, 7))
    ((rows, found),) = nearest_blocks(queries, gallery, k)
    assert (rows.start, rows.stop) == (0, 7)
    expected = NearestNeighbors(n_neighbors=min(k, n)).fit(gallery).kneighbors(queries, return_distance=False)
    np.testing.assert_array_equal(found, expected)


def test_nearest_refuses_what_it_cannot_do():
    rows = unit_rows(np.ones((3, 2)), "features")
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        next(nearest_blocks(rows, rows, 0))
    with pytest.raises(ValueError, match="same: queries and gallery must be one array"):
        next(nearest_blocks(rows, rows.copy(), 1, same=True))
