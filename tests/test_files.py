from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fgtune.files import JsonLines, private_folder, replacing, write_atomically
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
