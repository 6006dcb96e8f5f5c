"""Arrays that are kept for other processes: worked out once, the same bits, and never in the way."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fgtune.data import caches
from fgtune.data.caches import kept_arrays


@pytest.fixture
def made():
    """A function of a key that makes arrays under it, and the keys for which it did."""
    keys = []

    def arrays(key: str, numbers: int = 10):
        def make():
            keys.append(key)
            time.sleep(0.02)
            return {"x": np.asfortranarray(np.random.default_rng(numbers).normal(size=(numbers, 3))), "n": np.arange(2)}

        return kept_arrays("things", key, make)

    arrays.keys = keys
    return arrays


def test_arrays_are_made_once_whoever_asks_and_read_back_bit_for_bit(made):
    with ThreadPoolExecutor(4) as pool:  # each with a file handle of its own, as processes have
        found = list(pool.map(lambda _: made("a"), range(4)))
    assert made.keys == ["a"]
    for each in found[1:]:
        assert each.keys() == found[0].keys()
        for name, array in each.items():
            assert (array.tobytes(), array.dtype) == (found[0][name].tobytes(), found[0][name].dtype)
            assert array.flags.f_contiguous == found[0][name].flags.f_contiguous
    made("b")
    assert made.keys == ["a", "b"]


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 60, None], ids=repr)
def test_a_damaged_file_is_made_again(made, cache_folder, damage):
    first, file = made("a"), cache_folder.parent / "things" / "a.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert (made("a")["x"] == first["x"]).all()
    assert made.keys == ["a", "a"]
    assert file.read_bytes() == whole


def test_objects_in_a_file_are_not_read(made, cache_folder):
    made("a")
    np.savez(cache_folder.parent / "things" / "a.npz", x=np.array([{}], dtype=object))
    assert made("a")["x"].dtype == np.float64


def test_where_nothing_can_be_kept_a_warning_says_so_and_work_goes_on(made, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "file"))
    assert made("a").keys() == {"x", "n"}
    made("b")
    assert caplog.text.count("things are worked out anew in every process: ") == 1, "once is enough"
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caches.np, "savez", full)
    assert made("a").keys() == {"x", "n"}
    assert "a.npz cannot be kept for other processes (No space left on device)" in caplog.text
    assert not list((tmp_path / "cache" / "things").glob("*.npz"))
    assert not list((tmp_path / "cache" / "things").glob(".*.tmp"))


def test_an_error_of_the_work_itself_is_not_hidden():
    with pytest.raises(OSError, match="of the work"):
        kept_arrays("things", "a", lambda: (_ for _ in ()).throw(OSError("of the work")))


def test_what_was_not_used_for_longest_goes_and_what_is_too_large_is_not_kept(made, cache_folder, monkeypatch):
    folder = cache_folder.parent / "things"
    for age, key in enumerate(("c", "b", "a")):
        made(key, 100)
        os.utime(folder / f"{key}.npz", (1e9 - age, 1e9 - age))
    size = (folder / "a.npz").stat().st_size
    made("a", 100)  # used now
    monkeypatch.setattr(caches, "MOST_KEPT", 3 * size + 10)
    made("d", 20)
    assert sorted(path.stem for path in folder.glob("*.npz")) == ["a", "c", "d"]
    made("e", 200)
    assert sorted(path.stem for path in folder.glob("*.npz")) == ["a", "c", "d"]
