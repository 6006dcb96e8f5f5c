"""A corpus of data files that claim, hide or cost more than they hold; what they must end with is in the tests."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from support.hostile_images import IMAGES, LISTED, SOUND_IMAGES, Make
from support.hostile_tables import SOUND_TABLES, TABLES, _sparse

HUGE = 10**13
"""Numbers that a file claims to hold, more than any machine does."""


class RunsCode:
    """An object that writes the file RUN when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.system, ("touch RUN",)


def npy_header(shape: str, descr: str = "'<f4'", padding: int = 0, version: int = 1) -> bytes:
    """The header of an ``.npy`` file, whatever its shape claims."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b" " * padding + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def npz(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """An ``.npz`` of members with any content."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    """An array as the content of an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


GOOD = npy(np.arange(40, dtype=np.float32).reshape(20, 2))
LABELS = npy(np.arange(20) % 2)


def _npz_bomb(path: Path) -> None:
    """8 GB of zeros in 8 MB, whose header keeps what it promises."""
    count = 2 * 10**9
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("inputs.npy", "w", force_zip64=True) as member:
            member.write(npy_header(f"({count // 2}, 2)"))
            block = bytes(4 * 10**7)
            for _ in range(4 * count // len(block)):
                member.write(block)
        archive.writestr("coarse.npy", LABELS)


def _h5ad(path: Path, cells: int, genes: int, *, obs: bool = True, chunks: tuple[int, int] | None = None) -> None:
    """A matrix of fill values: nothing of it is stored."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=(cells, genes), dtype="f4", chunks=chunks or (1, min(genes, 1000)))
        group = file.create_group("obs")
        group.attrs["_index"] = "_index"
        if obs:
            group.create_dataset("coarse", shape=(cells,), dtype="i8", chunks=(min(cells, 1000),))
            group.create_dataset("_index", shape=(cells,), dtype="i8", chunks=(min(cells, 1000),))
        file.create_group("var")


@contextmanager
def _labelled_h5ad(path: Path) -> Iterator[Any]:
    """A file whose labels are good, and whose matrix is made by the caller."""
    import h5py

    with h5py.File(path, "w") as file:
        yield file
        file.create_group("obs").create_dataset("coarse", data=np.arange(20) % 2)


def _sparse_h5ad(path: Path, shape: tuple[int, int], stored: int, indptr: int | None = None) -> None:
    """A compressed matrix that says of itself what it likes."""
    with _labelled_h5ad(path) as file:
        group = file.create_group("X")
        group.attrs["encoding-type"] = "csr_matrix"
        group.attrs["shape"] = np.array(shape)
        group.create_dataset("data", shape=(stored,), dtype="f4", chunks=(10,))
        group.create_dataset("indices", shape=(stored,), dtype="i8", chunks=(10,))
        size = shape[0] + 1 if indptr is None else indptr
        group.create_dataset("indptr", shape=(size,), dtype="i8", chunks=(10,))


def _external_h5ad(path: Path) -> None:
    """A matrix whose bytes are those of another file."""
    with _labelled_h5ad(path) as file:
        file.create_dataset("X", shape=(20, 2), dtype="f4", external=[("/etc/passwd", 0, 160)])


def _virtual_h5ad(path: Path) -> None:
    """A matrix that is put together from other files."""
    import h5py

    layout = h5py.VirtualLayout(shape=(20, 2), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "X", shape=(20, 2))
    with _labelled_h5ad(path) as file:
        file.create_virtual_dataset("X", layout)


def _other_h5ad(path: Path, matrix: np.ndarray) -> None:
    with _labelled_h5ad(path) as file:
        file.create_dataset("X", data=matrix)


def _categories_h5ad(path: Path, codes: list[int], categories: int) -> None:
    """Labels by codes of categories, of which none is stored."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=np.zeros((20, 2), dtype=np.float32))
        group = file.create_group("obs/coarse")
        group.attrs["encoding-type"] = "categorical"
        group.create_dataset("codes", data=np.array(codes))
        group.create_dataset("categories", shape=(categories,), dtype="S100", chunks=(min(categories, 1000),))


def _linked_h5ad(path: Path, target: str, file_name: str | None = None) -> None:
    """A matrix that is a link, into another file where one is named."""
    import h5py

    with _labelled_h5ad(path) as file:
        file["X"] = h5py.SoftLink(target) if file_name is None else h5py.ExternalLink(file_name, target)


def _arrays(compression: int = zipfile.ZIP_STORED, **members: bytes) -> Make:
    """Makes an ``.npz`` of good arrays but for the given ones."""
    return lambda path: npz(path, {"inputs": GOOD, "coarse": LABELS, **members}, compression)


PICKLED = npy(np.array([RunsCode()] * 20, dtype=object), pickled=True)

ARRAYS: dict[str, Make] = {
    "bomb.npz": _npz_bomb,
    "claims.npz": _arrays(inputs=npy_header(f"({HUGE}, 2)")),
    "fine_claims.npz": lambda path: npz(
        path, {"inputs": GOOD, "coarse": LABELS, "fine": npy_header(f"({HUGE},)", "'<i8'")}
    ),
    "negative.npz": _arrays(inputs=npy_header("(-1, 2)")),
    "overflow.npz": _arrays(inputs=npy_header(f"({2**62}, {2**62}, 4)")),
    "header.npz": lambda path: npz(
        path, {"inputs": npy_header("(20, 2)", padding=10**8, version=2), "coarse": LABELS}, zipfile.ZIP_DEFLATED
    ),
    "nested.npz": _arrays(inputs=npy_header("(" * 9000 + ")" * 9000, version=2)),
    "code_in_header.npz": lambda path: npz(
        path, {"inputs": npy_header("__import__('os').system('touch RUN')"), "coarse": LABELS}
    ),
    "record.npz": lambda path: npz(
        path, {"inputs": npy_header("(2,)", "[('a', '<f4', (1000000, 1000000))]"), "coarse": LABELS}
    ),
    "wide_text.npz": _arrays(coarse=npy_header("(20,)", "'<U2000000000'")),
    "empty_items.npz": _arrays(coarse=npy_header(f"({HUGE},)", "'<U0'")),
    "empty_rows.npz": _arrays(inputs=npy_header(f"({HUGE}, 0)")),
    "pickled.npz": lambda path: npz(path, {"inputs": PICKLED, "coarse": LABELS}),
    "pickled_labels.npz": lambda path: npz(path, {"inputs": GOOD, "coarse": PICKLED}),
    "pickle.npz": lambda path: path.write_bytes(pickle.dumps(RunsCode())),
    "twenty_thousand.npz": lambda path: npz(path, {f"a{n}": b"" for n in range(20_000)}),
    "twice.npz": lambda path: path.write_bytes(_twice()),
    "lying.npz": lambda path: path.write_bytes(_lying()),
    "overlapping.npz": lambda path: path.write_bytes(_overlapping()),
    "hole.npz": lambda path: _sparse(path, b"PK\x03\x04", 10**12),
    "zero.npz": lambda path: path.symlink_to("/dev/zero"),
    "pipe.npz": os.mkfifo,
    "loop.npz": lambda path: path.symlink_to(path.name),
    "folder.npz": lambda path: path.mkdir(),
    "empty.npz": lambda path: path.write_bytes(b""),
    "cut.npz": lambda path: path.write_bytes(_whole()[:-30]),
    "object_without_pickle.npz": _arrays(coarse=npy_header("(20,)", "'|O'")),
    "complex.npz": _arrays(inputs=npy(np.zeros((20, 2), dtype=np.complex64))),
    "dates.npz": _arrays(coarse=npy(np.zeros(20, dtype="M8[s]"))),
    "fields.npz": _arrays(inputs=npy(np.zeros(20, dtype=[("a", "f4"), ("b", "f4")]))),
    "axes.npz": _arrays(inputs=npy_header("(" + "1, " * 70 + ")")),
    "no_axes.npz": _arrays(inputs=npy(np.float32(1))),
    "no_number.npz": _arrays(inputs=npy(np.full((20, 2), np.nan, dtype=np.float32))),
    "infinite_labels.npz": _arrays(coarse=npy(np.full(20, np.inf))),
    "large_labels.npz": _arrays(coarse=npy(np.full(20, 2.0**60))),
    "labels_beyond.npz": _arrays(coarse=npy(np.full(20, 2**64 - 1, dtype=np.uint64))),
    "gaps.npz": _arrays(coarse=npy(np.arange(20) * 10**17)),
    "shape_of_text.npz": _arrays(inputs=npy_header("'aa'")),
    "shape_of_truth.npz": _arrays(inputs=npy_header("(True, True)")),
    "version_9.npz": _arrays(inputs=b"\x93NUMPY\x09\x00" + GOOD[8:]),
    "no_utf8_header.npz": _arrays(inputs=npy_header("(20, 2)", version=3).replace(b"descr", b"\xff\xfe\xff\xfe\xff")),
    "encrypted.npz": lambda path: path.write_bytes(_flagged(_whole())),
    "comment.npz": lambda path: path.write_bytes(b"x" * 10**8 + _flagged(_whole())),
    "xz_bomb.npz": lambda path: _arrays(zipfile.ZIP_LZMA, inputs=npy_header("(20, 2)") + bytes(3 * 10**8))(path),
    "bz2_bomb.npz": lambda path: _arrays(zipfile.ZIP_BZIP2, inputs=npy_header("(20, 2)") + bytes(3 * 10**8))(path),
}
"""Files of arrays that are the ``path`` of data of kind ``arrays``."""

SOUND_ARRAYS: dict[str, Make] = {
    "other_ends.npz": _arrays(inputs=npy(np.arange(40, dtype=">f8").reshape(20, 2))),
    "columns_first.npz": _arrays(inputs=npy(np.asfortranarray(np.arange(40.0).reshape(20, 2)))),
    "truth.npz": _arrays(coarse=npy(np.arange(20) % 2 == 1)),
    "names.npz": _arrays(coarse=npy(np.array(["\x1b]0;title\x07a", "<script>"] * 10))),
    "bytes.npz": _arrays(coarse=npy(np.array([b"\xff\xfe", b"a"] * 10))),
    "more.npz": lambda path: npz(path, {"inputs": GOOD, "coarse": LABELS, "../../RUN": GOOD, "\x1b[31m": GOOD}),
    "lzma.npz": lambda path: path.write_bytes(_lzma()),
    "half.npz": _arrays(coarse=npy(np.array([0, np.nan] * 10, dtype=np.float16))),
}
"""Files of arrays that are odd and can be read, or are refused with a word."""

CELLS: dict[str, Make] = {
    "half_fill.h5ad": lambda path: _h5ad(path, 10**4, 10**5),
    "half_fill_sparse.h5ad": lambda path: _sparse_h5ad(path, (20, 1000), 4 * 10**8),
    "elsewhere.h5ad": _external_h5ad,
    "virtual.h5ad": _virtual_h5ad,
    "categories.h5ad": lambda path: _categories_h5ad(path, [0, 1] * 10, 10**8),
    "codes.h5ad": lambda path: _categories_h5ad(path, [0, 7] * 10, 2),
    "dangling.h5ad": lambda path: _linked_h5ad(path, "/gone"),
    "text_matrix.h5ad": lambda path: _other_h5ad(path, np.array([[b"a", b"b"]] * 20)),
    "cube.h5ad": lambda path: _other_h5ad(path, np.zeros((20, 2, 2), dtype=np.float32)),
    "records.h5ad": lambda path: _other_h5ad(path, np.zeros((20, 2), dtype=[("a", "f4")])),
    "large_numbers.h5ad": lambda path: _other_h5ad(path, np.full((20, 2), 1e300)),
    "fill.h5ad": lambda path: _h5ad(path, 10**7, 10**6),
    "fill_cells.h5ad": lambda path: _h5ad(path, 10**11, 2),
    "fill_genes.h5ad": lambda path: _h5ad(path, 20, 10**11),
    "fill_sparse.h5ad": lambda path: _sparse_h5ad(path, (20, 1000), 10**12),
    "rows.h5ad": lambda path: _sparse_h5ad(path, (10**12, 1000), 10, 21),
    "wide_sparse.h5ad": lambda path: _sparse_h5ad(path, (20, 2**62), 10),
    "negative.h5ad": lambda path: _sparse_h5ad(path, (-20, -5), 10, 21),
    "link.h5ad": lambda path: _linked_h5ad(path, "/", "/etc/passwd"),
    "looped.h5ad": lambda path: _linked_h5ad(path, "/X"),
    "no_labels.h5ad": lambda path: _h5ad(path, 20, 5, obs=False),
    "junk.h5ad": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 20),
    "zero.h5ad": lambda path: path.symlink_to("/dev/zero"),
    "pipe.h5ad": os.mkfifo,
    "empty.h5ad": lambda path: path.write_bytes(b""),
}
"""AnnData files."""


def _whole() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.zeros((20, 2), dtype=np.float32), coarse=np.arange(20) % 2)
    return buffer.getvalue()


def _lzma() -> bytes:
    """A member whose header asks for a dictionary of four gigabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("inputs.npy", GOOD)
        archive.writestr("coarse.npy", LABELS)
    content = bytearray(buffer.getvalue())
    start = content.index(b"inputs.npy") + len(b"inputs.npy")  # two bytes of version, two of length, one of settings
    content[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    return bytes(content)


def _flagged(content: bytes) -> bytes:
    """An archive that says of every member that a password is needed."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = changed.find(mark)
        while found >= 0:
            changed[found + place] |= 1
            found = changed.find(mark, found + 4)
    return bytes(changed)


def _twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("inputs.npy", "inputs.npx"):
            archive.writestr(name, GOOD)
        archive.writestr("coarse.npy", LABELS)
    return buffer.getvalue().replace(b"inputs.npx", b"inputs.npy")


def _lying() -> bytes:
    """Members that are longer than the directory says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", npy_header("(20, 2)") + bytes(10**8))
        archive.writestr("coarse.npy", LABELS)
    real = struct.pack("<I", len(npy_header("(20, 2)")) + 10**8)
    return buffer.getvalue().replace(real, struct.pack("<I", len(npy_header("(20, 2)")) + 160))


def _overlapping() -> bytes:
    """Two members that share their bytes, as in bombs that grow quadratically."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inputs.npy", GOOD)
        archive.writestr("coarse.npy", GOOD)
    content = buffer.getvalue()
    offset = content.rfind(b"PK\x03\x04")
    return content.replace(struct.pack("<I", offset) + b"coarse", struct.pack("<I", 0) + b"coarse")


CORPORA = {"arrays": ARRAYS, "tables": TABLES, "cells": CELLS, "images": IMAGES, "listed": LISTED}
"""By kind, what is refused."""
SOUND = {"arrays": SOUND_ARRAYS, "tables": SOUND_TABLES, "images": SOUND_IMAGES}
"""By kind, what is odd and may be read, or is refused with a word."""


def config_of(kind: str, path: Path) -> dict[str, object]:
    """How a study names a file of a corpus."""
    plain: dict[str, dict[str, object]] = {
        "arrays": {"kind": "arrays"},
        "tables": {"kind": "arrays", "columns": {"coarse": ["coarse"]}},
        "cells": {"kind": "single_cell", "coarse": "coarse"},
        "images": {"kind": "image_folder", "size": 8, "cache": False},
        "listed": {"kind": "image_folder", "size": 8, "cache": False, "table": "list.csv", "coarse": ["coarse"]},
    }
    return {**plain[kind], "path": str(path)}
