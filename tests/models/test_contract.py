"""What every backbone and every head in the registries must do."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from fgtune.config.schema.model import ModelConfig
from fgtune.config.schema.paths import kinds_of
from fgtune.models import BACKBONES, HEADS
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.models.teacher import EmaTeacher
from fgtune.testing.backbones import CHECKS, BackboneCase

SHAPE = (3, 8, 8)
SPATIAL = {"small_cnn", "resnet18", "resnet50"}
GIVEN = {"timm": {"name": "test_efficientnet"}, "resnet18": {"width": 8}, "resnet50": {"width": 8}}
"""Settings that a kind cannot do without, or that make it small."""

SLOW = {"resnet50"}
"""A larger one of a kind that is tested anyway."""


def cases(*names: str):
    return pytest.param(*names, marks=[pytest.mark.slow] * (names[0] in SLOW))


every_backbone = pytest.mark.parametrize("backbone", [cases(b) for b in BACKBONES])
every_pair = pytest.mark.parametrize(("backbone", "head"), [cases(b, h) for b in BACKBONES for h in HEADS])


def config(backbone: str, head: str = "linear", **parts) -> ModelConfig:
    return ModelConfig.from_plain(
        {"backbone": {"kind": backbone, **GIVEN.get(backbone, {})}, "head": {"kind": head}, **parts}
    )


@functools.cache
def pristine(backbone: str, head: str = "linear") -> FineClassifier:
    return build_classifier(config(backbone, head), SHAPE, 6, seed=0)


def fresh(backbone: str, head: str = "linear") -> FineClassifier:
    return copy.deepcopy(pristine(backbone, head))


def images(count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def test_every_registered_kind_has_a_config_and_every_config_a_class():
    assert set(kinds_of(ModelConfig, "backbone")) == set(BACKBONES)
    assert set(kinds_of(ModelConfig, "head")) == set(HEADS)


@every_backbone
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_backbone_keeps_the_contract(backbone, check):
    check(BackboneCase({"kind": backbone, **GIVEN.get(backbone, {})}, SHAPE))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_resnet_with_one_feature_keeps_the_contract_too(check):
    check(BackboneCase({"kind": "resnet18", "width": 4, "feature": "affine_mean"}, SHAPE))


@every_pair
def test_maps_a_batch_to_logits(backbone, head):
    logits = pristine(backbone, head)(images())
    assert logits.shape == (5, 6)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("head", list(HEADS))
def test_initial_weights_of_a_head_are_a_function_of_the_seed(head):
    mine, again, other = (build_classifier(config("identity", head), SHAPE, 6, seed).head for seed in (0, 0, 1))
    for name, weight in mine.named_parameters():
        assert torch.equal(weight, again.state_dict()[name]), name
        assert not torch.equal(weight, other.state_dict()[name]), name


@every_backbone
def test_training_passes_move_the_statistics_of_batch_norm(backbone):
    model = fresh(backbone).train()
    before = copy.deepcopy(model.backbone.state_dict())
    model(images()).sum().backward()
    changed = {key for key, value in model.backbone.state_dict().items() if not torch.equal(before[key], value)}
    assert changed == {key for key in before if "running" in key or "num_batches" in key}
    assert all(p.grad is not None for p in model.parameters())


@every_backbone
def test_convolutional_backbones_have_a_spatial_map_and_others_say_that_they_have_none(backbone):
    assert (pristine(backbone).eval().spatial(images()) is not None) == (backbone in SPATIAL)


@every_backbone
def test_channels_last_lays_out_kernels_and_maps_also_in_the_teacher(backbone):
    model = build_classifier(config(backbone, channels_last=True), SHAPE, 6, seed=0).eval()
    teacher = EmaTeacher(model, 0.9, False, "averaged").model
    for network in (model, teacher):
        kernels = [p for p in network.parameters() if p.ndim == 4]
        assert bool(kernels) == (backbone in SPATIAL | {"timm"})
        assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    maps = model.spatial(images())
    assert maps is None or maps.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("head", list(HEADS))
def test_a_head_stays_finite_on_features_of_zeros_in_half_precision(head):
    model = fresh("identity", head)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            logits = model.head(torch.zeros(4, model.backbone.feature_dim, dtype=dtype))
        assert torch.isfinite(logits).all()
