"""Pretraining of a trial: what it reads, that it repeats itself, that it helps, and what its files promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fgtune.config.schema.model import ModelConfig
from fgtune.data.load import load_dataset
from fgtune.errors import ConfigError, TrialError
from fgtune.neighbors import find_neighbors
from fgtune.results.storage import FolderStorage
from fgtune.training.build import build_trainer
from fgtune.training.input_checks import check_inputs
from fgtune.training.prepared import prepare_split, views
from fgtune.training.pretraining import store
from fgtune.training.pretraining.pretrain import pretrained_weights

SCARF = {"model.pretrain": {"kind": "scarf", "epochs": 2, "dim": 8}}
KINDS = {
    "scarf": {"kind": "scarf", "epochs": 2, "dim": 8},
    "denoising": {"kind": "denoising", "epochs": 2, "hidden": 8},
    "coarse": {"kind": "scarf", "epochs": 2, "dim": 8, "coarse": 1.0},
}
PATCHES = {
    "data": {
        "kind": "patches",
        "num_images": 96,
        "num_big": 2,
        "num_small": 6,
        "canvas": 16,
        "big_size": 6,
        "nested": True,
    },
    "model.backbone": {"kind": "small_cnn", "channels": [8, 16]},
    "augmentation": {"kind": "crop_flip", "padding": 2},
}
SIMSIAM = {"kind": "simsiam", "epochs": 2, "dim": 16}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def parts(make_config):
    def make(changes, seed=0, change=lambda dataset: dataset):
        config = make_config(changes)
        dataset = change(load_dataset(config.data))
        prepared = prepare_split(dataset, config, seed, threads=1)
        return config, *views(dataset, prepared), prepared, seed

    return make


@pytest.fixture
def counted(monkeypatch):
    """Seeds of the pretrainings that really ran."""
    ran = []

    def counting(config, view, seed, progress=None):
        ran.append(seed)
        return pretrained_weights(config, view, seed, progress)

    monkeypatch.setattr(store, "pretrained_weights", counting)
    return ran


@pytest.mark.parametrize("kind", [*KINDS, "simsiam"])
def test_equal_seeds_give_equal_weights_and_another_seed_gives_others(parts, kind):
    changes = PATCHES | {"model.pretrain": SIMSIAM} if kind == "simsiam" else {"model.pretrain": KINDS[kind]}
    config, view, *_ = parts(changes)
    state = torch.random.get_rng_state()
    first, again, other = (pretrained_weights(config, view, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(first, again)
    assert not same(first, other)


def test_a_seed_of_its_own_is_shared_by_blocks_of_the_same_samples(parts):
    config, view, *_ = parts({"model.pretrain": SCARF["model.pretrain"] | {"seed": 7}})
    assert same(pretrained_weights(config, view, 0), pretrained_weights(config, view, 1))
    assert store.key_of(config, view, 0) == store.key_of(config, view, 1)
    own, *_ = parts({"model.pretrain": SCARF["model.pretrain"]})
    assert same(pretrained_weights(config, view, 0), pretrained_weights(own, view, 7))
    assert store.key_of(config, view, 0) == store.key_of(own, view, 7) != store.key_of(own, view, 0)


def test_neither_fine_labels_nor_other_splits_nor_unread_coarse_labels_reach_it(parts, scramble_fine):
    def scramble_all(dataset):
        inputs, coarse = dataset.inputs.copy(), dataset.coarse.copy()
        train = parts(SCARF)[1].train
        others = np.setdiff1d(np.arange(len(inputs)), train)
        inputs[others] = 1e6
        coarse[train] = np.random.default_rng(0).permutation(coarse[train])
        return replace(scramble_fine(dataset), inputs=inputs, coarse=coarse)

    config, view, *_ = parts(SCARF)
    scrambled = parts(SCARF, change=scramble_fine)[1]
    assert same(pretrained_weights(config, view, 0), pretrained_weights(config, scrambled, 0))
    dataset = scramble_all(load_dataset(config.data))
    seen = replace(view, inputs=dataset.inputs, train_coarse=dataset.coarse[view.train])
    assert same(pretrained_weights(config, view, 0), pretrained_weights(config, seen, 0))
    assert store.key_of(config, view, 0) == store.key_of(config, seen, 0)
    read, *_ = parts({"model.pretrain": KINDS["coarse"]})
    assert not same(pretrained_weights(read, view, 0), pretrained_weights(read, seen, 0))
    assert store.key_of(read, view, 0) != store.key_of(read, seen, 0)


def test_a_cell_trains_alike_with_scrambled_fine_labels(make_trainer, scramble_fine):
    plain, scrambled = make_trainer(SCARF), make_trainer(SCARF, change_data=scramble_fine)
    for first, second in zip(plain, scrambled, strict=True):
        assert first.metrics["train/loss"] == second.metrics["train/loss"]
    assert same(plain.networks.model.state_dict(), scrambled.networks.model.state_dict())


def test_student_teacher_and_initial_neighbours_start_from_the_pretrained_backbone(parts):
    config, view, *_ = cell = parts(SCARF | {"neighbors.features": "initial"})
    trainer, weights = build_trainer(*cell), pretrained_weights(config, view, 0)
    for model in (trainer.networks.model, trainer.networks.teacher.model):
        assert same(weights, model.backbone.state_dict())
    features = trainer.networks.predict(trainer.networks.model, view.train).features
    within = find_neighbors(features, view.train_coarse[:, 0], config.neighbors.stored, 1)
    assert np.array_equal(trainer.networks.neighbors.state_dict()["positions"].numpy(), within)
    scratch = build_trainer(*parts({})).networks.model
    assert same(trainer.networks.model.head.state_dict(), scratch.head.state_dict())
    assert not same(weights, scratch.backbone.state_dict())


def one_nn(trainer, view, fine):
    features = trainer.networks.predict(trainer.networks.model, view.train).features
    near = find_neighbors(features, None, 1, 1)[:, 0]
    return float((fine[view.train][near] == fine[view.train]).mean())


@pytest.mark.slow_except("scarf")
@pytest.mark.parametrize(
    ("data", "pretrain"),
    [
        ({"data.dim": 60, "data.separation": 6.0}, {"kind": "scarf", "epochs": 40, "dim": 32, "batch_size": 64}),
        ({"data.dim": 60, "data.separation": 6.0}, {"kind": "denoising", "epochs": 40, "batch_size": 64}),
        (PATCHES, {"kind": "simsiam", "epochs": 40, "dim": 64, "jitter": 0.0, "gray_p": 0.0, "batch_size": 32}),
    ],
    ids=["scarf", "denoising", "simsiam"],
)
def test_neighbours_in_pretrained_features_share_their_fine_class_more_often(parts, data, pretrain):
    found = {}
    for name, section in (("random", None), ("pretrained", pretrain)):
        cell = parts(data | {"model.pretrain": section})
        found[name] = one_nn(build_trainer(*cell), cell[1], cell[2].fine)
    assert found["pretrained"] > found["random"] + 0.05, found


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_second_arm_of_the_block_reads_the_file_and_others_train_their_own(parts, counted, tmp_path):
    first = build_trainer(*parts(SCARF), encoders=FolderStorage(tmp_path))
    again = build_trainer(
        *parts(SCARF | {"objective.preset": "base", "optimizer.lr": 0.01}), encoders=FolderStorage(tmp_path)
    )
    assert counted == [0]
    assert same(first.networks.model.backbone.state_dict(), again.networks.model.backbone.state_dict())
    for changes, seed in (
        (SCARF, 1),
        ({"model.pretrain": SCARF["model.pretrain"] | {"epochs": 1}}, 0),
        (SCARF | {"model.backbone.hidden": [8]}, 0),
        (SCARF | {"data.data_seed": 1}, 0),
    ):
        build_trainer(*parts(changes, seed), encoders=FolderStorage(tmp_path))
    assert counted == [0, 1, 0, 0, 0]
    assert len(list(tmp_path.glob("*.pt"))) == 5


def test_with_and_without_a_folder_a_cell_is_the_same(parts, tmp_path):
    alone = build_trainer(*parts(SCARF))
    kept = [build_trainer(*parts(SCARF), encoders=FolderStorage(tmp_path)) for _ in range(2)]
    for trainer in (alone, *kept):
        for _ in trainer:
            pass
    outcomes = [trainer.outcome().metrics for trainer in (alone, *kept)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert same(alone.networks.model.state_dict(), kept[1].networks.model.state_dict())


def test_a_damaged_file_is_trained_again(parts, counted, tmp_path):
    config, view, *_ = parts(SCARF)
    weights = store.pretrained(config, view, 0, FolderStorage(tmp_path))
    (path,) = tmp_path.glob("*.pt")
    whole = path.read_bytes()
    name = next(iter(weights))
    flipped = bytearray(whole)
    place = whole.find(weights[name].numpy().tobytes())
    flipped[place + 5] ^= 1
    for content in (bytes(flipped), whole[:-100], b""):
        path.write_bytes(content)
        assert same(weights, store.pretrained(config, view, 0, FolderStorage(tmp_path)))
        assert path.stat().st_size == len(whole)
    assert len(counted) == 4


def test_a_process_that_waited_for_the_lock_reads_what_the_other_wrote(parts, counted, tmp_path, monkeypatch):
    import filelock

    config, view, *_ = parts(SCARF)

    weights = pretrained_weights(config, view, 0)

    class Slow(filelock.FileLock):
        def __enter__(self):  # while this process waits, another one writes the file
            store.write_encoder(tmp_path / f"{store.key_of(config, view, 0)}.pt", weights)
            return super().__enter__()

    monkeypatch.setattr(filelock, "FileLock", Slow)
    assert same(weights, store.pretrained(config, view, 0, FolderStorage(tmp_path)))
    assert counted == []
    assert [path.suffix for path in sorted(tmp_path.iterdir()) if not path.name.startswith(".")] == [".pt"]


def test_a_file_is_read_as_weights_of_another_study(parts, tmp_path):
    config, view, *_ = parts(SCARF)
    weights = store.pretrained(config, view, 0, FolderStorage(tmp_path))
    (path,) = tmp_path.glob("*.pt")
    loaded = build_trainer(*parts({"model.weights": {"path": str(path)}}))
    assert same(weights, loaded.networks.model.backbone.state_dict())


def test_a_cell_goes_on_from_its_checkpoint(parts, counted, tmp_path):
    whole = build_trainer(*parts(SCARF), encoders=FolderStorage(tmp_path))
    first = build_trainer(*parts(SCARF), encoders=FolderStorage(tmp_path))
    next(first), next(first)
    second = build_trainer(*parts(SCARF), encoders=FolderStorage(tmp_path))
    second.load_state_dict(first.state_dict())
    for trainer in (whole, second):
        for _ in trainer:
            pass
    assert whole.outcome().metrics == second.outcome().metrics
    assert counted == [0]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"backbone": {"kind": "identity"}, "pretrain": {"kind": "scarf"}}, "identity backbone has no parameters"),
        ({"weights": {"path": "x.pt"}, "pretrain": {"kind": "scarf"}}, "leave one of them out"),
        ({"pretrain": {"kind": "simsiam", "crop_scale": [0.9, 0.2]}}, "least, greatest"),
        ({"pretrain": {"kind": "mocov3"}}, "simsiam"),
    ],
)
def test_what_cannot_be_pretrained_is_refused_when_it_is_read(changes, rule):
    with pytest.raises(ValueError, match=rule):
        ModelConfig.from_plain(changes)


def test_vectors_and_images_have_their_own_kinds(make_config):
    with pytest.raises(ConfigError, match="use scarf or denoising for vectors") as caught:
        check_inputs(make_config({"model.pretrain": {"kind": "simsiam"}}), (6,))
    assert caught.value.path == "trial.model.pretrain.kind"
    with pytest.raises(ConfigError, match="use simsiam for images"):
        check_inputs(make_config(PATCHES | {"model.pretrain": {"kind": "scarf"}}), (3, 16, 16))
    check_inputs(make_config(PATCHES | {"model.pretrain": {"kind": "simsiam"}}), (3, 16, 16))


def test_a_loss_that_is_not_finite_is_an_error(parts):
    config, view, *_ = parts(
        {"model.pretrain": {"kind": "denoising", "epochs": 3, "lr": 1e30}, "model.backbone.norm": "none"}
    )
    with pytest.raises(TrialError, match=r"lower model\.pretrain\.lr"):
        pretrained_weights(config, view, 0)


def test_a_study_that_does_not_pretrain_keeps_its_identity(make_config):
    plain, section = make_config({}), make_config({"model.pretrain": {"kind": "scarf"}})
    assert "pretrain" not in plain.identity()["model"]
    assert section.identity()["model"]["pretrain"] == {"kind": "scarf"}
