"""Validity in a space that all candidates share, against scikit-learn and by hand; nothing is won by collapsing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score, silhouette_score

from fgtune.data.principal import principal_space
from fgtune.metrics.fixed_space import FixedJudge


@pytest.mark.parametrize(("n", "d"), [(60, 8), (30, 50), (5, 3), (4, 9)])
def test_the_space_is_that_of_principal_components(n, d):
    rng = np.random.default_rng(n)
    values = (rng.normal(size=(n, d)) * rng.uniform(0.5, 3, d)).astype(np.float32)
    dimensions = min(3, n - 1, d)
    expected = PCA(dimensions, svd_solver="full").fit_transform(values.astype(np.float64))
    found = principal_space(values, dimensions).project(values)
    assert found.dtype == np.float32
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-4)  # the sign of a component is arbitrary


def test_inputs_without_variation_have_a_space_too():
    values = np.ones((5, 9), dtype=np.float32)
    judge = FixedJudge(np.arange(5), principal_space(values).project(values), np.zeros((5, 1), dtype=np.int64))
    assert judge.silhouette([0, 0, 1, 1, 1]) == 0.0
    assert judge.calinski_harabasz([0, 0, 1, 1, 1]) == math.inf


@pytest.fixture
def sample():
    rng = np.random.default_rng(1)
    coarse = np.column_stack([np.arange(90) % 3, np.where(np.arange(90) < 40, np.arange(90) % 2, -1)])
    points = (rng.normal(size=(90, 4)) + 2 * rng.integers(0, 3, 90)[:, None]).astype(np.float32)
    return points, coarse.astype(np.int64), rng.integers(0, 6, 120)


def test_indices_are_scikit_learns_inside_each_coarse_class_weighted_by_samples(sample):
    points, coarse, preds = sample
    positions = np.sort(np.random.default_rng(2).permutation(120)[:90])
    judge, own = FixedJudge(positions, points, coarse), preds[positions]
    groups = [coarse[:, 0] == label for label in range(3)] + [coarse[:, 1] == label for label in range(2)]
    weights = [group.sum() for group in groups]
    for index, expected in ((judge.silhouette, silhouette_score), (judge.calinski_harabasz, calinski_harabasz_score)):
        values = [expected(points[group].astype(np.float64), own[group]) for group in groups]
        assert index(preds) == pytest.approx(np.average(values, weights=weights), rel=1e-6)


def test_a_coarse_class_that_is_not_divided_counts_as_zero(sample):
    points, coarse, _ = sample
    judge = FixedJudge(np.arange(90), points, coarse[:, :1])
    divided = np.where(points[:, 0] > np.median(points[:, 0]), 3, 0)
    whole = judge.silhouette(divided)
    assert whole > 0.1
    assert judge.silhouette(coarse[:, 0]) == judge.calinski_harabasz(coarse[:, 0]) == 0.0  # one class for each
    assert judge.silhouette(np.arange(90)) == 0.0  # a class for each sample
    assert judge.silhouette(np.where(coarse[:, 0] == 0, 0, divided)) < whole


def test_without_two_samples_of_a_coarse_class_nothing_is_judged():
    judge = FixedJudge(np.arange(2), np.zeros((2, 1), dtype=np.float32), np.array([[0], [-1]]))
    assert math.isnan(judge.silhouette([0, 1]))
