"""Initial weights by name, the EMA teacher, heads."""

from __future__ import annotations

import copy

import pytest
import torch

from fgtune.config.schema.model import ModelConfig
from fgtune.models.classifier import build_classifier
from fgtune.models.teacher import EmaTeacher


def config(**parts):
    return ModelConfig.from_plain(parts)


def test_weights_depend_on_the_seed_alone_and_leave_global_state_untouched():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_classifier(config(), (64,), 10, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    second = build_classifier(config(), (64,), 10, seed=3)
    other = build_classifier(config(), (64,), 10, seed=4)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.backbone.layers[0].weight, other.backbone.layers[0].weight)


def test_arms_share_every_weight_whose_name_and_shape_agree():
    ten = build_classifier(config(), (64,), 10, seed=0)
    twelve = build_classifier(config(head={"kind": "cosine"}), (64,), 12, seed=0)
    for name, weight in ten.backbone.named_parameters():
        assert torch.equal(weight, dict(twelve.backbone.named_parameters())[name])


def test_initial_distribution_is_torchs_own():
    weight = build_classifier(config(backbone={"kind": "linear", "dim": 400}), (100,), 2, seed=0).backbone.linear.weight
    weight = weight.detach()
    bound = 1 / 10  # kaiming uniform with a = sqrt(5) is uniform within 1 / sqrt(fan_in)
    assert weight.abs().max() <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.02)


def test_frozen_backbone_has_no_gradient_and_keeps_its_statistics():
    model = build_classifier(config(freeze_backbone=True), (4,), 3, seed=0).train()
    before = copy.deepcopy(model.backbone.state_dict())
    model(torch.randn(8, 4, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(torch.equal(before[k], v) for k, v in model.backbone.state_dict().items())


def slow_average(history, decay, warmup):
    value = history[0]
    for t, weight in enumerate(history[1:], 1):
        d = min(decay, (1 + t) / (10 + t)) if warmup else decay
        value = d * value + (1 - d) * weight
    return value


@pytest.mark.parametrize("warmup", [True, False])
def test_teacher_is_the_exponential_average_of_the_student(warmup):
    student = build_classifier(config(), (4,), 3, seed=0)
    teacher = EmaTeacher(student, 0.97, warmup, "shared")
    weight = student.head.linear.weight
    history = [weight.detach().clone().double()]
    for step in range(50):
        with torch.no_grad():
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
        teacher.update()
        history.append(weight.detach().clone().double())
    expected = slow_average(history, 0.97, warmup)
    torch.testing.assert_close(teacher.model.head.linear.weight.double(), expected, atol=1e-4, rtol=1e-4)


def test_warmup_reaches_the_bound_after_890_updates():
    teacher = EmaTeacher(build_classifier(config(), (4,), 3, seed=0), 0.99, True, "shared")
    assert teacher.decay_at(1) == pytest.approx(2 / 11)
    assert teacher.decay_at(889) < 0.99
    assert teacher.decay_at(890) == 0.99


def test_shared_buffers_are_updated_by_teacher_passes_and_averaged_ones_are_not():
    inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    for buffers, shared in [("shared", True), ("averaged", False)]:
        student = build_classifier(config(), (4,), 3, seed=0)
        teacher = EmaTeacher(student, 0.9, False, buffers)
        mean = student.backbone.layers[1].running_mean
        before = mean.clone()
        teacher.model(inputs)
        assert (not torch.equal(before, mean)) == shared
        student.train()(inputs)
        teacher.update()
        mine = teacher.model.backbone.layers[1].running_mean
        assert (mine is mean) == shared
        if not shared:
            torch.testing.assert_close(mine, 0.1 * mean)
