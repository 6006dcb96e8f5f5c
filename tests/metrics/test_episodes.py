"""Few-shot episodes against an episode at a time in plain loops, closed forms, and the fairness of the draws."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t
from sklearn.neighbors import NearestCentroid

from fgtune.errors import TrialError
from fgtune.metrics import episodes as module
from fgtune.metrics.episodes import _subsets, episodes, mean_interval


def rng(seed=0):
    return np.random.default_rng(seed)


def test_well_separated_classes_are_always_right_and_noise_is_at_chance():
    labels = np.repeat(np.arange(8), 30)
    far = 100.0 * np.eye(8)[labels] + rng().standard_normal((240, 8))
    assert (episodes(far, labels, 5, 1, 15, 50, rng()) == 1.0).all()
    noise = rng(1).standard_normal((240, 8))
    mean, low, high = mean_interval(episodes(noise, labels, 5, 1, 15, 2000, rng()))
    assert mean == pytest.approx(0.2, abs=0.015)
    assert low < mean < high


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:sklearn")  # its spread of one sample a class
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 4), st.integers(1, 5))
def test_each_episode_equals_scikit_learns_nearest_centroid_on_the_samples_drawn(seed, ways, shots, queries):
    """Features are made so that they tell which sample is which; the draws are caught on their way."""
    made = rng(seed)
    labels = made.permutation(np.repeat(np.arange(5), 10))
    features = made.standard_normal((50, 3)) + labels[:, None] * 0.7
    caught = []
    original = module._accuracies
    module._accuracies = lambda samples, n: caught.append(samples) or original(samples, n)
    try:
        found = episodes(features, labels, ways, shots, queries, 6, rng(seed))
    finally:
        module._accuracies = original
    (samples,) = caught
    samples = samples + features.mean(axis=0)
    row_of = {tuple(np.round(row, 6)): number for number, row in enumerate(features)}
    for episode, accuracy in zip(samples, found, strict=True):
        rows = np.array([[row_of[tuple(np.round(sample, 6))] for sample in way] for way in episode])
        assert len(np.unique(rows)) == rows.size  # nobody is drawn twice, no query is in the support
        assert (labels[rows] == labels[rows][:, :1]).all()
        assert len(set(labels[rows[:, 0]])) == ways
        support, query = rows[:, :shots].ravel(), rows[:, shots:].ravel()
        model = NearestCentroid().fit(features[support], labels[support])
        assert accuracy == pytest.approx((model.predict(features[query]) == labels[query]).mean())


def test_subsets_are_uniform_in_content_and_in_order():
    drawn = _subsets(np.full(60_000, 4), 2, rng())
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) == set(itertools.permutations(range(4), 2))
    assert all(abs(count - 5000) < 5 * math.sqrt(5000) for count in counts.values())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_subsets_are_distinct_and_in_range_for_each_size(seed, count, surplus):
    sizes = np.array(surplus) + count
    drawn = _subsets(sizes, count, rng(seed))
    assert drawn.shape == (len(sizes), count)
    for row, size in zip(drawn, sizes, strict=True):
        assert len(set(row)) == count
        assert 0 <= row.min() <= row.max() < size


def test_only_classes_with_enough_samples_take_part_and_unknown_ones_never():
    labels = np.array([0] * 3 + [1] * 3 + [2] * 2 + [-1] * 9)
    features = np.array([[0.0]] * 3 + [[9.0]] * 3 + [[0.1]] * 2 + [[9.1]] * 9)
    assert (episodes(features, labels, 2, 1, 2, 40, rng()) == 1.0).all()
    assert len(episodes(features, labels, 3, 1, 2, 40, rng())) == 0
    assert len(episodes(features[:0], labels[:0], 2, 1, 1, 5, rng())) == 0


def test_one_dimensional_episode_by_hand():
    labels, features = np.array([0, 0, 1, 1]), np.array([[0.0], [5.0], [6.0], [7.0]])
    # By supports; the other two are queries. With 5 and 7, query 6 is a tie, which the order of the draw decides.
    outcomes = {(0.0, 6.0): 0.5, (0.0, 7.0): 0.5, (5.0, 6.0): 1.0, (5.0, 7.0): 0.75}
    found = episodes(features, labels, 2, 1, 1, 4000, rng())
    assert set(found) == {0.5, 1.0}
    assert found.mean() == pytest.approx(np.mean([*outcomes.values()]), abs=0.02)


def test_an_offset_common_to_all_features_changes_nothing():
    labels = np.repeat(np.arange(4), 10)
    features = np.round(2.0**16 * rng().standard_normal((40, 4))) / 2.0**16
    near, far = (episodes(features + offset, labels, 3, 2, 5, 50, rng()) for offset in (0.0, 2.0**20))
    np.testing.assert_array_equal(near, far)


def test_the_same_generator_repeats_and_blocks_do_not_change_the_range(monkeypatch):
    labels = np.repeat(np.arange(6), 20)
    features = rng().standard_normal((120, 4)) + np.eye(6)[labels][:, :4]
    first = episodes(features, labels, 5, 5, 15, 300, rng(7))
    np.testing.assert_array_equal(first, episodes(features, labels, 5, 5, 15, 300, rng(7)))
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 1)
    cut = episodes(features, labels, 5, 5, 15, 300, rng(7))
    assert cut.shape == (300,)
    assert cut.mean() == pytest.approx(first.mean(), abs=0.05)


def test_ten_thousand_episodes_take_seconds():
    labels = np.repeat(np.arange(20), 100)
    features = rng().standard_normal((2000, 64)).astype(np.float32)
    started = time.process_time()
    episodes(features, labels, 5, 5, 15, 10_000, rng())
    assert time.process_time() - started < 30


def test_interval_is_student_t():
    values = np.array([0.2, 0.4, 0.6, 0.5])
    half = t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert mean_interval(values) == pytest.approx((0.425, 0.425 - half, 0.425 + half))
    assert mean_interval([1.0, 1.0, 1.0]) == (1.0, 1.0, 1.0)
    assert mean_interval([0.0, 1.0]) == (0.5, 0.0, 1.0)  # cut to the range


def test_interval_of_too_few_episodes_is_undefined():
    assert all(map(math.isnan, mean_interval([])))
    mean, low, high = mean_interval([0.25])
    assert mean == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1, 1, 1, 1), "ways must be >= 2, got 1"),
        ((2, 0, 1, 1), "shots must be >= 1, got 0"),
        ((2, 1, 0, 1), "queries must be >= 1, got 0"),
        ((2, 1, 1, 0), "num_episodes must be >= 1, got 0"),
    ],
)
def test_bad_numbers_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        episodes(np.ones((4, 1)), [0, 0, 1, 1], *numbers, rng())


def test_bad_arrays_are_refused():
    with pytest.raises(TrialError, match="features must be finite, 1 of 2 rows hold NaN or infinity"):
        episodes([[math.nan], [1.0]], [0, 1], 2, 1, 1, 1, rng())
    with pytest.raises(ValueError, match="features and labels must have the same length, got 2 and 1"):
        episodes([[0.0], [1.0]], [0], 2, 1, 1, 1, rng())
    with pytest.raises(ValueError, match=r"labels must be integers, got dtype float64"):
        episodes([[0.0], [1.0]], [0.0, 1.0], 2, 1, 1, 1, rng())
