"""The classes of a discovery: who belongs where, what is typical, doubtful and telling, and what is found again."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.discovery.classes import Described, describe_classes
from fgtune.metrics.exemplars import assign

PARENTS = np.array([[0, 0, 1]])


def test_the_coarse_label_restricts_first_and_second_choice():
    scores = np.log(np.array([[0.2, 0.1, 0.7], [0.2, 0.1, 0.7], [0.2, 0.1, 0.7]], dtype=np.float32))
    found = assign(scores, PARENTS, np.array([[0], [1], [-1]]))
    assert found.fine.tolist() == [0, 2, 2]
    assert found.second.tolist() == [1, -1, 0]
    assert found.confidence == pytest.approx([2 / 3, 1.0, 0.7])
    assert found.margin == pytest.approx([np.log(2), np.inf, np.log(3.5)])


def test_a_single_class_has_no_second_choice():
    found = assign(np.zeros((2, 1), dtype=np.float32), np.array([[0]]), np.array([[0], [-1]]))
    assert found.second.tolist() == [-1, -1]
    assert found.confidence.tolist() == [1.0, 1.0]


@pytest.fixture
def planted():
    """Two coarse classes; the first holds groups of 30 and 20 at 0 and 10 on the first feature, the second is whole."""
    rng = np.random.default_rng(0)
    fine = np.repeat([1, 0, 2], [30, 20, 25])
    values = rng.normal(size=(75, 3))
    values[fine == 0, 0] += 10
    coarse = np.where(fine == 2, 1, 0)
    scores = -np.square(values[:, :1] - np.array([10.0, 0.0, 0.0])).astype(np.float32)
    found = assign(scores, PARENTS, coarse[:, None])
    runs = {3: fine, 4: np.where(fine == 2, 2, 0)}  # one run finds all, the other does not divide the first class
    about = Described(values, coarse, ("plants", "animals"), runs, values, ("height", "a", "b"))
    return describe_classes(found, about, PARENTS[0]), found, values, fine


def test_classes_are_named_by_coarse_class_and_size(planted):
    classes, _, _, fine = planted
    assert [(each.name, each.parent, each.size) for each in classes] == [
        ("plants 1", "plants", 30),
        ("plants 2", "plants", 20),
        ("animals", "animals", 25),
    ]
    assert [each.share for each in classes] == [0.6, 0.4, 1.0]
    assert [each.number for each in classes] == [1, 0, 2]
    assert all(fine[each.medoid] == each.number for each in classes)


def test_runs_that_do_not_divide_a_class_do_not_find_its_parts_again(planted):
    classes, *_ = planted
    assert [each.recovered for each in classes] == [(1.0, 0.6), (1.0, 0.4), (1.0, 1.0)]
    assert [each.found_again for each in classes] == [1, 1, 2]


def test_the_feature_that_tells_a_class_apart_is_named_with_its_effect(planted):
    classes, _, values, fine = planted
    first = classes[1].features[0]
    inside, outside = values[fine == 0, 0], values[fine == 1, 0]
    pooled = np.sqrt((inside.var() * 20 + outside.var() * 30) / 50)
    assert first.name == "height"
    assert (first.inside, first.outside) == pytest.approx((inside.mean(), outside.mean()))
    assert first.effect == pytest.approx((inside.mean() - outside.mean()) / pooled)
    assert classes[2].features == ()  # the whole of its coarse class


def test_the_medoid_and_the_doubtful_are_those_of_a_search_over_all_members(planted):
    classes, found, values, fine = planted
    members = np.flatnonzero(fine == 1)
    distances = np.linalg.norm(values[members][:, None] - values[members], axis=2).mean(axis=1)
    assert classes[0].medoid == members[distances.argmin()]
    assert sorted(classes[0].doubtful) == sorted(members[np.argsort(found.margin[members])[:5]])
    assert set(classes[0].confident) == set(members[np.argsort(-found.margin[members])[:5]])
    assert classes[2].doubtful == ()


def test_a_class_without_samples_is_left_out():
    found = assign(np.array([[0.0, -1.0, 0.0]] * 3, dtype=np.float32), PARENTS, np.zeros((3, 1), dtype=np.int64))
    about = Described(np.zeros((3, 1)), np.zeros(3, dtype=np.int64), ("one", "two"), {}, None, ())
    assert [(each.name, each.size) for each in describe_classes(found, about, PARENTS[0])] == [("one", 3)]
