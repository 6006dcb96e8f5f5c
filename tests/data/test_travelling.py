from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from fgtune.config.schema.data_images import ImageFolderConfig
from fgtune.config.schema.data_tables import DigitsConfig
from fgtune.data.load import load_dataset
from fgtune.data.readers.image_cache import CachedImages
from fgtune.data.readers.images import ImageFiles
from fgtune.data.travelling import EncodedImages, PixelArray, bytes_to_travel, files_of, travelling
from fgtune.errors import DataError


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a folder of 12 pictures of several formats, one of them turned by its EXIF tag and one of 16 bits."""
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "images" / f"coarse{number % 2}" / f"fine{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
        exif = picture.getexif()
        exif[0x0112] = 6 if number == 3 else 1
        picture.save(folder / f"{number}{'.jpg' if number % 3 else '.png'}", exif=exif)
    deep = rng.integers(0, 65535, (10, 10), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "images" / "coarse0" / "fine0" / "deep.png")

    def make(**settings):
        data = {"kind": "image_folder", "path": str(tmp_path / "images"), "size": 8, **settings}
        return load_dataset(ImageFolderConfig.from_plain(data))

    make.root = tmp_path
    return make


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [({}, CachedImages, PixelArray), ({"budget_gib": 1e-9}, ImageFiles, EncodedImages)],
    ids=["cached", "not kept"],
)
def test_travelled_images_are_the_same_without_their_files(load, settings, before, after):
    dataset = load(**settings)
    assert isinstance(dataset.inputs, before)
    pixels, fingerprint = dataset.inputs[:], dataset.fingerprint
    there = pickle.loads(pickle.dumps(travelling(dataset)))  # noqa: S301 (own bytes)
    shutil.rmtree(load.root / "images")
    shutil.rmtree(load.root / "cache", ignore_errors=True)
    assert isinstance(there.inputs, after)
    rows = np.array([7, 0, 7, 12])
    np.testing.assert_array_equal(there.inputs[:], pixels)
    np.testing.assert_array_equal(there.inputs[rows], pixels[rows])
    np.testing.assert_array_equal(there.inputs.take(rows)[:], pixels[rows])
    np.testing.assert_array_equal(there.inputs[5], pixels[5])
    assert (there.inputs.shape, there.inputs.dtype, len(there.inputs)) == (pixels.shape, pixels.dtype, 13)
    assert there.fingerprint == fingerprint
    assert there.inputs.take(rows).fingerprint != there.inputs.fingerprint
    assert (files_of(there), bytes_to_travel(there)) == ([], 0)
    assert travelling(there) is there


def test_how_much_travels_is_known_beforehand(load):
    files = [path for path in (load.root / "images").rglob("*") if path.is_file()]
    assert bytes_to_travel(load(budget_gib=1e-9)) == sum(path.stat().st_size for path in files)
    assert bytes_to_travel(load()) == 13 * 3 * 8 * 8
    assert set(files_of(load())) <= set(files)
    assert len(files_of(load())) == 3


def test_arrays_in_memory_stay_as_they_are():
    dataset = load_dataset(DigitsConfig.from_plain({"kind": "digits"}))
    assert travelling(dataset) is dataset
    assert (files_of(dataset), bytes_to_travel(dataset)) == ([], 0)


def test_a_file_that_is_gone_is_named(load):
    dataset = load(budget_gib=1e-9)
    gone = files_of(dataset)[1]
    gone.unlink()
    with pytest.raises(DataError, match=gone.name):
        travelling(dataset)
