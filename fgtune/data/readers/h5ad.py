"""Reads AnnData files (``.h5ad``) with h5py only: one matrix, and labels of cells by column.

Written against the published on-disk format of anndata, its present encoding and the two before it. anndata itself
reads annotations in full, whatever their size, and follows links to other files; here only what is needed is read,
once its size is known, and links and external storage are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

from fgtune.config.schema.paths import nearest
from fgtune.data.labels import check_exact, class_name, is_missing
from fgtune.data.readers.data_files import check_memory, missing, reason_of
from fgtune.errors import DataError
from fgtune.memory import LARGE, MOST_PACKED
from fgtune.text import first_of

Matrix = npt.NDArray[np.float32] | csr_array

INSTALL = "Install it with: pip install 'fgtune[singlecell]'"
LAYOUT = "PATH is an .h5ad with a matrix X of cells x genes and labels of cells in obs"
GET = "Save your AnnData object with adata.write_h5ad(PATH)."
_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)


class H5adFile:
    """An open AnnData file; use ``open_h5ad``."""

    def __init__(self, root: Any, where: str, h5py: Any) -> None:
        self._root, self._where, self._h5py = root, where, h5py

    def matrix(self, layer: str | None) -> Matrix:
        """``X``, or a layer, as (cells, genes) float32, dense or in compressed rows.

        Raises:
            DataError: If it is missing, damaged, not a matrix of numbers, or takes more than half of the memory.
        """
        if layer is not None and not self._has(self._root, "layers", layer):
            raise self._wrong(f"no layer {layer!r}; the file has {self._list('layers')}", "trial.data.layer")
        if layer is None and "X" not in self._root:
            raise self._wrong("no matrix X", "trial.data.path")
        node = self._child(self._root, "X") if layer is None else self._child(self._child(self._root, "layers"), layer)
        return self._sparse(node) if isinstance(node, self._h5py.Group) else self._dense(node)

    def column(self, name: str, path: str) -> list[str]:
        """A column of ``obs`` as text, empty where a cell has no label; numbers as ``class_name`` writes them.

        Raises:
            DataError: If there is no such column, or it holds no text, numbers or categories.
        """
        obs = self._child(self._root, "obs")
        if isinstance(obs, self._h5py.Group):
            if name not in obs or name.startswith("__"):
                raise self._misnamed(name, self.columns(), path)
            return self._labels(obs, name)
        if name not in (obs.dtype.names or ()):  # anndata before 0.7: one table of records
            raise self._misnamed(name, self.columns(), path)
        values = self._values(obs)[name]
        if self._has(self._root, "uns", f"{name}_categories"):
            categories = self._text(self._values(self._child(self._child(self._root, "uns"), f"{name}_categories")))
            return _of_codes(values, categories)
        return self._text(values)

    def columns(self) -> list[str]:
        """Names of the columns of ``obs``."""
        obs = self._child(self._root, "obs")
        names = obs.keys() if isinstance(obs, self._h5py.Group) else obs.dtype.names or ()
        index = self._index(obs)
        return [str(name) for name in names if not str(name).startswith("__") and name != index]

    def names(self, axis: Literal["obs", "var"]) -> list[str]:
        """Names of the cells (``obs``) or of the genes (``var``); empty where the file has none."""
        table = self._child(self._root, axis)
        index = self._index(table)
        if index is None:
            return []
        if isinstance(table, self._h5py.Group):
            return self._labels(table, index)
        return self._text(self._values(table)[index])

    def _index(self, table: Any) -> str | None:
        """The column of ``obs`` or ``var`` that names its rows."""
        if not isinstance(table, self._h5py.Group):
            return next((name for name in table.dtype.names or () if name == "index"), None)
        name = _str(table.attrs.get("_index", "_index"))
        return name if name in table else None

    def _labels(self, obs: Any, name: str) -> list[str]:
        node = self._child(obs, name)
        if not isinstance(node, self._h5py.Group):
            categories = node.attrs.get("categories")  # anndata 0.7: a reference to the categories
            if categories is None:
                return self._text(self._values(node))
            return _of_codes(
                self._values(node), self._text(self._values(self._child(self._child(obs, "__categories"), name)))
            )
        if "codes" in node and "categories" in node:
            categories = self._child(node, "categories")
            if isinstance(categories, self._h5py.Group):
                categories = self._child(categories, "values")
            return _of_codes(self._values(self._child(node, "codes")), self._text(self._values(categories)))
        if "values" in node and "mask" in node:  # numbers or text of which some are missing
            mask = self._values(self._child(node, "mask"))
            return [
                "" if gone else text
                for text, gone in zip(self._text(self._values(self._child(node, "values"))), mask, strict=True)
            ]
        raise self._wrong(f"column {name!r} of obs is of no known encoding", "trial.data.path")

    def _values(self, node: Any) -> npt.NDArray[Any]:
        """The content of a data set, after a check of its size."""
        self._check_size(node, node.dtype.itemsize)
        values: npt.NDArray[Any] = node[...]
        return values

    def _check_size(self, node: Any, width: int) -> None:
        """Raise unless a data set fits into memory, each value in ``width`` bytes, and the file holds its content."""
        needed = width * int(node.size)
        check_memory(needed, "the matrix takes", self._where)
        stored = int(node.id.get_storage_size())
        if needed > LARGE and needed > MOST_PACKED * stored:
            raise self._wrong(f"{node.shape} values of {node.name!r} in {stored:,} bytes hold nothing")

    def _dense(self, node: Any) -> npt.NDArray[np.float32]:
        if node.ndim != 2 or node.dtype.kind not in "buif":
            raise self._wrong(f"the matrix must be numbers of cells x genes, it is {node.dtype} of shape {node.shape}")
        self._check_size(node, 4)
        return self._float32(node[...])

    def _float32(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Numbers in the width that they are kept in; one that does not fit is an error, and no infinity."""
        with np.errstate(over="ignore"):
            narrow = np.asarray(values, dtype=np.float32)
        if values.dtype.itemsize > narrow.itemsize and bool((np.isinf(narrow) & np.isfinite(values)).any()):
            raise self._wrong(f"the matrix has numbers beyond {np.finfo(np.float32).max:.3g}, the largest that is kept")
        return narrow

    def _sparse(self, node: Any) -> csr_array:
        old, encoding = node.attrs.get("h5sparse_format"), node.attrs.get("encoding-type")
        kind = _str(encoding if old is None else old).removesuffix("_matrix")
        shape = node.attrs.get("shape") if old is None else node.attrs.get("h5sparse_shape")
        shape = tuple(int(size) for size in (json.loads(_str(shape)) if isinstance(shape, str | bytes) else shape))
        if kind not in ("csr", "csc") or len(shape) != 2:
            raise self._wrong(f"the matrix is of an unknown encoding, {kind!r}")
        parts = [self._child(node, name) for name in ("data", "indices", "indptr")]
        stored = sum(part.size * part.dtype.itemsize for part in parts)
        check_memory(stored + 8 * sum(shape), "the matrix takes", self._where)  # a number for each cell and gene
        data, indices, indptr = map(self._values, parts)
        matrix = (csr_array if kind == "csr" else csc_array)((self._float32(data), indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
        rows = csr_array(matrix)
        rows.sum_duplicates()
        return rows

    def _child(self, group: Any, name: str) -> Any:
        link = group.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise self._wrong(f"{name!r} is a link, and links are not followed" if link else f"no {name!r}")
        node = group[name]
        if isinstance(node, self._h5py.Dataset) and (node.external or node.is_virtual):
            raise self._wrong(f"{name!r} is stored outside the file, and that is not read")
        return node

    def _has(self, group: Any, *names: str) -> bool:
        for name in names:
            if name not in group:
                return False
            group = self._child(group, name)
        return True

    def _list(self, name: str) -> str:
        group = self._child(self._root, name) if name in self._root else ()
        names = [str(key) for key in group if not str(key).startswith("_")]
        return first_of(names, 12) or "none"

    def _text(self, values: npt.NDArray[Any]) -> list[str]:
        if values.ndim != 1 or values.dtype.kind not in "biufSUOT":
            raise self._wrong(
                f"labels must be (cells,) text or numbers, they are {values.dtype} of shape {values.shape}"
            )
        check_exact(values, self._where, "obs")
        return ["" if is_missing(value) else class_name(_plain(value)) for value in values.tolist()]

    def _misnamed(self, name: str, known: Sequence[str], path: str) -> DataError:
        near = nearest(name, known)
        rule = f"no column {name!r} in obs, which has {first_of(known, 12) or 'no columns'}"
        fix = f"Did you mean {near!r}?" if near else f"Expected layout: {LAYOUT}."
        return DataError(rule, where=self._where, path=path, fix=fix)

    def _wrong(self, rule: str, path: str = "trial.data.path") -> DataError:
        return DataError(rule, where=self._where, path=path, fix=f"Expected layout: {LAYOUT}. {GET}")


@contextmanager
def open_h5ad(path: Path) -> Iterator[H5adFile]:
    """Open an AnnData file for reading.

    Raises:
        DataError: If h5py is not installed, or the file is missing or damaged, even if that shows only later.
    """
    if find_spec("h5py") is None:
        raise DataError("reading .h5ad needs h5py, which is not installed", where=str(path), fix=INSTALL)
    if not path.is_file():
        raise missing("AnnData file", [path], LAYOUT, GET)
    h5py: Any = import_module("h5py")
    try:
        with h5py.File(path, "r") as root:
            yield H5adFile(root, str(path), h5py)
    except _DAMAGE as error:
        reason = f"is not a readable .h5ad ({reason_of(error)})"
        raise DataError(reason, where=str(path), path="trial.data.path", fix=f"Expected layout: {LAYOUT}.") from error


def _of_codes(codes: npt.NDArray[Any], categories: Sequence[str]) -> list[str]:
    """Labels by their codes, -1 for none."""
    if (
        codes.ndim != 1
        or codes.dtype.kind not in "iu"
        or (codes.size and not -1 <= codes.min() <= codes.max() < len(categories))
    ):
        raise ValueError("codes do not fit their categories")
    return ["" if code < 0 else categories[code] for code in codes.tolist()]


def _str(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    """A value of a data set, text decoded."""
    return value.decode("utf-8") if isinstance(value, bytes) else value
