"""A model apart from its trainer: what it takes, what it refuses, and the very same numbers after a round trip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fgtune.data.base import Splits
from fgtune.data.load import load_dataset
from fgtune.data.splits import split_dataset
from fgtune.errors import ConfigError
from fgtune.exporting.folder import ModelCard, label_table, load_model, write_model
from fgtune.exporting.train import all_training_splits, train_on_all
from fgtune.exporting.trained_model import (
    FineLabels,
    FineModel,
    InputFacts,
    checked_inputs,
    facts_of,
    range_warning,
    table_inputs,
)

VECTORS = InputFacts(shape=(3,), dtype="float32", low=0.0, high=1.0)
PIXELS = InputFacts(shape=(3, 4, 4), dtype="uint8", low=0.0, high=255.0)
IMAGES = InputFacts(shape=(3, 4, 4), dtype="float32", low=0.0, high=1.0)


@pytest.fixture(scope="module")
def trained(make_config):
    """Trains a config on all training data; gives what came of it and the data."""

    def train(changes: dict | None = None, change_data=lambda dataset: dataset):
        config = make_config(changes)
        dataset = change_data(load_dataset(config.data))
        return train_on_all(config, dataset, 0, 1, lambda _: None), dataset

    return train


def card_of(trained, dataset) -> ModelCard:
    model = trained.model
    return ModelCard(
        fgtune="0",
        study="s",
        study_hash="h",
        arm="a",
        seed=0,
        cell_id="c",
        chosen_by="",
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        samples=len(dataset.inputs),
        trained_on="training and validation samples",
        trained_samples=len(trained.splits.train),
        input=model.inputs,
        weights=model.config.evaluation.weights,
        num_fine=model.fine_to_coarse.shape[1],
        num_coarse=dataset.num_coarse,
        metrics={},
        seconds=0.0,
        files={},
    )


@pytest.mark.slow_except("student", "teacher", "clusters", "normalised images")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"evaluation": {"weights": "teacher"}},
        {"objective": {"preset": "base"}},
        {"classes": {"num_fine": "estimate", "num_fine_ratio": None}},
        {
            "data": {"kind": "patches", "num_images": 60, "num_big": 2, "num_small": 6},
            "model": {"backbone": {"kind": "small_cnn"}},
            "augmentation": {"kind": "crop_flip", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
            "epochs": 1,
        },
    ],
    ids=["student", "teacher", "clusters", "estimated K_F", "normalised images"],
)
def test_a_stored_model_predicts_bit_for_bit_what_the_trained_one_does(trained, changes, tmp_path):
    done, dataset = trained(changes)
    labels = done.model.predict(dataset.inputs)
    write_model(tmp_path / "model", done.model, card_of(done, dataset), label_table(labels))
    loaded, card = load_model(tmp_path / "model")
    again = loaded.predict(dataset.inputs)
    for name in ("fine", "confidence", "parents"):
        assert np.array_equal(getattr(labels, name), getattr(again, name)), name
    assert card.num_fine == loaded.config.classes.num_fine
    assert loaded.network.training is False


def test_the_teachers_weights_are_stored_where_the_study_judges_the_teacher(trained, tmp_path):
    student, teacher = (trained({"evaluation": {"weights": each}})[0] for each in ("student", "teacher"))
    weights = [dict(each.model.network.named_parameters()) for each in (student, teacher)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_model_does_not_depend_on_fine_labels(trained, scramble_fine):
    plain, scrambled = trained()[0].model, trained(change_data=scramble_fine)[0].model
    ours, theirs = plain.network.state_dict(), scrambled.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(plain.fine_to_coarse, scrambled.fine_to_coarse)


def test_the_weights_file_of_a_config_is_not_needed_to_load_a_model(make_config, trained, tmp_path):
    done, dataset = trained()
    backbone = done.model.network.backbone
    torch.save(backbone.state_dict(), tmp_path / "initial.pt")
    started, _ = trained({"model": {"weights": {"path": str(tmp_path / "initial.pt")}}})
    labels = started.model.predict(dataset.inputs)
    write_model(tmp_path / "m", started.model, card_of(started, dataset), label_table(labels))
    (tmp_path / "initial.pt").unlink()
    loaded, _ = load_model(tmp_path / "m")
    assert np.array_equal(loaded.predict(dataset.inputs).confidence, labels.confidence)


def test_all_training_data_are_training_and_validation_samples(make_config):
    config = make_config()
    splits = split_dataset(load_dataset(config.data), config.data.split, 0)
    merged = all_training_splits(splits)
    assert np.array_equal(merged.train, np.sort(np.concatenate([splits.train, splits.val])))
    assert np.array_equal(merged.test, splits.test)
    everything = np.arange(5)
    assert np.array_equal(all_training_splits(Splits(everything, everything, everything)).train, everything)


# --- inputs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
def test_real_numbers_of_any_type_become_float32_vectors(dtype):
    checked = checked_inputs(np.ones((2, 3), dtype), VECTORS, "x")
    assert checked.dtype == np.float32
    assert np.array_equal(checked, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("given", "facts", "told"),
    [
        (np.zeros((2, 4)), VECTORS, "shape (3,), got (4,)"),
        (np.zeros(3), VECTORS, "inputs[None]"),
        (np.float32(1), VECTORS, "shape (3,)"),
        (np.zeros((0, 3)), VECTORS, "no samples"),
        (np.zeros((2, 3), complex), VECTORS, "real numbers"),
        (np.full((2, 3), 1e300), VECTORS, "finite in float32; 2 samples"),
        (np.zeros((2, 3, 4, 4)), PIXELS, "uint8 pixels"),
        (np.zeros((2, 3, 4, 4), np.uint8), IMAGES, "numbers from 0 to 1"),
    ],
)
def test_what_a_model_cannot_take_is_one_clear_error(given, facts, told):
    with pytest.raises(ConfigError) as caught:
        checked_inputs(given, facts, "mine.npy")
    assert told in str(caught.value)
    assert str(caught.value).startswith("mine.npy: ")


def test_pixels_stay_pixels_and_own_arrays_may_be_pixels_too():
    pixels = np.full((2, 3, 4, 4), 200, np.uint8)
    assert checked_inputs(pixels, PIXELS, "x").dtype == np.uint8
    own = IMAGES.model_copy(update={"raw": True})  # the study read such a file as numbers, too
    assert np.array_equal(checked_inputs(pixels, own, "x"), pixels.astype(np.float32))


def test_the_range_of_training_samples_is_remembered(make_config):
    dataset = load_dataset(make_config().data)
    rows = np.arange(10, 60)
    facts = facts_of(dataset, rows, "hierarchy")
    taken = np.asarray(dataset.inputs)[rows]
    assert (facts.low, facts.high) == (taken.min(), taken.max())
    assert range_warning(taken, facts) is None
    assert "were they scaled" in range_warning(taken * 10, facts)


def test_table_columns_are_taken_by_name_or_all_in_order():
    frame = pd.DataFrame({"b": [1.0, 2.0], "a": [3, 4], "note": ["x", "y"]})
    named = VECTORS.model_copy(update={"columns": ("a", "b")})
    assert table_inputs(frame, named, "t").tolist() == [[3.0, 1.0], [4.0, 2.0]]
    with pytest.raises(ConfigError, match="column 'note' must hold numbers"):
        table_inputs(frame, VECTORS, "t")
    with pytest.raises(ConfigError, match="lacks the column 'b'"):
        table_inputs(frame.drop(columns="b"), named, "t")
    with pytest.raises(ConfigError, match="has no column of inputs"):
        table_inputs(frame[[]], VECTORS, "t")


# --- labels --------------------------------------------------------------------------------------------------------


def test_labels_of_several_sources_have_a_column_each():
    labels = FineLabels(np.array([1, 0]), np.array([0.5, 0.75], np.float32), np.array([[0, 1], [1, 1]]))
    table = label_table(labels, (("cat", "dog"), ("big", "small")), np.array([[0, -1], [-1, 1]]))
    assert list(table["coarse_parent_name_0"]) == ["cat", "dog"]
    assert list(table["coarse_parent_name_1"]) == ["small", "small"]
    assert table["coarse_label_0"].tolist() == [0, pd.NA]
    assert table["coarse_label_1"].tolist() == [pd.NA, 1]
    assert list(label_table(replace(labels, parents=labels.parents[:, :1])).columns) == [
        "row",
        "fine_class",
        "confidence",
        "coarse_parent",
    ]


# --- machines ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_a_model_of_a_gpu_predicts_without_one(trained):
    done, dataset = trained()
    ours = done.model
    theirs = ours.config.model_copy(update={"device": "cuda", "precision": "fp16"})
    moved = FineModel(theirs, ours.inputs, ours.network, ours.fine_to_coarse, ours.clusters)
    assert np.array_equal(moved.predict(dataset.inputs).fine, ours.predict(dataset.inputs).fine)


def test_inputs_that_were_made_of_the_values_of_a_column_are_made_of_it_again():
    columns = ("x", "site=n", "site=a=b", "level=1")
    facts = InputFacts(shape=(4,), dtype="float32", low=0.0, high=1.0, columns=columns)
    frame = pd.DataFrame(
        {"site": ["n", "a=b", None, "new"], "x": [1.0, 2.0, 3.0, 4.0], "level": [1.0, 2.0, np.nan, 1.0]}
    )
    assert table_inputs(frame, facts, "t").tolist() == [[1, 1, 0, 1], [2, 0, 1, 0], [3, 0, 0, 0], [4, 0, 0, 1]]
    with pytest.raises(ConfigError, match="the table lacks the column 'site=n'"):
        table_inputs(frame.drop(columns="site"), facts, "t")
