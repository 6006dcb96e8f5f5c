"""``fgtune pretrain``: what it trains on, that its file is what a study loads, and what it refuses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from fgtune.app.cli import main
from fgtune.app.pretrain import pretrain
from fgtune.config.reading.load import load_study
from fgtune.config.reading.merge import patch
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.errors import ConfigError
from fgtune.models.classifier import build_classifier
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

ROOT = Path(__file__).parents[2]
SECTION = "trial.model.pretrain={kind: scarf, epochs: 2, dim: 8}"


def encoder(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_encoder_of_a_study_is_that_of_its_cells_and_the_printed_line_loads_it(small_study, tmp_path, capsys):
    out = tmp_path / "encoder.pt"
    assert main(["pretrain", str(small_study), "--out", str(out), "--seed", "1", "--set", SECTION]) == 0
    printed = capsys.readouterr().out
    assert "the training split of seed 1" in printed
    assert "to cells of other seeds some are test samples" in printed

    config = load_study(small_study, [SECTION]).study.trial
    config = TrialConfig.from_plain(patch(config.to_plain(), {"classes": {"num_fine": 4}}, TrialConfig))
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, 1, threads=1)
    trainer = build_trainer(config, *views(dataset, prepared), prepared, 1)
    assert same(encoder(out), trainer.networks.model.backbone.state_dict())

    path, digest = re.search(r"weights: {path: (.*), sha256: (\w{64})}", printed).groups()
    section = {"model.pretrain": None, "model.weights": {"path": path, "sha256": digest}}
    loaded = TrialConfig.from_plain(patch(config.to_plain(), section, TrialConfig))
    model = build_classifier(loaded.model, dataset.inputs.shape[1:], 4, seed=5)
    assert same(encoder(out), model.backbone.state_dict())


def test_equal_calls_write_equal_bytes_and_all_samples_another_encoder(small_study, tmp_path):
    said = []
    for name, whole in (("a.pt", False), ("b.pt", False), ("c.pt", True)):
        pretrain(small_study, tmp_path / name, overrides=[SECTION], all_samples=whole, say=said.append)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert not same(encoder(tmp_path / "a.pt"), encoder(tmp_path / "c.pt"))
    assert "test samples too" in "".join(said)


def test_a_file_of_inputs_is_enough_and_its_labels_change_nothing(tmp_path):
    rng = np.random.default_rng(0)
    inputs, said = rng.normal(size=(40, 6)), []
    np.savez(tmp_path / "labelled.npz", inputs=inputs, coarse=rng.integers(0, 2, 40), fine=rng.integers(0, 4, 40))
    np.save(tmp_path / "bare.npy", inputs)
    change = ["trial.model.backbone.hidden=[8]", "trial.model.pretrain={kind: denoising, epochs: 2}"]
    for name in ("labelled.npz", "bare.npy"):
        pretrain(tmp_path / name, tmp_path / f"{name}.pt", overrides=change, say=said.append)
    assert same(encoder(tmp_path / "labelled.npz.pt"), encoder(tmp_path / "bare.npy.pt"))
    np.save(tmp_path / "images.npy", rng.random((12, 1, 8, 8)))
    short = ["trial.model.pretrain={kind: simsiam, epochs: 1}"]
    pretrain(tmp_path / "images.npy", tmp_path / "images.pt", overrides=short, say=said.append)
    assert any(line.startswith("simsiam, small_cnn, 1 epochs on all 12 samples") for line in said)


def test_pixels_in_a_file_have_the_scale_that_data_of_kind_arrays_give_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    short = ["trial.model.pretrain={kind: simsiam, epochs: 1}", "trial.model.backbone={kind: small_cnn, channels: [4]}"]
    np.savez(tmp_path / "pixels.npz", inputs=pixels, coarse=np.arange(20) % 2)
    study = tmp_path / "study.yaml"
    study.write_text(
        "study: pixels\nquestion: Which?\n"
        "design: {kind: sensitivity, factors: {epochs: [1, 2]}, baseline: {epochs: 1}}\nseeds: 1\n"
        f"trial: {{data: {{kind: arrays, path: {tmp_path / 'pixels.npz'}}}, classes: {{num_fine: 4}}}}\n"
    )
    pretrain(tmp_path / "pixels.npz", tmp_path / "file.pt", overrides=short, say=str)
    pretrain(study, tmp_path / "study.pt", overrides=short, all_samples=True, say=str)
    assert same(encoder(tmp_path / "file.pt"), encoder(tmp_path / "study.pt"))


def test_what_is_wrong_is_said_before_anything_is_trained(small_study, tmp_path):
    out = tmp_path / "encoder.pt"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="is there already"):
        pretrain(small_study, out)
    assert out.read_bytes() == b"mine"
    other = tmp_path / "other.pt"
    with pytest.raises(ConfigError, match="no such arm"):
        pretrain(small_study, other, arm="nobody")
    with pytest.raises(ConfigError, match="use scarf or denoising for vectors"):
        pretrain(small_study, other, overrides=["trial.model.pretrain={kind: simsiam}"])
    for name, array, rule in (
        ("flat.npy", np.zeros(5), "inputs must be"),
        ("broken.npy", np.full((5, 2), np.nan), "finite"),
        ("words.npy", np.full((5, 2), "a"), "inputs must be|is not"),
    ):
        np.save(tmp_path / name, array)
        with pytest.raises(ConfigError, match=rule):
            pretrain(tmp_path / name, other)
    np.save(tmp_path / "tiny.npy", np.zeros((5, 1, 2, 2)))
    with pytest.raises(ConfigError, match="needs images of at least 4 x 4 pixels"):
        pretrain(tmp_path / "tiny.npy", other)
    np.save(tmp_path / "good.npy", np.eye(5))
    with pytest.raises(ConfigError, match="needs coarse labels"):
        pretrain(tmp_path / "good.npy", other, overrides=["trial.model.pretrain={kind: scarf, coarse: 1.0}"])
    assert not other.exists()


def test_a_backbone_without_parameters_is_an_error_with_the_arms_that_have_one(capsys, tmp_path):
    study, out = ROOT / "studies" / "methods_digits.yaml", tmp_path / "encoder.pt"
    assert main(["pretrain", str(study), "--arm", "kmeans", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "trial.model.backbone.kind" in said
    assert "nothing to train" in said
    assert re.search(r"--arm: falcon,", said)
    np.save(tmp_path / "inputs.npy", np.eye(5))
    assert main(["pretrain", str(tmp_path / "inputs.npy"), "--set", "trial.model.backbone.kind=identity"]) == 2
    assert "choose another with --set" in capsys.readouterr().err


def test_without_a_named_arm_the_first_one_with_parameters_is_trained(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(
        "study: two\nquestion: Which?\n"
        "design:\n  kind: comparison\n  baseline: bare\n  arms:\n"
        "    - {name: bare, set: {objective.preset: untrained, model.backbone: {kind: identity}}}\n"
        "    - {name: deep}\n"
        "trial:\n  data: {kind: digits, limit: 100}\n  classes: {num_fine: 10}\n"
        "  model: {backbone: {kind: mlp, hidden: [8]}}\n"
    )
    for rank, overrides in enumerate(([], ["trial.model.pretrain={kind: denoising, epochs: 1}"])):
        said = []
        pretrain(study, tmp_path / f"{rank}.pt", overrides=overrides, say=said.append)
        assert said[0].startswith(f"denoising, mlp, {(60, 1)[rank]} epochs on 70 of 100 samples")


def test_the_commands_of_the_documentation_run(tmp_path, monkeypatch, capsys):
    commands = re.findall(r"^fgtune (pretrain .*)$", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.M)
    assert len(commands) == 2
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    np.save(tmp_path / "inputs.npy", np.random.default_rng(0).normal(size=(30, 4)))
    monkeypatch.chdir(tmp_path)
    for command in commands:
        shorter = ["--set", "trial.model.pretrain.epochs=1"] if "model.pretrain=" in command else []
        assert main([*shlex.split(command), *shorter, "--force"]) == 0, capsys.readouterr().err
        assert (tmp_path / "encoder.pt").is_file()
        (tmp_path / "encoder.pt").unlink()
