"""Stored inputs are read batch by batch and give the same numbers; no pass is made twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from fgtune.data.base import StoredInputs
from fgtune.training import compute as compute_module
from fgtune.training import prediction_cache
from fgtune.training.compute import Compute, StreamedRows, training_inputs
from fgtune.training.networks import Networks


@dataclass
class OnDisk(StoredInputs):
    """An array that counts how many rows each reading takes."""

    array: np.ndarray
    sizes: list[int] = field(default_factory=list)

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def fingerprint(self):
        return "counted"

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows, /):
        found = np.array(self.array[rows])
        self.sizes.append(len(found))
        return found

    def take(self, rows):
        return OnDisk(self.array[rows])


METHODS = [
    pytest.param({}, id="falcon"),
    pytest.param({"neighbors.targets": "forward"}, id="forward"),
    pytest.param({"neighbors.features": "teacher", "neighbors.refresh_epochs": 1}, id="refreshed"),
    pytest.param({"objective.preset": "base", "evaluation.probes": ["knn"]}, id="clusters"),
    pytest.param(
        {"objective.preset": "falcon_instance", "objective.instance": {"kind": "queue", "size": 64}}, id="queue"
    ),
]


@pytest.mark.slow_except("falcon")
@pytest.mark.parametrize("changes", METHODS)
def test_stored_inputs_are_read_in_batches_and_train_to_the_same_bits(make_trainer, monkeypatch, changes):
    monkeypatch.setattr(compute_module, "EVALUATION_NUMBERS", 6 * 50)  # passes of 50 samples of 6 numbers
    store = None

    def stored(dataset):
        nonlocal store
        store = OnDisk(dataset.inputs)
        return replace(dataset, inputs=store)

    streamed = make_trainer(changes, change_data=stored)
    store.sizes.clear()  # the neighbour search before training reads blocks of its own
    in_memory = make_trainer(changes)
    for ours, theirs in zip(streamed, in_memory, strict=True):
        assert dict(ours.metrics) == dict(theirs.metrics)
    for ours, theirs in zip(streamed.networks.model.parameters(), in_memory.networks.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    sampled = streamed.config.neighbors.sampled
    assert store.sizes
    assert max(store.sizes) <= 64 * sampled  # a batch's neighbours; the training split has 210 samples
    assert isinstance(streamed.inputs, StreamedRows)
    assert isinstance(in_memory.inputs, torch.Tensor)


def test_streamed_rows_are_positions_of_the_training_split():
    inputs = np.arange(20, dtype=np.float32).reshape(10, 2)
    rows = np.array([1, 4, 9])
    compute = Compute("cpu", "fp32")
    streamed, held = training_inputs(OnDisk(inputs), rows, compute), training_inputs(inputs, rows, compute)
    assert len(streamed) == len(held) == 3
    wanted = torch.tensor([2, 0, 2])
    assert torch.equal(streamed[wanted], held[wanted])
    assert streamed[wanted].tolist() == [[18, 19], [2, 3], [18, 19]]


@pytest.fixture
def passes(monkeypatch):
    """Counts passes by model and number of rows, attention maps by number of samples."""
    seen: Counter = Counter()
    attention = Networks.attention

    def counted(run):
        def counting(self, model, rows):
            seen["teacher" if model is self.teacher.model else "student", len(rows)] += 1
            return run(self, model, rows)

        return counting

    def mapped(self, inputs):
        seen["attention", len(inputs)] += 1
        return attention(self, inputs)

    monkeypatch.setattr(Networks, "predict", counted(Networks.predict))
    monkeypatch.setattr(Networks, "parts", counted(Networks.parts))
    monkeypatch.setattr(Networks, "attention", mapped)
    return seen


def test_each_split_is_predicted_once_an_evaluation(make_trainer, passes):
    changes = {"objective.preset": "base", "evaluation.probes": ["knn"], "epochs": 1}
    trainer = make_trainer(changes | {"evaluation.splits": ["train", "val", "test"]})
    list(trainer)
    trainer.outcome()
    assert passes == {("student", 210): 1, ("student", 30): 1, ("student", 60): 1, ("teacher", 30): 1}


TWICE = {"evaluation.probes": ["knn"], "evaluation.probes_by_epoch": True, "evaluation.every_epochs": 1, "epochs": 2}


@pytest.mark.parametrize(
    ("changes", "large", "probed"),
    [
        pytest.param({}, False, 1, id="a fine head, at the end alone"),
        pytest.param({"evaluation.splits": ["train", "val"]}, False, 2, id="training is evaluated anyway"),
        pytest.param({"objective.preset": "base"}, False, 1, id="clusters"),
        pytest.param({"objective.preset": "base", "evaluation.splits": ["train", "val"]}, True, 2, id="and evaluated"),
        pytest.param({"objective.preset": "base", "evaluation.probes_by_epoch": False}, False, 1, id="clusters alone"),
        pytest.param(
            {"objective.preset": "base", "evaluation.probes_by_epoch": False, "evaluation.probes": []},
            True, 0, id="large and in parts",
        ),
    ],
)  # fmt: skip
def test_probabilities_of_training_samples_are_not_made_for_their_features_alone(
    make_trainer, passes, monkeypatch, changes, large, probed
):
    """One pass an evaluation either way; recording many predictions at the end is a pass of its own, as ever."""
    if large:
        monkeypatch.setattr(prediction_cache, "LARGE_PREDICTIONS", 0)
    trainer, predict, made = make_trainer(TWICE | changes), Networks.predict, []
    monkeypatch.setattr(
        Networks, "predict", lambda self, model, rows: made.append(len(rows)) or predict(self, model, rows)
    )
    passes.clear()
    list(trainer)
    trainer.outcome()
    assert made.count(210) == probed
    assert passes["student", 210] == 2 + (large and not probed)


def test_the_parts_of_a_transductive_study_are_predicted_once(make_trainer, passes):
    trainer = make_trainer({"data.split": {"transductive": True}, "epochs": 1})
    assert passes == {("teacher", 300): 1}  # what the memory starts from
    list(trainer)
    trainer.outcome()
    assert passes == {("student", 300): 1, ("teacher", 300): 2}


IMAGES = {
    "data": {"kind": "patches", "num_images": 160, "num_big": 4, "num_small": 8, "small_size": 8},
    "model.backbone": {"kind": "small_cnn", "channels": [8]},
    "augmentation": {"kind": "none"},
    "classes.num_fine": 8,
    "epochs": 2,
    "evaluation": {"attention_samples": 8, "every_epochs": 2, "splits": ["test"]},
}


def test_attention_is_mapped_once_and_a_restored_trainer_finds_the_same_outcome(make_trainer, passes):
    trainer = make_trainer(IMAGES)
    list(trainer)
    first = trainer.outcome()
    assert passes["attention", 8] == 1
    restored = make_trainer(IMAGES)
    restored.load_state_dict(trainer.state_dict())
    again = restored.outcome()
    assert passes["attention", 8] == 2
    np.testing.assert_array_equal(first.attention.maps, again.attention.maps)
    np.testing.assert_array_equal(first.relations.fine_counts, again.relations.fine_counts)
