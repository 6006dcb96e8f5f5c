"""A user's own data: an ``.npz`` with ``inputs``, ``coarse``, and optionally ``fine`` and ``split``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgtune.config.data import ArraysConfig
from fgtune.data.base import Dataset, FloatArray, IntArray
from fgtune.data.check import SPLIT_NAMES
from fgtune.data.npz import AnyArray, read_npz
from fgtune.errors import DataError


def load_arrays(config: ArraysConfig) -> Dataset:
    """Read the file; what holds for data of every kind is left to ``check_dataset``.

    Returns:
        Inputs (N, ...) float32 from any real dtype; coarse (N, sources) from (N,) or (N, sources); K_C of a source
        is its highest label + 1.

    Raises:
        DataError: If the file cannot be read, or an array has the wrong dtype or number of dimensions.
    """
    arrays = read_npz(Path(config.path), required=("inputs", "coarse"), optional=("fine", "split"))
    coarse = _labels(arrays["coarse"], "coarse", config.path, max_dims=2)
    if coarse.ndim == 1:
        coarse = coarse[:, None]
    return Dataset(
        name=config.path,
        inputs=_inputs(arrays["inputs"], config.path),
        coarse=coarse,
        num_coarse=tuple(int(labels.max(initial=-1)) + 1 for labels in coarse.T),
        fine=_labels(arrays["fine"], "fine", config.path, max_dims=1) if "fine" in arrays else None,
        given_split=_split(arrays["split"], config.path) if "split" in arrays else None,
    )


def _inputs(array: AnyArray, where: str) -> FloatArray:
    if array.dtype.kind not in "buif":
        raise DataError(
            "must be real numbers",
            where=where,
            path="inputs",
            value=str(array.dtype),
            fix="Convert the inputs, e.g. with .astype(numpy.float32).",
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the check tells of it
        return np.ascontiguousarray(array, dtype=np.float32)


def _labels(array: AnyArray, name: str, where: str, max_dims: int) -> IntArray:
    if array.dtype.kind not in "iu":
        raise DataError(
            "labels must be integers",
            where=where,
            path=name,
            value=str(array.dtype),
            fix=f"Number the classes from 0{' (-1 for none)' if name == 'coarse' else ''}, use .astype(numpy.int64).",
        )
    if not 1 <= array.ndim <= max_dims or (array.ndim == 2 and array.shape[1] == 0):
        raise DataError(
            "must be (N,) or (N, sources)" if max_dims == 2 else "must be (N,)",
            where=where,
            path=name,
            value=array.shape,
            fix="Use .reshape(-1) for one label a sample.",
        )
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise DataError("labels must fit in int64", where=where, path=name, value=int(array.max()))
    return array.astype(np.int64)


def _split(array: AnyArray, where: str) -> IntArray:
    """0 train, 1 val, 2 test; from these integers, or from the names."""
    if array.dtype.kind in "iu":
        return _labels(array, "split", where, max_dims=1)
    if array.dtype.kind not in "US" or array.ndim != 1:
        raise DataError(
            "must be (N,) integers or strings",
            where=where,
            path="split",
            value=f"{array.dtype} of shape {array.shape}",
            fix=f"Write one of {', '.join(map(repr, SPLIT_NAMES))}, or 0, 1, 2, for every sample.",
        )
    names = np.char.decode(array, "ascii", "replace") if array.dtype.kind == "S" else array
    matches = names[:, None] == np.array(SPLIT_NAMES)  # (N, 3)
    unknown = np.flatnonzero(~matches.any(axis=1))
    if unknown.size:
        raise DataError(
            f"must be one of {', '.join(map(repr, SPLIT_NAMES))}, row {unknown[0]} is not",
            where=where,
            path="split",
            value=str(names[unknown[0]]),
            fix="Use these names, or 0, 1, 2.",
        )
    return np.asarray(matches.argmax(axis=1), dtype=np.int64)
