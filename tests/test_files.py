from __future__ import annotations

import gc
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.files import JsonLines, _decoded, private_folder, replacing, uncollected, write_atomically
from fgtune.text import first_of


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a" / "file"
    write_atomically(path, b"one")

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"two")
    assert tree(tmp_path) == {"a/file": b"one"}


def test_an_error_while_a_file_is_being_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"file": b"one"}


def test_a_new_file_has_the_permissions_that_the_user_asks_for(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("synced", [False, True])
def test_lines_are_synced_where_they_shall_be(tmp_path, monkeypatch, synced):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    lines = JsonLines(tmp_path / "lines", dict, rule="is no line", fix="delete it", synced=synced)
    for number in range(3):
        lines.append({"number": number})
    assert len(calls) == (4 if synced else 0)  # every line, and the folder once
    assert [line["number"] for line in lines.read()] == [0, 1, 2]
    assert (tmp_path / "lines").read_text() == "".join(f"{json.dumps({'number': number})}\n" for number in range(3))


def test_the_first_names_and_how_many_more():
    assert first_of([], 2) == ""
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(["a", "b", "c"], 2) == "a, b, c"  # a single further one is no longer than its count
    assert first_of(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_a_private_folder_is_the_users_own_and_no_link(tmp_path, monkeypatch):
    folder = private_folder(tmp_path / "deep" / "own")
    assert private_folder(folder) == folder
    assert folder.stat().st_mode & 0o077 == 0
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(PermissionError, match="somebody else"):
        private_folder(tmp_path / "link")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="somebody else"):
        private_folder(folder)


ODD = [
    b"", b"NaN", b"-NaN", b"nan", b"Infinity", b"-Infinity", b"[1e400]", b"[-0]", b"[-0.0]", b"[1e-400]", b"[1E5]",
    b"1.", b".5", b"+1", b"01", b"-01", b"1e", b"1_0", b"0x10", b"1" * 400, b"1" * 4300, b"9223372036854775808",
    b"[9007199254740993.0]", b"[2.2250738585072011e-308]", b'{"a": 1, "b": 2, "a": 3}', b"[1,]", b"{} ", b"{}\r",
    b"{}\x00", b"\x0c1", b"\xc2\xa01", b"tru", b"'a'", b'["\x01"]', b'["a\tb"]', b'["\x7f"]', b'"\\ud800"',
    b'"\\u00e9\\ud83d\\ude00"', b'["\\x41"]', b'["\\/"]', b"\xff", b'["\xed\xa0\x80"]', b"\xef\xbb\xbf{}",
    '{"a": 1}'.encode("utf-16"), b"/**/1", b"[" * 300 + b"]" * 300, b"[" * 5000,
]  # fmt: skip
"""JSON at its edges, and what is no JSON."""


def what(decode, line):
    """The value with its types, as text in which nan equals itself; or that there is none."""
    try:
        return repr(decode(line))
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize("line", ODD, ids=lambda line: repr(line[:20]))
def test_a_line_is_read_as_the_standard_library_reads_it(line):
    assert what(_decoded, line) == what(json.loads, line)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


@settings(max_examples=100, deadline=None)
@given(PLAIN, st.booleans())
def test_what_was_written_is_read_to_the_last_bit(value, ascii_only):
    line = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert what(_decoded, line) == what(json.loads, line)


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25))
def test_numbers_are_the_nearest_ones(number, digits):
    for text in (repr(number), f"{number:.{digits}e}"):
        found = _decoded(text.encode())
        assert (found, math.copysign(1.0, found)) == (float(text), math.copysign(1.0, float(text)))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=30)
    | st.text('{}[]",:0123456789eE+-. truefalsn\\\\u\ud800', max_size=20).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_what_is_no_json_is_refused_as_the_standard_library_does(line):
    assert what(_decoded, line) == what(json.loads, line)


def test_garbage_is_collected_again_afterwards():
    with pytest.raises(KeyError), uncollected():  # noqa: PT012
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
