from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.schema.data import DigitsConfig, SplitConfig
from fgtune.data.base import Dataset
from fgtune.data.sets.scikit_learn import load_digits
from fgtune.data.splits import held_out, split_dataset, stratum_counts
from fgtune.errors import DataError

FRACTIONS = [(0.7, 0.1, 0.2), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33), (0.05, 0.45, 0.5), (0.8, 0.1, 0.1)]


def config_of(fractions):
    return SplitConfig(train=fractions[0], val=fractions[1], test=fractions[2])


def dataset_of(coarse, **fields):
    coarse = np.asarray(coarse, dtype=np.int64)
    shape = tuple(int(labels.max()) + 1 for labels in coarse.T)
    return Dataset("sample", np.zeros((len(coarse), 1), np.float32), coarse, shape, **fields)


@st.composite
def coarse_labels(draw):
    """Coarse labels of one to three sources, some missing, with strata of very different sizes."""
    sources = draw(st.integers(1, 3))
    strata = draw(st.lists(st.tuples(*[st.integers(-1, 3)] * sources), min_size=1, max_size=8, unique=True))
    sizes = draw(st.lists(st.integers(1, 40), min_size=len(strata), max_size=len(strata)))
    labels = np.repeat(np.array(strata), sizes, axis=0)
    return np.vstack([labels, np.zeros((30, sources), dtype=np.int64)])


@settings(deadline=None, max_examples=150)
@given(coarse_labels(), st.sampled_from(FRACTIONS), st.integers(0, 10**6))
def test_a_split_is_a_partition_within_one_sample_of_its_fractions_in_every_stratum(coarse, fractions, seed):
    splits = split_dataset(dataset_of(coarse), config_of(fractions), seed)
    parts = (splits.train, splits.val, splits.test)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(coarse)))
    for stratum in np.unique(coarse, axis=0):
        members = (coarse == stratum).all(axis=1)
        counts = [int(members[part].sum()) for part in parts]
        quotas = [round(members.sum() * fraction, 9) for fraction in fractions]
        assert all(abs(count - quota) < 1 for count, quota in zip(counts, quotas, strict=True))
        if members.sum() >= 3:  # as many parts are empty as rounding makes unavoidable
            floors = [math.floor(quota) for quota in quotas]
            spare = int(members.sum()) - sum(floors)
            assert counts.count(0) == max(0, floors.count(0) - spare)
    for source in range(coarse.shape[1]):  # every coarse class can be learned
        known = set(coarse[:, source].tolist()) - {-1}
        assert known <= set(coarse[splits.train, source].tolist())


@settings(deadline=None, max_examples=50)
@given(coarse_labels(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_split_repeats_and_is_blind_to_fine_labels_and_global_state(coarse, seed, scramble):
    fine = np.random.default_rng(scramble).integers(0, 9, len(coarse))
    np.random.seed(scramble)  # noqa: NPY002 (the global state must not matter)
    first = split_dataset(dataset_of(coarse), SplitConfig(), seed)
    second = split_dataset(dataset_of(coarse, fine=fine, num_fine=9), SplitConfig(), seed)
    for name in ("train", "val", "test"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_seeds_give_different_splits_of_the_same_sizes():
    data = load_digits(DigitsConfig())
    splits = [split_dataset(data, SplitConfig(), seed) for seed in range(5)]
    assert {(len(s.train), len(s.val), len(s.test)) for s in splits} == {(1258, 180, 359)}
    assert len({s.test.tobytes() for s in splits}) == 5


def test_each_sample_is_tested_about_as_often_as_any_other():
    data = dataset_of(np.repeat([[0], [1]], 50, axis=0))
    tested = np.zeros(100)
    for seed in range(400):
        tested[split_dataset(data, SplitConfig(), seed).test] += 1
    assert tested.mean() == 80
    assert np.abs(tested - 80).max() < 5 * np.sqrt(400 * 0.2 * 0.8)


def test_indices_are_sorted_and_read_only():
    splits = split_dataset(dataset_of(np.zeros((50, 1))), SplitConfig(), 3)
    for rows in (splits.train, splits.val, splits.test):
        assert (np.diff(rows) > 0).all()
        with pytest.raises(ValueError, match="read-only"):
            rows[0] = 0


def test_many_tiny_strata_still_give_every_part_its_share():
    strata = np.array([*itertools.product(range(12), range(12))])
    counts = stratum_counts(strata, np.ones(144, dtype=np.int64), np.array([0.7, 0.1, 0.2]))
    assert counts.sum(axis=0) == pytest.approx([100.8, 14.4, 28.8], abs=2)


@pytest.mark.parametrize("size", [1, 2])
def test_a_class_of_one_or_two_samples_is_trained_on(size):
    coarse = np.array([0] * 40 + [1] * size)[:, None]
    for seed in range(5):
        assert (coarse[split_dataset(dataset_of(coarse), SplitConfig(), seed).train] == 1).any()


def test_three_samples_leave_training_two_and_one_of_the_others_one():
    counts = stratum_counts(np.arange(4)[:, None], np.full(4, 3), np.array([0.7, 0.1, 0.2]))
    assert counts[:, 0].tolist() == [2, 2, 2, 2]
    assert counts[:, 1:].sum(axis=0).tolist() == [1, 3]


def test_a_split_that_the_data_brings_wins_over_seed_and_fractions():
    given_split = np.arange(30) % 3
    data = dataset_of(np.arange(30)[:, None] % 2, given_split=given_split)
    for seed, fractions in itertools.product((0, 1), FRACTIONS[:2]):
        splits = split_dataset(data, config_of(fractions), seed)
        assert [(given_split[rows] == part).all() for part, rows in enumerate((splits.train, splits.val, splits.test))]
        assert len(splits.train) == len(splits.val) == len(splits.test) == 10


def test_a_split_without_validation_samples_raises():
    data = dataset_of(np.zeros((10, 1)))
    with pytest.raises(
        DataError,
        match=re.escape(
            "sample: trial.data.split.val: leaves no sample for val (10 samples in all), got 0.04. Fix: Raise"
        ),
    ):
        split_dataset(data, SplitConfig(train=0.9, val=0.04, test=0.06), 0)


@pytest.mark.parametrize("given", [None, np.repeat([0, 1, 2], 10)])
def test_a_transductive_study_has_all_samples_in_every_part(given):
    dataset = dataset_of(np.arange(30)[:, None] % 2, given_split=given)
    splits = split_dataset(dataset, SplitConfig(transductive=True), seed=3)
    for part in (splits.train, splits.val, splits.test):
        assert part.tolist() == list(range(30))
        assert not part.flags.writeable


@settings(deadline=None, max_examples=60)
@given(coarse_labels(), st.floats(0.05, 0.6), st.integers(0, 10**6))
def test_what_is_held_out_of_an_official_part_is_stratified(coarse, fraction, seed):
    held = held_out(coarse, fraction, seed)
    assert set(held.tolist()) <= {0, 1}
    assert np.array_equal(held, held_out(coarse, fraction, seed))
    for stratum in np.unique(coarse, axis=0):
        members = (coarse == stratum).all(axis=1)
        assert abs(held[members].sum() - fraction * members.sum()) < 1 + 1e-9
