"""Weights files in the layouts that exist, what is left behind, and what is refused."""

from __future__ import annotations

import argparse
import collections
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.lazy import LazyModule

from fgtune.config.schema.model import ModelConfig
from fgtune.errors import ConfigError
from fgtune.models.classifier import build_classifier, check_weights

models = LazyModule("torchvision.models")

SMALL = {"kind": "small_cnn", "channels": [4, 6]}
SHAPE = (3, 8, 8)


def build(backbone=None, shape=SHAPE, seed=0, **weights):
    parts = {"backbone": backbone or SMALL} | ({"weights": weights} if weights else {})
    return build_classifier(ModelConfig.from_plain(parts), shape, 5, seed)


@pytest.fixture(scope="module")
def source():
    """Backbone weights that no seed of the tests below would draw."""
    return {key: value + 1 for key, value in build(seed=9).backbone.state_dict().items()}


@pytest.fixture
def save(tmp_path):
    def save_as(content) -> str:
        path = tmp_path / "weights.pt"
        torch.save(content, path)
        return str(path)

    return save_as


def extra(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(2) for name in names}


def prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state.items()}


def test_plain_keys_are_the_backbones_own_and_the_head_is_drawn_as_without_a_file(save, source):
    model = build(path=save(source))
    assert all(torch.equal(source[key], value) for key, value in model.backbone.state_dict().items())
    assert torch.equal(model.head.linear.weight, build().head.linear.weight)
    assert model.weights_report.dropped == ()
    assert set(model.weights_report.loaded) == set(source)
    assert build().weights_report is None


def moco_v3(source, prefix="module."):
    return {
        "epoch": 300,
        "arch": "resnet18",
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "state_dict": {
            **prefixed(f"{prefix}base_encoder.", source),
            **extra(f"{prefix}base_encoder.fc.0.weight", f"{prefix}base_encoder.fc.1.running_mean"),
            **prefixed(f"{prefix}momentum_encoder.", {key: value + 1 for key, value in source.items()}),
            **extra(f"{prefix}predictor.0.weight"),
        },
    }


def moco_v2(source):
    """As the released MoCo v2 and CoIns save themselves, with a projector of two layers in the encoders' ``fc``."""
    return {
        "epoch": 200,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.03}]},
        "state_dict": {
            **prefixed("module.encoder_q.", source),
            **extra("module.encoder_q.fc.0.weight", "module.encoder_q.fc.2.bias", "module.queue", "module.queue_ptr"),
            **prefixed("module.encoder_k.", {key: value + 1 for key, value in source.items()}),
        },
    }


def solo_learn(source):
    return {
        "pytorch-lightning_version": "1.6.4",
        "state_dict": {
            **prefixed("backbone.", source),
            **prefixed("momentum_backbone.", {key: value + 1 for key, value in source.items()}),
            **extra("classifier.weight", "projector.0.weight", "momentum_projector.0.weight", "predictor.0.weight"),
        },
    }


@pytest.mark.parametrize(
    ("layout", "make"),
    [
        ("moco_v3", moco_v3),
        ("moco_v3", lambda source: moco_v3(source, prefix="")),
        ("moco_v3", lambda source: moco_v3(source)["state_dict"]),
        ("solo_learn", solo_learn),
        ("moco_v2", moco_v2),
    ],
)
@pytest.mark.parametrize(("encoder", "shift"), [("base", 0), ("momentum", 1)])
def test_either_encoder_of_a_pretraining_checkpoint_is_taken_and_the_rest_named(
    save, source, layout, make, encoder, shift
):
    content = make(source)
    state = content.get("state_dict", content)
    model = build(path=save(content), layout=layout, encoder=encoder)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, source[key] + shift), key
    dropped = model.weights_report.dropped
    assert len(dropped) + len(source) == len(state)
    assert any("predictor" in key or "queue" in key for key in dropped)
    assert any(key.endswith("encoder.fc.0.weight") or key.endswith("projector.0.weight") for key in dropped) or (
        "module.encoder_q.fc.0.weight" in dropped
    )


def test_a_whole_classifier_of_fgtune_gives_its_backbone(save):
    other = build(seed=7)
    model = build(path=save(other.state_dict()))
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[key])
    assert model.weights_report.dropped == ("head.linear.weight", "head.linear.bias")


def test_data_parallel_keys_are_read_too(save, source):
    model = build(path=save({"state_dict": prefixed("module.", source)}))
    assert all(torch.equal(source[key], value) for key, value in model.backbone.state_dict().items())


def test_counts_of_batches_may_be_absent(save, source):
    path = save({key: value for key, value in source.items() if not key.endswith("num_batches_tracked")})
    assert torch.equal(build(path=path).backbone.layers[0].weight, source["layers.0.weight"])


def test_missing_and_unexpected_keys_are_named(save, source):
    broken = {key: value for key, value in source.items() if key != "layers.0.weight"} | extra("layer9.weight")
    with pytest.raises(ConfigError, match=r"lacks layers.0.weight and has unexpected layer9.weight .*weights.pt'"):
        build(path=save(broken))


def test_only_the_first_keys_are_named_and_the_rest_counted(save, source):
    with pytest.raises(ConfigError, match=r"has unexpected x0, x1, x2, x3, x4, x5, x6, x7 and 4 more \(keys"):
        build(path=save(source | extra(*(f"x{n}" for n in range(12)))))


def test_shapes_that_differ_are_named(save, source):
    with pytest.raises(ConfigError, match=r"layers.0.weight \(4, 1, 3, 3\) instead of \(4, 3, 3, 3\)"):
        build(path=save(source | {"layers.0.weight": torch.zeros(4, 1, 3, 3)}))


def test_a_layout_that_does_not_fit_says_what_the_keys_begin_with(save, source):
    path = save(source)
    for layout, prefix in [("moco_v3", "base_encoder."), ("solo_learn", "backbone.")]:
        message = rf"no key that begins with '{prefix}', as layout {layout} \(base .* keys, which begin with layers"
        with pytest.raises(ConfigError, match=message):
            build(path=path, layout=layout)


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory):
    """A ResNet-18 with ImageNet stem and classifier, as torchvision saves one, in half precision."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    with torch.random.fork_rng(devices=[]):
        state = models.resnet18(weights=None).half().state_dict()
    torch.save(state, path)
    return path, state


def test_torchvisions_own_file_loads_without_its_classifier(torchvision_file):
    path, state = torchvision_file
    model = build({"kind": "resnet18", "stem": "imagenet"}, (3, 32, 32), path=str(path))
    assert model.weights_report.dropped == ("fc.weight", "fc.bias")
    assert model.backbone.layer4[1].conv2.weight.dtype == torch.float32
    assert torch.equal(model.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"].float())


def test_stems_are_not_converted(torchvision_file):
    message = (
        r"has the ImageNet stem \(conv1 7x7\), and the backbone has the CIFAR stem \(3x3\); stems are not converted.*"
        r"Fix: set model.backbone.stem: imagenet, or use other weights"
    )
    with pytest.raises(ConfigError, match=message):
        build({"kind": "resnet18", "stem": "cifar"}, (3, 32, 32), path=str(torchvision_file[0]))


class _Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "ran")


class _Settings(dict):
    """Settings as a package of a checkpoint's author may have them."""

    def __init__(self, **values: object) -> None:
        super().__init__(values)
        self.flags = {"set_struct": False}


def test_code_among_the_tensors_is_refused_and_nothing_in_it_runs(save, source, tmp_path):
    target = tmp_path / "evidence"
    path = save({"state_dict": source | {"layers.0.bias": _Payload(target)}})
    with pytest.raises(ConfigError, match=r"holds more than tensors \(.*\); it was refused, and nothing in it was run"):
        build(path=path)
    path = save({"state_dict": _Payload(target)})
    with pytest.raises(ConfigError, match=r"holds more than tensors \(.*\); it was refused, and nothing in it was run"):
        build(path=path)
    assert not target.exists()


def test_objects_beside_the_tensors_are_left_unread(save, source, tmp_path, caplog):
    """As in the checkpoints of Lightning, with which solo-learn trains: their settings are objects."""
    caplog.set_level("INFO", logger="fgtune.models.weights")
    target = tmp_path / "evidence"
    content = solo_learn(source) | {
        "hyper_parameters": argparse.Namespace(lr=0.1, nested=argparse.Namespace(kind="moco")),
        "settings": _Settings(lr=0.1),
        "callbacks": {argparse.Namespace: [_Payload(target), Path("x"), range(3), collections.deque([1], maxlen=2)]},
        "numbers": [np.float64(0.5), np.arange(3), {1, 2}],
    }
    model = build(path=save(content), layout="solo_learn")
    assert all(torch.equal(source[key], value) for key, value in model.backbone.state_dict().items())
    assert "objects beside the tensors were left unread" in caplog.text
    assert not target.exists()


def test_a_file_in_torchs_old_format_with_objects_says_which_and_how_to_save_the_tensors_alone(source, tmp_path):
    path = tmp_path / "old.pt"
    content = {"state_dict": source, "args": argparse.Namespace(lr=0.1)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ConfigError, match=r"\(argparse.Namespace\).*Fix: where you trust its source, save its"):
        build(path=str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], r"holds no state dict \(a mapping from key to tensor\)"),
        ({}, "holds no state dict"),
        ({"layers.0.weight": 3}, "layers.0.weight is not a tensor but of type int"),
        ({"model": {"layers.0.weight": torch.zeros(2)}}, "model is not a tensor but of type dict"),
    ],
)
def test_a_file_without_tensors_by_key_is_refused(save, content, message):
    with pytest.raises(ConfigError, match=message):
        build(path=save(content))


@pytest.mark.parametrize("raw", [b"", b"hello world", b"PK\x03\x04 torn"])
def test_a_torn_or_foreign_file_is_refused(tmp_path, raw):
    path = tmp_path / "weights.pt"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"is not a complete file of torch.save, got .*Fix: fetch or save it again"):
        build(path=str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"trial.model.weights.path: cannot be read \(No such file or directory\)"):
        build(path=str(tmp_path / "none.pt"))
    with pytest.raises(ConfigError, match=r"cannot be read \(it is a folder\)"):
        build(path=str(tmp_path))


def test_a_digest_ties_the_study_to_the_content(save, source):
    path = save(source)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert build(path=path, sha256=digest).weights_report is not None
    with pytest.raises(ConfigError, match=rf"has sha256 {digest}, and the study asks for {'0' * 64}"):
        build(path=path, sha256="0" * 64)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="encoder: momentum needs layout: moco_v2, moco_v3 or solo_learn"):
        ModelConfig.from_plain({"weights": {"path": "x", "encoder": "momentum"}})
    with pytest.raises(ValueError, match="the identity backbone has no parameters, so weights must be left out"):
        ModelConfig.from_plain({"backbone": {"kind": "identity"}, "weights": {"path": "x"}})


def test_a_file_can_be_checked_before_a_model_is_built(save, source):
    good = ModelConfig.from_plain({"backbone": SMALL, "weights": {"path": save(source)}})
    before = torch.get_rng_state()
    check_weights(good, SHAPE)
    check_weights(ModelConfig(), SHAPE)
    assert torch.equal(before, torch.get_rng_state())
    bad = ModelConfig.from_plain({"backbone": SMALL, "weights": {"path": save(extra("other"))}})
    with pytest.raises(ConfigError, match=re.escape("lacks layers.0.weight, layers.1.weight")):
        check_weights(bad, SHAPE)


def test_frozen_weights_from_a_file_stay_as_they_are(save, source):
    parts = {"backbone": SMALL, "weights": {"path": save(source)}, "freeze_backbone": True}
    model = build_classifier(ModelConfig.from_plain(parts), SHAPE, 5, 0).train()
    model(torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert all(torch.equal(source[key], value) for key, value in model.backbone.state_dict().items())
    assert all(p.grad is None for p in model.backbone.parameters())


def timm_resnet18(backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state dict with the names that timm's resnet18 gives its tensors, written out from its source."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{each}" for each in norm)]
    for layer, block in ((layer, block) for layer in (1, 2, 3, 4) for block in (0, 1)):
        place = f"layer{layer}.{block}"
        names += [f"{place}.conv{number}.weight" for number in (1, 2)]
        names += [f"{place}.bn{number}.{each}" for number in (1, 2) for each in norm]
        if layer > 1 and block == 0:
            names += [f"{place}.downsample.0.weight", *(f"{place}.downsample.1.{each}" for each in norm)]
    known = backbone.state_dict()
    return {name: known[name] + 1 for name in names} | {
        "fc.weight": torch.zeros(1000, 512),
        "fc.bias": torch.zeros(1000),
    }


def test_a_safetensors_file_of_timm_is_read_as_plain_and_a_torn_one_is_refused(tmp_path):
    from safetensors.torch import save_file

    backbone = {"kind": "resnet18", "stem": "imagenet"}
    state = timm_resnet18(build(backbone, (3, 32, 32)).backbone)
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    model = build(backbone, (3, 32, 32), path=str(path))
    assert all(torch.equal(state[name], value) for name, value in model.backbone.state_dict().items())
    assert set(model.weights_report.dropped) == {"fc.weight", "fc.bias"}
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match="not a complete file of safetensors"):
        build(backbone, (3, 32, 32), path=str(path))
