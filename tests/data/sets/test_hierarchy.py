from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fgtune.config.schema.data import HierarchyConfig
from fgtune.data.sets.synthetic import center_deviation, make_hierarchy


def parents(config):
    return np.repeat(np.arange(config.num_coarse), config.fine_in_each)


@pytest.mark.parametrize("per_coarse", [2, (1, 3, 4)])
def test_by_default_classes_are_nested_and_of_equal_size(per_coarse):
    config = HierarchyConfig(num_coarse=3, fine_per_coarse=per_coarse, num_samples=480)
    data = make_hierarchy(config)
    assert np.array_equal(data.coarse[:, 0], parents(config)[data.fine])
    assert np.ptp(np.bincount(data.fine)) == 0


@pytest.mark.parametrize("dim", [1, 2, 16, 300])
def test_spread_gives_the_expected_distance(dim):
    points = np.random.default_rng(0).standard_normal((2, 40_000, dim)).astype(np.float32) * center_deviation(4.0, dim)
    assert np.linalg.norm(points[0] - points[1], axis=1).mean() == pytest.approx(4.0, rel=0.02)


def test_samples_scatter_around_their_fine_center_with_unit_variance():
    data = make_hierarchy(HierarchyConfig(num_samples=6000, num_coarse=2, fine_per_coarse=2))
    for fine in range(4):
        assert np.cov(data.inputs[data.fine == fine].T) == pytest.approx(np.eye(16), abs=0.15)


def test_separations_scale_the_centers():
    def centers(**dials):
        data = make_hierarchy(HierarchyConfig(num_samples=4000, **dials))
        return np.stack([data.inputs[data.fine == fine].mean(axis=0) for fine in range(12)])

    near, far = centers(separation=2.0), centers(separation=6.0)
    within = [near[3 * c : 3 * c + 3] - near[3 * c] for c in range(4)]
    assert [far[3 * c : 3 * c + 3] - far[3 * c] for c in range(4)] == pytest.approx(3 * np.array(within), abs=0.5)


@pytest.mark.parametrize("ratio", [1.0, 4.0, 20.0])
def test_sizes_fall_geometrically_by_the_stated_ratio(ratio):
    sizes = np.sort(np.bincount(make_hierarchy(HierarchyConfig(num_samples=20_000, imbalance=ratio)).fine))[::-1]
    expected = ratio ** -(np.arange(12) / 11)
    assert sizes == pytest.approx(20_000 * expected / expected.sum(), abs=1)


def test_extreme_imbalance_leaves_no_fine_class_empty():
    sizes = np.bincount(make_hierarchy(HierarchyConfig(num_samples=30, imbalance=1e9)).fine, minlength=12)
    assert sizes.min() == 1


def test_non_nested_moves_the_stated_share_of_each_fine_class_to_one_other_parent():
    config = HierarchyConfig(num_samples=1200, non_nested=0.25)
    data = make_hierarchy(config)
    for fine, parent in enumerate(parents(config)):
        labels = data.coarse[data.fine == fine, 0]
        moved = labels[labels != parent]
        assert moved.size == 25
        assert np.unique(moved).size == 1


def test_coarse_noise_replaces_exactly_the_stated_share():
    config = HierarchyConfig(num_samples=2000, coarse_noise=0.3)
    data = make_hierarchy(config)
    flipped = data.coarse[:, 0] != parents(config)[data.fine]
    assert flipped.sum() == 600
    shift = (data.coarse[flipped, 0] - parents(config)[data.fine[flipped]]) % 4
    assert np.bincount(shift, minlength=4)[1:].min() > 150  # all other classes are about equally likely


def test_a_label_dial_changes_no_inputs_and_a_larger_share_keeps_the_smaller_ones_changes():
    clean, low, high = (make_hierarchy(HierarchyConfig(coarse_noise=s, non_nested=s)) for s in (0.0, 0.1, 0.2))
    assert np.array_equal(clean.inputs, low.inputs)
    assert np.array_equal(clean.fine, low.fine)
    for dial in ("coarse_noise", "non_nested"):
        few, many = (make_hierarchy(HierarchyConfig(**{dial: share})) for share in (0.1, 0.2))
        changed = few.coarse != clean.coarse
        assert np.array_equal(many.coarse[changed], few.coarse[changed])
    assert (high.coarse != clean.coarse).sum() > (low.coarse != clean.coarse).sum()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fine_per_coarse": (1, 2)}, r"fine_per_coarse needs one number per coarse class \(4\), it has 2"),
        ({"num_coarse": 1, "coarse_noise": 0.1}, "need at least two coarse classes"),
        ({"num_samples": 11}, r"num_samples must be >= the number of fine classes \(12\), got 11"),
    ],
)
def test_impossible_dials_are_errors(fields, message):
    with pytest.raises(ValidationError, match=message):
        HierarchyConfig(**fields)


def test_one_coarse_class_is_possible():
    data = make_hierarchy(HierarchyConfig(num_coarse=1, fine_per_coarse=3, num_samples=30))
    assert data.num_coarse == (1,)
    assert not data.coarse.any()
