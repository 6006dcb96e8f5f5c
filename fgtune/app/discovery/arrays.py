"""A user's ``.npz``: vectors or images, with coarse labels as numbers or words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.app.discovery.columns import choose_coarse, fine_labels, label_column
from fgtune.app.discovery.scale import scale_of
from fgtune.app.discovery.source import Asked, Source, check_named
from fgtune.arrays import AnyArray, FloatArray
from fgtune.data.given import file_at
from fgtune.data.labels import number_classes
from fgtune.data.preparation import InputScale
from fgtune.data.readers.npz import read_npz
from fgtune.errors import DataError
from fgtune.files import write_atomically
from fgtune.text import first_of

PREPARED = "data.npz"
_INPUT_NAMES = ("inputs", "x", "data", "images", "features")


def read_arrays(asked: Asked, out: Path, begin: Callable[[], None]) -> Source:
    """Read an ``.npz`` of any names and write the one that the studies read.

    Inputs are ``inputs``, ``X`` or the only array of real numbers with more than one dimension; channels may stand
    first or last, or be missing.

    Raises:
        DataError: The file cannot be read, or it is not clear what its arrays are.
    """
    where = str(asked.data)
    names = names_in(file_at(asked.data))
    arrays = read_npz(asked.data, (), names, objects=names)
    check_named(asked, sorted(arrays), where, "array", "the file")
    arrays = {name: array for name, array in arrays.items() if name not in asked.left_out}
    name = _inputs_name(arrays, where)
    raw = arrays[name]
    _check_finite(raw, where, name)
    labels = {
        key: column
        for key, array in arrays.items()
        if key not in (name, asked.fine, "split") and array.ndim == 1 and array.dtype.kind in "buiUSO"
        if len(array) == len(raw) and (column := label_column(key, _plain(array), array.dtype.kind in "USO"))
    }
    coarse = choose_coarse(labels, where).name if asked.coarse is None else asked.coarse
    for role, given in (("coarse", coarse), ("fine", asked.fine)):
        if given is not None and arrays[given].shape != (len(raw),):
            rule = f"must have one {role} label per sample ({len(raw)})"
            raise DataError(rule, where=where, path=given, value=arrays[given].shape)
    codes, classes = number_classes(_plain(arrays[coarse]))
    fine = fine_labels(asked.fine, () if asked.fine is None else _plain(arrays[asked.fine]), where)
    inputs, scale, notes = _prepared(raw)
    begin()
    write_atomically(out / PREPARED, _packed(inputs, codes))
    return Source(
        kind="arrays",
        config={"kind": "arrays", "path": str((out / PREPARED).resolve())},
        coarse=coarse,
        ids=None,
        id_name="row",
        features=tuple(f"feature {number}" for number in range(inputs.shape[1])) if inputs.ndim == 2 else None,
        numbers=raw.astype(np.float64) if inputs.ndim == 2 else None,
        fine=fine,
        shape=inputs.shape[1:],
        notes=(*([] if asked.coarse else [f"Coarse labels are those of array {coarse}."]), *notes),
        coarse_names=classes,
        scale=scale,
    )


def names_in(path: Path) -> tuple[str, ...]:
    """Names of the arrays in an ``.npz``; empty if it cannot be read."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return ()


def _plain(array: AnyArray) -> list[Any]:
    return [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in array.tolist()]


def _inputs_name(arrays: dict[str, AnyArray], where: str) -> str:
    """The array that holds the inputs."""
    real = [name for name, array in arrays.items() if array.dtype.kind in "buif" and array.ndim >= 2]
    for name in real:
        if name.lower() in _INPUT_NAMES:
            return name
    if len(real) == 1:
        return real[0]
    rule = f"it is not clear which array holds the inputs; the file has {first_of(sorted(arrays)) or 'nothing'}"
    raise DataError(rule, where=where, fix="save them as numpy.savez(path, inputs=..., coarse=...)")


def _check_finite(raw: AnyArray, where: str, name: str) -> None:
    wrong = ~np.isfinite(raw.reshape(len(raw), -1))
    if wrong.any():
        rows = np.flatnonzero(wrong.any(axis=1))
        rule = f"must be finite: {int(wrong.sum())} values in {len(rows)} samples are not, the first in row {rows[0]}"
        fix = "fill these values, or leave these samples out"
        raise DataError(rule, where=where, path=name, fix=fix)


def _prepared(raw: AnyArray) -> tuple[FloatArray, InputScale, list[str]]:
    """Inputs as vectors of one scale, or as images (N, channels, height, width) in [0, 1]; their scale, and notes."""
    values = raw.astype(np.float64)
    if values.ndim == 2:
        scale, note = scale_of(values)
        return scale(values), scale, [note]
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[-1] in (1, 3) and values.shape[1] not in (1, 3):
        values = np.moveaxis(values, -1, 1)
    if values.ndim != 4:
        flat = values.reshape(len(values), -1)
        scale, note = scale_of(flat)
        return scale(flat), scale, ["Arrays of more than three dimensions a sample are taken as vectors.", note]
    low, high = float(values.min()), float(values.max())
    scale = InputScale(center=(low,), divisor=(max(high - low, 1e-12),))
    return scale(values), scale, [f"Images of {low:g} to {high:g} are brought to 0 to 1."]


def _packed(inputs: FloatArray, codes: AnyArray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, inputs=inputs.astype(np.float32), coarse=codes)
    return buffer.getvalue()
