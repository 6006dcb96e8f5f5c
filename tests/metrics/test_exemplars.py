"""Which samples stand for a class, against slow formulas."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.metrics.exemplars import feature_differences, medoid, most_confident, most_doubtful


def test_the_medoid_has_the_least_sum_of_distances():
    points = np.random.default_rng(0).normal(size=(40, 3))
    members = np.arange(5, 30)
    sums = {row: sum(np.linalg.norm(points[row] - points[other]) for other in members) for row in members}
    assert medoid(members, points) == min(sums, key=sums.get)


def test_of_equally_clear_members_the_nearest_to_the_middle_comes_first():
    points, margin = np.array([[0.0], [3.0], [1.0], [9.0]]), np.array([1.0, 2.0, 2.0, 0.5])
    assert most_confident(np.arange(4), margin, points, 0).tolist() == [2, 1, 0, 3]
    assert most_doubtful(np.arange(4), margin)[0] == 3


def test_differences_are_cohens_d_with_the_variance_within_both_groups():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, 4)) * [1, 5, 1, 1] + [0, 0, 0, 100]
    values[:20, 2] += 3
    own, rest = np.arange(20), np.arange(20, 50)
    found = feature_differences(values, own, rest, ("a", "b", "c", "d"), 2)
    widest = float(values.var(axis=0).max())
    assert feature_differences(values, own, rest, ("a", "b", "c", "d"), 2, widest) == found
    within = np.sqrt((20 * values[own, 2].var() + 30 * values[rest, 2].var()) / 50)
    assert len(found) == 2
    assert found[0].name == "c"
    assert found[0].effect == pytest.approx((values[own, 2].mean() - values[rest, 2].mean()) / within)
    assert found[0].inside == pytest.approx(values[own, 2].mean())


def test_a_class_that_is_its_whole_coarse_class_differs_from_nothing():
    assert feature_differences(np.ones((3, 2)), np.arange(3), np.arange(0), ("a", "b"), 5) == ()
