"""What is computed otherwise where classes are many gives what the plain way gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fgtune.metrics import checks, clustering, coarse, label_free, relations
from fgtune.metrics.clustering import Table, assign_cells, contingency


@st.composite
def _cases(draw):
    num_fine, num_true = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples = draw(st.integers(0, 80))
    preds, target = rng.integers(0, num_fine, samples), rng.integers(0, num_true, samples)
    return contingency(preds, target, num_fine, num_true), rng.integers(0, 4, num_fine), rng.integers(0, 4, num_true)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, derandomize=True)
@given(case=_cases())
def test_matchings_along_cells_are_as_good_as_those_of_the_whole_matrix(case):
    counts, learned, true = case
    names = ("clustering_accuracy_from_counts", "macro_accuracy_from_counts")
    plain = [getattr(clustering, name)(counts) for name in names]
    distance = relations.ged(learned, true, counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustering, "LARGE", 0)
        patch.setattr(relations, "_is_sparse", lambda *_: True)
        assert [getattr(clustering, name)(counts) for name in names] == pytest.approx(plain, abs=1e-12, nan_ok=True)
        assert relations.ged(learned, true, counts) == pytest.approx(distance, nan_ok=True)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_assign_cells_gains_what_a_dense_assignment_gains(shape, share, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 5, shape) * (rng.random(shape) < share).astype(float)
    rows, columns = weights.nonzero()
    paired = assign_cells(shape, rows, columns, weights[rows, columns])
    chosen = np.flatnonzero(paired >= 0)
    assert len(chosen) == len(set(paired[chosen])) == min(shape)
    best = linear_sum_assignment(weights, maximize=True)
    assert weights[chosen, paired[chosen]].sum() == weights[best].sum()


def test_a_large_table_is_matched_like_its_matrix():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 1200, 5000)
    preds = np.where(rng.random(5000) < 0.5, true, rng.integers(0, 1100, 5000) % 1100) % 1100
    counts = contingency(preds, true, 1100, 1200)
    assert counts.size >= clustering.LARGE
    best = linear_sum_assignment(counts, maximize=True)
    assert clustering.clustering_accuracy_from_counts(counts) == counts[best].sum() / 5000


def test_a_table_counted_from_samples_is_that_of_the_matrix():
    rng = np.random.default_rng(1)
    preds, target = rng.integers(0, 7, 60), rng.integers(0, 5, 60)
    counted, of_matrix = Table.counted(preds, target, 7, 5), Table.of(contingency(preds, target, 7, 5))
    for name in ("rows", "columns", "cells", "predicted", "true"):
        np.testing.assert_array_equal(getattr(counted, name), getattr(of_matrix, name))
    np.testing.assert_array_equal(counted.matrix(), contingency(preds, target, 7, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_metrics_of_probabilities_have_the_same_bits_block_by_block(dtype, monkeypatch):
    rng = np.random.default_rng(2)
    probs = rng.dirichlet(np.full(11, 0.3), size=57).astype(dtype)
    parents, labels = rng.integers(0, 4, 11), rng.integers(-1, 4, 57)

    def measured():
        confidence, classes = label_free.mean_confidence(probs), label_free.effective_classes(probs)
        return confidence, classes, coarse.predict_within(probs, parents, labels).tolist()

    whole = measured()
    monkeypatch.setattr(checks, "BLOCK", 40)
    assert measured() == whole


def test_coarse_probabilities_are_summed_group_by_group_alike(monkeypatch):
    rng = np.random.default_rng(3)
    probs, parents = rng.dirichlet(np.full(30, 0.3), size=20), rng.integers(0, 6, 30)
    plain = coarse.coarse_probabilities(probs, parents, 7)
    monkeypatch.setattr(coarse, "SPARSE", 0)
    np.testing.assert_allclose(coarse.coarse_probabilities(probs, parents, 7), plain, rtol=1e-14)


def test_a_wrong_row_is_named_by_its_place_in_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(checks, "BLOCK", 4)
    probs = np.full((6, 2), 0.5)
    probs[4] = 0.2
    with pytest.raises(ValueError, match=r"got sum 0\.4 and minimum 0\.2 in row 4"):
        label_free.mean_confidence(probs)
