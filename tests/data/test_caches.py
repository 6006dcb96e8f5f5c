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

        return kept_arrays("things", key, ("x", "n"), make)

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


def test_no_flipped_bit_is_an_error_or_gives_other_arrays(made, cache_folder):
    """One bit of every byte: of headers, of numbers, and of the list of what is in the file."""
    first, file = made("a"), cache_folder.parent / "things" / "a.npz"
    whole = file.read_bytes()
    bits = np.random.default_rng(0).integers(8, size=len(whole))
    again = 0
    for place, bit in enumerate(bits.tolist()):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        found = caches._read(file, ("x", "n"))
        again += found is None
        if found is not None:  # a time or an attribute that says nothing of the content
            assert found.keys() == first.keys()
            assert all(
                (found[name].tobytes(), found[name].shape) == (first[name].tobytes(), first[name].shape)
                for name in first
            )
    assert again > len(whole) / 2


def test_a_header_that_tells_of_fewer_numbers_is_damage(made, cache_folder):
    """NumPy would read these and stop, before the end at which a checksum is compared."""
    first, file = made("a", 1000), cache_folder.parent / "things" / "a.npz"
    whole = file.read_bytes()
    assert whole.count(b"(1000, 3)") == 1
    file.write_bytes(whole.replace(b"(1000, 3)", b"(0000, 3)"))  # one bit
    assert made("a", 1000)["x"].shape == first["x"].shape
    assert made.keys == ["a", "a"]


def test_a_file_that_lacks_an_array_is_made_again(made, cache_folder):
    first = made("a")
    np.savez(cache_folder.parent / "things" / "a.npz", x=first["x"])
    assert made("a").keys() == {"x", "n"}
    assert made.keys == ["a", "a"]


def test_what_was_read_counts_where_its_time_cannot_be_set(made, monkeypatch):
    made("a")

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(caches.os, "utime", refused)
    made("a")
    assert made.keys == ["a"]


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
        kept_arrays("things", "a", (), lambda: (_ for _ in ()).throw(OSError("of the work")))


def test_what_was_not_used_for_longest_goes_and_what_is_too_large_is_not_kept(made, cache_folder, monkeypatch, caplog):
    folder = cache_folder.parent / "things"
    for age, key in enumerate(("c", "b", "a")):
        made(key, 100)
        os.utime(folder / f"{key}.npz", (1e9 - age, 1e9 - age))
    size = (folder / "a.npz").stat().st_size
    made("a", 100)  # used now
    monkeypatch.setattr(caches, "MOST_KEPT", 3 * size + 10)
    made("d", 20)
    assert sorted(path.stem for path in folder.glob("*.npz")) == ["a", "c", "d"]
    assert not caplog.text
    for _ in range(2):
        made("e", 200)
    assert sorted(path.stem for path in folder.glob("*.npz")) == ["a", "c", "d"]
    assert caplog.text.count("things of more than 0 MiB are not kept: every process works them out anew") == 1
