from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from fgtune.config.schema.data import ArraysConfig
from fgtune.data.load import load_dataset
from fgtune.errors import DataError

COUNT = 12
GOOD = {"inputs": np.arange(COUNT * 2.0).reshape(COUNT, 2), "coarse": np.arange(COUNT) % 2}


@pytest.fixture
def load(tmp_path):
    """Save the good arrays with some replaced (None removes one), and load them."""

    def load_with(config=None, **changes):
        arrays = {name: array for name, array in (GOOD | changes).items() if array is not None}
        np.savez(tmp_path / "mine.npz", **arrays)
        return load_dataset(ArraysConfig.from_plain({"path": str(tmp_path / "mine.npz"), **(config or {})}))

    return load_with


def test_minimal_file(load):
    data = load()
    assert data.inputs.dtype == np.float32
    assert np.array_equal(data.inputs, GOOD["inputs"])
    assert data.coarse.shape == (COUNT, 1)
    assert data.num_coarse == (2,)
    assert data.fine is data.num_fine is data.given_split is None


def test_several_sources_with_missing_labels(load):
    coarse = np.array([[0, -1], [-1, 2], [1, 0], [-1, 1], [-1, -1], [0, 0]] * 2, dtype=np.int8)
    data = load(coarse=coarse)
    assert np.array_equal(data.coarse, coarse)
    assert data.num_coarse == (2, 3)


def test_fine_labels_are_numbered_without_gaps_in_their_order(load):
    data = load(fine=np.array([30, 7, 500] * 4, dtype=np.uint16))
    assert data.fine.tolist() == [1, 0, 2] * 4
    assert data.num_fine == 3


@pytest.mark.parametrize(
    "split",
    [
        np.array(["train", "train", "val", "test"] * 3),
        np.array([b"train", b"train", b"val", b"test"] * 3),
        np.array([0, 0, 1, 2] * 3, dtype=np.uint8),
    ],
    ids=["str", "bytes", "int"],
)
def test_a_split_of_names_or_numbers(load, split):
    assert load(split=split).given_split.tolist() == [0, 0, 1, 2] * 3


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64", ">f4", "longdouble"])
def test_inputs_of_any_real_dtype(load, dtype):
    inputs = (np.arange(COUNT)[:, None] % 2).astype(dtype)
    assert np.array_equal(load(inputs=inputs).inputs, inputs.astype(np.float64))


def test_fortran_order_and_images(load):
    images = np.asfortranarray(np.random.default_rng(0).random((COUNT, 3, 4, 4)))
    assert np.array_equal(load(inputs=images).inputs, images.astype(np.float32))


NAN = GOOD["inputs"].copy()
NAN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"coarse": None}, "array 'coarse' is missing; the file holds inputs. Fix: Save", id="no coarse"),
        pytest.param({"inputs": None}, "array 'inputs' is missing; the file holds coarse", id="no inputs"),
        pytest.param(
            {"labels": np.zeros(3)}, "unknown array 'labels'; the file holds coarse, inputs, labels", id="extra"
        ),
        pytest.param({"inputs": NAN}, "inputs: must be finite in float32: 1 NaN and 0 infinite", id="nan"),
        pytest.param({"inputs": np.full((COUNT, 1), 1e300)}, "0 NaN and 12 infinite values, the first", id="overflow"),
        pytest.param({"inputs": np.array(["a"] * COUNT)}, "inputs: must be real numbers, got '<U1'", id="text inputs"),
        pytest.param({"inputs": np.zeros((COUNT, 1), complex)}, "must be real numbers, got 'complex128'", id="complex"),
        pytest.param(
            {"inputs": np.zeros(COUNT)}, "inputs: must be (N, ...), with at least one number", id="flat inputs"
        ),
        pytest.param(
            {"inputs": np.array(3.0)}, "inputs: must be (N, ...), with at least one number", id="scalar inputs"
        ),
        pytest.param({"inputs": np.zeros((3, 2)), "coarse": np.arange(3)}, "at least 10 samples, got 3", id="too few"),
        pytest.param(
            {"coarse": np.zeros(11, int)}, "coarse: must have one entry per sample (12), it has 11", id="length"
        ),
        pytest.param(
            {"coarse": GOOD["coarse"] / 2}, "coarse: labels must be integers, or real numbers that are", id="fractions"
        ),
        pytest.param(
            {"coarse": np.array([{}] * COUNT)}, "coarse: holds Python objects that are no labels (a label", id="dicts"
        ),
        pytest.param({"coarse": np.zeros(COUNT, complex)}, "coarse: labels must be whole numbers", id="no number"),
        pytest.param(
            {"fine": np.array(["a", None] * 6, dtype=object)},
            "fine: every sample needs a fine class, row 1",
            id="no fine",
        ),
        pytest.param(
            {"coarse": np.zeros((COUNT, 2, 1), int)}, "coarse: must be (N,) or (N, sources), got", id="3-d coarse"
        ),
        pytest.param(
            {"coarse": np.zeros((COUNT, 0), int)}, "must be (N,) or (N, sources), got (12, 0)", id="no source"
        ),
        pytest.param({"coarse": np.array(1)}, "must be (N,) or (N, sources), got ()", id="scalar coarse"),
        pytest.param(
            {"coarse": GOOD["coarse"] - 3}, "labels must be -1 (none) or 0 .. K-1, row 0 breaks", id="below -1"
        ),
        pytest.param({"coarse": GOOD["coarse"] * 3}, "coarse class 1 has no samples (labels go up to 3)", id="gap"),
        pytest.param(
            {"coarse": np.full(COUNT, 2**64 - 1, np.uint64)},
            "coarse: labels must fit in int64, got 184467",
            id="uint64",
        ),
        pytest.param({"fine": np.zeros((COUNT, 1), int)}, "fine: must be (N,), got (12, 1)", id="2-d fine"),
        pytest.param(
            {"fine": np.zeros(9, int)}, "fine: must have one entry per sample (12), it has 9", id="short fine"
        ),
        pytest.param({"fine": np.full(COUNT, -1)}, "fine: labels must be >= 0, row 0 breaks this", id="negative fine"),
        pytest.param(
            {"split": np.array(["train", "dev", "test"] * 4)},
            "split: must be one of 'train', 'val', 'test', row 1 is not, got 'dev'",
            id="unknown part",
        ),
        pytest.param({"split": np.array([b"train\xff"] * COUNT)}, "row 0 is not, got 'train", id="not ascii"),
        pytest.param({"split": np.array(["train", "val"] * 6)}, "split: no sample is in 'test'", id="no test"),
        pytest.param({"split": np.array([0, 1, 2, 5] * 3)}, "split: must be 0 (train), 1 (val) or 2", id="part 5"),
        pytest.param({"split": np.zeros(COUNT)}, "split: must be (N,) integers or strings", id="float split"),
        pytest.param(
            {"split": np.array([0, 1, 0, 2] * 3)}, "coarse class 1 of source 0 has no sample in 'train'", id="untrained"
        ),
    ],
)
def test_each_fault_gets_one_clear_error_that_names_the_file(load, tmp_path, changes, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(**changes)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.npz'}: ")
    assert "\n" not in str(caught.value)


MISSING = {
    "real numbers": np.array([0.0, np.nan, 1.0] * 4),
    "text": np.array(["a", "", "b"] * 4),
    "bytes": np.array([b"a", b"", b"b"] * 4),
    "None among text": np.array(["a", None, "b"] * 4, dtype=object),
    "pandas.NA among text": np.array(["a", pd.NA, "b"] * 4, dtype=object),
    "NaT among text": np.array(["a", pd.NaT, "b"] * 4, dtype=object),
    "NaN among numbers": np.array([0, float("nan"), 10] * 4, dtype=object),
    "NumPy's own text and numbers": np.array([np.str_("a"), np.float64("nan"), np.int64(7)] * 4, dtype=object),
}


@pytest.mark.parametrize("kind", MISSING)
def test_whatever_is_missing_is_no_label(load, kind):
    data = load(coarse=MISSING[kind])
    assert sorted(set(data.coarse[:, 0].tolist())) == [-1, 0, 1]
    assert (data.coarse[:, 0] == -1).tolist() == [False, True, False] * 4
    assert not data.notes


def test_text_is_numbered_by_name_in_every_source_and_words_for_missing_are_told(load):
    coarse = np.array([["NA", "z"], ["b", ""]] * 6)
    data = load(coarse=coarse, fine=np.array(["x", "None", "x", "y"] * 3, dtype=object))
    assert data.coarse_names == (("NA", "b"), ("z",))
    assert data.coarse.tolist() == [[0, 0], [1, -1]] * 6
    assert data.fine_names == ("None", "x", "y")
    assert [note.partition("mine.npz: ")[2][:40] for note in data.notes] == [
        "source 0 of 'coarse' holds the text NA i",
        "'fine' holds the text None in 3 rows, wh",
    ]


def test_long_integers_among_objects_stay_apart(load):
    data = load(coarse=np.array([10**17 + 1, None, 10**17 + 2] * 4, dtype=object))
    assert data.coarse_names == (("100000000000000001", "100000000000000002"),)


def test_real_numbers_in_fine_are_targets_unless_they_are_said_to_be_classes(load):
    fine = np.array([2.0, 10.0, 1.0] * 4)
    data = load(fine=fine)
    assert data.fine is None
    assert np.array_equal(data.fine_values[:, 0], fine)
    assert len(data.notes) == 1
    assert data.notes[0].endswith("set fine_as: classes if they number classes, or fine_as: values")
    assert not load(fine=fine, config={"fine_as": "values"}).notes
    classes = load(fine=fine, config={"fine_as": "classes"})
    assert classes.fine.tolist() == [1, 2, 0] * 4
    assert classes.fine_values is None
    assert np.array_equal(load(fine=fine.astype(int), config={"fine_as": "values"}).fine_values[:, 0], fine)


class Hostile:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("value", [Hostile(), [1], np.arange(3), 1j, print], ids=lambda value: type(value).__name__)
def test_nothing_that_an_object_array_names_is_run(load, value, capsys):
    coarse = np.array(["a", "b"] * 6, dtype=object)
    coarse[3] = value
    with pytest.raises(DataError, match=r"coarse: holds Python objects that are no labels"):
        load(coarse=coarse)
    assert "run" not in capsys.readouterr().out


def test_inputs_of_objects_are_refused(load):
    with pytest.raises(DataError, match="inputs: holds Python objects, which would have to be unpickled"):
        load(inputs=np.full((COUNT, 2), None))
