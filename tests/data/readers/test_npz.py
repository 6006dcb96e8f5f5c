from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.data.readers import data_files
from fgtune.data.readers.data_files import memory_bytes
from fgtune.data.readers.npz import read_npy, read_npz
from fgtune.errors import DataError

REQUIRED, OPTIONAL = ("inputs", "coarse"), ("fine", "split")


def read(path):
    return read_npz(path, REQUIRED, OPTIONAL)


def member(array, **header):
    """The bytes of one ``.npy``, with parts of its header replaced."""
    stream = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array) | header
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue() + array.tobytes()


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


INPUTS, COARSE = np.arange(24.0).reshape(12, 2), np.arange(12)


def test_reads_compressed_and_plain_archives_alike(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=INPUTS, coarse=COARSE)
    np.savez_compressed(tmp_path / "b.npz", inputs=INPUTS, coarse=COARSE)
    for name in ("a.npz", "b.npz"):
        arrays = read(tmp_path / name)
        assert sorted(arrays) == ["coarse", "inputs"]
        assert np.array_equal(arrays["inputs"], INPUTS)


def test_a_missing_file_is_named_with_the_folder_that_paths_start_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=re.escape("gone.npz: trial.data.path: no such file. Fix: Name an .npz file")
    ) as e:
        read(Path("gone.npz"))
    assert str(tmp_path) in str(e.value)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(DataError, match="is not a regular file"):
        read(tmp_path)


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_objects_are_refused_and_never_run(tmp_path):
    np.savez(tmp_path / "evil.npz", inputs=np.array([Bomb(tmp_path / "ran")] * 12), coarse=COARSE)
    with pytest.raises(DataError, match="inputs: holds Python objects, which would have to be unpickled"):
        read(tmp_path / "evil.npz")
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(DataError, match=r"is not a readable \.npz archive \(File is not a zip file\)"):
        read(tmp_path / "bare.npz")
    nested = np.dtype([("a", "O")])
    archive(tmp_path / "record.npz", inputs=member(np.zeros(12), descr=nested.descr), coarse=member(COARSE))
    with pytest.raises(DataError, match="inputs: holds Python objects"):
        read(tmp_path / "record.npz")
    assert not (tmp_path / "ran").exists()


def test_a_plain_npy_is_not_an_archive(tmp_path):
    np.save(tmp_path / "one.npy", INPUTS)
    with pytest.raises(
        DataError, match=r"is not a readable \.npz archive .* Fix: Write the file again with numpy.savez"
    ):
        read(tmp_path / "one.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(member(INPUTS, shape=(10**12, 2)), "takes 16000000000000", id="promises terabytes"),
        pytest.param(
            member(INPUTS, shape=(6, 2)), "192 bytes of data where shape (6, 2) of float64 takes 96", id="longer"
        ),
        pytest.param(member(INPUTS, shape=(-12, -2)), "where shape (-12, -2)", id="negative shape"),
        pytest.param(member(INPUTS)[:-5], "187 bytes of data where", id="truncated array"),
        pytest.param(b"hello", "inputs: cannot be read (", id="not an array"),
        pytest.param(b"", "inputs: cannot be read (", id="empty member"),
        pytest.param(b"\x93NUMPY\x09\x00" + bytes(64), "inputs: cannot be read (format version (9, 0)", id="version 9"),
    ],
)
def test_a_damaged_array_is_named(tmp_path, content, message):
    path = archive(tmp_path / "bad.npz", inputs=content, coarse=member(COARSE))
    with pytest.raises(DataError, match=re.escape(message)):
        read(path)


def test_an_array_twice_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as file:
        for _ in range(2):
            with pytest.warns(UserWarning, match="Duplicate name") if file.namelist() else pytest.MonkeyPatch.context():
                file.writestr("inputs.npy", member(INPUTS))
    with pytest.raises(DataError, match="array 'inputs' occurs twice"):
        read(tmp_path / "twice.npz")


def test_of_many_unknown_arrays_a_few_are_shown(tmp_path):
    members = {f"x{index:03}": member(COARSE) for index in range(100)}
    path = archive(tmp_path / "many.npz", **members, inputs=member(INPUTS), coarse=member(COARSE))
    with pytest.raises(
        DataError, match=re.escape("unknown array 'x000'; the file holds coarse, inputs, x000")
    ) as caught:
        read(path)
    assert "and 94 more" in str(caught.value)


def test_an_archive_that_unpacks_beyond_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", inputs=np.zeros((1000, 1000)), coarse=np.zeros(1000, np.int64))
    assert (tmp_path / "bomb.npz").stat().st_size < 20_000
    monkeypatch.setattr(data_files, "memory_bytes", lambda: 2**23)
    with pytest.raises(DataError, match=r"unpacks to 0\.0 GiB, more than half of this machine's memory"):
        read(tmp_path / "bomb.npz")


def test_memory_is_known_or_guessed(monkeypatch):
    assert memory_bytes() > 2**28
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() == 2**34


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "good.npz"
    np.savez_compressed(path, inputs=INPUTS, coarse=COARSE)
    return path.read_bytes()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_bytes_are_damaged_the_answer_is_arrays_or_one_data_error(good_bytes, tmp_path_factory, data):
    content = bytearray(good_bytes)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(bytes(content[:cut]))
    try:
        arrays = read(path)
    except DataError:
        return
    assert set(arrays) >= set(REQUIRED)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="{}()[]'\",:0123456789Odescrhapfi<>|u _\n-", max_size=80))
def test_whatever_a_header_says_the_answer_is_arrays_or_one_data_error(tmp_path_factory, header):
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("latin1") + bytes(16)
    path = archive(tmp_path_factory.getbasetemp() / "header.npz", inputs=content, coarse=member(COARSE))
    with pytest.raises(DataError, match="inputs: "):
        read(path)


def test_rows_without_content_are_no_claim_on_memory(tmp_path):
    content = io.BytesIO()
    np.save(content, np.zeros((10**13, 0), dtype=np.float32))
    (tmp_path / "x.npy").write_bytes(content.getvalue())
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("inputs.npy", content.getvalue())
    with pytest.raises(DataError, match="claims 10,000,000,000,000 rows that hold nothing"):
        read_npz(tmp_path / "x.npz", ("inputs",), ())
    with pytest.raises(DataError, match="claims 10,000,000,000,000 rows that hold nothing"):
        read_npy(tmp_path / "x.npy", "inputs")


@pytest.mark.parametrize("header", ["(" * 9000, "[" * 9000, "-" * 9000, "{" * 500 + "}" * 500])
def test_deeply_nested_headers_do_no_harm(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(16)
    path = archive(tmp_path / "deep.npz", inputs=content, coarse=member(COARSE))
    with pytest.raises(DataError, match="inputs: cannot be read"):
        read(path)
