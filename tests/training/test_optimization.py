"""The optimisers take torch's own steps, bit for bit, without importing its compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from fgtune.config.schema.trial import AdamConfig, SgdConfig
from fgtune.training.optimization import build_optimizer

OPTIMIZERS = [
    pytest.param(
        SgdConfig(lr=0.3, momentum=0.9, weight_decay=0.01, nesterov=True),
        lambda weights, fused: torch.optim.SGD(
            weights, fused=fused, lr=0.3, momentum=0.9, weight_decay=0.01, nesterov=True
        ),
        id="sgd",
    ),
    pytest.param(
        AdamConfig(lr=0.02, weight_decay=0.1),
        lambda weights, fused: torch.optim.AdamW(weights, lr=0.02, weight_decay=0.1, fused=fused),
        id="adamw",
    ),
]
ONE_STEP_EACH = """
import sys, torch
from fgtune.config.schema.trial import AdamConfig, SgdConfig
from fgtune.training.optimization import build_optimizer
for config in (SgdConfig(), AdamConfig()):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = build_optimizer(config, [weight])
    weight.sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    optimizer.load_state_dict(optimizer.state_dict())
    assert weight.grad is None and bool((weight < 1).all())
    assert "torch._dynamo" not in sys.modules, config
"""


def walk(make, cut: int | None = None) -> torch.Tensor:
    """Weights after ten steps down a bowl; after ``cut`` steps another optimiser goes on from the stored state."""
    weight = torch.nn.Parameter(torch.linspace(-1.0, 2.0, 7))
    optimizer = make([weight])
    for step in range(10):
        if step == cut:
            state, optimizer = optimizer.state_dict(), make([weight])
            optimizer.load_state_dict(state)
        optimizer.zero_grad(set_to_none=True)
        ((weight - 0.5).square() * torch.arange(7)).sum().backward()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize(("config", "torchs"), OPTIMIZERS)
def test_a_parameter_may_get_its_first_gradient_after_others(config, torchs):
    def late(make):
        early, other = (torch.nn.Parameter(torch.linspace(-1.0, 2.0, 7)) for _ in range(2))
        optimizer = make([early, other])
        for step in range(6):
            optimizer.zero_grad(set_to_none=True)
            (early.square().sum() + (other.pow(4).sum() if step > 2 else 0.0)).backward()
            optimizer.step()
        return torch.cat([early, other]).detach()

    torch.testing.assert_close(
        late(lambda weights: build_optimizer(config, weights)), late(lambda weights: torchs(weights, fused=False))
    )


@pytest.mark.parametrize(("config", "torchs"), OPTIMIZERS)
def test_steps_are_those_of_torch_through_a_stored_state_too(config, torchs):
    expected = walk(lambda weights: torchs(weights, fused=True))
    torch.testing.assert_close(expected, walk(lambda weights: torchs(weights, fused=False)))
    assert torch.equal(walk(lambda weights: build_optimizer(config, weights)), expected)
    assert torch.equal(walk(lambda weights: build_optimizer(config, weights), cut=4), expected)


@pytest.mark.integration
@pytest.mark.slow
def test_a_step_does_not_import_the_compiler():
    done = subprocess.run([sys.executable, "-c", ONE_STEP_EACH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
