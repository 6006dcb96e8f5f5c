"""Files of arrays as their authors publish them, such as a pickle or a .mat, made into the .npz that studies read."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.data.check import SPLIT_NAMES
from fgtune.data.readers.data_files import check_memory, reason_of
from fgtune.data.readers.npz import read_npy, read_npz
from fgtune.data.readers.safe_pickle import read_pickled_arrays
from fgtune.errors import ConfigError, DataError
from fgtune.files import write_output
from fgtune.text import listed
from fgtune.visible import visible

Arrays = Mapping[str, npt.NDArray[Any]]

NAMES = ("inputs", "coarse", "fine", "fine_values", "split")
"""What an .npz of a study holds."""
SUFFIXES = (".mat", ".pickle", ".pkl", ".p", ".npz", ".npy")
_SOURCE = re.compile(r"(?P<key>.+?)(?P<turned>\.T)?")
_LISTED = 200


def describe(path: Path) -> str:
    """The arrays of a file, a line each, and how to name them.

    Raises:
        ConfigError: The file is missing, damaged, or of another kind.
    """
    arrays = read_arrays(path)
    width = max((len(visible(name, 80)) for name in arrays), default=0)
    lines = [
        f"  {visible(name, 80):{width}}  {array.dtype!s:8} {' x '.join(map(str, array.shape)) or 'one number'}"
        for name, array in list(arrays.items())[:_LISTED]
    ]
    if len(arrays) > _LISTED:
        lines.append(f"  and {len(arrays) - _LISTED} more")
    found = f"{path}: {len(arrays)} arrays" if arrays else f"{path}: no array"
    usage = f"say which is which: fgtune data convert {path} --out FILE.npz inputs=NAME fine_values=NAME"
    return "\n".join([found, *lines, usage])


def convert(
    path: Path,
    out: Path,
    which: Sequence[str],
    parts: Sequence[str] = (),
    force: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Write the named arrays of a file as the .npz that ``data: {kind: arrays}`` reads.

    Args:
        path: A ``.mat`` (MATLAB 5 to 7.2), a pickle of arrays, an ``.npz`` or an ``.npy``. Nothing in it is run.
        out: The ``.npz`` to write.
        which: ``NAME=KEY`` each, NAME of ``NAMES``. ``KEY.T`` is turned, so that samples are rows, and ``KEY+KEY`` are
            laid one below the other.
        parts: What the parts of every ``KEY+KEY`` are, in their order: train, val, test. They become ``split``. Where
            none is val, every tenth sample of train is.
        force: Replace ``out`` if it is there.
        say: Receives what was written, a line an array.

    Raises:
        ConfigError: The file is missing, damaged or of another kind, or a name or a shape does not fit; nothing is
            written.
    """
    if out.suffix.lower() != ".npz":
        raise ConfigError("must be an .npz", path="--out", value=str(out))
    if out.exists() and not force:
        raise ConfigError("is there already", where=str(out), fix="replace it with --force, or choose another --out")
    arrays = read_arrays(path)
    made: dict[str, npt.NDArray[Any]] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for each in which:
        name, _, keys = each.partition("=")
        if name not in NAMES or not keys:
            raise ConfigError("must be NAME=KEY", path="data convert", value=each, fix=f"NAME is {listed(NAMES)}")
        if name in made:
            raise ConfigError(f"{name} is named twice", path="data convert", value=each)
        found = [_of(arrays, key, path) for key in keys.split("+")]
        made[name], sizes[name] = _below_each_other(found, each), tuple(map(len, found))
    _check(made, sizes, parts)
    if parts:
        made["split"] = _split(parts, sizes["inputs"])
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **made)
    write_output(out, content.getvalue())
    for name, array in made.items():
        say(f"{name}: {array.dtype} {' x '.join(map(str, array.shape))}")
    say(f"in a study: data: {{kind: arrays, path: {out}}}")


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of a file by its name there.

    Raises:
        ConfigError: The file is missing, damaged, or of another kind.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        rule = "is not a regular file" if path.exists() else "no such file"
        raise ConfigError(rule, where=str(path), fix=f"name a file of {', '.join(SUFFIXES)}")
    if suffix == ".npy":
        return {"array": read_npy(path, "array")}
    if suffix == ".npz":
        return read_npz(path, (), None)
    if suffix == ".mat":
        return _of_matlab(path)
    if suffix in SUFFIXES:
        return read_pickled_arrays(path)
    raise ConfigError("is of no kind that is read", where=str(path), fix=f"name a file of {', '.join(SUFFIXES)}")


def _of_matlab(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of numbers in a file of MATLAB up to 7.2; SciPy's reader makes arrays and runs nothing."""
    from scipy.io import loadmat, whosmat

    try:
        with path.open("rb") as file:
            if file.read(19) == b"MATLAB 7.3 MAT-file":
                rule, fix = "is of MATLAB 7.3, which is HDF5", "in MATLAB: save('FILE.mat', '-v7')"
                raise DataError(rule, where=str(path), fix=fix)
        described = whosmat(str(path))
        numbers = [name for name, _, kind in described if kind not in {"cell", "struct", "object", "function", "char"}]
        wanted = sum(8 * int(np.prod(shape, dtype=np.float64)) for name, shape, _ in described if name in numbers)
        check_memory(wanted, "unpacks to", str(path))
        content = loadmat(str(path), variable_names=numbers, spmatrix=False)
    except DataError:
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        raise DataError(f"is not a readable .mat ({reason_of(error)})", where=str(path)) from error
    return {
        name: array
        for name, array in content.items()
        if not name.startswith("__") and isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    }


def _of(arrays: Arrays, source: str, path: Path) -> npt.NDArray[Any]:
    """One array by its name, turned where the name ends with ``.T``."""
    if source in arrays:
        return arrays[source]
    match = _SOURCE.fullmatch(source)
    key, turned = (match["key"], match["turned"]) if match else (source, None)
    if key not in arrays:
        names = [visible(name, 40) for name in list(arrays)[:8]]
        fix = f"it has {listed(names)}" if names else "it has no array"
        raise ConfigError("no such array", where=str(path), value=source, fix=fix)
    return arrays[key].T if turned else arrays[key]


def _below_each_other(found: Sequence[npt.NDArray[Any]], asked: str) -> npt.NDArray[Any]:
    """Parts as one array with a row a sample; a column of numbers, as MATLAB has for a vector, is a vector."""
    if any(array.ndim == 0 for array in found) or len({array.shape[1:] for array in found}) > 1:
        shapes = listed([" x ".join(map(str, array.shape)) or "one number" for array in found])
        fix = "name arrays with a row a sample; KEY.T turns one"
        raise ConfigError(f"cannot be laid one below the other ({shapes})", path="data convert", value=asked, fix=fix)
    together = np.concatenate(found)
    one = together.ndim == 2 and 1 in together.shape and asked.partition("=")[0] in {"coarse", "fine", "split"}
    return together.ravel() if one else together


def _split(parts: Sequence[str], sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    """The split of every sample; without validation samples, a tenth of the training ones become such."""
    split = np.repeat([SPLIT_NAMES.index(part) for part in parts], sizes).astype(np.int64)
    if "val" not in parts:
        split[np.flatnonzero(split == 0)[::10]] = 1
    return split


def _check(made: Arrays, sizes: Mapping[str, tuple[int, ...]], parts: Sequence[str]) -> None:
    """Raise unless there are inputs, every array has a row a sample, and parts are as many as were named."""
    if "inputs" not in made:
        raise ConfigError("needs inputs=KEY", path="data convert", fix="without KEYs the arrays of the file are listed")
    rows = len(made["inputs"])
    other = next((name for name in made if len(made[name]) != rows), None)
    if other is not None:
        rule = f"has {len(made[other])} rows, and inputs has {rows}"
        raise ConfigError(rule, path=f"data convert: {other}", fix="a row is a sample; KEY.T turns an array")
    if not parts:
        return
    unknown = next((part for part in parts if part not in SPLIT_NAMES or parts.count(part) > 1), None)
    if unknown is not None:
        raise ConfigError("must be train, val and test, each once", path="--parts", value=unknown)
    if "split" in made or {len(size) for size in sizes.values()} != {len(parts)} or len(set(sizes.values())) > 1:
        rule = f"names {len(parts)} parts, so every array needs as many, of the same sizes, as KEY+KEY"
        raise ConfigError(rule, path="--parts", value=",".join(parts), fix="leave out --parts, or split=KEY")
