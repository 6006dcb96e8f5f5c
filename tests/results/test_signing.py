from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fgtune.results import signing
from fgtune.results.signing import is_signed, sign


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A home of its own for a key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fgtune"


def test_what_was_signed_is_known_again_by_another_process_and_nothing_else_is():
    signature = sign("storage", "s3://b", "small-01234567")
    code = f"from fgtune.results.signing import is_signed; print(is_signed({signature!r}, 'storage', 's3://b', "
    for last, known in (("small-01234567", True), ("other-01234567", False)):
        done = subprocess.run([sys.executable, "-c", f"{code}{last!r}))"], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(known)
    assert not is_signed(signature, "storage", "s3://bs", "mall-01234567"), "parts do not run together"
    assert not is_signed(signature, "call", "s3://b", "small-01234567")
    assert not any(is_signed(each, "storage", "s3://b", "small-01234567") for each in (None, "", 3, [], "é", "0" * 64))


def test_another_user_has_another_key(monkeypatch, tmp_path):
    mine = sign("a")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    assert not is_signed(mine, "a")
    assert is_signed(sign("a"), "a")


def test_the_key_is_for_its_owner_alone_and_one_that_others_read_signs_nothing(state):
    sign("a")
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [each.name for each in state.iterdir()] == ["key"]
    (state / "key").chmod(0o644)
    assert sign("a") == ""


def test_processes_that_start_at_once_agree_on_one_key(state):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: sign("a"), range(64)))) == 1


@pytest.mark.parametrize("spoil", ["file", "empty", "link"])
def test_without_a_place_for_a_key_nothing_is_signed_and_nothing_known(state, spoil, tmp_path):
    if spoil == "file":
        state.parent.write_text("")
    else:
        state.mkdir(parents=True, mode=0o700)
        (tmp_path / "elsewhere").write_bytes(os.urandom(32))
        (state / "key").symlink_to(tmp_path / "elsewhere") if spoil == "link" else (state / "key").touch(0o600)
    assert signing.sign("a") == ""
    assert not signing.is_signed("", "a")


def test_a_path_that_is_no_unicode_is_signed_like_any_other():
    signature = sign("storage", "/data/\udcff")
    assert is_signed(signature, "storage", "/data/\udcff")
    assert not is_signed(signature, "storage", "/data/\udcfe")
    assert not is_signed("\ud800", "storage", "/data/\udcff")


def test_asking_who_signed_makes_no_key(state):
    assert not is_signed("0" * 64, "a")
    assert not state.exists()
