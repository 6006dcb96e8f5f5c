"""Density peaks: against a slow one in plain Python, and where samples are few, equal or all alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgtune.training.estimation import density_peaks
from fgtune.training.estimation.density_peaks import cutoff_distance, densities, peak_clusters


def slow_clusters(points: list[tuple[float, float]], cutoff: float) -> list[int]:
    """Sample by sample, as the papers say it; a cluster is known by its least row."""
    rows = range(len(points))
    far = [[math.dist(one, two) for two in points] for one in points]
    density = [sum(math.exp(-((far[i][j] / cutoff) ** 2)) for j in rows if j != i) for i in rows]
    order = sorted(rows, key=lambda i: (-density[i], i))
    local: dict[int, int] = {}
    for place, i in enumerate(order):
        if not place:
            local[i] = i
            continue
        nearest = min(order[:place], key=lambda j: far[i][j])
        peak = density[i] > sum(density) / len(points) and far[i][nearest] > cutoff
        local[i] = i if peak else local[nearest]
    members = {peak: [i for i in rows if local[i] == peak] for peak in local.values()}
    mean = {peak: sum(density[i] for i in each) / len(each) for peak, each in members.items()}
    core = [i for i in rows if density[i] >= mean[local[i]] - 1e-12]
    joined = {peak: peak for peak in members}
    for i in core:
        for j in core:
            if far[i][j] < cutoff and joined[local[i]] != joined[local[j]]:
                old, new = joined[local[i]], joined[local[j]]
                joined = {peak: new if label == old else label for peak, label in joined.items()}
    found = [joined[local[i]] for i in rows]
    return [found.index(each) for each in found]


def by_first_row(labels: np.ndarray) -> list[int]:
    found = labels.tolist()
    return [found.index(each) for each in found]


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_those_of_the_slow_rule(seed, monkeypatch):
    monkeypatch.setattr(density_peaks, "_BLOCK", 13)
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 5, (4, 2))
    points = centres[rng.integers(0, 4, 60)] + rng.standard_normal((60, 2))
    numbers = set()
    for ratio in (0.05, 0.1, 0.2, 0.4):
        cutoff = ratio * np.mean([math.dist(one, two) for one in points for two in points if one is not two])
        found = peak_clusters(points, cutoff)
        assert by_first_row(found) == slow_clusters([tuple(each) for each in points], cutoff)
        assert sorted(set(found.tolist())) == list(range(found.max() + 1))
        numbers.add(int(found.max()))
    assert len(numbers) > 1


def test_densities_by_hand():
    found = densities(np.array([[0.0], [1.0], [3.0]]), cutoff=1.0)
    near, mid, far = math.exp(-1), math.exp(-4), math.exp(-9)
    np.testing.assert_allclose(found.density, [near + far, near + mid, mid + far])
    assert found.denser.tolist() == [1, 1, 1]
    assert found.delta.tolist() == [1.0, math.inf, 2.0]


def test_of_equally_dense_samples_the_earlier_counts_as_denser_so_that_duplicates_are_one_peak():
    pairs = np.array([[0.0, 0.0], [0.0, 0.0], [9.0, 0.0], [9.0, 0.0]])
    found = densities(pairs, cutoff=1.0)
    assert found.denser.tolist() == [0, 0, 0, 2]
    assert found.delta.tolist() == [math.inf, 0.0, 9.0, 0.0]
    lonely = np.array([[0.0, 50.0]])
    assert peak_clusters(np.concatenate([pairs, lonely]), 1.0).tolist() == [0, 0, 1, 1, 0]


def test_samples_that_are_all_one_are_one_cluster():
    same = np.ones((6, 2))
    assert cutoff_distance(same, 0.1, 2) == 0.0
    assert peak_clusters(same, 0.0).tolist() == [0] * 6
    assert peak_clusters(same, 1.0).tolist() == [0] * 6
    assert peak_clusters(np.zeros((1, 2)), 1.0).tolist() == [0]


def test_a_bridge_of_dense_samples_joins_two_peaks_and_a_gap_does_not():
    rng = np.random.default_rng(0)
    left = rng.standard_normal((80, 2))
    right = rng.standard_normal((80, 2)) + np.array([12.0, 0.0])
    bridge = np.column_stack([rng.uniform(0, 12, 300), rng.standard_normal(300)])
    apart, joined = np.concatenate([left, right]), np.concatenate([left, right, bridge])
    assert peak_clusters(apart, 1.5).max() == 1
    assert peak_clusters(joined, 1.5).max() == 0


def test_the_cutoff_is_a_share_of_the_mean_distance_and_no_less_than_that_to_the_neighbours():
    points = np.array([[0.0], [1.0], [3.0]])  # distances 1, 2, 3
    assert cutoff_distance(points, 0.9, 1) == pytest.approx(0.9 * 2)
    assert cutoff_distance(points, 0.1, 1) == pytest.approx((1 + 1 + 2) / 3)
    assert cutoff_distance(points, 0.1, 2) == cutoff_distance(points, 0.1, 9) == pytest.approx((3 + 2 + 3) / 3)
