"""The official python files of CIFAR-100: found, fetched where allowed, read without running them, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.arrays import ByteArray, IntArray
from fgtune.data.once import once
from fgtune.data.readers.data_files import fetch, missing
from fgtune.data.readers.safe_pickle import read_pickled_dict
from fgtune.errors import DataError

FOLDER = "cifar-100-python"
FILES = ("train", "test", "meta")
LAYOUT = f"PATH/{FOLDER}/{{train,test,meta}}, as in cifar-100-python.tar.gz"
_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
GET = f"Unpack {_ARCHIVE} there, or set data.download: true."
NUM_FINE, NUM_COARSE, SIDE = 100, 20, 32


@dataclass(frozen=True)
class CifarPart:
    """One official file: ``images`` (n, 3, 32, 32) uint8; ``fine`` and ``coarse`` (n,) int64."""

    images: ByteArray
    fine: IntArray
    coarse: IntArray


@dataclass(frozen=True)
class CifarFiles:
    """The set: both parts, and the names of the 100 classes and 20 groups by their numbers."""

    train: CifarPart
    test: CifarPart
    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]

    @property
    def fine_to_coarse(self) -> IntArray:
        """(100,) official group of each class, according to the training labels."""
        parents = np.zeros(NUM_FINE, dtype=np.int64)
        parents[self.train.fine] = self.train.coarse
        return parents


def read_cifar100(path: Path, download: bool) -> CifarFiles:
    """Read the set.

    Args:
        path: Folder that holds ``cifar-100-python``, or that folder itself.
        download: Let torchvision fetch a missing set.

    Raises:
        DataError: If files are missing, damaged, hostile, or not CIFAR-100.
    """
    folder = path if path.name == FOLDER else path / FOLDER
    if download and not all((folder / name).is_file() for name in FILES):
        fetch("CIFAR-100", "CIFAR100", folder.parent, LAYOUT, f"Unpack {_ARCHIVE} there.")
    for name in FILES:
        if not (folder / name).is_file():
            raise missing(f"CIFAR-100's file {name!r}", [folder / name], LAYOUT, GET)
    return once(lambda: _read(folder), [folder / name for name in FILES], "cifar100")


def _read(folder: Path) -> CifarFiles:
    meta = read_pickled_dict(folder / "meta")
    names = [_names(meta, key, folder / "meta") for key in ("fine_label_names", "coarse_label_names")]
    if (len(names[0]), len(names[1])) != (NUM_FINE, NUM_COARSE):
        raise _wrong(folder / "meta", f"it names {len(names[0])} classes in {len(names[1])} groups")
    files = CifarFiles(_part(folder / "train"), _part(folder / "test"), *names)
    _check_groups(files, folder)
    return files


def _part(file: Path) -> CifarPart:
    content = read_pickled_dict(file)
    images = content.get("data")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3 * SIDE * SIDE,):
        shown = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise _wrong(file, f"'data' must be (N, 3072) uint8, it is {shown}")
    labels = []
    for key, count in (("fine_labels", NUM_FINE), ("coarse_labels", NUM_COARSE)):
        label = np.asarray(content.get(key, ()))
        if label.dtype.kind not in "iu" or label.shape != (len(images),):
            raise _wrong(file, f"{key!r} must hold one whole number for each of {len(images)} images")
        if label.size and not (label.min() >= 0 and label.max() < count):
            raise _wrong(file, f"{key!r} must lie in 0 .. {count - 1}")
        labels.append(label.astype(np.int64))
    return CifarPart(images.reshape(-1, 3, SIDE, SIDE), *labels)


def _names(meta: dict[str, Any], key: str, file: Path) -> tuple[str, ...]:
    names = meta.get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong(file, f"{key!r} must be a list of names")
    return tuple(names)


def _check_groups(files: CifarFiles, folder: Path) -> None:
    """Raise unless all classes are present, each in one group, the same in both parts, five per group."""
    parents = files.fine_to_coarse
    for name, part in (("train", files.train), ("test", files.test)):
        absent = np.setdiff1d(np.arange(NUM_FINE), part.fine)
        if absent.size:
            raise _wrong(folder / name, f"class {files.fine_names[absent[0]]!r} has no images")
        strayed = np.flatnonzero(part.coarse != parents[part.fine])
        if strayed.size:
            fine = files.fine_names[part.fine[strayed[0]]]
            raise _wrong(folder / name, f"class {fine!r} is in two groups (image {strayed[0]})")
    if (np.bincount(parents, minlength=NUM_COARSE) != NUM_FINE // NUM_COARSE).any():
        raise _wrong(folder / "train", "its groups are not of five classes each")


def _wrong(file: Path, reason: str) -> DataError:
    return DataError(f"is not CIFAR-100: {reason}", where=str(file), path="trial.data.path", fix=GET)
