"""Data given in memory are the data set that the same content in a file would be; anything else is one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from fgtune.app.notebooks.given_data import keep_data
from fgtune.config.schema.data_tables import ArraysConfig
from fgtune.data.base import Dataset
from fgtune.data.given import bytes_waiting, file_at, take_waiting, waiting
from fgtune.data.load import load_dataset
from fgtune.errors import DataError

INPUTS = np.random.default_rng(0).normal(size=(12, 3))
COARSE = np.arange(12) % 2
FINE = np.arange(12) % 4
FRAME = pd.DataFrame(INPUTS, columns=["a", "b", "c"]).assign(coarse=COARSE, fine=FINE)


def made(data: object, own: dict[str, object] | None = None) -> Dataset:
    """The data set that a study with these data would have."""
    kept = keep_data(data, own or {})
    folder = Path("reports/x")
    with waiting({kept.place(folder): kept.file}):
        return load_dataset(ArraysConfig.from_plain(kept.config(folder)))


class Samples:
    """A dataset as torch's loaders take it, of whatever samples."""

    def __init__(self, *columns: object) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, row: int) -> tuple[object, ...]:
        return tuple(column[row] for column in self.columns)


GIVEN = {
    "arrays": (INPUTS, COARSE, FINE),
    "lists": (INPUTS.tolist(), COARSE.tolist(), FINE.tolist()),
    "dict": {"inputs": INPUTS, "coarse": COARSE, "fine": FINE, "split": None},
    "tensors": tuple(torch.as_tensor(each) for each in (INPUTS, COARSE, FINE)),
    "tensor with gradient": (torch.tensor(INPUTS, requires_grad=True), COARSE, FINE),
    "TensorDataset": torch.utils.data.TensorDataset(*map(torch.as_tensor, (INPUTS, COARSE, FINE))),
    "samples": Samples(INPUTS, COARSE, FINE),
    "list of samples": list(zip(INPUTS, COARSE, FINE, strict=True)),
    "frame": FRAME,
    "Arrow": pa.Table.from_pandas(FRAME),
    "frame with row names": FRAME.set_index(pd.Index([f"row {n}" for n in range(12)])),
    "named columns": {
        "table": FRAME.rename(columns={"coarse": "group", "fine": "kind"}),
        "coarse": "group",
        "fine": "kind",
        "features": ["a", "b", "c"],
    },
}


@pytest.mark.parametrize("data", GIVEN.values(), ids=GIVEN)
def test_every_form_is_the_same_data_set(data):
    dataset = made(data)
    np.testing.assert_array_equal(dataset.inputs, INPUTS.astype(np.float32))
    assert dataset.coarse[:, 0].tolist() == COARSE.tolist()
    assert dataset.fine is not None
    assert dataset.fine.tolist() == FINE.tolist()


def test_their_fingerprint_is_that_of_the_same_file(tmp_path):
    np.savez(tmp_path / "mine.npz", inputs=INPUTS, coarse=COARSE, fine=FINE)
    config = ArraysConfig.from_plain({"kind": "arrays", "path": str(tmp_path / "mine.npz")})
    assert made((INPUTS, COARSE, FINE)).fingerprint == load_dataset(config).fingerprint
    other = INPUTS.copy()
    other[3, 1] += 1
    assert made((other, COARSE, FINE)).fingerprint != load_dataset(config).fingerprint


def test_fine_labels_are_optional_and_labels_may_be_text_with_gaps():
    dataset = made((INPUTS, pd.Series(["a", "b", None] * 4)))
    assert dataset.fine is None
    assert dataset.coarse[:3, 0].tolist() == [0, 1, -1]
    assert dataset.coarse_names == (("a", "b"),)


def test_pictures_are_scaled_as_image_files_are():
    pictures = [Image.new("RGB", (5, 4), (255, 0, 51)) for _ in range(12)]
    dataset = made(Samples(pictures, COARSE))
    assert dataset.inputs.shape == (12, 3, 4, 5)
    np.testing.assert_allclose(dataset.inputs[0][:, 0, 0], [1.0, 0.0, 0.2])
    assert made(Samples([each.convert("L") for each in pictures], COARSE)).inputs.shape == (12, 1, 4, 5)


def test_settings_of_the_study_stay_where_they_fit():
    own = {"kind": "arrays", "path": "old.csv", "columns": {"coarse": "coarse", "exclude": ["c"]}, "standardize": True}
    own |= {"split": {"train": 0.5, "val": 0.2, "test": 0.3}, "limit": 10}
    settings = keep_data(FRAME, own).settings
    assert settings == {key: own[key] for key in ("columns", "standardize", "split", "limit")}
    assert keep_data({"table": FRAME, "coarse": "coarse"}, own).settings["columns"] == {"coarse": "coarse"}
    assert keep_data((INPUTS, COARSE), own).settings == {key: own[key] for key in ("standardize", "split", "limit")}
    assert keep_data(FRAME, {"kind": "digits", "coarse_groups": [[0], [1]], "limit": 10}).settings.keys() == {
        "columns",
        "limit",
    }


def test_coarse_classes_may_be_derived():
    own = {"kind": "arrays", "path": "x.npz", "derive_coarse": "median"}
    assert made({"inputs": INPUTS, "fine_values": INPUTS[:, 0]}, own).num_coarse == (2,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (INPUTS, "data: is no form of data that fgtune takes, got 'ndarray'"),
        (torch.as_tensor(INPUTS), "data: is no form of data that fgtune takes, got 'Tensor'"),
        ("mine.csv", "data: is no form of data that fgtune takes, got 'str'"),
        (7, "data: is no form of data that fgtune takes, got 'int'"),
        ((INPUTS,), "data: is no form of data that fgtune takes, got 'tuple'"),
        ({"inputs": INPUTS}, "data: has no coarse labels"),
        ({"inputs": INPUTS, "labels": COARSE}, "data: unknown array 'labels'. Fix: known names: inputs, coarse"),
        ({"coarse": COARSE}, "data: has no 'inputs'"),
        ({"table": INPUTS, "coarse": "a"}, "data: table: must be a pandas or Arrow table, got 'ndarray'"),
        (FRAME.drop(columns="coarse"), r"data: no column is called 'coarse'; the table has a, b, c, fine. Fix: say"),
        (FRAME.assign(b=[1, "x"] * 6), "data: is no table that can be stored"),
        ([(1, 2), (1, 2, 3)], "sample 1 is not like the first"),
        ([{"x": 1}], "every sample must be"),
        ([], "data: has no samples"),
        ([(np.zeros(2), 0), (np.zeros(3), 1)], "data: all inputs must have one shape, there are 2"),
        (([[1, 2], [3]], [0, 1]), "data: inputs: cannot be made an array"),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        keep_data(data, {})


def test_a_file_that_waits_is_read_until_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, waits = Path("reports/x/data.npz"), tmp_path / "waits"
    waits.write_bytes(b"content")
    with waiting({place: waits}):
        assert file_at(tmp_path / place) == waits
        assert file_at(Path("other")) == Path("other")
        assert bytes_waiting() == len(b"content")
        take_waiting()
    assert bytes_waiting() == 0
    assert file_at(place) == place
    assert place.read_bytes() == b"content"
    assert [each.name for each in place.parent.iterdir()] == ["data.npz"]
