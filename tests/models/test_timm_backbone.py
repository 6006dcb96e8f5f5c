"""Networks of timm: its own outputs and keys under this framework's seeds, and what is refused with a fix."""

from __future__ import annotations

import sys

import pytest
import torch
from support.lazy import LazyModule

from fgtune.config.schema.model import ModelConfig
from fgtune.errors import ConfigError
from fgtune.models.classifier import build_classifier, check_weights

timm = LazyModule("timm")  # brings torchvision and the compiler


def built(name: str, shape=(3, 32, 32), seed=0, **parts):
    backbone = {"kind": "timm", "name": name, **parts.pop("backbone", {})}
    return build_classifier(ModelConfig.from_plain({"backbone": backbone, **parts}), shape, 4, seed)


@pytest.mark.parametrize("name", ["test_convnext", "test_resnet", "test_vit"])
def test_a_file_of_timm_gives_timms_own_features(name, tmp_path):
    with torch.random.fork_rng(devices=[]):
        theirs = timm.create_model(name, num_classes=10, **({"img_size": 32} if "vit" in name else {})).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    mine = built(name, weights={"path": str(tmp_path / "weights.pt")}).eval()
    assert all(key.split(".")[0] in {"fc", "head", "classifier"} for key in mine.weights_report.dropped)
    inputs = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(inputs), pre_logits=True)
        torch.testing.assert_close(mine.features(inputs), expected)
    assert mine.backbone.feature_dim == expected.shape[1]


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_weights_are_timms_distributions_drawn_by_the_seed_alone(name):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, again, other = built(name), built(name), built(name, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    mine, same, different = (each.backbone.state_dict() for each in (one, again, other))
    assert all(torch.equal(mine[key], same[key]) for key in mine)
    assert not all(torch.equal(mine[key], different[key]) for key in mine)
    with torch.random.fork_rng(devices=[]):
        theirs = timm.create_model(name, num_classes=0, **({"img_size": 32} if "vit" in name else {})).state_dict()
    assert set(mine) == {f"network.{key}" for key in theirs}
    for key, weight in theirs.items():
        if weight.is_floating_point() and weight.numel() > 500:
            assert float(mine[f"network.{key}"].std()) == pytest.approx(float(weight.std()), rel=0.25, abs=1e-6), key


def test_an_unknown_name_is_answered_with_near_ones():
    message = r"trial.model.backbone.name: is no network of timm, got 'resnet_18'.* did you mean .*resnet18"
    with pytest.raises(ConfigError, match=message):
        built("resnet_18")
    with pytest.raises(ConfigError, match=r"timm.list_models\(\) lists the names"):
        built("0")


def test_a_file_is_checked_without_memory_for_the_network(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    parts = {"backbone": {"kind": "timm", "name": "test_vit"}, "weights": {"path": str(tmp_path / "other.pt")}}
    with pytest.raises(ConfigError, match=r"lacks .*cls_token.* and has unexpected conv1.weight \(keys"):
        check_weights(ModelConfig.from_plain(parts), (3, 32, 32))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("test_convnext", (3, 8, 8), r"cannot take 3 x 8 x 8 images \("),
        ("test_vit", (3, 20, 20), r"cannot (take|be built for) 3 x 20 x 20 images \("),
        ("test_resnet", (64,), r"needs images \(channels, height, width\)"),
    ],
)
def test_images_that_a_network_cannot_take_are_refused_before_training(name, shape, message):
    with pytest.raises(ConfigError, match=message):
        built(name, shape)


def test_stochastic_depth_is_a_setting_where_there_is_any():
    model = built("test_convnext", backbone={"drop_path": 0.5}).train()
    inputs = torch.rand(16, 3, 32, 32)
    assert not torch.equal(model.features(inputs), model.features(inputs))
    model.eval()
    assert torch.equal(model.features(inputs), model.features(inputs))


def test_without_timm_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"needs timm, which is not installed.*pip install 'fgtune\[timm\]'"):
        built("test_resnet")
