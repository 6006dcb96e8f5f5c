"""Corruption and views: what is drawn, and that every draw comes from the generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fgtune.config.schema.pretrain import DenoisingConfig, ScarfConfig, SimSiamConfig
from fgtune.models.initialize import build_by_seed
from fgtune.training.pretraining.methods import METHODS, Surroundings, corrupt, image_view, random_tone


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_fixed_share_of_each_row_is_replaced_by_the_same_number_of_some_training_sample():
    inputs = torch.arange(50.0)[:, None] + 1000 * torch.arange(10.0)  # a number tells its row and its column
    batch = -torch.ones(200, 10)
    changed = corrupt(batch, inputs, 0.35, stream())
    replaced = changed >= 0
    assert (replaced.sum(dim=1) == 3).all()
    assert (torch.div(changed, 1000, rounding_mode="floor")[replaced] == torch.nonzero(replaced)[:, 1]).all()
    shares = replaced.float().mean(dim=0)
    assert (shares - 0.3).abs().max() < 4 * (0.3 * 0.7 / 200) ** 0.5
    rows = torch.unique(changed[replaced] % 1000)
    assert len(rows) == 50  # 600 draws of 50 rows: each is missed with probability 5e-6
    assert torch.equal(changed, corrupt(batch, inputs, 0.35, stream()))
    assert not torch.equal(changed, corrupt(batch, inputs, 0.35, stream(1)))


def test_one_number_at_least_is_replaced():
    assert (corrupt(torch.zeros(9, 3), torch.ones(4, 3), 0.01, stream()).sum(dim=1) == 1).all()


def around(shape=(3, 6, 9), dim=5):
    return Surroundings(shape, dim, lambda images: images, torch.zeros(4, *shape), None)


def test_a_view_without_changes_is_the_image_of_any_shape():
    plain = SimSiamConfig(crop_scale=(1.0, 1.0), flip_p=0.0, jitter=0.0, gray_p=0.0)
    images = torch.tensor(np.random.default_rng(0).normal(size=(7, 3, 6, 6)), dtype=torch.float32)
    assert torch.allclose(image_view(images, plain, around((3, 6, 6)), stream()), images, atol=1e-5)
    wide = torch.rand(7, 1, 6, 9, generator=stream(9))
    view = image_view(wide, SimSiamConfig(), around((1, 6, 9)), stream())
    assert view.shape == wide.shape
    assert not torch.equal(view, image_view(wide, SimSiamConfig(), around((1, 6, 9)), stream(1)))


def test_tones_change_by_their_factors():
    gray = torch.rand(5, 3, 1, 1, generator=stream(9)).mean(dim=1, keepdim=True).expand(5, 3, 4, 4)
    toned = random_tone(gray, 0.4, 1.0, stream())  # without contrast and colour, only brightness is left
    factors = (toned / gray).amax(dim=(1, 2, 3))
    assert ((factors > 0.6) & (factors < 1.4)).all()
    assert torch.allclose(toned, gray * factors[:, None, None, None], atol=1e-3)
    assert torch.equal(random_tone(gray, 0.4, 0.0, stream()), gray)
    images = torch.rand(5, 1, 4, 4, generator=stream(9))
    toned = random_tone(images, 0.4, 1.0, stream())
    contrasts = (
        toned.std(dim=(1, 2, 3)) / toned.mean(dim=(1, 2, 3)) / (images.std(dim=(1, 2, 3)) / images.mean(dim=(1, 2, 3)))
    )
    assert ((contrasts > 0.6) & (contrasts < 1.4)).all()


def test_simsiam_is_symmetric_and_its_gradient_flows_through_the_predictions_alone():
    plain = SimSiamConfig(dim=8, crop_scale=(1.0, 1.0), flip_p=0.0, jitter=0.0, gray_p=0.0)
    method = build_by_seed(lambda: METHODS["simsiam"](plain, around((3, 6, 6))), 0)
    backbone = build_by_seed(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 5)), 0)
    batch = torch.rand(16, 3, 6, 6, generator=stream(9))
    loss, seen = method(backbone, batch, stream())
    z = method.projector(seen[0])
    expected = -nn.functional.cosine_similarity(method.predictor(z), z, dim=1).mean()  # both views are the same
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-3)
    assert len(seen) == 2
    loss.backward()
    assert all(parameter.grad is not None for parameter in [*method.parameters(), *backbone.parameters()])


def test_scarf_contrasts_a_sample_with_its_corrupted_copy():
    inputs = torch.rand(64, 12, generator=stream(9))
    surroundings = Surroundings((12,), 12, nn.Identity(), inputs, None)
    method = build_by_seed(lambda: METHODS["scarf"](ScarfConfig(dim=8), surroundings), 0)
    loss, seen = method(nn.Identity(), inputs, stream())
    clean = method.projector(inputs)
    changed = method.projector(corrupt(inputs, inputs, 0.6, stream()))
    cosine = nn.functional.cosine_similarity(clean[:, None], changed[None], dim=2)
    assert float(loss.detach()) == pytest.approx(float(-cosine.log_softmax(dim=1).diagonal().mean().detach()), rel=1e-5)
    assert torch.equal(seen[0], inputs)


def test_denoising_needs_deviations():
    config = DenoisingConfig(hidden=4)
    method = METHODS["denoising"](
        config, Surroundings((3,), 3, nn.Identity(), torch.rand(4, 3, generator=stream(9)), None)
    )
    with pytest.raises(ValueError, match="deviation"):
        method(nn.Identity(), torch.rand(4, 3, generator=stream(9)), stream())
