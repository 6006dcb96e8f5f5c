"""Data, augmentation, backbone and weights are checked together from shapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.training.input_checks import check_inputs

BINS = {"preset": "fierce", "entropic": {"placement": "bins", "similarity": "neg_sq_dist"}}


def trial(**parts) -> TrialConfig:
    return TrialConfig.from_plain({"data": {"kind": "digits"}, "classes": {"num_fine": 10}, **parts})


@pytest.mark.parametrize(
    ("parts", "shape"),
    [
        ({}, (64,)),
        ({}, (3, 8, 8)),
        ({"model": {"backbone": {"kind": "resnet18"}}, "augmentation": {"kind": "cifar"}}, (3, 32, 32)),
        ({"model": {"backbone": {"kind": "small_cnn"}}, "augmentation": {"kind": "crop_flip"}}, (1, 28, 28)),
        ({"objective": BINS, "model": {"backbone": {"kind": "mlp", "hidden": [8, 1]}}}, (64,)),
        ({"objective": BINS, "model": {"backbone": {"kind": "resnet18", "feature": "affine_mean"}}}, (3, 32, 32)),
        ({"objective": {**BINS, "preset": "base"}}, (64,)),
    ],
)
def test_what_fits_passes(parts, shape):
    check_inputs(trial(**parts), shape)


@pytest.mark.parametrize(
    ("parts", "shape", "message"),
    [
        ({"augmentation": {"kind": "cifar"}}, (64,), "trial.augmentation.kind: needs images"),
        (
            {"evaluation": {"attention_samples": 4}, "model": {"backbone": {"kind": "mlp"}}},
            (3, 8, 8),
            "trial.evaluation.attention_samples: needs a backbone with feature maps, and mlp has none, got 4",
        ),
        ({"model": {"backbone": {"kind": "timm", "name": "x"}}}, (64,), "trial.model.backbone.kind: needs images"),
        ({"model": {"backbone": {"kind": "timm", "name": "x"}}}, (3, 8, 8), "backbone.name: is no network of timm"),
        (
            {"model": {"backbone": {"kind": "timm", "name": "test_vit"}}},
            (3, 20, 20),
            "trial.model.backbone.name: cannot take 3 x 20 x 20 images",
        ),
        ({"model": {"backbone": {"kind": "resnet50"}}}, (64,), "trial.model.backbone.kind: needs images"),
        ({"model": {"backbone": {"kind": "small_cnn", "channels": [2] * 5}}}, (3, 8, 8), "at least 16 x 16 pixels"),
        ({"model": {"weights": {"path": "none.pt"}}}, (64,), "trial.model.weights.path: cannot be read"),
        ({"objective": BINS}, (64,), "entropic.placement: bins divide a single feature, and this mlp gives 128"),
        (
            {"objective": BINS, "model": {"backbone": {"kind": "resnet50", "width": 16}}},
            (3, 32, 32),
            "and this resnet50 gives 512, got 'bins'. Fix: set model.backbone.feature: affine_mean of a ResNet",
        ),
    ],
)
def test_what_does_not_fit_is_told(parts, shape, message):
    with pytest.raises(ConfigError, match=message):
        check_inputs(trial(**parts), shape)


def test_the_backbone_is_judged_by_the_size_of_the_views(tmp_path):
    path = tmp_path / "w.pt"
    parts = {"model": {"backbone": {"kind": "linear", "dim": 2}, "weights": {"path": str(path)}}}
    parts["augmentation"] = {"kind": "cifar", "size": 4}
    torch.save({"linear.weight": torch.zeros(2, 3 * 4 * 4), "linear.bias": torch.zeros(2)}, path)
    check_inputs(trial(**parts), (3, 8, 8))
    parts["augmentation"]["size"] = 8
    with pytest.raises(ConfigError, match=r"linear.weight \(2, 48\) instead of \(2, 192\)"):
        check_inputs(trial(**parts), (3, 8, 8))


@pytest.mark.integration
def test_checking_shapes_needs_no_torch():
    code = "import sys, fgtune.training.input_checks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
