"""What training promises: repeatable, resumable, blind to fine labels, and true to every switch."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fgtune.catalog import METRICS
from fgtune.data.load import load_dataset
from fgtune.errors import TrialError
from fgtune.results.evidence import arrays_digest
from fgtune.training.build import build_trainer
from fgtune.training.checkpoint import load_checkpoint, save_checkpoint
from fgtune.training.portraits import Painter
from fgtune.training.prepared import prepare_split, views


def curve(trainer):
    return [dict(entry.metrics) for entry in trainer]


def weights(trainer):
    return torch.cat([p.flatten() for p in trainer.networks.model.parameters()])


def test_same_seed_repeats_exactly_whatever_global_random_state_is(make_trainer):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (moves the global state on purpose)
    first = make_trainer()
    curves = curve(first)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second = make_trainer()
    assert curve(second) == curves
    assert torch.equal(weights(first), weights(second))


def test_other_seed_gives_another_run(make_trainer):
    assert curve(make_trainer(seed=0)) != curve(make_trainer(seed=1))


SWITCHES = [
    pytest.param({}, id="defaults"),
    pytest.param({"neighbors.targets": "forward"}, id="forward"),
    pytest.param({"neighbors.features": "teacher", "neighbors.refresh_epochs": 1}, id="refreshed"),
    pytest.param({"neighbors.features": "initial", "neighbors.scope": "global"}, id="initial-global"),
    pytest.param({"teacher.buffers": "averaged", "evaluation.weights": "teacher"}, id="averaged-teacher"),
    pytest.param({"optimizer": {"kind": "adamw", "lr": 0.01}, "schedule": {"kind": "cosine"}}, id="adamw-cosine"),
    pytest.param({"relations.mode": "random_balanced", "objective.lambda_nn": 0.0}, id="fixed-relations"),
    pytest.param({"relations.mode": "oracle", "model.freeze_backbone": True}, id="oracle-frozen"),
    pytest.param({"relations.solver.kind": "cvxpy", "precision": "bf16"}, id="cvxpy-bf16"),
]


@pytest.mark.slow_except("defaults", "averaged-teacher")
@pytest.mark.parametrize("changes", SWITCHES)
def test_resuming_from_a_checkpoint_repeats_the_uncut_run(make_trainer, tmp_path, changes):
    uncut = make_trainer(changes)
    expected = curve(uncut)
    cut = make_trainer(changes)
    next(cut)
    next(cut)
    save_checkpoint(tmp_path / "cell.pt", cut.state_dict())
    resumed = make_trainer(changes)
    resumed.load_state_dict(load_checkpoint(tmp_path / "cell.pt"))
    curve(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == expected
    assert torch.equal(weights(uncut), weights(resumed))
    ours, theirs = resumed.outcome(), uncut.outcome()
    np.testing.assert_array_equal(ours.relations.fine_to_coarse, theirs.relations.fine_to_coarse)
    np.testing.assert_array_equal(ours.relations.fine_counts, theirs.relations.fine_counts)
    if theirs.solver is not None:
        assert replace(ours.solver, seconds=0.0) == replace(theirs.solver, seconds=0.0)


@pytest.mark.slow_except("defaults")
@pytest.mark.parametrize("changes", SWITCHES[:4])
def test_scrambled_fine_labels_change_no_weight_no_relation_and_no_label_free_metric(
    make_trainer, scramble_fine, changes
):
    honest, scrambled = make_trainer(changes), make_trainer(changes, change_data=scramble_fine)
    for ours, theirs in zip(honest, scrambled, strict=True):
        for name in ours.metrics:
            if not METRICS[name.split("/")[1]].oracle:
                assert ours.metrics[name] == theirs.metrics[name], name
    assert torch.equal(weights(honest), weights(scrambled))
    np.testing.assert_array_equal(honest.relations.fine_to_coarse, scrambled.relations.fine_to_coarse)
    assert (
        honest.history[-1].metrics["test/clustering_accuracy"]
        != scrambled.history[-1].metrics["test/clustering_accuracy"]
    )


def test_without_fine_labels_training_is_the_same_and_oracle_metrics_are_absent(make_trainer):
    blind = make_trainer(change_data=lambda data: replace(data, fine=None, num_fine=None))
    sighted = make_trainer()
    last = curve(blind)[-1]
    curve(sighted)
    assert torch.equal(weights(blind), weights(sighted))
    assert not [name for name in last if METRICS[name.split("/")[1]].oracle]
    assert blind.outcome().relations.fine_counts is None


def test_every_metric_is_in_the_catalogue_and_within_its_range(make_trainer):
    for metrics in curve(make_trainer({"evaluation.splits": ["train", "val", "test"]})):
        assert {"val/loss", "val/loss_nn", "train/loss_conf", "test/ged", "val/neighbor_agreement"} <= set(metrics)
        for name, value in metrics.items():
            spec = METRICS[name.split("/")[1]]
            assert math.isfinite(value)
            assert spec.low - 1e-6 <= value <= spec.high + 1e-6, name


def test_arms_share_split_order_and_backbone_whatever_their_number_of_classes(make_trainer):
    six, nine = make_trainer(), make_trainer({"classes.num_fine": 9})
    np.testing.assert_array_equal(six.view.train, nine.view.train)
    assert torch.equal(six.networks.model.backbone.layers[0].weight, nine.networks.model.backbone.layers[0].weight)


def test_relations_are_solved_by_a_global_step_counter(make_trainer):
    trainer = make_trainer({"relations.every_steps": 5, "epochs": 5})  # 4 steps an epoch: the period exceeds an epoch
    curve(trainer)
    assert trainer.step == 20
    assert trainer.outcome().solver.solves == 1 + 20 // 5


def test_term_of_weight_zero_is_neither_computed_nor_prepared_for(make_trainer):
    trainer = make_trainer({"objective.lambda_nn": 0.0})
    assert trainer.networks.neighbors is None
    assert trainer.view.neighbors is None
    assert "train/loss_nn" not in curve(trainer)[-1]


def test_evaluation_happens_as_often_as_asked_and_after_the_last_epoch(make_trainer):
    curves = curve(make_trainer({"evaluation.every_epochs": 3}))
    assert ["test/ari" in metrics for metrics in curves] == [False, False, True, True]


@pytest.mark.slow
def test_by_default_a_training_is_evaluated_about_ten_times_and_after_its_last_epoch(make_trainer):
    trainer = make_trainer({"epochs": 25, "model.backbone.hidden": [4]})
    curves = curve(trainer)
    assert [epoch for epoch, metrics in enumerate(curves, 1) if "test/ari" in metrics] == [*range(2, 25, 2), 25]
    judged = make_trainer({"epochs": 25, "model.backbone.hidden": [4]})
    judged.measure_every = judged.config.evaluation.period(25, is_judged=True)
    every = curve(judged)
    assert all("test/ari" in metrics for metrics in every)
    assert every[-1] == curves[-1]  # what is measured on the way changes nothing at the end
    assert torch.equal(weights(judged), weights(trainer))


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (9, 1), (19, 1), (20, 2), (100, 10), (250, 25)])
def test_the_default_period_is_a_tenth_of_the_epochs(make_config, epochs, every):
    evaluation = make_config().evaluation
    assert evaluation.period(epochs) == every
    assert evaluation.period(epochs, is_judged=True) == 1
    assert make_config({"evaluation.every_epochs": 7}).evaluation.period(epochs, is_judged=True) == 7


def test_oracle_relations_are_the_true_ones_and_stay(make_trainer):
    trainer = make_trainer({"relations.mode": "oracle"})
    curve(trainer)
    np.testing.assert_array_equal(trainer.relations.fine_to_coarse, [[0, 0, 0, 1, 1, 1]])
    assert trainer.outcome().solver is None


def test_random_balanced_relations_are_balanced_and_stay(make_trainer):
    trainer = make_trainer({"relations.mode": "random_balanced"})
    before = trainer.relations.fine_to_coarse.copy()
    curve(trainer)
    np.testing.assert_array_equal(trainer.relations.fine_to_coarse, before)
    np.testing.assert_array_equal(np.bincount(before[0]), [3, 3])


@pytest.mark.parametrize("num_fine", [2, 3, 11])
def test_any_number_of_fine_classes_from_the_coarse_ones_upwards_trains(make_trainer, num_fine):
    trainer = make_trainer({"classes.num_fine": num_fine})
    metrics = curve(trainer)[-1]
    assert set(trainer.relations.fine_to_coarse[0]) == {0, 1}
    assert 0 < metrics["test/clustering_accuracy"] <= min(1, num_fine / 6 + 0.2)


def two_sources(data):
    """Even samples are labelled by the first source, odd ones by a second that groups the classes otherwise."""
    other = np.array([0, 1, 2, 0, 1, 2])[data.fine]
    even = np.arange(len(data.coarse)) % 2 == 0
    coarse = np.stack([np.where(even, data.coarse[:, 0], -1), np.where(even, -1, other)], axis=1)
    return replace(data, coarse=coarse, num_coarse=(2, 3))


def test_several_sources_have_relations_of_their_own(make_trainer):
    trainer = make_trainer({"epochs": 8}, change_data=two_sources)
    curve(trainer)
    assert trainer.relations.fine_to_coarse.shape == (2, 6)
    assert set(trainer.relations.fine_to_coarse[1]) == {0, 1, 2}
    assert trainer.outcome().relations.coarse_counts.shape == (2, 6, 3)


def test_samples_without_any_coarse_label_are_trained_on(make_trainer):
    def some_unlabelled(data):
        coarse = data.coarse.copy()
        coarse[::4] = -1
        return replace(data, coarse=coarse)

    assert math.isfinite(curve(make_trainer(change_data=some_unlabelled))[-1]["train/loss"])


def test_coarse_class_smaller_than_the_number_of_neighbors_is_handled(make_trainer):
    def one_rare_class(data):
        coarse = np.zeros_like(data.coarse)
        coarse[:12] = 1
        return replace(data, coarse=coarse)

    trainer = make_trainer(change_data=one_rare_class)
    assert math.isfinite(curve(trainer)[-1]["train/loss_nn"])


@pytest.mark.parametrize(
    ("every", "message"),
    [(1, "non-finite predictions of the teacher up to step"), (1000, r"non-finite train/loss.* in epoch \d")],
)
def test_divergence_is_an_error_that_says_where(make_trainer, every, message):
    diverging = {"optimizer.lr": 1e30, "model.backbone.norm": "none", "epochs": 20, "relations.every_steps": every}
    with pytest.raises(TrialError, match=message):
        curve(make_trainer(diverging))


def test_learns_the_classes_of_an_easy_hierarchy(make_trainer):
    trainer = make_trainer(
        {"epochs": 30, "data.separation": 8.0, "data.coarse_separation": 16.0, "data.num_samples": 600}
    )
    metrics = curve(trainer)[-1]
    assert metrics["test/clustering_accuracy"] > 0.9
    assert metrics["test/ged"] == 0


def test_torn_checkpoint_is_ignored(tmp_path):
    path = tmp_path / "cell.pt"
    assert load_checkpoint(path) is None
    buffer = io.BytesIO()
    torch.save({"step": 1}, buffer)
    path.write_bytes(buffer.getvalue()[:40])
    assert load_checkpoint(path) is None


@pytest.mark.gpu
def test_same_code_trains_on_a_gpu(make_trainer):
    trainer = make_trainer({"device": "cuda", "precision": "bf16"})
    assert math.isfinite(curve(trainer)[-1]["train/loss"])


def test_asking_for_a_missing_gpu_is_a_clear_error(make_trainer):
    if torch.cuda.is_available():
        assert make_trainer({"device": "cuda"}).compute.device.type == "cuda"
    else:
        with pytest.raises(TrialError, match="device: cuda was asked for, and torch sees no GPU"):
            make_trainer({"device": "cuda"})


def test_episodes_by_epoch_report_the_epoch_that_is_best_in_validation_also_after_a_restart(make_trainer):
    shots = {"ways": 3, "shots": [1], "queries": 2, "episodes": 20, "by_epoch": True}
    changes = {"evaluation.every_epochs": 1, "evaluation.few_shot": shots}
    epochs = [entry.metrics for entry in make_trainer(changes)]
    best = max(epochs, key=lambda metrics: metrics["val/fewshot_1"])
    assert epochs[-1]["test/fewshot_1_best"] == best["test/fewshot_1"]
    assert "test/fewshot_1_best" not in epochs[0]
    cut, again = make_trainer(changes), make_trainer(changes)
    for _ in range(2):
        next(cut)
    again.load_state_dict(cut.state_dict())
    assert [entry.metrics for entry in again][-1] == epochs[-1]


def test_probes_by_epoch_give_a_curve_and_change_nothing_else(make_trainer):
    changes = {"evaluation.every_epochs": 1, "evaluation.probes": ["knn"]}
    plain, probed = (
        [each.metrics for each in make_trainer(changes | {"evaluation.probes_by_epoch": by_epoch})]
        for by_epoch in (False, True)
    )
    assert ["test/knn_fine" in metrics for metrics in plain] == [False] * (len(plain) - 1) + [True]
    assert all("test/knn_fine" in metrics for metrics in probed)
    assert plain[-1] == probed[-1]
    for one, other in zip(plain, probed, strict=True):
        assert one == {name: value for name, value in other.items() if name in one}


def test_a_portrait_is_made_at_the_end_alone_and_changes_nothing_else(make_config):
    config = make_config()
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, 0, threads=1)
    plain, painted = (
        build_trainer(config, *views(dataset, prepared), prepared, 0, painter=painter)
        for painter in (None, Painter(dataset, with_samples=True))
    )
    assert [entry.metrics for entry in plain] == [entry.metrics for entry in painted]
    first, second = plain.outcome(), painted.outcome()
    assert first.portrait is None
    assert {*second.portrait.rows.tolist()} <= {*prepared.splits.test.tolist()}
    assert second.portrait.reliability[0].sum() == (dataset.coarse[prepared.splits.test, 0] >= 0).sum()
    assert arrays_digest(first.predictions) == arrays_digest(second.predictions)
