"""How many fine classes each coarse class gets, against brute force over all divisions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans

from fgtune.config.schema.classes import RelationsConfig
from fgtune.errors import TrialError
from fgtune.training.clustering.sizes import grown_sizes, relations_sizes


def config(sizes):
    return RelationsConfig.from_plain({"sizes": sizes})


@pytest.fixture(scope="module")
def unequal():
    """Blobs: one in coarse class 0, four in 1, two in 2; coarse classes of equal numbers of samples."""
    rng = np.random.default_rng(0)
    blobs = [1, 4, 2]
    centers = [10 * rng.normal(size=(number, 5)) for number in blobs]
    features = np.concatenate([np.repeat(own, 60 // len(own), axis=0) for own in centers])
    coarse = np.repeat([0, 1, 2], 60)
    return (features + rng.normal(size=features.shape)).astype(np.float32), coarse[:, None]


def test_sizes_by_variance_find_the_numbers_of_blobs(unequal):
    (sizes,) = relations_sizes(config("variance"), *unequal, (3,), 7, seed=0)
    assert sizes.tolist() == [1, 4, 2]


def test_growing_is_as_good_as_the_best_division(unequal):
    features, coarse = unequal
    parts = [features[coarse[:, 0] == label] for label in range(3)]
    squares = [[KMeans(k, n_init=5, random_state=0).fit(part).inertia_ for k in range(1, 6)] for part in parts]
    divisions = [each for each in itertools.product(range(1, 6), repeat=3) if sum(each) == 7]
    best = min(divisions, key=lambda each: sum(squares[part][k - 1] for part, k in enumerate(each)))
    assert tuple(grown_sizes(parts, 7, 5, 0)) == best


def test_sizes_by_variance_leave_unlabelled_samples_out_and_give_an_absent_class_one(unequal):
    features, coarse = unequal
    labels = np.where(coarse == 0, -1, coarse)
    (sizes,) = relations_sizes(config("variance"), features, labels, (4,), 8, seed=0)
    assert sizes.tolist() == [1, 4, 2, 1]


def test_coarse_shares_follow_the_numbers_of_samples():
    coarse = np.repeat([0, 1, 2], [70, 20, 10])[:, None]
    (sizes,) = relations_sizes(config("coarse_shares"), None, coarse, (3,), 10, seed=0)
    assert sizes.tolist() == [7, 2, 1]


def test_every_source_has_sizes_of_its_own():
    coarse = np.array([[0, 0], [0, 1], [0, 2], [1, -1]])
    first, second = relations_sizes(config("coarse_shares"), None, coarse, (2, 3), 6, seed=0)
    assert first.tolist() == [5, 1] or first.tolist() == [4, 2]
    assert second.tolist() == [2, 2, 2]


def test_equal_sizes_are_left_to_the_balance_and_given_ones_are_taken():
    coarse = np.zeros((4, 1), dtype=np.int64)
    assert relations_sizes(config("balanced"), None, coarse, (2,), 5, seed=0) is None
    for exact in (relations_sizes(config("balanced"), None, coarse, (2,), 5, seed=s, exact=True) for s in range(9)):
        assert sorted(exact[0].tolist()) == [2, 3]
    (given,) = relations_sizes(config([2, 3]), None, coarse, (2,), 5, seed=0)
    assert given.tolist() == [2, 3]


@pytest.mark.parametrize(("sizes", "num_coarse"), [([2, 2], (2,)), ([1, 2, 2], (2,)), ([2, 3], (2, 2))])
def test_given_sizes_that_do_not_fit_are_refused(sizes, num_coarse):
    coarse = np.zeros((4, len(num_coarse)), dtype=np.int64)
    with pytest.raises(TrialError, match=r"relations.sizes needs one number per coarse class"):
        relations_sizes(config(sizes), None, coarse, num_coarse, 5, seed=0)


def test_more_fine_classes_than_samples_are_refused():
    features, coarse = np.zeros((3, 2), dtype=np.float32), np.array([[0], [0], [1]])
    with pytest.raises(TrialError, match="4 clusters need as many training samples"):
        relations_sizes(config("variance"), features, coarse, (2,), 4, seed=0)
