"""Opening an image of any format that is read: by Pillow alone, once its header is known to end."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM")
"""Formats that Pillow decodes itself; others (EPS, for one) would start another program."""
_NETPBM = re.compile(rb"P[1-6](\s|#[^\r\n]*[\r\n])+[0-9]+")
_MOST_HEADER = 1 << 16
"""Bytes before the size of a Netpbm image, which may hold a comment: Pillow reads it byte by byte."""


def open_image(source: Path | BinaryIO) -> Image:
    """``PIL.Image.open`` for ``FORMATS``; the pixels are not read yet.

    Raises:
        ValueError: It is a Netpbm image that does not come to its size.
        OSError, SyntaxError, PIL.UnidentifiedImageError, PIL.Image.DecompressionBombError: As Pillow raises them.
    """
    from PIL import Image as Pillow

    if isinstance(source, Path):
        with source.open("rb", buffering=0) as file:
            _check_header(file)
    else:
        _check_header(source)
    return Pillow.open(source, formats=FORMATS)


def _check_header(file: BinaryIO | io.FileIO) -> None:
    start = file.read(2)
    if start[:1] == b"P" and start[1:].isdigit() and not _NETPBM.match(start + file.read(_MOST_HEADER)):
        raise ValueError(f"its first {_MOST_HEADER:,} bytes do not say its size")
    file.seek(0)
