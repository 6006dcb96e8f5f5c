from __future__ import annotations

import contextlib
import os
import pickle
import pickletools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.data.readers.safe_pickle import read_pickled_dict
from fgtune.errors import DataError

CONTENT = {
    "data": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "big_endian": np.arange(3, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "none": np.zeros((0, 3), dtype=np.float32),
    "labels": [3, 1, 2],
    "names": ["a", "bé"],
    "label": "training batch",
    "raw": b"\xff\x00",
    "number": 5,
    "ratio": 0.5,
    "scalar": np.int64(7),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_plain_content_comes_back_as_it_was(tmp_path, protocol):
    (tmp_path / "a").write_bytes(pickle.dumps(CONTENT, protocol=protocol))
    read = read_pickled_dict(tmp_path / "a")
    assert read.keys() == CONTENT.keys()
    for key, value in CONTENT.items():
        assert np.array_equal(read[key], value), key
        if isinstance(value, np.ndarray):
            assert read[key].dtype == value.dtype
            assert not read[key].flags.writeable


def test_a_file_of_python_2_reads_as_latin_1(tmp_path):
    """Byte strings of Python 2 (opcode U) in the place of keys, names and array contents."""
    text = (
        b"\x80\x02}q\x00(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\x07\xfftbU\x05namesq\x01]q\x02U\x02x\xe9au."
    )
    pickletools.dis(text, out=open(os.devnull, "w"))  # noqa: SIM115, PTH123 (well-formed)
    (tmp_path / "a").write_bytes(text)
    read = read_pickled_dict(tmp_path / "a")
    assert read["data"].tolist() == [7, 255]
    assert read["names"] == ["xé"]


class _Runs:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _hostile(tmp_path):
    marker = str(tmp_path / "marker")
    return {
        "system": _Runs(os.system, f"touch {marker}"),
        "eval": {"data": _Runs(eval, f"open({marker!r}, 'w')")},
        "open": {"data": [_Runs(open, marker, "w")]},
        "hidden in an array": {"data": np.array([_Runs(os.system, f"touch {marker}")], dtype=object)},
        "objects": {"data": np.array([{}], dtype=object)},
        "records": {"data": np.zeros(2, dtype=[("a", "i4")])},
        "dates": {"data": np.zeros(2, dtype="M8[s]")},
        "an array's subclass": {"data": np.rec.array([1])},
        "nested": {"data": {"inner": [1]}},
        "lists of lists": {"data": [[1]]},
        "set": {"data": {1, 2}},
        "array itself": {"data": np.ndarray},
        "list": [1, 2],
        "number key": {1: 2},
        "exception": {"data": ValueError("x")},
    }


@pytest.mark.parametrize("name", _hostile(Path()))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_else_is_one_error_and_nothing_is_run(tmp_path, name, protocol):
    if name == "number key" and protocol:
        pytest.skip("once is enough")
    content = _hostile(tmp_path)[name] if name != "system" else {"x": _hostile(tmp_path)[name]}
    (tmp_path / "a").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DataError, match="is not a readable pickle of arrays and lists") as caught:
        read_pickled_dict(tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


HEAD = b"\x80\x02}U\x04data"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"cos\nsystem\nU\x02id\x85R", "it asks for os.system, which is not data"),
        (b"cbuiltins\neval\nU\x011\x85R", "it asks for builtins.eval"),
        (b"cnumpy\nload\nU\x01x\x85R", "it asks for numpy.load"),
        (b"(S'id'\nios\nsystem\n", "it asks for os.system"),
        (b"cnumpy\nndarray\n)\x81", "an array must be made by NumPy's own function"),
        (b"cnumpy\nndarray\n)R", "an array must be made by NumPy's own function"),
        (b"cnumpy\ndtype\nU\x01OK\x00K\x01\x87R", "a dtype must be plain numbers or text, not 'O'"),
        (DTYPE + b"(K\x03U\x01?tb", "a dtype's byte order is damaged"),
        (ARRAY + b"K\x05b", "an array's state is damaged"),
        (ARRAY + b"(K\x01K\x09\x85" + DTYPE + b"\x89U\x02\x07\xfftb", "an array of shape (9,) must not have 2 bytes"),
        (ARRAY + b"(K\x01K\x02\x85K\x05\x89U\x02\x07\xfftb", "an array must hold plain numbers or text"),
        (ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89U\x00tb", "an array's shape is damaged"),
        (b"\x8c\x02hiQ", "persistent"),
    ],
)
def test_handwritten_programs_are_refused(tmp_path, body, message):
    (tmp_path / "a").write_bytes(HEAD + body + b"s.")
    with pytest.raises(DataError, match=re.escape(message)):
        read_pickled_dict(tmp_path / "a")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_gives_content_or_one_error(tmp_path_factory, data):
    whole = bytearray(pickle.dumps({"data": CONTENT["data"], "names": CONTENT["names"]}, protocol=2))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damage") / "a"
    file.write_bytes(whole)
    with contextlib.suppress(DataError):
        read = read_pickled_dict(file)
        assert all(isinstance(value, np.ndarray | list | str | int | float | bytes) for value in read.values())


def test_a_file_far_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fgtune.data.readers.safe_pickle.MAX_BYTES", 10)
    (tmp_path / "a").write_bytes(pickle.dumps(CONTENT))
    with pytest.raises(DataError, match="is no such set"):
        read_pickled_dict(tmp_path / "a")
