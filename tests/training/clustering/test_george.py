"""GEORGE's clustering against its released code, run on the same points, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.config.schema.clustering import GeorgeClusteringConfig, KMeansClusteringConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.training import input_checks
from fgtune.training.clustering.find import find_clusters
from fgtune.training.clustering.george import base_clusters, george_members, overclustered

PLAIN = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "objective": {"preset": "george"}}


def blobs(*sizes: int, seed: int = 0, dim: int = 2) -> np.ndarray:
    """Round clusters along a line, ten deviations apart."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(10.0 * place, 1.0, size=(size, dim)) for place, size in enumerate(sizes)])


@pytest.mark.parametrize(
    ("seed", "search", "most", "base", "final"),
    [
        (0, True, 5, [43, 54, 67, 323, 349], [43, 54, 67, 323, 349]),
        (0, False, 3, [43, 353, 440], [43, 164, 276, 353]),
        (1, True, 5, [88, 588], [88, 110, 478]),
        (1, False, 3, [88, 206, 382], [66, 88, 206, 316]),
        (2, True, 5, [75, 107, 141, 752], [75, 107, 141, 196, 556]),
        (2, False, 3, [107, 216, 752], [31, 107, 185, 196, 556]),
    ],
)
def test_clusters_are_those_of_the_released_code(seed, search, most, base, final):
    # HazyResearch/hidden-stratification fc9c9d0, stratification/cluster/models/cluster.py: OverclusterModel, "gmm"
    rng = np.random.default_rng(seed)
    centers, sizes = rng.normal(size=(7, 2)) * 6, rng.integers(40, 200, 7)
    pairs = zip(centers, sizes, strict=True)
    points = np.concatenate([rng.normal(c, 0.6 + 0.5 * rng.random(), size=(n, 2)) for c, n in pairs])
    losses = rng.exponential(size=len(points)) * np.repeat(rng.random(7), sizes)
    found = base_clusters(points, most, 3, seed, search=search)
    assert sorted(np.bincount(found).tolist()) == base
    parts = overclustered(GeorgeClusteringConfig(), points, found, losses, seed)
    assert sorted(np.bincount(parts).tolist()) == final


def test_the_search_finds_as_many_clusters_as_stand_apart_and_no_more_than_there_may_be():
    points = blobs(60, 60, 60, 60)
    assert np.bincount(base_clusters(points, 6, 2, 0, search=True)).tolist() == [60] * 4
    assert base_clusters(points, 3, 2, 0, search=True).max() == 2
    assert base_clusters(points, 2, 2, 0, search=False).max() == 1


def test_parts_that_stand_apart_become_clusters_as_many_as_there_may_be():
    points = blobs(80, 80, 80, 80)
    members = np.repeat([0, 0, 0, 1], 80)
    config = GeorgeClusteringConfig(overcluster=3, min_samples=20)
    assert np.bincount(overclustered(config, points, members, None, 0)).tolist() == [80] * 4
    assert overclustered(config, points, members, None, 0, most=3).max() == 2
    assert overclustered(config, points, members, None, 0, most=2).max() == 1
    assert overclustered(GeorgeClusteringConfig(overcluster=3, min_samples=81), points, members, None, 0).max() == 1


def test_a_part_with_a_smaller_loss_than_its_cluster_stays_in_it():
    points, members = blobs(80, 80, 80), np.repeat([0, 0, 1], 80)
    config, losses = GeorgeClusteringConfig(overcluster=2), np.repeat([0.1, 2.0, 1.0], 80)
    assert np.bincount(overclustered(config, points, members, losses, 0)).tolist() == [80, 80, 80]
    kept = overclustered(config, points, members, losses, 0)  # the easy part is what is left of the cluster
    assert len({*kept[:80]} | {*kept[80:160]}) == 2
    same = overclustered(config, points, members, np.zeros(240), 0)
    assert same.max() == 2


@pytest.mark.parametrize("reduction", ["pca", "none"])
def test_clusters_of_a_coarse_class_are_found_in_it_alone_and_those_not_found_stay_empty(reduction):
    points = blobs(50, 50, 50, 50, dim=4).astype(np.float32) + np.array([0, 0, 0, 30], dtype=np.float32)
    groups = np.repeat([0, 1], 100)
    config = GeorgeClusteringConfig(reduction=reduction, min_samples=10, overcluster=1)
    clusters = find_clusters(config, points, groups, 8, seed=0)
    assert clusters.groups.tolist() == [0] * 4 + [1] * 4
    fine = clusters.posterior(points, groups)[0].argmax(axis=1)
    assert ((fine < 4) == (groups == 0)).all()
    assert 4 <= len(np.unique(fine)) < 8
    new = clusters.posterior(points + 0.01)[0].argmax(axis=1)  # a new sample joins the nearest
    assert (new == fine).mean() > 0.98


@pytest.mark.parametrize(("size", "clusters"), [(1, 1), (2, 2), (3, 3), (4, 2), (12, 5)])
def test_little_to_cluster_is_clustered_as_far_as_it_goes(size, clusters):
    points = np.random.default_rng(0).normal(size=(size, 3))
    members = george_members(GeorgeClusteringConfig(reduction="pca"), points, clusters, 0)
    assert members.shape == (size,)
    assert 0 <= members.min() <= members.max() < clusters


def test_the_preset_brings_the_clustering_and_what_is_stated_stays():
    assert TrialConfig.from_plain(PLAIN).clustering == GeorgeClusteringConfig()
    other = TrialConfig.from_plain({**PLAIN, "clustering": {"kind": "kmeans"}})
    assert other.clustering == KMeansClusteringConfig()


def test_umap_that_is_not_installed_is_told_before_anything_runs(monkeypatch):
    monkeypatch.setattr(input_checks, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"trial.clustering.reduction: needs umap-learn.* pip install 'fgtune\[umap\]'"
    ):
        input_checks.check_inputs(TrialConfig.from_plain(PLAIN), (64,))
    plain = {**PLAIN, "clustering": {"kind": "george", "reduction": "pca"}}
    input_checks.check_inputs(TrialConfig.from_plain(plain), (64,))


@pytest.mark.slow
def test_umap_separates_what_stands_apart_and_repeats_itself():
    points = blobs(60, 60, 60, dim=6) + np.arange(6) * np.array([1.0, -2.0, 3.0, -1.0, 2.0, -3.0])
    config = GeorgeClusteringConfig(overcluster=1)
    first, again = (george_members(config, points, 4, 0) for _ in range(2))
    assert np.array_equal(first, again)
    assert all(len(np.unique(first[start : start + 60])) == 1 for start in (0, 60, 120))
