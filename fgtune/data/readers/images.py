"""Image files as inputs that decode themselves: rows are read, resized, and returned as uint8 pixels."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from fgtune.arrays import ByteArray, IntArray
from fgtune.data.base import StoredInputs
from fgtune.data.readers.data_files import files_in, reason_of
from fgtune.data.readers.image_headers import FORMATS, open_image
from fgtune.errors import DataError
from fgtune.text import first_of

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["crop", "squash", "pad"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
MOST_BITS = 16
"""Bits of a pixel that are read at most."""
MAX_PIXELS = 1 << 27
"""An image with more pixels is refused before it is decoded: 128 megapixels take 400 MB."""
MOST_FILE = 1 << 30
"""Bytes of an image file: more than the pixels of the largest image take."""


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
        as_seen: Whether images are turned as their EXIF orientation says and transparent ones laid on white.
        bits: Significant bits of images of more than 8.
    """

    root: str
    names: npt.NDArray[np.bytes_] = field(repr=False)
    size: int
    resize: Resize = "crop"
    policy: CachePolicy = CachePolicy()
    as_seen: bool = False
    bits: int = MOST_BITS

    @classmethod
    def of(
        cls,
        root: Path,
        names: Sequence[str],
        size: int,
        resize: Resize,
        policy: CachePolicy,
        as_seen: bool = False,
        bits: int = MOST_BITS,
    ) -> ImageFiles:
        """Images by file names given as strings."""
        encoded = np.array([os.fsencode(name) for name in names], dtype=np.bytes_)
        return cls(str(root), encoded, size, resize, policy, as_seen, bits)

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
        bits = "" if self.bits == MOST_BITS else f" {self.bits} bits"
        digest = hashlib.sha256(f"{self.shape}{self.resize}{bits}".encode())
        for row in range(len(self.names)):
            path = self.file(row)
            digest.update(bytes(self.names[row]) + b"\0%d\0" % stat_of(path).st_size)
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Any, /) -> ByteArray:
        """Decode rows in parallel; (n, 3, size, size), or (3, size, size) for one row.

        Raises:
            DataError: If files are missing or cannot be decoded; the text names them.
        """
        chosen = np.arange(len(self))[rows]
        pixels = np.empty((chosen.size, *self.shape[1:]), dtype=np.uint8)
        self.decode_into(pixels, chosen.reshape(-1))
        return pixels.reshape(*np.shape(chosen), *self.shape[1:])

    def file(self, row: int) -> Path:
        """The file of a row."""
        return Path(self.root) / os.fsdecode(bytes(self.names[row]))

    def read(self, row: int) -> ByteArray:
        """One image as (3, size, size) uint8."""
        return read_image(self.file(row), self.size, self.resize, self.as_seen, self.bits)

    def take(self, rows: IntArray) -> ImageFiles:
        """These rows, still undecoded."""
        return replace(self, names=self.names[rows])

    def decode_into(self, pixels: ByteArray, rows: IntArray) -> None:
        """Decode ``rows`` (n,) into ``pixels`` (n, 3, size, size), which may be a memory map."""
        failed: dict[int, DataError] = {}

        def decode(place: int) -> None:
            try:
                pixels[place] = self.read(int(rows[place]))
            except DataError as error:
                failed[place] = error

        in_parallel(decode, len(rows))
        if failed:
            first = failed[min(failed)]
            if len(failed) == 1:
                raise first
            names = [os.fsdecode(bytes(self.names[rows[place]])) for place in sorted(failed)]
            rule = f"{len(names)} images cannot be decoded: {first_of(names)}; of the first: {first.rule}"
            raise DataError(rule, where=self.root, path="trial.data.path", fix=first.fix)


def images_in(folder: Path) -> list[str]:
    """Sorted names of the image files in a folder, without hidden ones."""
    return files_in(folder, SUFFIXES)


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
        DataError: If it is missing, is no file but a device or a pipe, or is far too large.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"image cannot be read ({reason})", where=str(path), path="trial.data.path") from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError("image cannot be read (it is no file)", where=str(path), path="trial.data.path")
    if found.st_size > MOST_FILE:
        rule = f"an image file must have at most {MOST_FILE >> 30} GiB"
        raise DataError(rule, where=str(path), path="trial.data.path", value=f"{found.st_size:,} bytes")
    return found


def read_image(
    path: Path,
    size: int,
    resize: Resize,
    as_seen: bool = False,
    bits: int = MOST_BITS,
    content: BinaryIO | None = None,
) -> ByteArray:
    """One image as (3, size, size) uint8, in RGB.

    Args:
        path: The file.
        size: Side in pixels.
        resize: How it is brought there.
        as_seen: Turn it as its EXIF orientation says, and lay transparent pixels on white.
        bits: Significant bits of a grey image of more than 8, whose values 0 .. 2^bits - 1 become 0 .. 255.
        content: What the file holds, where it is not to be opened.

    Raises:
        DataError: If the file is missing, truncated, not in one of ``FORMATS``, far too large, or holds larger values
            than ``bits`` admits.
    """
    from PIL import Image, UnidentifiedImageError

    if content is None:
        stat_of(path)
    try:
        with open_image(path if content is None else content) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            if resize == "crop" and max(image.size) * size * size > MAX_PIXELS * min(image.size):
                rule = f"{image.width} x {image.height} pixels, brought to {size} on the shorter side, are too many"
                raise ValueError(rule)
            fitted = _fit(_as_rgb(image, as_seen, bits), size, resize)
    except UnidentifiedImageError as error:
        raise _unreadable(path, f"is none of {', '.join(FORMATS)}") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise _unreadable(path, reason_of(error)) from error
    return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))


def needs_care(image: Image, as_seen: bool) -> bool:
    """Whether an opened image is more than 8 bits of upright, opaque pixels, so that how it is decoded matters."""
    if _is_deep(image):
        return True
    if not as_seen:
        return False
    if image.getexif().get(_ORIENTATION, 1) not in (None, 1):
        return True
    if not image.has_transparency_data:
        return False
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


_ORIENTATION = 0x0112  # of EXIF


def _is_deep(image: Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _as_rgb(image: Image, as_seen: bool, bits: int) -> Image:
    """The image in RGB of 8 bits."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if image.mode == "F":
        raise ValueError("pixels of real numbers are not read")
    if bits < MOST_BITS and any(";16" in str(tile) for tile in getattr(image, "tile", ())) and not _is_deep(image):
        raise ValueError(f"colour images of 16 bits are read by their high bytes, so data.bits: {bits} has no meaning")
    if as_seen:
        image = ImageOps.exif_transpose(image)
    if _is_deep(image):
        values, most = np.asarray(image).astype(np.int64), (1 << bits) - 1
        if values.max() > most or values.min() < 0:
            largest = int(values.max())
            raise ValueError(f"values from {int(values.min())} to {largest} do not fit in {bits} bits, see data.bits")
        image = Pillow.fromarray(np.rint(values * (255.0 / most)).astype(np.uint8))
    if as_seen and image.has_transparency_data:
        white = Pillow.new("RGBA", image.size, "white")
        image = Pillow.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def image_sizes(images: ImageFiles, rows: IntArray) -> dict[tuple[int, int], list[str]]:
    """Names of files by (width, height), as their headers give them; those that cannot be opened are left out."""
    from PIL import Image

    found: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        try:
            stat_of(images.file(int(row)))
            with open_image(images.file(int(row))) as image:
                found.setdefault(image.size, []).append(os.fsdecode(bytes(images.names[row])))
        except (DataError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return found


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
    shape = max(1, size * width // side), max(1, size * height // side)
    scaled = image.resize(shape, bilinear)
    left, top = round((scaled.width - size) / 2), round((scaled.height - size) / 2)
    return scaled.crop((left, top, left + size, top + size))  # beyond the edges, crop fills with black
