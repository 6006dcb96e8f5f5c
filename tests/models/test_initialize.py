"""Initial weights: distributions, and every kind of module."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fgtune.config.schema.model import ModelConfig
from fgtune.models.classifier import build_classifier
from fgtune.models.initialize import build_by_seed


@pytest.mark.parametrize("kind", ["small_cnn", "resnet18"])
def test_convolutions_are_normal_by_fan_out_and_norms_are_ones_and_zeros(kind):
    model = build_classifier(ModelConfig.from_plain({"backbone": {"kind": kind}}), (3, 32, 32), 10, seed=0)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions
    for each in convolutions:
        expected = math.sqrt(2 / (each.out_channels * each.kernel_size[0] * each.kernel_size[1]))
        count = each.weight.numel()
        assert abs(float(each.weight.detach().std()) / expected - 1) < 5 / math.sqrt(2 * count)
        assert abs(float(each.weight.detach().mean())) < 5 * expected / math.sqrt(count)
    for each in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        assert torch.equal(each.weight, torch.ones_like(each.weight))
        assert torch.equal(each.bias, torch.zeros_like(each.bias))
        assert torch.equal(each.running_var, torch.ones_like(each.running_var))


def test_layers_of_equal_shape_start_differently():
    model = build_classifier(ModelConfig.from_plain({"backbone": {"kind": "resnet18"}}), (3, 32, 32), 10, seed=0)
    first, second = model.backbone.layer1[0].conv1.weight, model.backbone.layer1[0].conv2.weight
    assert first.shape == second.shape
    assert not torch.equal(first, second)


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.empty(3))


@pytest.mark.parametrize(
    "factory",
    [
        lambda: nn.Conv1d(3, 4, 3),
        lambda: nn.Conv3d(3, 4, 3),
        lambda: nn.ConvTranspose2d(3, 4, 3),
        lambda: nn.Embedding(5, 4),
        lambda: nn.LSTM(3, 4),
        lambda: nn.Sequential(nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm3d(4), nn.Linear(4, 4, bias=False)),
    ],
)
def test_torchs_own_layers_are_drawn_by_seed_without_global_state(factory):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (build_by_seed(factory, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert all(torch.isfinite(value).all() for value in first.values())


def test_parameters_that_nobody_sets_are_an_error():
    with pytest.raises(TypeError, match=r"_Scale needs reset_parameters\(generator\) to be initialised by seed"):
        build_by_seed(lambda: nn.Sequential(nn.Linear(2, 2), _Scale()), 0)
