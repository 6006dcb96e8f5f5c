"""Arrays as authors publish them become the .npz of a study; what does not fit is one error, and nothing is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fgtune.app.cli import main
from fgtune.app.data_convert import convert, read_arrays
from fgtune.errors import ConfigError

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.random((60, 5)), RNG.random((40, 5))
ABUNDANCES = RNG.random((100, 3))


@pytest.fixture
def unmixing(tmp_path):
    """Pixels and abundances in a pickle of nested dicts."""
    content = {
        "train": {"x": TRAIN, "y": ABUNDANCES[:60]},
        "test": (TEST, ABUNDANCES[60:]),
        "wavelengths": [400.0, 500.0],
        "note": "Houston",
        "count": 3,
    }
    path = tmp_path / "unmixing.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_every_array_of_a_pickle_is_listed_with_its_shape_and_how_to_name_it(unmixing, capsys):
    assert main(["data", "convert", str(unmixing)]) == 0
    shown = capsys.readouterr().out
    for name, shape in (("train.x", "60 x 5"), ("train.y", "60 x 3"), ("test.0", "40 x 5"), ("wavelengths", "2")):
        assert any(line.split()[0] == name and line.endswith(shape) for line in shown.splitlines()), name
    assert "note" not in shown
    assert "inputs=NAME" in shown


def test_parts_become_the_split_of_a_set_that_a_study_trains_on(unmixing, tmp_path, capsys):
    out = tmp_path / "made.npz"
    asked = ["inputs=train.x+test.0", "fine_values=train.y+test.1"]
    assert main(["data", "convert", str(unmixing), *asked, "--parts", "train,test", "--out", str(out)]) == 0
    assert f"data: {{kind: arrays, path: {out}}}" in capsys.readouterr().out
    made = np.load(out)
    np.testing.assert_array_equal(made["inputs"], np.concatenate([TRAIN, TEST]))
    np.testing.assert_array_equal(made["fine_values"], ABUNDANCES)
    assert made["split"].tolist() == [1, *[0] * 9] * 6 + [2] * 40
    data = f"{{kind: arrays, path: {out}, derive_coarse: argmax}}"
    study = tmp_path / "study.yaml"
    study.write_text(
        "study: own\nquestion: Does it read?\nseeds: 1\n"
        "design: {kind: sensitivity, factors: {batch_size: [2, 4]}}\n"
        "metrics: {primary: test/probe_mse_values, also: []}\n"
        f"trial: {{data: {data}, classes: {{num_fine: 3}}, objective: {{preset: base}}, epochs: 1}}\n"
    )
    assert main(["data", "check", str(study)]) == 0
    assert "100 samples" in capsys.readouterr().out


def test_three_parts_are_the_splits_as_they_are_named(tmp_path):
    path, out = tmp_path / "own.npz", tmp_path / "made.npz"
    np.savez(path, a=TRAIN, b=TEST)
    convert(path, out, ["inputs=b+a+b"], ["val", "train", "test"], say=lambda _: None)
    assert np.load(out)["split"].tolist() == [1] * 40 + [0] * 60 + [2] * 40


def test_a_mat_is_read_and_turned_where_its_samples_are_columns(tmp_path):
    path, out = tmp_path / "unmixing.mat", tmp_path / "made.npz"
    savemat(path, {"Y": TRAIN.T, "A": ABUNDANCES[:60].T, "label": np.arange(60), "names": "grass", "s": {"a": 1}})
    assert set(read_arrays(path)) == {"Y", "A", "label"}
    convert(path, out, ["inputs=Y.T", "fine_values=A.T", "coarse=label.T"], say=lambda _: None)
    made = np.load(out)
    np.testing.assert_array_equal(made["inputs"], TRAIN)
    np.testing.assert_array_equal(made["fine_values"], ABUNDANCES[:60])
    assert made["coarse"].tolist() == list(range(60))


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_files_of_numpy_are_read_too(tmp_path, suffix):
    path, out = tmp_path / f"own{suffix}", tmp_path / "made.npz"
    if suffix == ".npz":
        np.savez(path, array=TRAIN, other=np.arange(60))
    else:
        np.save(path, TRAIN)
    convert(path, out, ["inputs=array"], say=lambda _: None)
    np.testing.assert_array_equal(np.load(out)["inputs"], TRAIN)


def test_a_pickle_of_lists_of_the_same_list_ends(tmp_path):
    """Ten references at each of 15 levels are 10^15 ways to a file of 500 bytes."""
    content = [TRAIN, [1, 2]]
    for _ in range(15):
        content = [content] * 10
    path = tmp_path / "own.pkl"
    path.write_bytes(pickle.dumps(content))
    found = read_arrays(path)
    assert list(found) == [".".join("0" * 15) + end for end in (".0", ".1")]
    np.testing.assert_array_equal(found[".".join("0" * 16)], TRAIN)


def test_numbers_beyond_64_bits_are_no_array(tmp_path, capsys):
    path = tmp_path / "own.pkl"
    path.write_bytes(pickle.dumps({"x": TRAIN, "keys": [2**70, 1]}))
    assert main(["data", "convert", str(path), "inputs=x", "coarse=keys"]) == 2
    assert "no such array, got 'keys'. Fix: it has x" in " ".join(capsys.readouterr().err.split())


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "ran")


@pytest.mark.parametrize("verb", [(), ("inputs=x",)])
def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path, capsys, verb):
    target, path = tmp_path / "evidence", tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"x": TRAIN, "y": Payload(target)}))
    assert main(["data", "convert", str(path), *verb]) == 2
    assert "is not a readable pickle of arrays and lists" in capsys.readouterr().err
    assert not target.exists()
    assert not path.with_suffix(".npz").exists()


@pytest.mark.parametrize(
    ("asked", "parts", "message"),
    [
        (["inputs=train.z"], "", r"no such array, got 'train.z'. Fix: it has train.x, train.y, test.0"),
        (["pixels=train.x"], "", r"must be NAME=KEY, got 'pixels=train.x'. Fix: NAME is inputs, coarse, fine"),
        (["fine=train.x"], "", "needs inputs=KEY"),
        (["inputs=train.x", "inputs=test.0"], "", "inputs is named twice"),
        (["inputs=train.x", "fine_values=test.1"], "", "fine_values: has 40 rows, and inputs has 60"),
        (["inputs=train.x+train.y"], "", r"cannot be laid one below the other \(60 x 5 and 60 x 3\)"),
        (["inputs=train.x+test.0"], "train,later", "--parts: must be train, val and test, each once, got 'later'"),
        (["inputs=train.x"], "train,test", "--parts: names 2 parts, so every array needs as many"),
        (["inputs=train.x+test.0", "fine_values=test.1+train.y"], "train,test", "of the same sizes, as KEY"),
    ],
)
def test_what_does_not_fit_is_one_error_and_nothing_is_written(unmixing, tmp_path, asked, parts, message):
    out = tmp_path / "made.npz"
    with pytest.raises(ConfigError, match=message):
        convert(unmixing, out, asked, [part for part in parts.split(",") if part])
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mat", b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "is of MATLAB 7.3, which is HDF5.*save"),
        ("a.mat", b"hello", r"is not a readable .mat \("),
        ("a.csv", b"x", "is of no kind that is read"),
        ("a.pkl", b"hello", "is not a readable pickle"),
    ],
)
def test_damaged_and_other_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_arrays(path)
    with pytest.raises(ConfigError, match="no such file"):
        read_arrays(tmp_path / f"none{path.suffix}")


def test_a_file_that_is_there_is_kept_unless_forced(unmixing, tmp_path):
    out = tmp_path / "made.npz"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"is there already.*--force"):
        convert(unmixing, out, ["inputs=train.x"])
    assert out.read_bytes() == b"mine"
    convert(unmixing, out, ["inputs=train.x"], force=True, say=lambda _: None)
    assert np.load(out)["inputs"].shape == (60, 5)
    with pytest.raises(ConfigError, match=r"must be an .npz, got"):
        convert(unmixing, tmp_path / "made.csv", ["inputs=train.x"])
