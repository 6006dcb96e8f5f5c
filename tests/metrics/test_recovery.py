"""Whether classes are found again, against sets compared one by one, and on runs with planted classes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgtune.metrics.recovery import RECOVERED, best_jaccard


def by_sets(one: np.ndarray, two: np.ndarray, number: int) -> list[float]:
    rows = [row for row in range(len(one)) if one[row] >= 0 and two[row] >= 0]
    best = []
    for label in range(number):
        own = {row for row in rows if one[row] == label}
        others = [{row for row in rows if two[row] == other} for other in set(two[rows].tolist())]
        best.append(max(len(own & other) / len(own | other) for other in others) if own else math.nan)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_similarity_of_sets_compared_one_by_one(seed):
    rng = np.random.default_rng(seed)
    one = rng.integers(-1, 4, 60)
    two = np.where(rng.random(60) < 0.7, one, rng.integers(-1, 7, 60))
    assert best_jaccard(one, two, 5) == pytest.approx(by_sets(one, two, 5), nan_ok=True)


def test_the_numbers_of_classes_do_not_matter():
    one = np.repeat([0, 1, 2], 5)
    assert best_jaccard(one, 7 - one, 3).tolist() == [1.0, 1.0, 1.0]


def test_a_planted_class_is_found_again_and_an_arbitrary_cut_is_not():
    """Two runs keep class 0 whole and cut the rest where they like: Hennig's two cases."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(200):
        runs = []
        for _ in range(2):
            rest = (rng.random(200) < 0.5).astype(int) + 1
            runs.append(np.concatenate([np.where(rng.random(100) < 0.95, 0, 1), rest]))
        found.append(best_jaccard(runs[0], runs[1], 3))
    values = np.array(found)
    assert (values[:, 0] >= RECOVERED).mean() > 0.95
    assert (values[:, 1:] >= RECOVERED).mean() < 0.01


def test_a_cut_through_one_long_cloud_is_found_again_too():
    """What similarity does not promise: runs that share most samples cut a cloud without classes in one place."""
    rng = np.random.default_rng(1)
    again = []
    for _ in range(50):
        points = rng.normal(size=300)
        cuts = [points > points[rng.permutation(300)[:240]].mean() for _ in range(2)]
        again.append((best_jaccard(cuts[0].astype(int), cuts[1].astype(int), 2) >= RECOVERED).mean())
    assert np.mean(again) > 0.95


@pytest.mark.parametrize(("one", "two"), [([0, 2], [0, 0]), ([0], [0, 1]), ([0, 1], [-2, 0])])
def test_what_is_no_labelling_is_refused(one, two):
    with pytest.raises(ValueError, match=r"one|two"):
        best_jaccard(one, two, 2)
