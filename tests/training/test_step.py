"""What a training step may not do: wait for the device, or depend on how the memory of the teacher came about."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.methods import STEPS

from fgtune.errors import ConfigError
from fgtune.training.clustering.find import find_clusters
from fgtune.training.step_graph import Recorder
from fgtune.training.trainer import STREAMS


@pytest.mark.parametrize("changes", STEPS)
def test_no_step_waits_for_the_device(make_trainer, changes):
    trainer = make_trainer({"relations.every_steps": 10**6, **changes})
    next(trainer)
    trainer.networks.start_epoch(2)
    streams = {name: torch.Generator().manual_seed(1) for name in STREAMS}
    with Recorder() as recorded:
        for start in range(0, 60, 20):
            trainer._train_step(torch.arange(start, start + 20), 2, streams)
    assert len(recorded.calls) > 100
    assert recorded.waits == []


def test_losses_are_read_once_an_epoch(make_trainer):
    trainer = make_trainer({"relations.every_steps": 10**6})
    next(trainer)
    trainer.networks.start_epoch(2)
    with Recorder() as recorded:
        trainer.train_epoch(2)
    values = len(trainer.history[0].metrics.keys() & {f"train/loss{name}" for name in ("", *LOSSES)})
    assert values == 5
    assert len(recorded.waits) <= values  # the vector of all of them, number by number


LOSSES = ("_coarse", "_nn", "_conf", "_reg")


def test_a_refresh_remembers_what_the_teacher_predicts_before_the_epoch(make_trainer):
    settings = {"neighbors.memory_refresh_epochs": 2}
    trainer = make_trainer(settings)
    next(trainer)
    networks = trainer.networks
    stale = networks.neighbors.memory.clone()
    networks.start_epoch(2)
    assert torch.equal(networks.neighbors.memory, stale)
    networks.start_epoch(3)
    expected = networks.predict(networks.teacher.model, trainer.view.train).probs
    np.testing.assert_allclose(networks.neighbors.memory.exp().numpy(), expected, atol=1e-6)
    assert not torch.allclose(networks.neighbors.memory, stale)


def test_momentum_averages_probabilities_over_visits(make_trainer):
    source = make_trainer({"neighbors.memory_momentum": 0.75}).networks.neighbors
    before, seen = source.memory[:3].exp(), torch.randn(3, source.memory.shape[1]).log_softmax(dim=1)
    others = source.memory[3:].clone()
    source.see(torch.arange(3), seen)
    torch.testing.assert_close(source.memory[:3].exp(), 0.75 * before + 0.25 * seen.exp())
    assert torch.equal(source.memory[3:], others)


@pytest.mark.parametrize("name", ["memory_refresh_epochs", "memory_momentum"])
def test_settings_of_the_memory_need_one(make_config, name):
    with pytest.raises((ConfigError, ValueError), match="needs targets: memory"):
        make_config({"neighbors.targets": "forward", f"neighbors.{name}": 1 if name.endswith("epochs") else 0.5})


@pytest.mark.slow_except("coarse-balanced")
@pytest.mark.parametrize("sizes", ["balanced", "variance"])
@pytest.mark.parametrize("scope", ["coarse", "global"])
def test_clusters_found_on_the_way_do_not_change_those_of_the_end(make_trainer, scope, sizes):
    clustering = {"kind": "kmeans", "scope": scope} | ({"sizes": sizes} if scope == "coarse" else {})
    often, once = (
        make_trainer(
            {"objective.preset": "base", "clustering": clustering, "evaluation.every_epochs": every, "epochs": 6}
        )
        for every in (1, 6)
    )
    ends = [list(trainer)[-1].metrics for trainer in (often, once)]
    assert ends[0] == ends[1]
    np.testing.assert_array_equal(often.networks.clusters.rule.centers, once.networks.clusters.rule.centers)


def test_clusters_go_on_from_their_last_centres(make_trainer):
    trainer = make_trainer({"objective.preset": "base"})
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2)).astype(np.float32) + np.repeat([[0, 0], [8, 0], [0, 8]], 20, axis=0)
    coarse = np.repeat([0, 0, 1], 20)
    config = trainer.config.clustering
    first = find_clusters(config, features.astype(np.float32), coarse, 4, 0)
    moved = (features + 0.5).astype(np.float32)
    second = find_clusters(config.model_copy(update={"restarts": 1}), moved, coarse, 4, 1, near=first)
    np.testing.assert_array_equal(second.groups, first.groups)
    np.testing.assert_allclose(second.rule.centers, first.rule.centers + 0.5, atol=1e-4)  # at their fixed point
