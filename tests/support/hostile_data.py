"""A corpus of data files that claim, hide or cost more than they hold; what they must end with is in the tests."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

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


def _sparse(path: Path, head: bytes, size: int) -> None:
    """A file with a hole of many gigabytes, which takes no room on the disk."""
    path.write_bytes(head)
    os.truncate(path, size)


def _png(width: int, height: int, rows: int | None = None) -> bytes:
    """A grey image of one colour, or of fewer rows than it claims."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    line = bytes(width // 8 + 2)
    packed = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _images(path: Path, content: bytes, name: str = "x.png") -> None:
    """A folder of two classes of ten images each."""
    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        for number in range(10):
            (path / label / f"{number}{name}").write_bytes(content)


def _csv(path: Path, columns: int, rows: int) -> None:
    with path.open("w") as file:
        file.write(",".join(["coarse", *(f"f{n}" for n in range(columns - 1))]) + "\n")
        for row in range(rows):
            file.write(",".join(["ab"[row % 2], *(["0.5"] * (columns - 1))]) + "\n")


def _parquet(path: Path, columns: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    column = pa.array([0.5])
    pyarrow.parquet.write_table(pa.table([column] * columns, [f"f{n}" for n in range(columns)]), path)


def _cut_parquet(path: Path, keep: float) -> None:
    _parquet(path, 4)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def _long_runs(path: Path) -> None:
    """A Parquet file of a few hundred kB in which 300 million rows of one text are one run."""
    import pyarrow as pa
    import pyarrow.parquet

    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**7, dtype=np.int32)), pa.array(["x" * 1000]))
    table = pa.table({"coarse": words, "f": words})
    with pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(30):
            writer.write_table(table)


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


def _sparse_h5ad(path: Path, shape: tuple[int, int], stored: int, indptr: int | None = None) -> None:
    """A compressed matrix that says of itself what it likes."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs["encoding-type"] = "csr_matrix"
        group.attrs["shape"] = np.array(shape)
        group.create_dataset("data", shape=(stored,), dtype="f4", chunks=(10,))
        group.create_dataset("indices", shape=(stored,), dtype="i8", chunks=(10,))
        size = shape[0] + 1 if indptr is None else indptr
        group.create_dataset("indptr", shape=(size,), dtype="i8", chunks=(10,))
        obs = file.create_group("obs")
        obs.create_dataset("coarse", data=np.arange(20) % 2)


def _linked_h5ad(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["X"] = h5py.ExternalLink("/etc/passwd", "/")
        file.create_group("obs").create_dataset("coarse", data=np.arange(20) % 2)


def _looped_h5ad(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["X"] = h5py.SoftLink("/X")
        file.create_group("obs").create_dataset("coarse", data=np.arange(20) % 2)


def _symlinks(path: Path) -> None:
    path.mkdir()
    for label in ("a", "b"):
        (path / label).symlink_to(".")
        for number in range(10):
            (path / f"{label}{number}.png").symlink_to(f"{label}{number}.png")


def _devices(path: Path) -> None:
    _images(path, _png(8, 8))
    for label in ("a", "b"):
        for number in range(10):
            (path / label / f"{number}x.png").unlink()
            (path / label / f"{number}x.png").symlink_to("/dev/zero")


def _pipes(path: Path) -> None:
    _images(path, b"")
    for label in ("a", "b"):
        for number in range(10):
            (path / label / f"{number}x.png").unlink()
            os.mkfifo(path / label / f"{number}x.png")


Make = Callable[[Path], object]


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
}
"""Files of arrays that are the ``path`` of data of kind ``arrays``."""

TABLES: dict[str, Make] = {
    "very_wide.csv": lambda path: _csv(path, 2_000_000, 2),
    "cell.csv": lambda path: path.write_text("coarse,f\na," + "x" * 100_000_000 + "\n"),
    "quoted_cell.csv": lambda path: path.write_text('coarse,f\na,"' + "x\n" * 50_000_000),
    "name.csv": lambda path: path.write_text("coarse," + "x" * 100_000_000 + "\na,1\n"),
    "one_line.csv": lambda path: path.write_text("x" * 200_000_000),
    "commas.csv": lambda path: path.write_text("," * 20_000_000),
    "twice.csv": lambda path: path.write_text("coarse,f,f\n" + "a,1,2\nb,1,2\n" * 10),
    "ragged.csv": lambda path: path.write_text("coarse,f\n" + "a,1\nb\n" * 10),
    "zeros.csv": lambda path: path.write_bytes(bytes(10**6)),
    "escapes.csv": lambda path: path.write_text("coarse,\x1b[31mf\n" + "a,\x1b]0;title\x07\nb,x\n" * 10),
    "hole.csv": lambda path: _sparse(path, b"coarse,f\n", 10**12),
    "zero.csv": lambda path: path.symlink_to("/dev/zero"),
    "pipe.csv": os.mkfifo,
    "loop.csv": lambda path: path.symlink_to(path.name),
    "folder.csv": lambda path: path.mkdir(),
    "empty.csv": lambda path: path.write_bytes(b""),
    "binary.csv": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "zero.parquet": lambda path: path.symlink_to("/dev/zero"),
    "pipe.parquet": os.mkfifo,
    "cut.parquet": lambda path: _cut_parquet(path, 0.6),
    "footer.parquet": lambda path: path.write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1"),
    "junk_footer.parquet": lambda path: path.write_bytes(
        b"PAR1" + bytes(range(256)) * 10 + struct.pack("<I", 2000) + b"PAR1"
    ),
    "wide.parquet": lambda path: _parquet(path, 300_000),
    "runs.parquet": _long_runs,
    "hole.parquet": lambda path: _sparse(path, b"PAR1", 10**12),
    "csv.parquet": lambda path: path.write_text("coarse,f\na,1\n"),
}
"""Tables that are the ``path`` of data of kind ``arrays`` with columns."""

LARGE_TABLES: dict[str, Make] = {"wide.csv": lambda path: _csv(path, 50_000, 40)}
"""Tables that are large and otherwise sound: read, in bounded time."""

CELLS: dict[str, Make] = {
    "fill.h5ad": lambda path: _h5ad(path, 10**7, 10**6),
    "fill_cells.h5ad": lambda path: _h5ad(path, 10**11, 2),
    "fill_genes.h5ad": lambda path: _h5ad(path, 20, 10**11),
    "fill_sparse.h5ad": lambda path: _sparse_h5ad(path, (20, 1000), 10**12),
    "rows.h5ad": lambda path: _sparse_h5ad(path, (10**12, 1000), 10, 21),
    "wide_sparse.h5ad": lambda path: _sparse_h5ad(path, (20, 2**62), 10),
    "negative.h5ad": lambda path: _sparse_h5ad(path, (-20, -5), 10, 21),
    "link.h5ad": _linked_h5ad,
    "looped.h5ad": _looped_h5ad,
    "no_labels.h5ad": lambda path: _h5ad(path, 20, 5, obs=False),
    "junk.h5ad": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 20),
    "zero.h5ad": lambda path: path.symlink_to("/dev/zero"),
    "pipe.h5ad": os.mkfifo,
    "empty.h5ad": lambda path: path.write_bytes(b""),
}
"""AnnData files."""

IMAGES: dict[str, Make] = {
    "bomb": lambda path: _images(path, _png(30_000, 30_000)),
    "claims": lambda path: _images(path, _png(2**31 - 1, 2**31 - 1, rows=1)),
    "thin": lambda path: _images(path, _png(2**24, 1)),
    "cut_images": lambda path: _images(path, _png(100, 100, rows=50)),
    "postscript": lambda path: _images(path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "x.png"),
    "text_images": lambda path: _images(path, b"x" * 1000),
    "empty_images": lambda path: _images(path, b""),
    "symlinks": _symlinks,
    "devices": _devices,
    "pipes": _pipes,
    "no_images": lambda path: path.mkdir(),
}
"""Folders of images."""


def _whole() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.zeros((20, 2), dtype=np.float32), coarse=np.arange(20) % 2)
    return buffer.getvalue()


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


CORPORA = {"arrays": ARRAYS, "tables": TABLES, "cells": CELLS, "images": IMAGES}


def config_of(kind: str, path: Path) -> dict[str, object]:
    """How a study names a file of a corpus."""
    plain: dict[str, dict[str, object]] = {
        "arrays": {"kind": "arrays"},
        "tables": {"kind": "arrays", "columns": {"coarse": ["coarse"]}},
        "cells": {"kind": "single_cell", "coarse": "coarse"},
        "images": {"kind": "image_folder", "size": 8, "cache": False},
    }
    return {**plain[kind], "path": str(path)}
