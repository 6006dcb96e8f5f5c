"""The pixels of an image set, decoded once into a memory-mapped file keyed by content or into memory, or not kept.

The file is shared read-only by all processes of a machine; on another machine of a cluster it is recreated from the
images when first read. It is never changed: other images, or another size, have another key and another file.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.arrays import ByteArray, IntArray
from fgtune.data.base import StoredInputs
from fgtune.data.caches import CACHE_VARIABLE, cache_folder
from fgtune.data.readers.data_files import memory_bytes
from fgtune.data.readers.image_headers import open_image
from fgtune.data.readers.images import MAX_PIXELS, ImageFiles, in_parallel, needs_care, stat_of
from fgtune.errors import DataError
from fgtune.files import replacing

_BLOCK = 4096
"""Images decoded at a time."""

logger = logging.getLogger(__name__)


@dataclass
class CachedImages(StoredInputs):
    """Decoded images in a memory-mapped file; pickled as the names of that file and of the images it comes from.

    Attributes:
        file: The cache, an ``.npy`` of (N, 3, size, size) uint8.
        source: The images.
        content: Digest of the images' bytes and of how they are decoded; the key of the file.
    """

    file: Path
    source: ImageFiles
    content: str
    _pixels: ByteArray | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3, size, size)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return self.source.dtype

    @property
    def fingerprint(self) -> str:
        """Digest of the images' bytes and of how they are decoded."""
        return self.content

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Any, /) -> ByteArray:
        """Pixels of rows; a slice gives a read-only view of the file, an index array a copy."""
        if self._pixels is None:
            self._pixels = _opened(self.file, self.shape)
            if self._pixels is None:
                _write(self.source, self.file)
                self._pixels = _opened(self.file, self.shape)
        if self._pixels is None:
            raise DataError("the cache of decoded images cannot be read back", where=str(self.file))
        return np.asarray(self._pixels[rows])

    def take(self, rows: IntArray) -> ImageFiles:
        """These rows, as image files."""
        return self.source.take(rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "source": self.source, "content": self.content, "_pixels": None}


def keep_images(images: ImageFiles) -> StoredInputs | ByteArray:
    """The images, kept as their ``CachePolicy`` says.

    Returns:
        Images that are decoded on every read when their pixels exceed the budget; without a cache, an array in memory
        when they take no more than half of it, else the same; ``CachedImages`` otherwise.

    Raises:
        DataError: If an image cannot be decoded, or the disk has no room for the cache.
    """
    needed = int(np.prod(images.shape, dtype=np.int64))
    if needed > images.policy.budget_bytes or (not images.policy.cache and needed > memory_bytes() // 2):
        logger.warning("%s of pixels are not kept: images are decoded whenever they are read", _size_text(needed))
        return images
    if not images.policy.cache:
        return images[:]
    folder = cache_folder("images")
    content = _content(images, folder)
    cached = CachedImages(folder / f"{content}.npy", images, content)
    if _opened(cached.file, cached.shape) is None:
        _write(images, cached.file)
    return cached


def _content(images: ImageFiles, folder: Path) -> str:
    """Digest of all files and of how they are decoded.

    The digest is remembered under names, lengths and modification times: while these stay, so does the content.
    """
    how = f"{images.size}{images.resize}"
    care = f"{images.as_seen}{images.bits}"
    stats = [stat_of(images.file(row)) for row in range(len(images))]
    identity = hashlib.sha256(f"{Path(images.root).resolve()}{how}|{care}".encode())
    for name, stat in zip(images.names, stats, strict=True):
        identity.update(bytes(name) + b"\0%d %d\0" % (stat.st_size, stat.st_mtime_ns))
    memo = folder / f"{identity.hexdigest()[:32]}.json"
    try:
        remembered = json.loads(memo.read_text(encoding="ascii"))
        if isinstance(remembered, str) and len(remembered) == 32 and remembered.isalnum():
            return remembered
    except (OSError, ValueError):
        pass  # missing or damaged: computed again
    digests = np.zeros((len(images), 32), dtype=np.uint8)
    special = np.zeros(len(images), dtype=np.bool_)

    def digest(row: int) -> None:
        try:
            content = images.file(row).read_bytes()
            digests[row] = np.frombuffer(hashlib.sha256(content).digest(), dtype=np.uint8)
            special[row] = _is_special(content, images.as_seen)
        except OSError as error:
            raise DataError(f"image cannot be read ({error.strerror})", where=str(images.file(row))) from error

    in_parallel(digest, len(images))
    how += f"|{care}" if special.any() else ""  # only such images are decoded in another way than once
    content = hashlib.sha256(how.encode() + digests.tobytes()).hexdigest()[:32]
    with replacing(memo) as temporary:
        temporary.write_text(json.dumps(content), encoding="ascii")
    return content


def _is_special(content: bytes, as_seen: bool) -> bool:
    """Whether how an image is decoded depends on more than its size; False for what cannot be opened."""
    from PIL import Image

    try:
        with open_image(io.BytesIO(content)) as image:
            return image.width * image.height <= MAX_PIXELS and needs_care(image, as_seen)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError):
        return False


def _opened(file: Path, shape: tuple[int, ...]) -> ByteArray | None:
    """The cache, read-only; None if it is missing, truncated or of another shape."""
    try:
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _write(images: ImageFiles, file: Path) -> None:
    """Decode all images into a new cache file; one process per machine at a time."""
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if _opened(file, images.shape) is not None:  # another process was faster
            return
        needed = int(np.prod(images.shape, dtype=np.int64))
        free = shutil.disk_usage(file.parent).free
        if needed > free:
            raise DataError(
                f"decoded images take {_size_text(needed)}, {_size_text(free)} are free",
                where=str(file.parent),
                fix=f"Set {CACHE_VARIABLE} to a folder with room, data.cache to false, or a smaller data.size.",
            )
        side = f"{images.size} x {images.size}"
        logger.warning("decoding %d images of %s into %s (%s)", len(images), side, file, _size_text(needed))
        with replacing(file) as temporary:
            pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=images.shape)
            for start in range(0, len(images), _BLOCK):
                rows = np.arange(start, min(start + _BLOCK, len(images)))
                images.decode_into(pixels[start : start + _BLOCK], rows)
            pixels.flush()


def _size_text(count: int) -> str:
    """A number of bytes in readable units."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
