"""A user's own data: an ``.npz``, several ``.npy`` files, or a table in CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgtune.arrays import AnyArray, Float32Array, IntArray
from fgtune.config.schema.data_tables import TABLE_SUFFIXES, ArrayFilesConfig, ArraysConfig, TableColumnsConfig
from fgtune.data.base import Dataset
from fgtune.data.check import SPLIT_NAMES
from fgtune.data.labels import as_values, count_classes, derive_coarse, parts_of
from fgtune.data.readers.npz import read_npy, read_npz
from fgtune.data.readers.tables import labels_of, numbers, read_table
from fgtune.errors import DataError


def load_arrays(config: ArraysConfig) -> Dataset:
    """Read the file or files; checks that apply to every kind of data are left to ``check_dataset``.

    Returns:
        Inputs (N, ...) float32 from any real dtype; coarse (N, sources) from (N,) or (N, sources); K_C of a source
        is its highest label + 1. Whole numbers in ``fine`` are classes, real ones continuous targets.

    Raises:
        DataError: If a file cannot be read, or an array has the wrong dtype or number of dimensions.
    """
    path = Path(config.path)
    if config.columns is not None and path.suffix.lower() in TABLE_SUFFIXES:
        return _from_table(path, config.columns, config)
    if config.files is not None:
        return _from_arrays(_read_files(path, config.files), config)
    required = ("inputs",) if config.derive_coarse else ("inputs", "coarse")
    return _from_arrays(read_npz(path, required, ("fine", "fine_values", "split")), config)


def _read_files(path: Path, files: ArrayFilesConfig) -> dict[str, AnyArray]:
    named = {"inputs": str(path), "coarse": files.coarse, "fine": files.fine, "split": files.split}
    return {name: read_npy(Path(file), name) for name, file in named.items() if file is not None}


def _from_arrays(arrays: dict[str, AnyArray], config: ArraysConfig) -> Dataset:
    where = config.path
    fine, values = arrays.get("fine"), arrays.get("fine_values")
    if fine is not None and fine.dtype.kind == "f":
        if values is not None:
            rule = "holds continuous targets, and so does 'fine_values'"
            fix = "Keep whole numbers (classes) in 'fine' and real numbers in 'fine_values'."
            raise DataError(rule, where=where, path="fine", fix=fix)
        fine, values = None, fine
    fine_values = None if values is None else as_values(values, where, "fine_values")
    if config.derive_coarse is not None:
        coarse = derive_coarse(fine_values, config.derive_coarse, where)
    else:
        coarse = _labels(arrays["coarse"], "coarse", where, max_dims=2)
        coarse = coarse[:, None] if coarse.ndim == 1 else coarse
    return Dataset(
        name=where,
        inputs=real_inputs(arrays["inputs"], where),
        coarse=coarse,
        num_coarse=count_classes(coarse),
        fine=None if fine is None else _labels(fine, "fine", where, max_dims=1),
        fine_values=fine_values,
        given_split=_split(arrays["split"], where) if "split" in arrays else None,
    )


def _from_table(path: Path, columns: TableColumnsConfig, config: ArraysConfig) -> Dataset:
    where = config.path
    named = [*columns.coarse, *columns.fine_values, *filter(None, (columns.fine, columns.split))]
    frame = read_table(path, [*(columns.features or ()), *named], others=columns.features is None)
    features = columns.features or tuple(str(name) for name in frame.columns if name not in named)
    labels = labels_of(
        frame, where, columns.coarse, columns.fine, columns.fine_values, columns.split, config.derive_coarse
    )
    return labels.dataset(where, numbers(frame, features, where))


def real_inputs(array: AnyArray, where: str) -> Float32Array:
    """Inputs as numbers of the same values in float32, whole numbers and pixels too.

    Raises:
        DataError: They are not real numbers.
    """
    if array.dtype.kind not in "buif":
        rule, fix = "must be real numbers", "Convert the inputs, e.g. with .astype(numpy.float32)."
        raise DataError(rule, where=where, path="inputs", value=str(array.dtype), fix=fix)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the check reports it
        return np.ascontiguousarray(array, dtype=np.float32)


def _labels(array: AnyArray, name: str, where: str, max_dims: int) -> IntArray:
    if array.dtype.kind not in "iu":
        rule = "labels must be integers"
        fix = f"Number the classes from 0{' (-1 for none)' if name == 'coarse' else ''}, use .astype(numpy.int64)."
        raise DataError(rule, where=where, path=name, value=str(array.dtype), fix=fix)
    if not 1 <= array.ndim <= max_dims or (array.ndim == 2 and array.shape[1] == 0):
        rule = "must be (N,) or (N, sources)" if max_dims == 2 else "must be (N,)"
        fix = "Use .reshape(-1) for one label per sample."
        raise DataError(rule, where=where, path=name, value=array.shape, fix=fix)
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise DataError("labels must fit in int64", where=where, path=name, value=int(array.max()))
    return array.astype(np.int64)


def _split(array: AnyArray, where: str) -> IntArray:
    """0 train, 1 val, 2 test; from these integers, or from the names."""
    if array.dtype.kind in "iu":
        return _labels(array, "split", where, max_dims=1)
    if array.dtype.kind not in "US" or array.ndim != 1:
        rule = "must be (N,) integers or strings"
        fix = f"Write one of {', '.join(map(repr, SPLIT_NAMES))}, or 0, 1, 2, for every sample."
        raise DataError(rule, where=where, path="split", value=f"{array.dtype} of shape {array.shape}", fix=fix)
    return parts_of(np.char.decode(array, "ascii", "replace") if array.dtype.kind == "S" else array, where)
