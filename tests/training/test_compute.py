"""Precision, gradient scaling, and predictions on arrays."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from fgtune.config.schema.model import ModelConfig
from fgtune.errors import TrialError
from fgtune.models.classifier import build_classifier
from fgtune.training import compute as module
from fgtune.training.compute import Compute, log_of

INPUTS = np.random.default_rng(0).normal(size=(23, 6)).astype(np.float32)


@pytest.fixture
def model():
    return build_classifier(ModelConfig.from_plain({"backbone": {"kind": "mlp", "hidden": [8]}}), (6,), 4, seed=0)


def test_predictions_do_not_depend_on_the_cut_into_batches(model, monkeypatch):
    compute = Compute("cpu", "fp32")
    whole = compute.predict(model, INPUTS)
    monkeypatch.setattr(module, "EVALUATION_NUMBERS", 30)  # five samples of six numbers
    seen = []
    parts = compute.predict(model, INPUTS, lambda batch: seen.append(len(batch)) or batch)
    assert seen == [5, 5, 5, 5, 3]
    np.testing.assert_allclose(whole.probs, parts.probs, atol=1e-6)
    np.testing.assert_allclose(whole.features, parts.features, atol=1e-6)
    np.testing.assert_allclose(whole.probs.sum(axis=1), 1, atol=1e-6)


def test_parts_are_the_predictions_block_by_block(model, monkeypatch):
    monkeypatch.setattr(module, "EVALUATION_NUMBERS", 30)
    rows = np.random.default_rng(1).permutation(23)[:17]
    compute = Compute("cpu", "fp32")
    whole = compute.predict(model, INPUTS, rows=rows)
    blocks = []
    for block, part in compute.parts(model, INPUTS, rows=rows):
        blocks.append((block.start, block.stop))
        for name in ("probs", "features", "log_probs", "fine"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[block])
    assert blocks == [(0, 5), (5, 10), (10, 15), (15, 17)]


def test_predictions_see_the_view_and_pixels_are_scaled(model):
    compute = Compute("cpu", "fp32")
    doubled = compute.predict(model, INPUTS, lambda batch: 2 * batch)
    np.testing.assert_allclose(doubled.probs, compute.predict(model, 2 * INPUTS).probs, atol=1e-6)
    pixels = np.arange(60, dtype=np.uint8).reshape(10, 6)
    scaled = compute.predict(model, (pixels / np.float32(255)).astype(np.float32))
    np.testing.assert_allclose(compute.predict(model, pixels).probs, scaled.probs, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_predicting_runs_in_evaluation_mode_and_restores_the_mode(model, training):
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    Compute("cpu", "fp32").predict(model, INPUTS)
    assert model.training == training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_bf16_rounds_the_network_and_hands_out_fp32(model):
    exact, rounded = (
        Compute("cpu", precision).logits(model.eval(), torch.from_numpy(INPUTS)) for precision in ("fp32", "bf16")
    )
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, atol=0.05, rtol=0.05)


def test_fp16_on_the_cpu_is_a_clear_error():
    with pytest.raises(TrialError, match="precision: fp16 needs a GPU, and this trial runs on the CPU; use bf16"):
        Compute("cpu", "fp16")


def step(model, compute, factor=1.0):
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = model.train()(torch.from_numpy(INPUTS)).square().mean() * factor
    compute.backward_and_step(loss, optimizer)
    return model.state_dict()


@pytest.mark.slow
def test_a_plain_step_is_backward_and_step(model):
    found = step(model, Compute("cpu", "fp32"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()(torch.from_numpy(INPUTS)).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items())


def test_a_scaled_step_is_the_plain_one_and_an_overflow_skips_it(model):
    plain, scaled = Compute("cpu", "fp32"), Compute("cpu", "fp32")
    assert plain.scaler is None
    assert plain.state_dict() == {}
    scaled.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for key, value in step(model, plain).items():
        torch.testing.assert_close(step(model, scaled)[key], value)
    after = step(model, scaled, factor=float("inf"))
    assert all(torch.equal(after[key], value) for key, value in model.named_parameters())
    assert scaled.scaler.get_scale() == 512.0
    resumed = Compute("cpu", "fp32")
    resumed.scaler = torch.amp.GradScaler("cpu")
    resumed.load_state_dict(scaled.state_dict())
    assert resumed.scaler.get_scale() == 512.0
    plain.load_state_dict({})


@pytest.mark.gpu
def test_fp16_trains_on_a_gpu_with_its_scale_kept(model):
    compute = Compute("cuda", "fp16")
    model.cuda().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.head.linear.weight.detach().clone()
    compute.backward_and_step(compute.logits(model, compute.to_device(INPUTS)).square().mean(), optimizer)
    assert not torch.equal(before, model.head.linear.weight)
    assert compute.state_dict()["scale"] > 1


def test_logarithms_of_zero_are_finite():
    assert torch.isfinite(log_of(torch.tensor([0.0, 1.0]))).all()
