"""The evaluator: what it measures when asked, on which splits, against the metric functions and independent oracles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from fgtune.catalog import METRICS, spec_of
from fgtune.config.schema.evaluation import EvaluationConfig
from fgtune.data.base import EvaluationView, Splits
from fgtune.training.evaluator import Evaluator
from fgtune.training.final_metrics import at_best_validation
from fgtune.training.predictions import Predictions

N, DIM, NUM_FINE = 400, 6, 4
PARENTS = np.array([[0, 0, 1, 1]])
EVERYTHING = {
    "recall": [1, 4],
    "probes": ["knn", "linear", "ridge"],
    "knn_neighbors": 5,
    "few_shot": {"ways": 3, "shots": [1, 2], "queries": 5, "episodes": 50},
}


def make_view(seed: int = 0) -> EvaluationView:
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, NUM_FINE, N)
    rows = rng.permutation(N)
    splits = Splits(*(np.sort(part) for part in np.split(rows, [240, 300])))
    coarse = PARENTS[0][fine][:, None]
    inputs = rng.standard_normal((N, 2)).astype(np.float32)
    values = np.column_stack([fine + 0.1 * inputs[:, 0], inputs[:, 1]]).astype(np.float32)
    return EvaluationView(inputs, splits, coarse, (2,), fine, PARENTS, values)


def make_features(view: EvaluationView, dim: int = DIM) -> np.ndarray:
    rng = np.random.default_rng(7)
    targets = np.column_stack([np.eye(NUM_FINE)[view.fine], view.inputs])
    return (targets @ rng.standard_normal((6, dim)) + 0.4 * rng.standard_normal((N, dim))).astype(np.float32)


def make_evaluator(view, changes=None, splits=("val", "test"), seed=0) -> Evaluator:
    changes = EVERYTHING if changes is None else changes
    config = EvaluationConfig.from_plain({"splits": list(splits), "silhouette_samples": 100} | changes)
    return Evaluator(view, config, NUM_FINE, {}, seed)


def predictions_on(view, split, features=None, **others) -> Predictions:
    rows = getattr(view.splits, split)
    logits = np.random.default_rng(1).standard_normal((N, NUM_FINE)) + 2 * np.eye(NUM_FINE)[view.fine]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = make_features(view) if features is None else features
    return Predictions(probs[rows].astype(np.float32), found[rows], **others)


def final(evaluator, view, features=None):
    return evaluator.measure_final({split: predictions_on(view, split, features) for split in evaluator.final_splits})


def test_without_a_config_nothing_is_measured_besides():
    view = make_view()
    plain = Evaluator(view, EvaluationConfig(silhouette_samples=100), NUM_FINE, {}, 0)
    metrics = plain.measure("test", predictions_on(view, "test"), PARENTS)
    assert {METRICS[name.removeprefix("test/")].needs for name in metrics} == {()}
    assert {"test/coarse_top1", "test/coarse_top5", "test/ari", "test/coarse_accuracy"} <= set(metrics)
    assert plain.final_splits == ()
    assert plain.measure_final({}) == {}
    assert len(plain.attention_rows) == 0


def test_recall_is_that_of_the_split_for_coarse_and_fine_labels():
    view = make_view()
    metrics = make_evaluator(view).measure("test", predictions_on(view, "test"), PARENTS)
    rows = view.splits.test
    features = make_features(view)[rows]
    near = NearestNeighbors(n_neighbors=4, metric="cosine").fit(features).kneighbors(return_distance=False)
    for name, labels in (("coarse", view.coarse[rows, 0]), ("fine", view.fine[rows])):
        hits = labels[near] == labels[:, None]
        assert metrics[f"test/recall_{name}_1"] == pytest.approx(hits[:, 0].mean())
        assert metrics[f"test/recall_{name}_4"] == pytest.approx(hits.any(axis=1).mean())
    assert metrics["test/recall_fine_1"] < metrics["test/recall_fine_4"]


def test_coarse_recall_is_the_mean_over_sources_that_label_samples():
    view = make_view()
    second = np.where(np.arange(N) % 3 == 0, (view.fine + 1) % 4 // 2, -1)
    parents = np.repeat(PARENTS, 3, axis=0)
    three = np.column_stack([view.coarse, second, np.full(N, -1)])
    two = replace(view, coarse=three, num_coarse=(2, 2, 2), true_fine_to_coarse=parents)
    both = make_evaluator(two).measure("test", predictions_on(two, "test"), parents)["test/recall_coarse_1"]
    single = [
        make_evaluator(replace(view, coarse=labels[:, None])).measure("test", predictions_on(view, "test"), PARENTS)
        for labels in (view.coarse[:, 0], second)
    ]
    assert both == pytest.approx(np.mean([each["test/recall_coarse_1"] for each in single]))


def test_coarse_top_sums_fine_probabilities_unless_a_coarse_head_gives_its_own():
    view = make_view()
    rows = view.splits.test
    summed = predictions_on(view, "test")
    metrics = make_evaluator(view).measure("test", summed, PARENTS)
    coarse = np.column_stack([summed.probs[:, :2].sum(axis=1), summed.probs[:, 2:].sum(axis=1)])
    assert metrics["test/coarse_top1"] == pytest.approx((coarse.argmax(axis=1) == view.coarse[rows, 0]).mean())
    assert metrics["test/coarse_top5"] == 1.0
    wrong = np.eye(2, dtype=np.float32)[1 - view.coarse[rows, 0]]
    headed = make_evaluator(view).measure("test", replace(summed, coarse_probs=(wrong,)), PARENTS)
    assert headed["test/coarse_top1"] == 0.0
    assert headed["test/coarse_accuracy"] == metrics["test/coarse_accuracy"]


def test_probes_are_fitted_on_training_features_and_judged_on_the_other_splits():
    view = make_view()
    evaluator = make_evaluator(view)
    assert evaluator.final_splits == ("train", "val", "test")
    metrics = final(evaluator, view)
    features, train = make_features(view), view.splits.train
    scaler = StandardScaler().fit(features[train].astype(float))
    linear = LogisticRegression(max_iter=1000).fit(scaler.transform(features[train].astype(float)), view.fine[train])
    near = KNeighborsClassifier(5, metric="cosine").fit(features[train], view.fine[train])
    ridge = Ridge(alpha=1e-3).fit(scaler.transform(features[train].astype(float)), view.fine_values[train])
    for split in ("val", "test"):
        rows = getattr(view.splits, split)
        scaled = scaler.transform(features[rows].astype(float))
        assert metrics[f"{split}/linear_fine"] == pytest.approx((linear.predict(scaled) == view.fine[rows]).mean())
        assert metrics[f"{split}/knn_fine"] == pytest.approx(near.score(features[rows], view.fine[rows]), abs=0.03)
        expected = r2_score(view.fine_values[rows], ridge.predict(scaled))
        assert metrics[f"{split}/ridge_r2"] == pytest.approx(expected, abs=0.02)
        assert 0.5 < metrics[f"{split}/ridge_r2"] < 1
        assert metrics[f"{split}/ridge_mse"] > 0
    assert not [name for name in metrics if name.startswith("train/")]
    assert "test/rank_mse" not in metrics  # two target columns


def test_every_metric_measured_is_declared_for_its_split_and_within_its_range():
    view = make_view()
    one_target = replace(view, fine_values=view.fine_values[:, :1])
    evaluator = make_evaluator(one_target, splits=("train", "val", "test"))
    metrics = final(evaluator, one_target)
    for split in ("train", "val", "test"):
        measured = evaluator.measure(split, predictions_on(view, split), PARENTS)
        assert not [name for name in measured if spec_of(name).final]
        metrics |= measured
    asked = {"recall_fine_4", "recall_coarse_1", "fewshot_2_low", "fewshot_1", "knn_fine", "rank_mse", "ridge_r2"}
    assert asked <= {name.removeprefix("test/") for name in metrics}
    assert {name for name in metrics if name.startswith("train/fewshot")}
    for name, value in metrics.items():
        spec = spec_of(name)  # raises for a split on which the metric is not declared
        assert spec.low <= value <= spec.high, name


def test_rank_mse_takes_a_single_feature_in_either_order_and_else_the_probes_prediction():
    view = make_view()
    view = replace(view, fine_values=view.fine_values[:, 1:])
    single = -view.fine_values.astype(np.float32)
    assert final(make_evaluator(view), view, single)["test/rank_mse"] == 0.0
    several = np.column_stack([single[:, 0], np.random.default_rng(0).standard_normal(N)]).astype(np.float32)
    metrics = final(make_evaluator(view), view, several)
    assert metrics["test/rank_mse"] < 0.05
    # A probe that is wrong about the sign off its training split is not helped.
    flipped = several.copy()
    flipped[view.splits.test] *= -1
    assert final(make_evaluator(view), view, flipped)["test/rank_mse"] > 2


SHOTS = {"ways": 3, "shots": [1, 2], "queries": 5, "episodes": 20}


def test_few_shot_means_come_with_their_interval_and_all_arms_meet_the_same_episodes():
    view = make_view()
    first, second = (final(make_evaluator(view, seed=3), view) for _ in range(2))
    assert first == second
    mean, low, high = (first[f"test/fewshot_1{end}"] for end in ("", "_low", "_high"))
    assert low < mean < high
    assert high - mean == pytest.approx(mean - low)
    assert (high - mean) / t.ppf(0.975, 49) * math.sqrt(50) < 0.5  # a standard deviation of accuracies
    assert first["test/fewshot_2"] > mean > 1 / 3
    assert final(make_evaluator(view, seed=4), view)["test/fewshot_1"] != mean


def test_novel_classes_are_those_of_which_training_has_no_sample():
    view = make_view()
    novel = view.fine >= 1
    rows = np.arange(N)
    disjoint = replace(view, splits=Splits(rows[~novel], rows[novel][:60], rows[novel][60:]))
    shots = {"few_shot": {"ways": 3, "shots": [1], "queries": 5, "episodes": 20}}
    only_novel = {"few_shot": shots["few_shot"] | {"classes": "novel"}}
    assert final(make_evaluator(disjoint, only_novel), view=disjoint) == final(
        make_evaluator(disjoint, shots), disjoint
    )
    assert final(make_evaluator(view, only_novel), view) == {}  # training has met all of them


def test_episodes_on_the_way_are_those_of_the_end_and_the_best_epoch_is_chosen_by_validation():
    view = make_view()
    evaluator = make_evaluator(view, {"few_shot": SHOTS | {"by_epoch": True}})
    assert evaluator.episodes_by_epoch
    assert not make_evaluator(view, {"few_shot": SHOTS}).episodes_by_epoch
    features = {split: predictions_on(view, split).features for split in ("val", "test")}
    assert evaluator.splits_by_epoch == ("val", "test")
    assert evaluator.measure_by_epoch(features) == final(evaluator, view)
    history = [
        {"val/fewshot_1": 0.5, "test/fewshot_1": 0.9, "val/fewshot_5": 0.1, "test/fewshot_5": 0.3},
        {"val/loss": 1.0},
        {"val/fewshot_1": 0.7, "test/fewshot_1": 0.2, "val/fewshot_5": 0.1, "test/fewshot_5": 0.4},
        {"val/fewshot_1": 0.7, "test/fewshot_1": 0.3, "val/fewshot_1_low": 0.9},
    ]
    assert at_best_validation(history) == {"test/fewshot_1_best": 0.2, "test/fewshot_5_best": 0.3}
    assert at_best_validation([{"test/fewshot_1": 0.5}]) == {}


@pytest.mark.parametrize("kind", ["knn", "ridge"])
def test_probes_on_the_way_are_those_of_the_end(kind):
    view = make_view()
    once, always = (make_evaluator(view, {"probes": [kind], "probes_by_epoch": each}) for each in (False, True))
    assert (once.splits_by_epoch, always.splits_by_epoch) == ((), ("train", "val", "test"))
    assert once.measure_by_epoch({}) == {}
    features = {split: predictions_on(view, split).features for split in always.splits_by_epoch}
    found = always.measure_by_epoch(features)
    assert found == final(always, view) == final(once, view)
    assert {name.partition("/")[0] for name in found} == {"val", "test"}


def test_episodes_on_the_way_need_no_probes_and_probes_without_their_targets_are_left_out():
    settings = {"few_shot": SHOTS | {"by_epoch": True}, "probes": ["ridge"]}
    view = replace(make_view(), fine_values=None)
    evaluator = make_evaluator(view, settings | {"probes_by_epoch": True})
    assert evaluator.splits_by_epoch == ("val", "test")
    features = {split: predictions_on(view, split).features for split in evaluator.splits_by_epoch}
    assert evaluator.measure_by_epoch(features) == final(evaluator, view)
    assert make_evaluator(view, {"probes": ["ridge"], "probes_by_epoch": True}).splits_by_epoch == ()
    with pytest.raises(ValueError, match="probes_by_epoch needs probes"):
        EvaluationConfig.from_plain({"probes_by_epoch": True})


def test_too_few_samples_for_an_episode_leave_the_metric_out():
    view = make_view()
    assert final(make_evaluator(view, {"few_shot": {"ways": 3, "shots": [1], "queries": 500}}), view) == {}


def test_continuous_targets_alone_give_ridge_metrics_and_no_clustering():
    view = replace(make_view(), fine=None, true_fine_to_coarse=None)
    evaluator = make_evaluator(view)
    with_fine = make_view()
    measured = evaluator.measure("test", predictions_on(with_fine, "test"), PARENTS)
    assert not [name for name in measured if spec_of(name).oracle]
    assert "test/recall_coarse_1" in measured
    metrics = evaluator.measure_final({split: predictions_on(with_fine, split) for split in evaluator.final_splits})
    assert set(metrics) == {f"{split}/{name}" for split in ("val", "test") for name in ("ridge_r2", "ridge_mse")}


def test_shares_are_compared_with_coarse_probabilities_and_found_by_gradient():
    view = make_view()
    first = np.random.default_rng(0).uniform(size=(N, 1))
    shares = np.hstack([first, 1 - first]).astype(np.float32)
    view = replace(view, fine_values=shares)
    rows = view.splits.test
    predictions = predictions_on(view, "test", coarse_probs=(shares[rows],))
    assert make_evaluator(view).measure("test", predictions, PARENTS)["test/raw_mse"] == 0.0
    metrics = final(make_evaluator(view, {"probes": ["gradient"]}), view, 4 * first.astype(np.float32))
    assert set(metrics) == {"val/gradient_mse", "test/gradient_mse"}
    assert 0 < metrics["test/gradient_mse"] < 0.02
    no_shares = replace(view, fine_values=2 * shares)
    assert final(make_evaluator(no_shares, {"probes": ["gradient"]}), no_shares) == {}
    assert "test/raw_mse" not in make_evaluator(no_shares).measure("test", predictions, PARENTS)


def test_a_confident_head_that_is_always_wrong_is_not_calibrated():
    view = make_view()
    wrong = np.eye(2, dtype=np.float32)[1 - view.coarse[view.splits.test, 0]]
    metrics = make_evaluator(view).measure("test", predictions_on(view, "test", coarse_probs=(wrong,)), PARENTS)
    assert metrics["test/coarse_ece"] == metrics["test/coarse_mce"] == 1.0
    assert metrics["test/coarse_information"] > 0.9
    assert metrics["test/coarse_stability"] < 0.55


def test_without_fine_targets_there_is_nothing_to_do_at_the_end():
    view = replace(make_view(), fine=None, true_fine_to_coarse=None, fine_values=None)
    assert make_evaluator(view).final_splits == ()


def test_predictions_on_the_training_split_are_asked_for_only_where_a_probe_needs_them():
    view = make_view()
    assert make_evaluator(view, {"few_shot": {}}).final_splits == ("val", "test")
    assert make_evaluator(view, {"probes": ["ridge"]}).final_splits == ("train", "val", "test")
    assert make_evaluator(replace(view, fine_values=None), {"probes": ["ridge"]}).final_splits == ()


def test_probes_are_not_judged_on_samples_that_they_were_fitted_on():
    view = make_view()
    rows = np.arange(N)
    alike = replace(view, splits=Splits(rows, rows, rows))
    metrics = final(make_evaluator(alike), alike)
    assert metrics
    assert all("fewshot" in name for name in metrics)


def test_attention_rows_are_drawn_from_the_reported_split_without_labels():
    view = make_view()
    rows = make_evaluator(view, {"attention_samples": 8}).attention_rows
    scrambled = replace(view, fine=view.fine[::-1].copy(), coarse=view.coarse[::-1].copy())
    np.testing.assert_array_equal(rows, make_evaluator(scrambled, {"attention_samples": 8}).attention_rows)
    assert len(set(rows)) == 8
    assert set(rows) <= set(view.splits.test)
    assert set(rows) <= set(make_evaluator(view, {"attention_samples": 20}).attention_rows)
    np.testing.assert_array_equal(make_evaluator(view, {"attention_samples": 999}).attention_rows, view.splits.test)
    assert set(make_evaluator(view, {"attention_samples": 3}, splits=("val",)).attention_rows) <= set(view.splits.val)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recall": [1, 1]}, "must differ, 1 is given twice"),
        ({"recall": [0]}, "greater than or equal to 1"),
        ({"probes": ["knn", "knn"]}, "must differ, knn is given twice"),
        ({"few_shot": {"shots": [5, 5]}}, "must differ, 5 is given twice"),
        ({"few_shot": {"ways": 1}}, "greater than or equal to 2"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig.from_plain(changes)
