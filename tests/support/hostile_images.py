"""Folders of images that claim, hide or cost more than they hold, have odd names, or are sound and rare."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Make = Callable[[Path], object]
ESCAPES = "\x1b]0;title\x07\x1b[31m\u202e"
"""What changes a terminal that prints it."""


def _png(width: int, height: int, rows: int | None = None) -> bytes:
    """A grey image of one colour, or of fewer rows than it claims."""

    packer = zlib.compressobj(9)
    line = bytes(width // 8 + 2)
    packed = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _images(path: Path, content: bytes, name: str = "x.png") -> None:
    """A folder of two classes of ten images each."""
    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        for number in range(10):
            (path / label / f"{number}{name}").write_bytes(content)


def _symlinks(path: Path) -> None:
    path.mkdir()
    for label in ("a", "b"):
        (path / label).symlink_to(".")
        for number in range(10):
            (path / f"{label}{number}.png").symlink_to(f"{label}{number}.png")


def _each(put: Make) -> Make:
    """Makes a folder of images, in the place of each of which is something else."""

    def make(path: Path) -> None:
        _images(path, b"")
        for file in sorted(path.rglob("*.png")):
            file.unlink()
            put(file)

    return make


def _hole(path: Path) -> None:
    """An image of a terabyte that takes no room on the disk."""
    path.write_bytes(_png(8, 8))
    os.truncate(path, 10**12)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _with_chunk(kind: bytes, head: bytes) -> bytes:
    """A PNG with a chunk that unpacks to half a gigabyte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(10**7)) for _ in range(50)) + packer.flush()
    whole = _png(8, 8)
    return whole[:33] + _chunk(kind, head + packed) + whole[33:]


def _encoded(form: str, mode: str = "RGB", side: int = 12, frames: int = 1, **options: object) -> bytes:
    """An image as Pillow writes it."""
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(frames):
        shape = (side, side) if mode in ("L", "I;16", "1") else (side, side, len(mode))
        values = rng.integers(0, 256, shape)
        pixels = values.astype(np.uint16 if mode == "I;16" else np.uint8)
        pictures.append(Image.fromarray(pixels) if mode != "CMYK" else Image.fromarray(pixels[:, :, :3]).convert(mode))
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(buffer, form, **more, **options)
    return buffer.getvalue()


def _bmp(width: int, height: int) -> bytes:
    """The header of a bitmap of any size, run-length encoded, without its pixels."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1200, 0, 0, 54 + 1024) + head + bytes(1024) + bytes([0, 1])


def _named(path: Path, *names: bytes) -> None:
    """A folder of classes with these names, of sound images."""
    content = _encoded("PNG")
    for name in names:
        folder = path / os.fsdecode(name)
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"{number}.png").write_bytes(content)


def _deep(path: Path) -> None:
    """Two classes whose images lie below more folders than a path can name."""
    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        there = os.open(path / label, os.O_RDONLY)
        for _ in range(60):
            os.mkdir("d" * 200, dir_fd=there)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=there)
            os.close(there)
            there = below
        image = os.open("x.png", os.O_CREAT | os.O_WRONLY, dir_fd=there)
        os.write(image, _png(8, 8))
        os.close(image)
        os.close(there)


def _many(path: Path, folders: int) -> None:
    path.mkdir()
    for number in range(folders):
        (path / f"c{number}").mkdir()


def _listing(*names: str) -> Make:
    """A folder of images with a table that lists others."""

    def make(path: Path) -> None:
        _images(path, _encoded("PNG"))
        lines = [f"{name},{'ab'[number % 2]}" for number, name in enumerate(names * 10)]
        (path / "list.csv").write_text("\n".join(["path,coarse", *lines]) + "\n", encoding="utf-8")

    return make


IMAGES: dict[str, Make] = {
    "bomb": lambda path: _images(path, _png(30_000, 30_000)),
    "claims": lambda path: _images(path, _png(2**31 - 1, 2**31 - 1, rows=1)),
    "thin": lambda path: _images(path, _png(2**24, 1)),
    "postscript": lambda path: _images(path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "x.png"),
    "text_images": lambda path: _images(path, b"x" * 1000),
    "empty_images": lambda path: _images(path, b""),
    "symlinks": _symlinks,
    "devices": _each(lambda file: file.symlink_to("/dev/zero")),
    "pipes": _each(os.mkfifo),
    "no_images": lambda path: path.mkdir(),
    "truncated_png": lambda path: _images(path, _encoded("PNG", side=100)[:-3000]),
    "truncated_jpeg": lambda path: _images(path, _encoded("JPEG", side=100)[:-1000], "x.jpg"),
    "wide_png": lambda path: _images(path, _png(10**5, 10**5, rows=1)),
    "wide_bmp": lambda path: _images(path, _bmp(10**5, 10**5), "x.bmp"),
    "below_zero_bmp": lambda path: _images(path, _bmp(-8, -(2**31)), "x.bmp"),
    "wide_ppm": lambda path: _images(path, b"P6\n100000 100000\n255\n", "x.ppm"),
    "digits_ppm": lambda path: _images(path, b"P6\n" + b"9" * 10**6 + b" 8\n255\n", "x.ppm"),
    "comment_ppm": lambda path: _images(path, b"P6\n#" + b"x" * 10**7, "x.ppm"),
    "numbers_ppm": lambda path: _images(path, b"P2\n8 8\n255\n" + b"1" * 10**7, "x.pgm"),
    "text_bomb": lambda path: _images(path, _with_chunk(b"zTXt", b"a\0\0")),
    "profile_bomb": lambda path: _images(path, _with_chunk(b"iCCP", b"a\0\0")),
    "real_numbers": lambda path: _images(path, b"Pf\n8 8\n-1.0\n" + bytes(256), "x.ppm"),
    "folders": lambda path: _many(path, 20_000),
    "holes": _each(_hole),
    "broken_links": _each(lambda file: file.symlink_to("gone.png")),
}
"""Folders of images."""

LISTED: dict[str, Make] = {
    "listed_outside": _listing("../../etc/passwd.png", "a/0x.png"),
    "listed_absolute": _listing("/etc/passwd.png", "/dev/zero.png"),
    "listed_device": lambda path: (_listing("zero.png")(path), (path / "zero.png").symlink_to("/dev/zero")),
    "listed_pipe": lambda path: (_listing("pipe.png")(path), os.mkfifo(path / "pipe.png")),
    "listed_loop": lambda path: (_listing("loop.png")(path), (path / "loop.png").symlink_to("loop.png")),
    "listed_folder": lambda path: (_listing("f.png")(path), (path / "f.png").mkdir()),
    "listed_long": _listing("x" * 5000 + ".png"),
    "listed_missing": _listing("gone.png", f"{ESCAPES}.png"),
    "listed_text": _listing("list.csv", "a"),
    "listed_nowhere": lambda path: _images(path, _encoded("PNG")),
}
"""Folders of images with a table ``list.csv`` of what else to read."""

SOUND_IMAGES: dict[str, Make] = {
    "one_pixel": lambda path: _images(path, _encoded("PNG", side=1)),
    "animated": lambda path: _images(path, _encoded("GIF", side=12, frames=4), "x.gif"),
    "four_inks": lambda path: _images(path, _encoded("JPEG", mode="CMYK"), "x.jpg"),
    "sixteen_bits": lambda path: _images(path, _encoded("PNG", mode="I;16")),
    "one_bit": lambda path: _images(path, _png(8, 8)),
    "webp": lambda path: _images(path, _encoded("WEBP"), "x.webp"),
    "large_webp": lambda path: _images(path, _encoded("WEBP", side=2000), "x.webp"),
    "another_suffix": lambda path: _images(path, _encoded("JPEG"), "x.png"),
    "few_rows": lambda path: _images(path, _png(100, 100, rows=50)),  # Pillow takes the other rows for black
    "odd_names": lambda path: _named(path, b"\x1b[31mred\x07", b"a\nb", "\u202egnp".encode(), b"-rf", b"..."),
    "no_utf8_names": lambda path: _named(path, b"\xff\xfe", b"caf\xe9", b"a"),
    "twin_names": lambda path: _named(path, "\u00e9".encode(), "e\u0301".encode(), b"E", b"e"),
    "long_names": lambda path: _named(path, b"x" * 255, b"y" * 255),
    "markup_names": lambda path: _named(path, b"<script>alert(1)<", b"{{ 7*7 }}", b"%s%n"),
    "deep": _deep,
}
"""Folders of images that are odd and can be read, or are refused with a word."""
