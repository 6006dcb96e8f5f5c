"""Image files as inputs that decode themselves: rows are read, resized, and returned as uint8 pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fgtune.arrays import ByteArray, IntArray
from fgtune.data.base import StoredInputs
from fgtune.data.readers.data_files import reason_of
from fgtune.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["crop", "squash", "pad"]

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM")
"""Formats that Pillow decodes itself; others (EPS, for one) would start another program."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
MAX_PIXELS = 1 << 27
"""An image with more pixels is refused before it is decoded: 128 megapixels take 400 MB."""


@dataclass(frozen=True)
class CachePolicy:
    """What happens to the pixels: whether a cache file is written, and up to which size they are kept at all."""

    cache: bool = True
    budget_bytes: int = 20 * 2**30


@dataclass(frozen=True)
class ImageFiles(StoredInputs):
    """Images that are decoded whenever rows are read.

    Attributes:
        root: Folder that the names are relative to.
        names: (N,) UTF-8 file names.
        size: Side of the square that every image is brought to.
        resize: ``crop`` scales the shorter side to ``size`` and cuts out the centre, ``squash`` both sides, ``pad`` the
            longer side and fills up with black.
        policy: How ``fgtune.data.readers.image_cache`` keeps the pixels.
    """

    root: str
    names: npt.NDArray[np.bytes_] = field(repr=False)
    size: int
    resize: Resize = "crop"
    policy: CachePolicy = CachePolicy()

    @classmethod
    def of(cls, root: Path, names: Sequence[str], size: int, resize: Resize, policy: CachePolicy) -> ImageFiles:
        """Images by file names given as strings."""
        return cls(str(root), np.array([os.fsencode(name) for name in names], dtype=np.bytes_), size, resize, policy)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3, size, size)."""
        return (len(self.names), 3, self.size, self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def fingerprint(self) -> str:
        """Digest of the files' names and lengths and of how they are decoded; the content is not read."""
        digest = hashlib.sha256(f"{self.shape}{self.resize}".encode())
        for row in range(len(self.names)):
            path = self.file(row)
            digest.update(bytes(self.names[row]) + b"\0%d\0" % stat_of(path).st_size)
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Any, /) -> ByteArray:
        """Decode rows in parallel; (n, 3, size, size), or (3, size, size) for one row.

        Raises:
            DataError: If a file is missing or cannot be decoded; the text names it.
        """
        chosen = np.arange(len(self))[rows]
        pixels = np.empty((chosen.size, *self.shape[1:]), dtype=np.uint8)
        self.decode_into(pixels, chosen.reshape(-1))
        return pixels.reshape(*np.shape(chosen), *self.shape[1:])

    def file(self, row: int) -> Path:
        """The file of a row."""
        return Path(self.root) / os.fsdecode(bytes(self.names[row]))

    def take(self, rows: IntArray) -> ImageFiles:
        """These rows, still undecoded."""
        return replace(self, names=self.names[rows])

    def decode_into(self, pixels: ByteArray, rows: IntArray) -> None:
        """Decode ``rows`` (n,) into ``pixels`` (n, 3, size, size), which may be a memory map."""

        def decode(place: int) -> None:
            pixels[place] = read_image(self.file(int(rows[place])), self.size, self.resize)

        in_parallel(decode, len(rows))


def images_in(folder: Path) -> list[str]:
    """Sorted names of the image files in a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )


def in_parallel(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0 .. count-1 in as many threads as there are cores; the first error is raised."""
    threads = min(len(os.sched_getaffinity(0)), count) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads <= 1:
        for index in range(count):
            work(index)
        return

    def work_through(chunk: range) -> None:
        for index in chunk:
            work(index)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work_through, range(start, min(start + 64, count))) for start in range(0, count, 64)]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def stat_of(path: Path) -> os.stat_result:
    """The status of an image file.

    Raises:
        DataError: If it is missing.
    """
    try:
        return path.stat()
    except OSError as error:
        raise DataError(f"image cannot be read ({error.strerror})", where=str(path), path="trial.data.path") from error


def read_image(path: Path, size: int, resize: Resize) -> ByteArray:
    """One image as (3, size, size) uint8, in RGB.

    Raises:
        DataError: If the file is missing, truncated, not in one of ``FORMATS``, or far too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            fitted = _fit(image.convert("RGB"), size, resize)
    except UnidentifiedImageError as error:
        raise _unreadable(path, f"is none of {', '.join(FORMATS)}") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise _unreadable(path, reason_of(error)) from error
    return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))


def _unreadable(path: Path, reason: str) -> DataError:
    rule, fix = f"image cannot be decoded ({reason})", "Replace the file, or remove it and its label."
    return DataError(rule, where=str(path), path="trial.data.path", fix=fix)


def _fit(image: Image, size: int, resize: Resize) -> Image:
    """The image at size x size."""
    from PIL import Image as Pillow

    width, height = image.size
    if (width, height) == (size, size):
        return image
    bilinear = Pillow.Resampling.BILINEAR
    if resize == "squash":
        return image.resize((size, size), bilinear)
    # Rounded as in torchvision, so that a cached crop is the one that its transforms would cut.
    side = min(width, height) if resize == "crop" else max(width, height)
    scaled = image.resize((max(1, size * width // side), max(1, size * height // side)), bilinear)
    left, top = round((scaled.width - size) / 2), round((scaled.height - size) / 2)
    return scaled.crop((left, top, left + size, top + size))  # beyond the edges, crop fills with black
