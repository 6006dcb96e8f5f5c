"""Agreement inside coarse classes, against scikit-learn and pair by pair; nothing is won by collapsing."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from fgtune.metrics.agreement import agreement_table, class_share, group_agreement, pair_agreement


@pytest.mark.parametrize("seed", range(4))
def test_it_is_scikit_learns_adjusted_rand_index_inside_each_group(seed):
    rng = np.random.default_rng(seed)
    groups, one = rng.integers(-1, 4, 200), rng.integers(0, 5, 200)
    two = np.where(rng.random(200) < 0.6, (one + 2) % 5, rng.integers(0, 9, 200))
    values, sizes = group_agreement(one, two, groups, 4)
    for group in range(4):
        own = groups == group
        assert sizes[group] == own.sum()
        assert values[group] == pytest.approx(adjusted_rand_score(one[own], two[own]))
    assert pair_agreement(one, two, groups, 4) == pytest.approx(np.average(values, weights=sizes))


def test_it_is_the_index_of_pairs_counted_one_by_one():
    one, two = [0, 0, 0, 1, 1, 2, 2], [4, 4, 5, 5, 5, 6, 4]
    pairs = list(itertools.combinations(range(7), 2))
    same = [[labels[i] == labels[j] for i, j in pairs] for labels in (one, two)]
    both, left, right = sum(map(all, zip(*same, strict=True))), sum(same[0]), sum(same[1])
    expected = left * right / len(pairs)
    by_hand = (both - expected) / ((left + right) / 2 - expected)
    assert pair_agreement(one, two, [0] * 7, 1) == pytest.approx(by_hand)


CONSTANT, SINGLE, DIVIDED = [3] * 6, list(range(6)), [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("one", "two"), [(CONSTANT, CONSTANT), (SINGLE, SINGLE), (CONSTANT, DIVIDED)])
def test_a_group_that_is_not_divided_earns_nothing(one, two):
    assert adjusted_rand_score(CONSTANT, CONSTANT) == 1.0
    assert pair_agreement(one, two, [0] * 6, 1) == 0.0


def test_random_labellings_agree_as_chance_does():
    rng = np.random.default_rng(0)
    groups = np.arange(300) % 3
    found = [pair_agreement(rng.integers(0, 4, 300), rng.integers(0, 4, 300), groups, 3) for _ in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(200)


def test_groups_of_a_single_sample_and_samples_without_a_label_are_left_out():
    assert pair_agreement([0, 0, 1, 1, 2, 0], [1, 1, 0, 0, 3, 4], [0, 0, 0, 0, 1, -1], 2) == 1.0
    assert math.isnan(pair_agreement([0, 1], [0, 1], [0, -1], 1))
    with pytest.raises(ValueError, match="must be"):
        pair_agreement([0, 1], [0, 1], [0, 2], 2)


def test_several_groupings_are_averaged_over_all_their_groups():
    rng = np.random.default_rng(1)
    one, two = rng.integers(0, 4, 120), rng.integers(0, 4, 120)
    sources = np.stack([rng.integers(0, 3, 120), rng.integers(-1, 5, 120)], axis=1)
    parts = [group_agreement(one, two, own, number) for own, number in zip(sources.T, (3, 5), strict=True)]
    values, sizes = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    assert pair_agreement(one, two, sources, [3, 5]) == pytest.approx(np.average(values, weights=sizes))
    with pytest.raises(ValueError, match="argument"):
        pair_agreement(one, two, sources, [3])


def test_many_classes_in_many_groups_take_no_table_of_all_their_pairs():
    rng = np.random.default_rng(2)
    groups, one, two = (rng.integers(0, most, 5000) for most in (100, 1000, 1000))
    tracemalloc.start()
    values, sizes = group_agreement(one, two, groups, 100)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10e6
    assert sizes.sum() == 5000
    assert values[7] == pytest.approx(adjusted_rand_score(one[groups == 7], two[groups == 7]))


@pytest.mark.parametrize("classes", [3, 60])  # counted in a table; sorted
@pytest.mark.parametrize("left_out", ["none", "the same samples", "others in each"])
@pytest.mark.parametrize("sources", [1, 2])
def test_a_table_of_labellings_has_the_agreement_of_every_two_of_them(classes, left_out, sources):
    rng = np.random.default_rng([classes, sources, len(left_out)])
    labels, groups = rng.integers(0, classes, (5, 70)), rng.integers(-1, 4, (70, sources))
    if left_out != "none":
        labels[:, rng.random(70) < 0.2] = -1
    if left_out == "others in each":
        labels[rng.random(labels.shape) < 0.1] = -1
    table = agreement_table(labels, groups, [4] * sources)
    assert np.isnan(np.diag(table)).all()
    for one, two in itertools.permutations(range(5), 2):
        both = (labels[one] >= 0) & (labels[two] >= 0)
        expected = pair_agreement(labels[one][both], labels[two][both], groups[both], [4] * sources)
        assert table[one, two] == pytest.approx(expected, abs=1e-12)


def test_a_table_of_more_labellings_than_are_counted_at_once_is_the_same(monkeypatch):
    labels = np.random.default_rng(3).integers(0, 4, (9, 50))
    whole = agreement_table(labels, np.arange(50) % 3, 3)
    monkeypatch.setattr("fgtune.metrics.agreement._MOST_AT_ONCE", 120)
    assert np.array_equal(agreement_table(labels, np.arange(50) % 3, 3), whole, equal_nan=True)


def test_a_table_without_labellings_samples_or_groups_of_two_is_empty():
    assert agreement_table(np.zeros((0, 3), dtype=int), [0, 0, 0], 1).shape == (0, 0)
    for labels, groups in ((np.zeros((2, 0), dtype=int), []), ([[0, 1], [0, 1]], [0, 1]), ([[-1], [-1]], [0])):
        assert np.isnan(agreement_table(labels, groups, 2)).all()
    with pytest.raises(ValueError, match="must be"):
        agreement_table([[0, 1], [0, 1]], [0, 2], 2)


def test_the_share_of_classes_in_use_by_hand():
    assert class_share([2] * 9, 4) == 0.25
    assert class_share([0, 1, 2, 3], 4) == pytest.approx(1.0)
    shares = np.array([0.5, 0.25, 0.25])
    assert class_share([0, 0, 1, 3], 5) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()) / 5)
    assert math.isnan(class_share([], 5))
