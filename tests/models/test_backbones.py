"""Single backbones: against torchvision's own networks, by shape, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from support.lazy import LazyModule

from fgtune.config.schema.model import ModelConfig
from fgtune.errors import ConfigError
from fgtune.models.classifier import build_classifier

models = LazyModule("torchvision.models")
IMAGES = (3, 32, 32)


def backbone(shape, **settings):
    return build_classifier(ModelConfig.from_plain({"backbone": settings}), shape, 4, seed=0).backbone


def reference(name: str, stem: str, padding: int) -> torch.nn.Module:
    network = getattr(models, name)(weights=None)
    network.fc = torch.nn.Identity()
    if stem == "cifar":
        network.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=padding, bias=False)
        network.maxpool = torch.nn.Identity()
    return network.eval()


@pytest.mark.parametrize(
    ("kind", "stem", "padding"),
    [("resnet18", "cifar", 1), ("resnet18", "cifar", 2), ("resnet18", "imagenet", 1), ("resnet50", "imagenet", 1)],
)
def test_resnet_is_torchvisions_own_under_its_own_keys(kind, stem, padding):
    mine = backbone((3, 32, 32), kind=kind, stem=stem, padding=padding).eval()
    theirs = reference(kind, stem, padding)
    theirs.load_state_dict(mine.state_dict())  # strict
    inputs = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(mine(inputs), theirs(inputs))


def test_the_maps_of_a_resnet_are_a_dial():
    shapes = {name: tuple(each.shape) for name, each in backbone(IMAGES, kind="resnet18").state_dict().items()}
    narrow = backbone(IMAGES, kind="resnet18", width=16)
    assert narrow.feature_dim == 128
    assert {name: tuple(each.shape) for name, each in narrow.state_dict().items()} == {
        name: tuple(side // 4 if side % 64 == 0 else side for side in shape) for name, shape in shapes.items()
    }
    assert narrow.eval().spatial(torch.zeros(2, *IMAGES)).shape == (2, 128, 4, 4)
    bottleneck = backbone(IMAGES, kind="resnet50", width=4, stem="cifar")
    assert bottleneck.eval()(torch.zeros(2, *IMAGES)).shape == (2, bottleneck.feature_dim) == (2, 128)


def test_an_affine_mean_is_one_feature_that_starts_as_the_mean_of_all_maps():
    plain, single = (
        backbone(IMAGES, kind="resnet18", width=8, feature=feature).eval() for feature in ("maps", "affine_mean")
    )
    assert single.feature_dim == 1
    assert {*single.state_dict()} - {*plain.state_dict()} == {"summary.offset", "summary.slope"}
    images = torch.rand(3, *IMAGES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(single(images), plain(images).mean(dim=1, keepdim=True))
        single.summary.offset.fill_(0.25)
        single.summary.slope.fill_(-3.0)
        torch.testing.assert_close(single(images), -3 * (plain(images).mean(dim=1, keepdim=True) - 0.25))


@pytest.mark.parametrize(
    ("settings", "size", "side"),
    [
        ({"kind": "resnet18", "stem": "cifar"}, 32, 4),
        ({"kind": "resnet18", "stem": "cifar", "padding": 2}, 32, 5),  # 34 pixels inside
        ({"kind": "resnet18", "stem": "imagenet"}, 64, 2),
        ({"kind": "small_cnn"}, 28, 7),
        ({"kind": "small_cnn"}, 64, 16),
        ({"kind": "small_cnn", "channels": [8]}, 30, 30),
    ],
)
def test_side_of_the_spatial_map(settings, size, side):
    network = backbone((3, size, size), **settings).eval()
    assert network.spatial(torch.zeros(1, 3, size, size)).shape == (1, network.feature_dim, side, side)


def test_the_stem_can_start_as_any_convolution_of_torch_and_changes_nothing_else():
    usual, plain = (backbone((3, 8, 8), kind="resnet18", stem_init=init).state_dict() for init in ("resnet", "torch"))
    assert [name for name in usual if not torch.equal(usual[name], plain[name])] == ["conv1.weight"]
    bound = 1 / math.sqrt(27)
    assert 0.98 * bound < plain["conv1.weight"].abs().max() <= bound
    assert plain["conv1.weight"].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert usual["conv1.weight"].std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.05)
    assert torch.equal(plain["conv1.weight"], backbone((3, 8, 8), kind="resnet18", stem_init="torch").conv1.weight)
    with pytest.raises(ValueError, match="stem_init is a setting of the CIFAR stem"):
        ModelConfig.from_plain({"backbone": {"kind": "resnet50", "stem_init": "torch"}})


def test_channels_are_a_dial_and_norm_a_switch():
    network = backbone((1, 28, 28), kind="small_cnn", channels=[4, 10], norm="none")
    assert network.feature_dim == 10
    assert sorted(network.state_dict()) == ["layers.0.bias", "layers.0.weight", "layers.3.bias", "layers.3.weight"]
    assert "layers.1.running_mean" in backbone((1, 28, 28), kind="small_cnn").state_dict()


def test_mlp_norm_is_a_switch():
    names = {norm: set(backbone((4,), kind="mlp", norm=norm).state_dict()) for norm in ("none", "batch")}
    assert not any("running" in name for name in names["none"])
    assert any("running" in name for name in names["batch"])


def test_identity_hands_on_what_it_gets():
    network = backbone((2, 3), kind="identity")
    assert network.feature_dim == 6
    assert not list(network.parameters())
    assert torch.equal(network(torch.arange(12.0).view(2, 2, 3)), torch.arange(12.0).view(2, 6))


@pytest.mark.parametrize("kind", ["small_cnn", "resnet18", "resnet50"])
def test_convolutional_backbones_refuse_vectors(kind):
    with pytest.raises(ConfigError, match=r"trial.model.backbone.kind: needs images .* shape \(64,\), got '" + kind):
        backbone((64,), kind=kind)


def test_images_that_pooling_would_leave_nothing_of_are_refused():
    with pytest.raises(ConfigError, match="needs images of at least 4 x 4 pixels, and a sample has 3 x 28"):
        backbone((1, 3, 28), kind="small_cnn")
    assert backbone((1, 4, 4), kind="small_cnn")(torch.zeros(2, 1, 4, 4)).shape == (2, 128)


def test_padding_belongs_to_the_cifar_stem():
    with pytest.raises(ValueError, match="padding is a setting of the CIFAR stem; leave it out with stem: imagenet"):
        ModelConfig.from_plain({"backbone": {"kind": "resnet50", "padding": 2}})
