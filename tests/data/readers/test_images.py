from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fgtune.data.caches import cache_folder
from fgtune.data.readers import image_cache
from fgtune.data.readers.data_files import folders_in
from fgtune.data.readers.image_cache import CachedImages, keep_images
from fgtune.data.readers.images import CachePolicy, ImageFiles, images_in, read_image
from fgtune.errors import DataError


@pytest.fixture
def make_files(tmp_path, save_image):
    """Twelve PNGs of 8 x 8 and their pixels."""

    def make(**fields):
        pixels = [save_image(tmp_path / "set" / f"{index}.png") for index in range(12)]
        fields = {"size": 8, "resize": "crop", "policy": CachePolicy()} | fields
        files = ImageFiles.of(tmp_path / "set", [f"{index}.png" for index in range(12)], **fields)
        return files, np.stack(pixels).transpose(0, 3, 1, 2)

    return make


def test_rows_decode_to_the_pixels_of_their_files(make_files):
    files, pixels = make_files()
    assert files.shape == (12, 3, 8, 8)
    assert np.array_equal(files[:], pixels)
    assert np.array_equal(files[np.array([5, 0, 5])], pixels[[5, 0, 5]])
    assert np.array_equal(files[7], pixels[7])
    assert np.array_equal(files.take(np.array([3, 1]))[:], pixels[[3, 1]])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 20), (31, 8), (8, 8), (16, 32)])
def test_resize_modes_agree_with_pillow_and_torchvision(tmp_path, save_image, shape):
    from torchvision.transforms.v2 import functional

    pixels = save_image(tmp_path / "a.png", shape)
    height, width = shape
    image = Image.fromarray(pixels)
    squashed = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "a.png", 8, "squash"), squashed)
    resized = functional.resize(image, 8)
    cropped = np.asarray(functional.center_crop(resized, [8, 8])).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "a.png", 8, "crop"), cropped)
    padded = read_image(tmp_path / "a.png", 8, "pad")
    short = 8 * min(shape) // max(shape)
    filled = padded.any(axis=0)
    assert filled.any(axis=1).sum() == (short if height < width else 8)
    assert filled.any(axis=0).sum() == (short if width < height else 8)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_other_modes_come_as_rgb(tmp_path, save_image, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    save_image(tmp_path / f"a.{suffix}", mode=mode)
    assert read_image(tmp_path / f"a.{suffix}", 8, "crop").shape == (3, 8, 8)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:60])


BROKEN = {
    "truncated": (_truncate, "image cannot be decoded ("),
    "empty": (lambda path: path.write_bytes(b""), "is none of JPEG, PNG"),
    "text": (lambda path: path.write_text("no image"), "is none of JPEG, PNG"),
    "missing": (lambda path: path.unlink(), "image cannot be"),
    "postscript": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"), "is none of"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "image cannot be"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("policy", [CachePolicy(), CachePolicy(cache=False), CachePolicy(budget_bytes=1)], ids=str)
def test_a_bad_image_gives_one_error_that_names_it(make_files, tmp_path, fault, policy, cache_folder):
    files, _ = make_files(policy=policy)
    break_it, message = BROKEN[fault]
    break_it(tmp_path / "set" / "7.png")
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        keep_images(files)[:]
    assert f"{tmp_path / 'set' / '7.png'}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache_folder.glob(".*.tmp"))


def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch, save_image):
    monkeypatch.setattr("fgtune.data.readers.images.MAX_PIXELS", 63)
    save_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="8 x 8 pixels are too many"):
        read_image(tmp_path / "a.png", 8, "crop")


def test_the_cache_holds_the_same_pixels_and_is_written_once(make_files, cache_folder, caplog, monkeypatch):
    files, pixels = make_files()
    cached = keep_images(files)
    assert isinstance(cached, CachedImages)
    assert np.array_equal(cached[:], pixels)
    assert np.array_equal(cached[np.array([4, 2])], pixels[[4, 2]])
    assert not cached[:3].flags.writeable
    assert f"decoding 12 images of 8 x 8 into {cached.file} (0.0 MiB)" in caplog.text
    monkeypatch.setattr(ImageFiles, "decode_into", lambda *_: pytest.fail("decoded twice"))
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda *_: pytest.fail("read twice"))
    again = keep_images(files)
    assert again.fingerprint == cached.fingerprint
    assert np.array_equal(again[:], pixels)
    assert [path.suffix for path in sorted(cache_folder.glob("*.npy"))] == [".npy"]


def test_copied_images_share_the_cache_and_changed_ones_do_not(make_files, tmp_path, save_image, monkeypatch):
    files, _ = make_files()
    cached = keep_images(files)
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    copied = ImageFiles(str(tmp_path / "copy"), files.names, 8)
    assert keep_images(copied).file == cached.file
    os.utime(tmp_path / "set" / "3.png")
    assert keep_images(files).file == cached.file
    changed = save_image(tmp_path / "set" / "3.png")
    renewed = keep_images(files)
    assert renewed.file != cached.file
    assert np.array_equal(renewed[3], changed.transpose(2, 0, 1))
    assert keep_images(ImageFiles(str(tmp_path / "copy"), files.names, 4)).file != cached.file


def test_a_truncated_cache_is_made_again(make_files):
    files, pixels = make_files()
    cached = keep_images(files)
    cached.file.write_bytes(cached.file.read_bytes()[:200])
    assert np.array_equal(keep_images(files)[:], pixels)


def test_a_cached_set_travels_as_a_reference_and_is_made_again_elsewhere(make_files, monkeypatch, tmp_path):
    files, pixels = make_files()
    cached = keep_images(files)
    cached[:]
    message = pickle.dumps(cached)
    assert len(message) < 1500
    shutil.rmtree(cache_folder("images"))  # another machine
    assert np.array_equal(pickle.loads(message)[np.arange(12)], pixels)  # noqa: S301 (pickled here)


def test_without_a_cache_pixels_are_an_array_in_memory(make_files, cache_folder):
    files, pixels = make_files(policy=CachePolicy(cache=False))
    kept = keep_images(files)
    assert isinstance(kept, np.ndarray)
    assert np.array_equal(kept, pixels)
    assert not cache_folder.exists()


def test_a_set_above_the_budget_is_decoded_when_it_is_read(make_files, cache_folder, caplog):
    files, pixels = make_files(policy=CachePolicy(budget_bytes=12 * 3 * 64 - 1))
    kept = keep_images(files)
    assert kept is files
    assert "pixels are not kept" in caplog.text
    assert np.array_equal(kept[np.array([11])], pixels[[11]])
    assert not cache_folder.exists()


def test_a_full_disk_is_told_before_anything_is_written(make_files, monkeypatch, cache_folder):
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(DataError, match=re.escape("decoded images take 0.0 MiB, 0.0 MiB are free. Fix: Set FGTUNE")):
        keep_images(make_files()[0])
    assert not list(cache_folder.glob("*.npy"))


def test_a_cache_folder_that_cannot_be_made_is_told(make_files, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="folder of cached images cannot be made"):
        keep_images(make_files()[0])


# --- what is in a pixel ------------------------------------------------------------------------------------------


def saved(path, values, **kept):
    Image.fromarray(values).save(path, **kept)
    return path


@pytest.mark.parametrize("suffix", ["png", "pgm"])
def test_grey_images_of_16_bits_are_scaled_to_8(tmp_path, suffix):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    pixels = read_image(saved(tmp_path / f"a.{suffix}", values), 8, "crop")
    assert np.array_equal(pixels[0], np.rint(values / 257.0))
    assert np.array_equal(pixels[0], pixels[2])


def test_significant_bits_keep_the_levels_of_a_camera_and_larger_values_are_told(tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    path = saved(tmp_path / "a.png", values)
    assert len(np.unique(read_image(path, 8, "crop"))) == 17
    assert np.array_equal(read_image(path, 8, "crop", bits=12)[1], np.rint(values * (255 / 4095)))
    with pytest.raises(DataError, match=r"values from 0 to 4095 do not fit in 10 bits, see data.bits"):
        read_image(path, 8, "crop", bits=10)


def test_a_pgm_of_12_bits_says_so_itself(tmp_path):
    values = np.arange(64).reshape(8, 8) * 65
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 4095\n" + values.astype(">u2").tobytes())
    assert np.array_equal(read_image(tmp_path / "a.pgm", 8, "crop")[0], np.rint(values * (255 / 4095)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_images_stand_as_their_exif_orientation_says(tmp_path, orientation, suffix):
    turned = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
              5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
              7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: np.rot90}  # fmt: skip
    values = np.zeros((16, 16, 3), np.uint8)
    values[:8, :8] = 250
    values[:8, 8:] = 120
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{suffix}", values, exif=exif)
    stored, seen = (read_image(path, 16, "crop", as_seen).transpose(1, 2, 0).astype(int) for as_seen in (False, True))
    assert np.abs(stored - values).max() < 60
    assert np.abs(seen - turned[orientation](values)).max() < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_lie_on_white_and_what_is_hidden_below_does_not_show(tmp_path, mode):
    values = np.full((8, 8, 4), (10, 10, 10, 255), np.uint8)
    values[:4] = (10, 10, 10, 0)
    image = Image.fromarray(values)
    if mode == "P":
        image = Image.fromarray(np.repeat([0, 1], 32).astype(np.uint8).reshape(8, 8), mode="P")
        image.putpalette([200, 0, 0, 10, 10, 10])
        image.save(tmp_path / "a.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "a.png")
    seen = read_image(tmp_path / "a.png", 8, "crop", as_seen=True)
    assert (seen[:, :4] == 255).all()
    assert (seen[:, 4:] == 10).all()


def test_a_palette_gives_its_colours(tmp_path):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, mode="P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    for as_seen in (False, True):
        pixels = read_image(tmp_path / "a.png", 8, "crop", as_seen)
        assert pixels[:, 0, 0].tolist() == [255, 0, 0]
        assert pixels[:, 0, 1].tolist() == [0, 0, 255]


def test_the_cache_of_plain_images_is_that_of_earlier_versions_and_others_have_one_of_their_own(tmp_path, make_files):
    files, _ = make_files()
    digests = [hashlib.sha256((tmp_path / "set" / f"{row}.png").read_bytes()).digest() for row in range(12)]
    earlier = hashlib.sha256(b"8crop" + b"".join(digests)).hexdigest()[:32]
    assert keep_images(files).fingerprint == keep_images(replace(files, as_seen=True)).fingerprint == earlier
    saved(tmp_path / "set" / "3.png", np.full((8, 8), 3000, np.uint16))
    found = {keep_images(replace(files, bits=bits)).fingerprint for bits in (12, 16)}
    assert len(found | {earlier}) == 3
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(tmp_path / "set" / "3.png", np.zeros((8, 8, 3), np.uint8), exif=exif)
    assert keep_images(files).fingerprint != keep_images(replace(files, as_seen=True)).fingerprint


def test_all_files_that_cannot_be_decoded_are_named(tmp_path, make_files):
    files, _ = make_files()
    for row in (2, 7):
        (tmp_path / "set" / f"{row}.png").write_text("no image")
    with pytest.raises(DataError, match=r"2 images cannot be decoded: 2.png, 7.png; of the first: image cannot be"):
        keep_images(files)


@pytest.mark.parametrize("kind", ["device", "pipe", "loop", "hole"])
def test_what_is_no_image_file_is_neither_listed_nor_read(make_files, tmp_path, kind, cache_folder):
    files, _ = make_files()
    odd = tmp_path / "set" / "3.png"
    odd.unlink()
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "hole":
        odd.write_bytes(b"")
        os.truncate(odd, 10**12)
    else:
        odd.symlink_to("/dev/zero" if kind == "device" else odd.name)
    assert (odd.name in images_in(tmp_path / "set")) == (kind == "hole")
    assert folders_in(tmp_path) == ["set"]
    for read in (lambda: files[3], lambda: keep_images(files)):
        with pytest.raises(DataError, match=r"no file|symbolic links|at most 1 GiB"):
            read()


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(DataError, match="folder cannot be read"):
        images_in(tmp_path / "gone")


@pytest.mark.parametrize("comments", [b"", b"# made by x\n", b"#\n# " + b"y" * 60_000 + b"\n"])
def test_comments_of_a_netpbm_image_are_skipped_while_they_end(tmp_path, comments):
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8)
    (tmp_path / "a.ppm").write_bytes(b"P6\n" + comments + b"8 8\n255\n" + pixels.tobytes())
    assert np.array_equal(read_image(tmp_path / "a.ppm", 8, "crop"), pixels.reshape(8, 8, 3).transpose(2, 0, 1))
    (tmp_path / "b.ppm").write_bytes(b"P6\n#" + b"y" * 70_000 + b"\n8 8\n255\n" + pixels.tobytes())
    with pytest.raises(DataError, match="do not say its size"):
        read_image(tmp_path / "b.ppm", 8, "crop")
