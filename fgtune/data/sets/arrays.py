"""A user's own data: an ``.npz``, several ``.npy`` files, or a table in CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fgtune.arrays import AnyArray, Float32Array, IntArray
from fgtune.config.schema.data_tables import TABLE_SUFFIXES, ArrayFilesConfig, ArraysConfig, TableColumnsConfig
from fgtune.data.base import Dataset
from fgtune.data.check import SPLIT_NAMES
from fgtune.data.labels import (
    are_exact,
    as_values,
    count_classes,
    derive_coarse,
    doubtful_names,
    number_classes,
    parts_of,
)
from fgtune.data.preparation import preparation_of
from fgtune.data.readers.features import feature_columns, feature_values, resolution_warnings, scale_warnings
from fgtune.data.readers.npz import read_npy, read_npz
from fgtune.data.readers.tables import labels_of, read_table
from fgtune.errors import DataError


def load_arrays(config: ArraysConfig) -> Dataset:
    """Read the file or files; checks that apply to every kind of data are left to ``check_dataset``.

    Returns:
        Inputs (N, ...) float32 from any real dtype; coarse (N, sources) from (N,) or (N, sources). Of labels in whole
        numbers, K_C of a source is its highest label + 1; text is numbered by name. Whole numbers and text in ``fine``
        are classes, real numbers continuous targets unless ``fine_as`` says otherwise.

    Raises:
        DataError: If a file cannot be read, or an array has the wrong dtype or number of dimensions.
    """
    path = Path(config.path)
    if config.columns is not None and path.suffix.lower() in TABLE_SUFFIXES:
        return _from_table(path, config.columns, config)
    if config.files is not None:
        return _from_arrays(_read_files(path, config.files), config)
    required = ("inputs",) if config.derive_coarse else ("inputs", "coarse")
    arrays = read_npz(path, required, ("fine", "fine_values", "split"), objects=("coarse", "fine", "split"))
    return _from_arrays(arrays, config)


def _read_files(path: Path, files: ArrayFilesConfig) -> dict[str, AnyArray]:
    named = {"inputs": str(path), "coarse": files.coarse, "fine": files.fine, "split": files.split}
    return {name: read_npy(Path(file), name, name != "inputs") for name, file in named.items() if file is not None}


def _from_arrays(arrays: dict[str, AnyArray], config: ArraysConfig) -> Dataset:
    where = config.path
    fine, values = arrays.get("fine"), arrays.get("fine_values")
    notes: list[str] = []
    if fine is not None and config.fine_as != "classes" and (fine.dtype.kind == "f" or config.fine_as == "values"):
        if values is not None:
            rule = "holds continuous targets, and so does 'fine_values'"
            fix = "Keep whole numbers (classes) in 'fine' and real numbers in 'fine_values'; or set fine_as: classes."
            raise DataError(rule, where=where, path="fine", fix=fix)
        notes += _read_as_values(fine, config)
        fine, values = None, fine
    fine_values = None if values is None else as_values(values, where, "fine_values")
    coarse_names, fine_names = None, None
    if config.derive_coarse is not None:
        coarse = derive_coarse(fine_values, config.derive_coarse, where)
    else:
        coarse, coarse_names = _coarse(arrays["coarse"], where, notes)
    if fine is not None:
        fine, fine_names = _fine(fine, where, notes)
    inputs, preparation = real_inputs(arrays["inputs"], where), preparation_of(config)
    if inputs.ndim == 2 and arrays["inputs"].dtype.itemsize > 2:
        notes += resolution_warnings(inputs, lambda place: arrays["inputs"][:, place], None, where)
    if preparation is not None and inputs.ndim != 2:
        rule = "standardize and impute are for (N, features) inputs"
        fix = "leave them out, or reshape the inputs"
        raise DataError(rule, where=where, path="inputs", value=inputs.shape, fix=fix)
    return Dataset(
        name=where,
        inputs=inputs,
        coarse=coarse,
        num_coarse=count_classes(coarse),
        fine=fine,
        fine_values=fine_values,
        given_split=_split(arrays["split"], where) if "split" in arrays else None,
        coarse_names=coarse_names,
        fine_names=fine_names,
        preparation=preparation,
        notes=(*notes, *_scale_notes(inputs, None, config)),
    )


def _read_as_values(fine: AnyArray, config: ArraysConfig) -> Iterator[str]:
    """A warning where real numbers may have been meant as classes."""
    if config.fine_as is None and fine.size and (fine == np.round(fine)).all():
        yield (
            f"{config.path}: 'fine' holds real numbers, which are read as continuous targets, and all are whole; "
            "set fine_as: classes if they number classes, or fine_as: values"
        )


def _coarse(array: AnyArray, where: str, notes: list[str]) -> tuple[IntArray, tuple[tuple[str, ...], ...] | None]:
    """Labels (N, sources), and the names of classes that are not given by number."""
    codes, names = _labels(array, "coarse", where, max_dims=2)
    if names is not None:
        for source, classes in enumerate(names):
            notes += doubtful_names(classes, codes[:, source], f"{where}: source {source} of 'coarse'")
        return codes, names
    for source, (labels, given) in enumerate(zip(codes.T, array.reshape(len(array), -1).T, strict=True)):
        if labels.size and labels.max() <= 1:  # -1 and 1, or -1, 0 and 1
            classes = tuple(str(label) for label in np.unique(labels) if label >= 0)
            notes += doubtful_names(classes, labels, f"{where}: source {source} of 'coarse'", given)
    return codes, names


def _fine(array: AnyArray, where: str, notes: list[str]) -> tuple[IntArray, tuple[str, ...] | None]:
    """Classes (N,), and their names where they are not given by number."""
    codes, names = _labels(array, "fine", where, max_dims=1)
    fine = codes[:, 0]
    if array.dtype.kind in "fUSO" and (fine < 0).any():
        rule = f"every sample needs a fine class, row {int(np.argmax(fine < 0))} has none"
        fix = "Give every sample its fine class, or leave out 'fine' altogether."
        raise DataError(rule, where=where, path="fine", fix=fix)
    if names is not None:
        notes += doubtful_names(names[0], fine, f"{where}: 'fine'")
    return fine, None if names is None else names[0]


def _from_table(path: Path, columns: TableColumnsConfig, config: ArraysConfig) -> Dataset:
    where = config.path
    named = [*columns.coarse, *columns.fine_values, *filter(None, (columns.fine, columns.split))]
    names = [*columns.coarse, *filter(None, (columns.fine, columns.split))]
    some = [*(columns.features or ()), *columns.one_hot, *named]
    labels, others = [*names, *columns.one_hot], columns.features is None
    frame = read_table(path, some, others=others, labels=labels, without=columns.exclude if others else ())
    features, notes = feature_columns(frame, columns, where)
    inputs, titles, more = feature_values(frame, features, columns.one_hot, where)
    found = labels_of(
        frame, where, columns.coarse, columns.fine, columns.fine_values, columns.split, config.derive_coarse
    )
    dataset = found.dataset(where, inputs)
    notes = (*dataset.notes, *notes, *more, *_scale_notes(inputs, titles, config))
    return replace(dataset, feature_names=titles, notes=notes, preparation=preparation_of(config))


def _scale_notes(inputs: Float32Array, names: tuple[str, ...] | None, config: ArraysConfig) -> Iterator[str]:
    if config.standardize is None and inputs.ndim == 2:
        yield from scale_warnings(inputs, names, config.path)


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


def _labels(
    array: AnyArray, name: str, where: str, max_dims: int
) -> tuple[IntArray, tuple[tuple[str, ...], ...] | None]:
    """Labels (N, sources) of (N,) or, with two dimensions, (N, sources): numbers as they are, text numbered by name.

    Real numbers that are all whole are whole numbers, NaN standing for none.
    """
    if array.dtype.kind not in "biufUSO":
        rule = "labels must be whole numbers or text"
        raise DataError(rule, where=where, path=name, value=str(array.dtype))
    if not 1 <= array.ndim <= max_dims or (array.ndim == 2 and array.shape[1] == 0):
        rule = "must be (N,) or (N, sources)" if max_dims == 2 else "must be (N,)"
        fix = "Use .reshape(-1) for one label per sample."
        raise DataError(rule, where=where, path=name, value=array.shape, fix=fix)
    columns = array[:, None] if array.ndim == 1 else array
    if array.dtype.kind in "USO":
        numbered = [number_classes(column.tolist()) for column in columns.T]
        return np.stack([codes for codes, _ in numbered], axis=1), tuple(names for _, names in numbered)
    if array.dtype.kind == "f":
        columns = _whole(columns, name, where)
    if array.size and columns.max() > np.iinfo(np.int64).max:
        raise DataError("labels must fit in int64", where=where, path=name, value=int(columns.max()))
    return columns.astype(np.int64), None


def _whole(columns: AnyArray, name: str, where: str) -> AnyArray:
    """Real numbers as whole ones, NaN as -1."""
    known = np.where(np.isnan(columns), -1, columns)
    exact = (known == np.round(known)) & are_exact(known)
    if not exact.all():
        row = int(np.argmin(exact.all(axis=1)))
        rule = f"labels must be integers, or real numbers that are whole and exact; row {row} is not"
        fix = f"Number the classes from 0{' (-1 for none)' if name == 'coarse' else ''}, use .astype(numpy.int64)."
        raise DataError(rule, where=where, path=name, value=f"{columns[row].tolist()} of {columns.dtype}", fix=fix)
    return known.astype(np.int64)


def _split(array: AnyArray, where: str) -> IntArray:
    """0 train, 1 val, 2 test; from these integers, or from the names."""
    if array.dtype.kind not in "iuUSO" or array.ndim != 1:
        rule = "must be (N,) integers or strings"
        fix = f"Write one of {', '.join(map(repr, SPLIT_NAMES))}, or 0, 1, 2, for every sample."
        raise DataError(rule, where=where, path="split", value=f"{array.dtype} of shape {array.shape}", fix=fix)
    if array.dtype.kind in "iu":
        return _labels(array, "split", where, max_dims=1)[0][:, 0]
    return parts_of(np.char.decode(array, "ascii", "replace") if array.dtype.kind == "S" else array, where)
