"""Estimates of K_F: right where clusters are plain, one where there is one, blind to fine labels, fixed by seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import make_blobs

from fgtune.analysis.table import num_fine
from fgtune.config.arms.expand import resolve_classes
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.merge import patch
from fgtune.config.schema.classes import ClassesConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.errors import ConfigError, TrialError
from fgtune.results.records import CellResult, CellState
from fgtune.training.estimation.estimators import (
    ESTIMATORS,
    estimate_num_fine,
    estimate_per_coarse,
    prediction_strength,
    with_num_fine,
)
from fgtune.training.estimation.pruning import merge_redundant, mixture_labels, split_gain

SHAPE = DataShape(num_coarse=(2,), num_fine=6, fingerprint="")
KINDS = sorted(ESTIMATORS)
BY_KMEANS = {"max_per_coarse": 5, "restarts": 2}
QUICK = dict.fromkeys(KINDS, BY_KMEANS) | {
    "agreement": BY_KMEANS | {"repeats": 4, "references": 2},
    "deep_embedding": {"hidden": [32], "epochs": 40, "neighbors": 10},
}


@pytest.fixture(autouse=True)
def short_tsne(monkeypatch):
    """A third of the steps: these classes are apart by then."""
    monkeypatch.setattr("fgtune.training.estimation.deep_embedding._STEPS", 300)


def estimator(kind: str, **settings):
    chosen = {"kind": kind} | QUICK[kind] | settings
    return ClassesConfig.from_plain({"num_fine": "estimate", "estimator": chosen}).estimator


def make_view(sizes=(3, 2), each=40, dim=4, spread=1.0, gap=9.0, seed=0, extra=None) -> TrainingView:
    """Coarse classes of Gaussian fine ones at the corners of a simplex, so that no two are nearer than ``gap``."""
    corners = np.eye(max(sizes), dim) * gap
    fine = np.concatenate([np.repeat(np.arange(size), each) for size in sizes])
    coarse = np.repeat(np.arange(len(sizes)), np.array(sizes) * each)
    inputs = corners[fine] + spread * np.random.default_rng(seed).standard_normal((len(fine), dim))
    labels = coarse[:, None] if extra is None else np.column_stack([coarse, extra(coarse)])
    num_coarse = tuple(int(column.max()) + 1 for column in labels.T)
    rows = np.arange(len(fine))
    nothing = np.zeros(0, dtype=np.int64)
    view = TrainingView(inputs.astype(np.float32), rows, nothing, labels, labels[:0], num_coarse, None)
    return replace(view, train=rows)


@pytest.mark.slow_except("silhouette", "pruning")
@pytest.mark.parametrize("kind", KINDS)
def test_plainly_separate_classes_are_counted_in_each_coarse_class(kind):
    assert estimate_per_coarse(estimator(kind), make_view((3, 2)), 0) == ((3, 2),)
    assert estimate_num_fine(estimator(kind), make_view((3, 2)), 0) == 5


@pytest.mark.parametrize("kind", ["pruning", "silhouette"])
def test_one_gaussian_is_one_class_also_where_it_is_stretched(kind):
    view = make_view((1, 1), each=120, dim=5)
    stretched = replace(view, inputs=view.inputs * np.array([4, 2, 1, 1, 1], dtype=np.float32))
    assert estimate_per_coarse(estimator(kind, pca_variance=1.0), stretched, 0) == ((1, 1),)


@pytest.mark.slow_except("pruning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_fixes_the_estimate_and_the_global_state_is_left_alone(kind):
    view = make_view((2, 3), spread=3.0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = [estimate_per_coarse(estimator(kind, max_samples=50), view, 7) for _ in range(2)]
    assert found[0] == found[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.slow_except("pruning")
@pytest.mark.parametrize("kind", KINDS)
def test_samples_outside_the_training_split_are_not_read(kind):
    view = make_view((3, 2))
    poisoned = np.concatenate([view.inputs, np.full((30, 4), np.nan, dtype=np.float32)])
    assert estimate_num_fine(estimator(kind), replace(view, inputs=poisoned), 0) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_empty_and_constant_coarse_classes_count_as_one(kind):
    view = make_view((2, 1), each=40)
    inputs = view.inputs.copy()
    inputs[view.train_coarse[:, 0] == 1] = 1.0
    labels = view.train_coarse.copy()
    labels[0] = 3  # class 2 has no sample, class 3 a single one
    few = replace(view, inputs=inputs, train_coarse=labels, num_coarse=(5,))
    assert estimate_per_coarse(estimator(kind), few, 0) == ((2, 1, 1, 1, 1),)


@pytest.mark.slow
def test_the_source_that_shows_most_classes_counts_and_unlabelled_samples_are_left_out():
    view = make_view((3, 2), extra=lambda coarse: np.where(coarse == 0, 0, -1))
    assert estimate_per_coarse(estimator("silhouette"), view, 0) == ((3, 2), (3,))
    assert estimate_num_fine(estimator("silhouette"), view, 0) == 5


def test_pixels_are_taken_as_they_are():
    view = make_view((3, 2))
    scaled = np.clip(view.inputs * 8 + 60, 0, 255).astype(np.uint8).reshape(-1, 1, 2, 2)
    assert estimate_num_fine(estimator("silhouette"), replace(view, inputs=scaled), 0) == 5


@pytest.mark.slow
def test_more_dimensions_than_samples_change_nothing_but_the_way_components_are_found():
    view = make_view((3, 2), each=20)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((400, 4)))[0].T.astype(np.float32)
    for kind in KINDS:
        assert estimate_num_fine(estimator(kind), replace(view, inputs=view.inputs @ turn), 0) == 5


def test_inputs_that_are_not_finite_are_an_error():
    view = make_view()
    broken = view.inputs.copy()
    broken[3, 0] = np.nan
    with pytest.raises(TrialError, match="estimate of num_fine met inputs that are not finite"):
        estimate_num_fine(estimator("silhouette"), replace(view, inputs=broken), 0)


def test_prediction_strength_is_that_of_the_worst_cluster():
    own = np.array([0, 0, 0, 0, 1, 1, 1])
    assert prediction_strength(own, own, 2) == 1.0
    # In cluster 0, one of four points goes elsewhere: 3 of its 6 pairs stay together.
    assert prediction_strength(np.array([0, 0, 0, 1, 1, 1, 1]), own, 2) == pytest.approx(0.5)
    assert prediction_strength(np.array([0, 0]), np.array([0, 1]), 2) == 0.0


def test_message_length_keeps_true_components_and_drops_the_surplus():
    points, truth = make_blobs(300, n_features=3, centers=4, cluster_std=0.5, center_box=(-12, 12), random_state=1)
    start = points[np.random.default_rng(0).permutation(300)[:12]]
    labels = mixture_labels(points, start)
    assert len(np.unique(labels)) == 4
    assert {tuple(np.unique(labels[truth == each])) for each in range(4)} == {(each,) for each in np.unique(labels)}


def test_merging_joins_halves_of_one_normal_and_leaves_two_apart():
    points = np.random.default_rng(0).standard_normal((200, 3))
    quarters = (points[:, 0] > 0) + 2 * (points[:, 1] > 0)
    assert len(np.unique(merge_redundant(points, quarters, 0.5))) == 1
    apart = np.concatenate([points, points + np.array([12.0, 0.0, 0.0])])
    merged = merge_redundant(apart, np.concatenate([quarters, quarters + 4]), 0.5)
    np.testing.assert_array_equal(np.unique(merged), [0, 1])
    assert len(np.unique(merged[:200])) == 1


def test_split_gain_is_the_likelihood_ratio_on_the_axis():
    rng = np.random.default_rng(0)
    first, second = rng.normal(-5, 1, (60, 1)), rng.normal(5, 1, (40, 1))
    values = np.concatenate([first, second])[:, 0]
    scale = np.sqrt((60 * first.var() + 40 * second.var()) / 100)
    density = 0.6 * norm.pdf(values, first.mean(), scale) + 0.4 * norm.pdf(values, second.mean(), scale)
    expected = np.log(density).sum() - norm.logpdf(values, values.mean(), values.std()).sum()
    assert split_gain(first, second) == pytest.approx(expected, rel=1e-6)
    assert split_gain(np.zeros((3, 2)), np.ones((3, 2))) == np.inf
    assert split_gain(np.zeros((3, 2)), np.zeros((3, 2))) == 0.0


@pytest.mark.slow
def test_a_trial_trains_with_its_estimate_and_reports_it(make_trainer):
    changes = {"classes": {"num_fine": "estimate"}, "data.separation": 12.0, "data.coarse_separation": 24.0}
    trainer = make_trainer(changes | {"epochs": 1})
    (epoch,) = list(trainer)
    found = epoch.metrics["test/num_fine"]
    assert trainer.config.classes.num_fine == found == 6
    assert trainer.outcome().relations.fine_to_coarse.shape == (1, 6)
    given = make_trainer(changes | {"epochs": 1, "classes": {"num_fine": 6}})
    assert [each.metrics for each in given] == [epoch.metrics]  # the estimate changes nothing else


def test_scrambled_fine_labels_change_no_estimate(make_trainer, scramble_fine):
    for kind in KINDS:
        changes = {"classes": {"num_fine": "estimate", "estimator": {"kind": kind} | QUICK[kind]}}
        plain, scrambled = make_trainer(changes), make_trainer(changes, change_data=scramble_fine)
        assert plain.config == scrambled.config
        assert plain.config.classes.number is not None


def test_the_word_stays_in_the_resolved_config_with_its_estimator(make_config):
    config = resolve_classes(make_config({"classes": {"num_fine": "estimate"}}), replace(SHAPE, num_fine=None))
    assert config.classes.num_fine == "estimate"
    assert config.to_plain()["classes"]["estimator"]["kind"] == "agreement"
    assert TrialConfig.from_plain(config.to_plain()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relations.mode": "oracle"}, "oracle relations need the true number of fine classes"),
        ({"objective": {"preset": "fine"}}, "lambda_fine needs a class for every fine label"),
        ({"objective.prior": [1.0, 2.0]}, "objective.prior needs one size per fine class"),
    ],
)
def test_what_needs_the_number_beforehand_is_refused(make_config, changes, message):
    config = make_config(changes | {"classes": {"num_fine": "estimate"}})
    with pytest.raises(ConfigError, match=message):
        resolve_classes(config, SHAPE)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"num_fine": 4, "estimator": {"kind": "pruning"}}, "an estimator needs num_fine: estimate"),
        ({"num_fine": "guess"}, "Input should be 'estimate'"),
        ({"num_fine": 0}, "greater than or equal to 1"),
        ({"num_fine": "estimate", "num_fine_ratio": 1.0}, "give exactly one of num_fine and num_fine_ratio"),
        ({"num_fine": "estimate", "estimator": {"kind": "pruning", "references": 3}}, "Extra inputs"),
    ],
)
def test_bad_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        ClassesConfig.from_plain(classes)


def test_an_arm_with_a_number_drops_the_estimator_of_the_trial():
    trial = {"classes": {"num_fine": "estimate", "estimator": {"kind": "pruning"}}}
    assert patch(trial, {"classes.num_fine": 8})["classes"] == {"num_fine": 8}
    assert patch(trial, {"classes": {"num_fine_ratio": 1.0}})["classes"] == {"num_fine_ratio": 1.0}
    changed = patch(trial, {"classes.estimator": {"kind": "stability"}, "classes.num_fine": "estimate"})
    assert changed["classes"] == {"num_fine": "estimate", "estimator": {"kind": "stability"}}
    assert patch(trial, {"classes.num_fine": "estimate"}) == trial


def test_an_unresolved_ratio_cannot_train(make_config):
    config = make_config({"classes": {"num_fine_ratio": 1.0}})
    with pytest.raises(TrialError, match="not resolved"):
        with_num_fine(config, make_view(), 0)


def test_the_table_reads_an_estimated_number_from_the_metrics():
    def result(num_fine, metrics):
        return CellResult(
            "c", "arm", 0, "h", CellState.COMPLETE, metrics, 1.0, 1, {}, {"classes": {"num_fine": num_fine}}
        )

    assert num_fine(result("estimate", {"test/num_fine": 7.0, "val/num_fine": 7.0})) == 7
    assert num_fine(result("estimate", {})) is None
    assert num_fine(result(4, {"test/num_fine": 4.0})) == 4
