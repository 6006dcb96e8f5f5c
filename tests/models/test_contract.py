"""What every backbone and every head in the registries must do."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from fgtune.config.model import ModelConfig
from fgtune.config.paths import kinds_of
from fgtune.models import BACKBONES, HEADS
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.models.teacher import EmaTeacher

SHAPE = (3, 8, 8)
SPATIAL = {"small_cnn", "resnet18", "resnet50"}

every_backbone = pytest.mark.parametrize("backbone", list(BACKBONES))
every_pair = pytest.mark.parametrize(("backbone", "head"), [(b, h) for b in BACKBONES for h in HEADS])


def config(backbone: str, head: str = "linear", **parts) -> ModelConfig:
    return ModelConfig.from_plain({"backbone": {"kind": backbone}, "head": {"kind": head}, **parts})


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


@every_pair
def test_maps_a_batch_to_features_and_logits_with_gradients_for_all_parameters(backbone, head):
    model = fresh(backbone, head).train()
    features, logits = model.features(images()), model(images())
    assert features.shape == (5, model.backbone.feature_dim)
    assert logits.shape == (5, 6)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert any(p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("backbone", "head"), [*((backbone, "linear") for backbone in BACKBONES), *(("identity", head) for head in HEADS)]
)
def test_initial_weights_are_a_function_of_the_seed(backbone, head):
    before = torch.get_rng_state()
    again, other = (build_classifier(config(backbone, head), SHAPE, 6, seed) for seed in (0, 1))
    assert torch.equal(before, torch.get_rng_state())
    for (name, mine), theirs in zip(
        pristine(backbone, head).state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs), name
    drawn = [name for name, weight in pristine(backbone, head).named_parameters() if weight.max() > weight.min()]
    assert drawn
    for name in drawn:
        assert not torch.equal(pristine(backbone, head).state_dict()[name], other.state_dict()[name]), name


@every_backbone
def test_arms_that_differ_in_their_head_share_the_backbone(backbone):
    other = pristine(backbone, "cosine").backbone.state_dict()
    for name, weight in pristine(backbone).backbone.state_dict().items():
        assert torch.equal(weight, other[name]), name


@every_backbone
def test_evaluation_treats_each_sample_alone_and_changes_nothing(backbone):
    model = fresh(backbone).eval()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        together, alone = model(images()), torch.cat([model(image[None]) for image in images()])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@every_backbone
def test_training_passes_move_statistics_unless_the_backbone_is_frozen(backbone):
    moves = any("running_mean" in name for name in pristine(backbone).state_dict())
    frozen_model = build_classifier(config(backbone, freeze_backbone=True), SHAPE, 6, seed=0)
    for frozen, model in ((False, fresh(backbone)), (True, frozen_model)):
        model.train()
        before = copy.deepcopy(model.backbone.state_dict())
        model(images()).sum().backward()
        changed = any(not torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())
        assert changed == (moves and not frozen)
        assert all((p.grad is None) == frozen for p in model.backbone.parameters())
        assert all(p.grad is not None for p in model.head.parameters())


@every_backbone
def test_a_spatial_map_pools_to_the_features_and_others_say_that_they_have_none(backbone):
    model = fresh(backbone).eval()
    maps = model.spatial(images())
    assert (maps is not None) == (backbone in SPATIAL)
    if maps is not None:
        assert maps.ndim == 4
        torch.testing.assert_close(maps.mean(dim=(2, 3)), model.features(images()))


@every_backbone
def test_channels_last_gives_the_same_logits_in_another_layout_also_in_the_teacher(backbone):
    model = build_classifier(config(backbone, channels_last=True), SHAPE, 6, seed=0).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images()), pristine(backbone).eval()(images()), atol=1e-4, rtol=1e-4)
    teacher = EmaTeacher(model, 0.9, False, "averaged").model
    for network in (model, teacher):
        kernels = [p for p in network.parameters() if p.ndim == 4]
        assert bool(kernels) == (backbone in SPATIAL)
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
