"""What training promises on a GPU: every method repeats itself, goes on from a checkpoint, and waits for nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.methods import HOST, METHODS, STEPS

from fgtune.training.checkpoint import load_checkpoint, save_checkpoint
from fgtune.training.trainer import STREAMS

pytestmark = pytest.mark.gpu

IMAGES = {
    "data": {"kind": "patches", "num_images": 48, "num_big": 2, "num_small": 4, "nested": True},
    "classes.num_fine": 4,
    "epochs": 2,
    "batch_size": 16,
}
NETS = [
    pytest.param({"kind": "small_cnn", "channels": [8, 16]}, {}, id="small_cnn"),
    pytest.param({"kind": "resnet18", "stem": "cifar"}, {}, id="resnet18"),
    pytest.param({"kind": "resnet18", "stem": "cifar"}, {"model.channels_last": True, "precision": "bf16"}, id="bf16"),
]


def trained(make_trainer, changes, device="cuda"):
    """A trainer at its end, and its curve."""
    trainer = make_trainer({"device": device, **changes})
    return trainer, [dict(entry.metrics) for entry in trainer]


def state(trainer):
    return torch.cat([p.detach().flatten().cpu() for p in trainer.networks.model.parameters()])


BATCHES = {"batch_size": 18, "epochs": 3}
"""Of two sizes, and enough of each for a graph."""
GRAPHED = [
    *METHODS,
    *STEPS,
    pytest.param({"optimizer": {"kind": "adamw"}, "schedule": {"kind": "cosine"}}, id="adamw"),
    pytest.param({"precision": "bf16"}, id="bf16"),
    pytest.param({"precision": "fp16"}, id="fp16"),
    pytest.param({"model.compile": True}, id="compiled"),
]


@pytest.mark.parametrize("changes", GRAPHED)
def test_a_graph_takes_the_steps_of_the_host_bit_for_bit(make_trainer, request, changes):
    plain, expected = trained(make_trainer, {**BATCHES, **changes})
    graphed, found = trained(make_trainer, {**BATCHES, **changes, "cuda_graph": True})
    assert found == expected
    assert torch.equal(state(graphed), state(plain))
    most = 0 if request.node.callspec.id in HOST else graphed.graphs.steps // 2
    assert graphed.graphs.replays >= most
    assert (graphed.graphs.replays > 0) == (most > 0)


@pytest.mark.parametrize("changes", [{}, {"optimizer": {"kind": "adamw"}}, {"precision": "fp16"}])
def test_a_graph_goes_on_exactly_from_a_checkpoint(make_trainer, tmp_path, changes):
    settings = {**BATCHES, **changes, "device": "cuda", "cuda_graph": True, "neighbors.targets": "memory"}
    whole, expected = trained(make_trainer, settings)
    cut, resumed = make_trainer(settings), make_trainer(settings)
    next(cut)
    next(cut)
    save_checkpoint(tmp_path / "cell.pt", cut.state_dict())
    next(resumed)  # and so has a graph of other memory
    resumed.load_state_dict(load_checkpoint(tmp_path / "cell.pt"))
    list(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == expected
    assert torch.equal(state(resumed), state(whole))
    assert resumed.graphs.replays > 0


@pytest.mark.parametrize(("backbone", "changes"), NETS)
def test_networks_of_images_take_the_same_steps_as_a_graph(make_trainer, backbone, changes):
    settings = {**IMAGES, "model.backbone": backbone, "augmentation": {"kind": "cifar"}, **changes, "epochs": 4}
    plain, expected = trained(make_trainer, settings)
    graphed, found = trained(make_trainer, {**settings, "cuda_graph": True})
    assert graphed.graphs.replays > 0
    assert found == expected
    assert torch.equal(state(graphed), state(plain))


@pytest.mark.parametrize("changes", METHODS)
def test_every_method_repeats_itself_bit_for_bit_and_measures_what_it_does_on_a_cpu(make_trainer, changes):
    (one, first), (other, second) = (trained(make_trainer, changes) for _ in range(2))
    assert first == second
    assert torch.equal(state(one), state(other))
    _, expected = trained(make_trainer, changes, "cpu")
    assert first[-1].keys() == expected[-1].keys()
    for name, value in expected[0].items():  # views and neighbours are drawn by generators of the device
        if name.startswith("train/loss"):
            assert math.isclose(first[0][name], value, rel_tol=0.25, abs_tol=0.25), name


@pytest.mark.parametrize("changes", METHODS)
def test_every_method_goes_on_exactly_from_a_checkpoint_also_on_a_cpu(make_trainer, tmp_path, changes):
    _, expected = trained(make_trainer, changes)
    cut = make_trainer({"device": "cuda", **changes})
    next(cut)
    next(cut)
    save_checkpoint(tmp_path / "cell.pt", cut.state_dict())
    resumed, elsewhere = (make_trainer({"device": device, **changes}) for device in ("cuda", "cpu"))
    for trainer in (resumed, elsewhere):
        trainer.load_state_dict(load_checkpoint(tmp_path / "cell.pt"))
        list(trainer)
    assert [dict(entry.metrics) for entry in resumed.history] == expected
    assert [entry.metrics for entry in elsewhere.history[:2]] == expected[:2]
    np.testing.assert_array_equal(
        resumed.outcome().relations.fine_counts.sum(), elsewhere.outcome().relations.fine_counts.sum()
    )


@pytest.mark.parametrize(("backbone", "changes"), NETS)
def test_networks_of_images_repeat_themselves_bit_for_bit(make_trainer, backbone, changes):
    settings = {**IMAGES, "model.backbone": backbone, "augmentation": {"kind": "cifar"}, **changes}
    (one, first), (other, second) = (trained(make_trainer, settings) for _ in range(2))
    assert first == second
    assert torch.equal(state(one), state(other))


@pytest.mark.parametrize("changes", STEPS)
def test_no_step_makes_the_host_wait(make_trainer, changes):
    trainer = make_trainer({"device": "cuda", "relations.every_steps": 10**6, **changes})
    next(trainer)
    trainer.networks.start_epoch(2)
    streams = {name: torch.Generator("cuda").manual_seed(1) for name in STREAMS}
    rows = torch.arange(60, device="cuda").split(20)
    trainer._train_step(rows[0], 2, streams)  # what a first step sets up may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for each in rows:
            trainer._train_step(each, 2, streams)
    finally:
        torch.cuda.set_sync_debug_mode("default")
