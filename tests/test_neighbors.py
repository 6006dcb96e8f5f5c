from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from fgtune.config.schema.data import DigitsConfig
from fgtune.data.load import load_dataset
from fgtune.errors import TrialError
from fgtune.neighbors import coarse_groups, find_neighbors


def similarities(features):
    """Cosine similarities in float64, 0 for zero vectors, a sample's own left out."""
    norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    unit = features / np.where(norms > 0, norms, 1.0)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity


def check_exact(features, groups, k, neighbors, tolerance=1e-6):
    """Every row holds the k best of the group by brute force, best first, up to ties within rounding."""
    similarity = similarities(features.reshape(len(features), -1))
    assert neighbors.shape == (len(features), k)
    assert neighbors.dtype == np.int64
    for row, found in enumerate(neighbors):
        others = np.flatnonzero(groups == groups[row])
        others = others[others != row]
        count = min(k, len(others))
        assert (found[count:] == -1).all()
        assert row not in found
        assert len(set(found[:count])) == count
        assert set(found[:count]) <= set(others)
        best = np.sort(similarity[row, others])[::-1][:count]
        assert similarity[row, found[:count]] == pytest.approx(best, abs=tolerance)


@st.composite
def searches(draw):
    """Features with duplicates and zero vectors, groups down to one sample, k from 1 to beyond a group."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    count, dim = draw(st.integers(1, 60)), draw(st.integers(1, 6))
    features = rng.standard_normal((count, dim)).astype(np.float32)
    if draw(st.booleans()):  # few distinct vectors, so that most have duplicates
        features = features[rng.integers(0, max(1, count // 8), count)]
    if draw(st.booleans()):
        features[rng.random(count) < 0.3] = 0.0
    groups = rng.integers(0, draw(st.integers(1, 8)), count)
    return features, groups, draw(st.integers(1, 25))


@settings(deadline=None, max_examples=150)
@given(searches())
def test_neighbors_are_the_nearest_others_of_the_group(search):
    features, groups, k = search
    check_exact(features, groups, k, find_neighbors(features, groups, k, threads=1))


def test_neighbors_agree_with_scikit_learn():
    features = np.random.default_rng(0).standard_normal((300, 20)).astype(np.float32)
    found = find_neighbors(features, None, 10, threads=2)
    exact = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(features.astype(np.float64))
    assert np.array_equal(found, exact.kneighbors(return_distance=False))


def test_duplicates_do_not_let_a_sample_be_its_own_neighbor_and_ties_go_to_the_lower_index():
    features = np.ones((6, 3), dtype=np.float32)
    found = find_neighbors(features, None, 3, threads=1)
    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_more_duplicates_than_candidates_still_leave_the_sample_out():
    found = find_neighbors(np.ones((200, 4), dtype=np.float32), None, 5, threads=2)
    assert (found != np.arange(200)[:, None]).all()
    assert (found >= 0).all()


def test_small_groups_are_padded_at_the_end():
    features = np.eye(4, dtype=np.float32)
    found = find_neighbors(features, np.array([0, 7, 0, 3]), 2, threads=1)
    assert found.tolist() == [[2, -1], [-1, -1], [0, -1], [-1, -1]]


def test_the_result_depends_neither_on_threads_nor_on_repetition():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.standard_normal((700, 32)).astype(np.float32), 3, axis=0)
    groups = rng.integers(0, 3, len(features))
    first = find_neighbors(features, groups, 20, threads=1)
    assert np.array_equal(first, find_neighbors(features, groups, 20, threads=1))
    assert np.array_equal(first, find_neighbors(features, groups, 20, threads=2))


def test_scale_of_a_vector_does_not_matter():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((50, 8)).astype(np.float32)
    scaled = features * (10.0 ** rng.integers(-30, 30, (50, 1))).astype(np.float32)
    assert np.array_equal(find_neighbors(scaled, None, 5, 1), find_neighbors(features, None, 5, 1))


def test_trailing_dimensions_are_flattened_and_the_features_stay_as_they_are():
    images = np.random.default_rng(0).random((40, 3, 4, 4), dtype=np.float32)
    images.setflags(write=False)
    before = images.copy()
    found = find_neighbors(images, None, 4, threads=1)
    assert np.array_equal(found, find_neighbors(images.reshape(40, 48), None, 4, threads=1))
    assert np.array_equal(images, before)


def test_the_number_of_threads_is_given_back():
    import faiss

    before = faiss.omp_get_max_threads()
    find_neighbors(np.eye(5, dtype=np.float32), None, 2, threads=before + 1)
    assert faiss.omp_get_max_threads() == before


def test_no_samples_have_no_neighbors():
    assert find_neighbors(np.zeros((0, 3), np.float32), None, 4, threads=1).shape == (0, 4)


def test_features_that_are_not_finite_raise():
    features = np.ones((5, 2), np.float32)
    features[3] = np.nan
    with pytest.raises(TrialError, match="the neighbour search met 2 features that are not finite"):
        find_neighbors(features, None, 2, threads=1)


@pytest.mark.parametrize(("k", "threads"), [(0, 1), (1, 0)])
def test_meaningless_arguments_raise(k, threads):
    with pytest.raises(ValueError, match=f"k and threads must be >= 1, got {k} and {threads}"):
        find_neighbors(np.ones((5, 2), np.float32), None, k, threads)


def test_groups_of_the_wrong_length_raise():
    with pytest.raises(ValueError, match=r"groups must be \(5,\), got \(4,\)"):
        find_neighbors(np.ones((5, 2), np.float32), np.zeros(4, np.int64), 1, 1)


def test_coarse_groups_join_samples_that_agree_in_every_source():
    coarse = np.array([[0, 1], [0, -1], [0, 1], [-1, -1], [-1, 1], [-1, -1]])
    assert coarse_groups(coarse).tolist() == [3, 2, 3, 0, 1, 0]


def test_oracle_nearly_all_near_raw_pixel_neighbors_of_a_digit_are_the_same_digit():
    digits = load_dataset(DigitsConfig())
    found = find_neighbors(digits.inputs, coarse_groups(digits.coarse), 20, threads=2)
    same = digits.fine[found] == digits.fine[:, None]
    assert same[:, :5].mean() > 0.985
    assert same.mean() > 0.96
