from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.arms.records import DataShape
from fgtune.config.schema.data import SplitConfig
from fgtune.data.base import Dataset
from fgtune.data.splits import split_dataset
from fgtune.data.views import describe, evaluation_view, training_view, true_relations


def arrays_in(view):
    """All arrays that can be reached from a frozen record."""
    for field in dataclasses.fields(view):
        value = getattr(view, field.name)
        if dataclasses.is_dataclass(value):
            yield from arrays_in(value)
        elif isinstance(value, np.ndarray):
            yield value


def test_describe_names_class_numbers_and_fingerprint(make_dataset):
    data = make_dataset([[0, 1], [1, 0], [1, 2]] * 4, fine=np.arange(12) % 5, num_fine=5)
    assert describe(data) == DataShape((2, 3), 5, data.fingerprint, num_samples=12)


def test_the_training_view_holds_neither_fine_labels_nor_test_labels(make_dataset):
    fine = np.random.default_rng(0).permutation(np.arange(60) % 7)
    data = make_dataset(np.arange(60) % 3, fine=fine, num_fine=7)
    splits = split_dataset(data, SplitConfig(), 0)
    view = training_view(data, splits, None)
    assert np.array_equal(view.train_coarse, data.coarse[splits.train])
    assert np.array_equal(view.val_coarse, data.coarse[splits.val])
    held = [*arrays_in(view)]
    assert not any(np.shares_memory(array, fine) or np.shares_memory(array, data.coarse) for array in held)
    assert {len(array) for array in held if array is not view.inputs} == {len(splits.train), len(splits.val)}


def test_scrambled_fine_labels_give_the_same_training_view(make_dataset):
    rng = np.random.default_rng(0)
    views = []
    for _ in range(2):
        data = make_dataset(np.arange(60) % 3, fine=rng.integers(0, 7, 60), num_fine=7)
        views.append(training_view(data, split_dataset(data, SplitConfig(), 4), None))
    for first, second in zip(arrays_in(views[0]), arrays_in(views[1]), strict=True):
        assert np.array_equal(first, second)


def test_the_evaluation_view_holds_everything(make_dataset):
    data = make_dataset([0, 0, 1] * 4, fine=np.array([0, 1, 2] * 4), num_fine=3)
    view = evaluation_view(data, split_dataset(data, SplitConfig(), 0))
    assert view.fine is data.fine
    assert view.coarse is data.coarse
    assert view.true_fine_to_coarse.tolist() == [[0, 0, 1]]


def test_continuous_fine_targets_reach_the_evaluation_view_alone(make_dataset):
    values = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
    data = dataclasses.replace(make_dataset([0, 0, 1] * 4), fine_values=values)
    splits = split_dataset(data, SplitConfig(), 0)
    assert evaluation_view(data, splits).fine_values is data.fine_values
    assert not any(np.shares_memory(array, values) for array in arrays_in(training_view(data, splits, None)))


def test_without_fine_labels_there_are_no_true_relations(make_dataset):
    assert true_relations(make_dataset([0, 1] * 6)) is None


def test_a_fine_class_that_a_source_never_labels_has_no_parent_there(make_dataset):
    coarse = np.array([[0, 1], [1, 0], [1, -1]] * 4)
    relations = true_relations(make_dataset(coarse, fine=np.array([0, 1, 2] * 4), num_fine=3))
    assert relations.tolist() == [[0, 1, 1], [1, 0, -1]]


def test_equal_votes_go_to_the_lowest_coarse_class(make_dataset):
    relations = true_relations(make_dataset([2, 1, 0, 1, 2, 0] * 2, fine=np.array([0, 0, 1, 1, 1, 1] * 2), num_fine=2))
    assert relations.tolist() == [[1, 0]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 6))
def test_true_relations_are_the_majority_vote(seed, sources, num_fine):
    rng = np.random.default_rng(seed)
    coarse, fine = rng.integers(-1, 4, (40, sources)), rng.integers(0, num_fine, 40)
    data = Dataset("sample", np.zeros((40, 1), np.float32), coarse, (4,) * sources, fine, num_fine)
    relations = true_relations(data)
    for source in range(sources):
        for label in range(num_fine):
            votes = [int(v) for v in coarse[fine == label, source] if v >= 0]
            expected = min(set(votes), key=lambda v: (-votes.count(v), v)) if votes else -1
            assert relations[source, label] == expected
    with pytest.raises(ValueError, match="read-only"):
        relations[0, 0] = 0
