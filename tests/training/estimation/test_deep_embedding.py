"""The deep embedding: the code, what its estimate depends on, and both scopes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fgtune.config.schema.classes import ClassesConfig, DeepEmbeddingEstimatorConfig
from fgtune.data.base import TrainingView
from fgtune.errors import TrialError
from fgtune.training.estimation import deep_embedding, estimators
from fgtune.training.estimation.deep_embedding import codes, embedded_clusters
from fgtune.training.estimation.estimators import estimate_num_fine, estimate_per_coarse

QUICK = DeepEmbeddingEstimatorConfig(hidden=(32,), code=4, epochs=60, neighbors=10)


@pytest.fixture(autouse=True)
def short_tsne(monkeypatch):
    """A third of the steps: these classes are apart by then."""
    monkeypatch.setattr(deep_embedding, "_STEPS", 300)


def centred(points: np.ndarray) -> np.ndarray:
    return points - points.mean(axis=0)


def blobs(classes: int, each: int = 30, dim: int = 6, gap: float = 12.0, seed: int = 0) -> np.ndarray:
    corners = np.eye(classes, dim) * gap
    noise = np.random.default_rng(seed).standard_normal((classes * each, dim))
    return centred(np.repeat(corners, each, axis=0) + noise)


def view_of(inputs: np.ndarray, coarse: np.ndarray) -> TrainingView:
    rows = np.arange(len(inputs))
    labels = coarse[:, None]
    number = (int(coarse.max()) + 1,)
    return TrainingView(inputs.astype(np.float32), rows, rows[:0], labels, labels[:0], number, None)


@pytest.mark.parametrize("classes", [1, 4])
def test_planted_classes_are_counted_whatever_their_unit_and_place(classes):
    points = blobs(classes, each=100 // classes)
    assert embedded_clusters(points, QUICK, 0) == classes
    moved = view_of(points * 1e-3 + 5.0, np.zeros(len(points), dtype=np.int64))
    assert estimate_num_fine(QUICK, moved, 0) == classes


def test_a_class_of_no_more_samples_than_densities_look_at_is_one_class():
    points = blobs(2, each=10, gap=40.0)
    assert embedded_clusters(points, QUICK.model_copy(update={"neighbors": 20}), 0) == 1
    assert embedded_clusters(points, QUICK.model_copy(update={"neighbors": 5}), 0) == 2


def test_the_code_keeps_more_than_as_many_random_directions_would():
    points = blobs(5, dim=40)
    found = codes(points, QUICK, 0)
    assert found.shape == (150, 4)
    assert found.dtype == np.float64

    def left(scores: np.ndarray) -> float:
        design = np.column_stack([scores, np.ones(len(scores))])
        rest = points - design @ np.linalg.lstsq(design, points, rcond=None)[0]
        return float((rest**2).sum() / ((points - points.mean(axis=0)) ** 2).sum())

    random = np.random.default_rng(0).standard_normal((40, 4))
    assert left(found) < 0.75 * left(points @ random)


def test_a_seed_fixes_the_code_and_the_global_state_is_left_alone():
    points = blobs(3)
    before = torch.get_rng_state()
    first = codes(points, QUICK, 3)
    torch.testing.assert_close(torch.get_rng_state(), before)
    np.testing.assert_array_equal(codes(points, QUICK, 3), first)
    assert not np.array_equal(codes(points, QUICK, 4), first)


def test_the_code_does_not_depend_on_the_number_of_threads():
    pixels = np.random.default_rng(0).standard_normal((300, 3072))  # so wide that products are divided among threads
    once = QUICK.model_copy(update={"epochs": 1})
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(codes(pixels, once, 0))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_all_samples_may_be_counted_at_once_without_labels():
    points = blobs(4, each=40)
    alone = QUICK.model_copy(update={"scope": "all"})
    mixed = np.arange(160) % 2  # each coarse class has samples of all four
    assert estimate_num_fine(QUICK, view_of(points, mixed), 0) == 8
    assert estimate_num_fine(alone, view_of(points, mixed), 0) == 4
    assert estimate_num_fine(alone, view_of(points, np.where(mixed == 0, 0, -1)), 0) == 4
    assert estimate_num_fine(alone, view_of(points, np.arange(160) % 7), 0) == 7  # no fewer than coarse classes


def test_all_samples_are_at_most_as_many_as_allowed(monkeypatch):
    seen = []
    monkeypatch.setattr(estimators, "embedded_clusters", lambda points, *_: seen.append(len(points)) or 3)
    limited = QUICK.model_copy(update={"scope": "all", "max_samples": 50})
    with pytest.raises(TrialError, match="counts in no coarse class alone; use scope: coarse"):
        estimate_per_coarse(limited, view_of(blobs(4), np.repeat([0, 1], 60)), 0)
    assert estimate_num_fine(limited, view_of(blobs(4), np.repeat([0, 1], 60)), 0) == 3
    assert seen == [50]


@pytest.mark.parametrize(("distinct", "expected"), [(1, 1), (3, 1), (4, 7)])
def test_fewer_than_four_distinct_samples_are_one_class(monkeypatch, distinct, expected):
    monkeypatch.setattr(estimators, "embedded_clusters", lambda *_: 7)
    points = np.random.default_rng(0).standard_normal((distinct, 6))[np.arange(60) % distinct]
    assert estimate_num_fine(QUICK, view_of(points, np.zeros(60, dtype=np.int64)), 0) == expected


def test_images_are_taken_pixel_by_pixel():
    points = np.clip(blobs(3, dim=12) * 8 + 60, 0, 255).astype(np.uint8).reshape(-1, 3, 2, 2)
    view = view_of(points, np.zeros(90, dtype=np.int64))
    assert estimate_num_fine(QUICK, view, 0) == 3


def test_an_auto_encoder_that_diverges_is_an_error_that_says_what_to_lower():
    wild = QUICK.model_copy(update={"lr": 1e30, "epochs": 5})
    with pytest.raises(TrialError, match=r"the auto-encoder .* diverged; lower classes.estimator.lr"):
        codes(blobs(2), wild, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden": []}, "at least 1 item"),
        ({"hidden": [64, 0]}, "greater than or equal to 1"),
        ({"code": 0}, "greater than or equal to 1"),
        ({"perplexity": 1.0}, "greater than or equal to 2"),
        ({"ratio": 1.0}, "less than 1"),
        ({"neighbors": 0}, "greater than or equal to 1"),
        ({"scope": "fine"}, "Input should be 'coarse' or 'all'"),
        ({"pca_variance": 0.9}, "Extra inputs"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        ClassesConfig.from_plain({"num_fine": "estimate", "estimator": {"kind": "deep_embedding", **setting}})
