"""Images that travel: data sets whose inputs lie in files, made ready for machines that do not see these files."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.arrays import ByteArray, IntArray
from fgtune.data.base import Dataset, StoredInputs
from fgtune.data.readers.image_cache import CachedImages
from fgtune.data.readers.images import ImageFiles, in_parallel, read_image, stat_of
from fgtune.errors import DataError


@dataclass(frozen=True)
class PixelArray(StoredInputs):
    """Decoded images in memory, which processes of a machine may share; read like the cache that they come from.

    Attributes:
        pixels: (N, 3, size, size) uint8.
        content: Fingerprint of the images.
    """

    pixels: ByteArray = field(repr=False)
    content: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3, size, size)."""
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return self.pixels.dtype

    @property
    def fingerprint(self) -> str:
        """That of the images."""
        return self.content

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any, /) -> ByteArray:
        """Pixels of rows."""
        return np.asarray(self.pixels[rows])

    def take(self, rows: IntArray) -> PixelArray:
        """A copy of these rows."""
        return PixelArray(self.pixels[rows], f"{self.content} {rows.tobytes().hex()}")


@dataclass(frozen=True)
class EncodedImages(ImageFiles):
    """The bytes of image files, decoded whenever rows are read.

    Attributes:
        encoded: (bytes,) uint8 of all files, one after the other.
        spans: (N, 2) begin and end of each file.
        content: Fingerprint of the files.
    """

    encoded: ByteArray = field(repr=False, default_factory=lambda: np.empty(0, dtype=np.uint8))
    spans: IntArray = field(repr=False, default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    content: str = ""

    @property
    def fingerprint(self) -> str:
        """That of the files."""
        return self.content

    def read(self, row: int) -> ByteArray:
        """One image as (3, size, size) uint8."""
        begin, end = self.spans[row]
        source = io.BytesIO(self.encoded[begin:end].tobytes())
        return read_image(self.file(row), self.size, self.resize, self.as_seen, self.bits, source)

    def take(self, rows: IntArray) -> EncodedImages:
        """These rows, of the same bytes."""
        content = f"{self.content} {rows.tobytes().hex()}"
        return replace(self, names=self.names[rows], spans=self.spans[rows], content=content)


def files_of(dataset: Dataset) -> list[Path]:
    """Some of the files that reading the inputs would open; none where all are in memory, or travel already."""
    images = dataset.inputs.source if isinstance(dataset.inputs, CachedImages) else dataset.inputs
    if not isinstance(images, ImageFiles) or isinstance(images, EncodedImages) or not len(images):
        return []
    return [images.file(row) for row in sorted({0, len(images) // 2, len(images) - 1})]


def bytes_to_travel(dataset: Dataset) -> int:
    """How many bytes the inputs take when they travel; 0 where nothing has to."""
    inputs = dataset.inputs
    if not files_of(dataset):
        return 0
    if isinstance(inputs, ImageFiles):
        return sum(stat_of(inputs.file(row)).st_size for row in range(len(inputs)))
    return int(np.prod(inputs.shape, dtype=np.int64))


def travelling(dataset: Dataset) -> Dataset:
    """The data set with inputs that need no file any more; the values are the same to the last bit.

    Raises:
        DataError: A file cannot be read.
    """
    inputs = dataset.inputs
    if isinstance(inputs, CachedImages):
        return replace(dataset, inputs=PixelArray(inputs[:], inputs.fingerprint))
    if not files_of(dataset) or not isinstance(inputs, ImageFiles):
        return dataset
    return replace(dataset, inputs=_encoded(inputs))


def _encoded(images: ImageFiles) -> EncodedImages:
    sizes = np.array([stat_of(images.file(row)).st_size for row in range(len(images))], dtype=np.int64)
    ends = np.cumsum(sizes)
    spans = np.stack([ends - sizes, ends], axis=1)
    encoded = np.empty(int(ends[-1]), dtype=np.uint8)

    def read(row: int) -> None:
        begin, end = spans[row]
        content = images.file(row).read_bytes()
        if len(content) != end - begin:
            raise DataError("changes while it is read", where=str(images.file(row)), path="trial.data.path")
        encoded[begin:end] = np.frombuffer(content, dtype=np.uint8)

    in_parallel(read, len(images))
    shared = {name: getattr(images, name) for name in ("root", "names", "size", "resize", "policy", "as_seen", "bits")}
    return EncodedImages(**shared, encoded=encoded, spans=spans, content=images.fingerprint)
