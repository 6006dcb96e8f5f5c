"""The t-SNE embedding: neighbours stay near, nothing is drawn, few samples and one column are enough."""

from __future__ import annotations

import numpy as np

from fgtune.tsne import tsne_embedding


def test_groups_that_are_apart_stay_apart_and_nothing_is_drawn():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.standard_normal((30, 5)), rng.standard_normal((30, 5)) + 20.0])
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = tsne_embedding(points, 10.0, 300)
    assert found.shape == (60, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(tsne_embedding(points, 10.0, 300), found)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    far = np.linalg.norm(found[:, None] - found, axis=2)
    assert far[:30, :30].max() < far[:30, 30:].min()
    assert far[30:, 30:].max() < far[:30, 30:].min()


def test_four_samples_of_one_dimension_are_embedded_whatever_the_perplexity():
    found = tsne_embedding(np.array([[0.0], [1.0], [5.0], [6.0]]), 30.0, 250)
    assert found.shape == (4, 2)
    assert np.isfinite(found).all()
