from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.schema.data_images import Cifar100Config
from fgtune.data.diagnosis import duplicate_groups, leaks, nesting, purity, source_pairs
from fgtune.data.load import load_dataset
from fgtune.data.views import vectors


def test_two_sources_on_the_same_samples(make_dataset):
    dataset = make_dataset([[0, 0], [0, 0], [0, 1], [1, 1], [1, 1], [-1, 0], [1, -1]])
    (pair,) = source_pairs(dataset)
    assert (pair.first, pair.second, pair.by_fine_classes) == (0, 1, False)
    assert pair.cells.tolist() == [[2, 1], [0, 2]]
    assert pair.non_empty == 3
    assert pair.surprise(given_first=True) == pytest.approx(1 / 5)
    assert pair.surprise(given_first=False) == pytest.approx(1 / 5)


def test_three_sources_make_three_pairs(make_dataset):
    labels = np.arange(12) % 2
    pairs = list(source_pairs(make_dataset(np.stack([labels] * 3, axis=1))))
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    assert all(pair.surprise(given_first=True) == 0 for pair in pairs)


def test_sources_that_share_no_sample_are_compared_by_fine_classes(make_dataset):
    coarse = [[0, -1], [-1, 0], [0, -1], [-1, 1], [1, -1], [-1, 1]]
    fine = np.array([0, 0, 1, 1, 2, 2])
    (pair,) = source_pairs(make_dataset(coarse, fine=fine, num_fine=3))
    assert pair.by_fine_classes
    assert pair.cells.tolist() == [[1, 1], [0, 1]]
    assert list(source_pairs(make_dataset(coarse))) == []


def test_cifars_two_taxonomies_have_38_joint_cells_of_which_13_are_single_classes(cifar_root):
    dataset = load_dataset(Cifar100Config(path=str(cifar_root), taxonomy="both"))
    train = load_dataset(Cifar100Config(path=str(cifar_root)))
    (pair,) = source_pairs(dataset)
    assert not pair.by_fine_classes  # both label the test part
    assert pair.non_empty == 38
    assert (pair.cells == pair.cells[pair.cells > 0].min()).sum() == 13
    assert train.num_sources == 1


def test_nesting_counts_classes_and_samples(make_dataset):
    dataset = make_dataset([0, 0, 0, 1, 1, 1, -1, 0], fine=np.array([0, 0, 1, 1, 1, 2, 0, 2]), num_fine=3)
    share_of_classes, share_of_samples = nesting(dataset, 0)
    assert share_of_classes == pytest.approx(1 / 3)
    assert share_of_samples == pytest.approx(5 / 7)
    assert nesting(make_dataset([0, 1] * 5), 0) is None


def test_purity_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    fine, coarse = rng.integers(0, 4, 50), rng.integers(-1, 3, 50)
    neighbors = rng.integers(-1, 50, (50, 6))
    shares = purity(fine, coarse, neighbors, 4)
    for label in range(3):
        same = [fine[n] == fine[i] for i in range(50) if coarse[i] == label for n in neighbors[i] if n >= 0]
        assert shares[label] == pytest.approx(np.mean(same))
    assert np.isnan(shares[3])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_duplicates_are_samples_of_equal_inputs(values):
    inputs = np.array(values, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    group = duplicate_groups(inputs)
    assert ((group[:, None] == group[None]) == (np.array(values)[:, None] == np.array(values)[None])).all()
    assert sorted(set(group.tolist())) == list(range(len(set(values))))


def test_vectors_leave_numbers_and_small_images_as_they_are():
    rng = np.random.default_rng(0)
    numbers = rng.random((6, 2, 3)).astype(np.float32)
    rows = np.array([4, 0])
    assert np.array_equal(vectors(numbers, rows), numbers[rows].reshape(2, -1))
    images = rng.integers(0, 256, (6, 3, 8, 32), dtype=np.uint8)
    assert vectors(images, rows) == pytest.approx(images[rows].reshape(2, -1) / 255)
    assert vectors(images, rows[:0]).size == 0


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 32), (50, 224)])
def test_larger_images_are_averaged_to_32_by_32(height, width):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, height, width), dtype=np.uint8)
    found = vectors(images, np.arange(3)).reshape(3, 3, 32, 32)
    edges = [np.arange(33) * size // 32 for size in (height, width)]
    for row, column in ((0, 0), (31, 31), (7, 20)):
        (top, bottom), (left, right) = edges[0][row : row + 2], edges[1][column : column + 2]
        field = images[:, :, top:bottom, left:right].astype(float) / 255
        assert found[:, :, row, column] == pytest.approx(field.mean(axis=(2, 3)), abs=1e-5)


# --- leaks -------------------------------------------------------------------------------------------------------

ROWS = 600


def noise(seed, columns=6):
    return np.random.default_rng(seed).normal(size=(ROWS, columns)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_a_feature_that_tells_the_label_is_found(classes):
    labels = np.arange(ROWS) * classes // ROWS
    values = noise(0)
    values[:, 2] = np.arange(ROWS)
    values[:, 4] = labels[::-1] * 1000.0
    found = leaks(values, labels, np.random.default_rng(1))
    assert sorted(leak.column for leak in found) == [2, 4]
    assert all(leak.skill >= 0.9 and leak.others <= 0.2 for leak in found)


def test_noise_and_features_that_are_all_good_are_no_leaks():
    labels = np.arange(ROWS) % 3
    for seed in range(20):
        assert not leaks(noise(seed), labels, np.random.default_rng(seed))
    assert not leaks(noise(0) + 100 * labels[:, None], labels, np.random.default_rng(0))


def test_samples_without_a_label_and_single_classes_or_features_are_no_ground_for_a_leak():
    labels = np.where(np.arange(ROWS) < ROWS - 8, -1, np.arange(ROWS) % 2)
    assert not leaks(noise(0), labels, np.random.default_rng(0))
    assert not leaks(noise(0), np.zeros(ROWS, np.int64), np.random.default_rng(0))
    assert not leaks(np.arange(ROWS, dtype=np.float32)[:, None], np.arange(ROWS) % 2, np.random.default_rng(0))
