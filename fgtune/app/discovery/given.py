"""Data that ``fgtune.discover`` is given in memory: kept as a file of the discovery's folder, then read as any file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgtune.app.discovery.source import Asked
from fgtune.app.notebooks.given_data import WrittenData, write_data
from fgtune.data.given import waiting
from fgtune.errors import DataError
from fgtune.parquet import read_parquet

STEM = "given"
_MEANINGS = ("coarse", "fine", "exclude")
_UNUSED = ("fine_values", "split")


def is_kept(data: Path, out: Path) -> bool:
    """Whether a file is where the folder ``out`` keeps data that were given in memory."""
    return data.parent == out and data.name in {f"{STEM}.parquet", f"{STEM}.npz"}


@dataclass(frozen=True)
class Given:
    """Data that were given in memory, and what is asked about them.

    Attributes:
        asked: As about a file of the discovery's folder.
        written: Where they lie until the folder takes them.
    """

    asked: Asked
    written: WrittenData = field(repr=False)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """For the duration of a ``with`` block, the file is read, although the folder may not have it yet.

        A folder that has the same table keeps its file: another version of a library writes other bytes.
        """
        place, file = self.asked.data, self.written.file
        with waiting({} if place.is_file() and _same_table(place, file) else {place: file}):
            yield


def given(data: Any, out: Path, coarse: str | None, fine: str | None, left_out: Sequence[str]) -> Given:
    """Keep data for a discovery.

    Args:
        data: A table, arrays or a dataset of samples, as ``fgtune.load_study`` takes them.
        out: The discovery's folder.
        coarse: Column with the coarse labels; of arrays there is only one.
        fine: Column with fine classes; of arrays the one called so.
        left_out: Columns that are not to be used.

    Raises:
        DataError: They are no data, or they say what a discovery does not use.
    """
    written = write_data(data, STEM)
    place = out / written.file.name
    if written.columns is None:
        _refuse(written.names, _UNUSED)
        if "coarse" not in written.names:
            fix = "give (inputs, coarse) or {'inputs': ..., 'coarse': ...}"
            raise DataError("has no coarse labels", where="data", fix=fix)
        fine = fine or ("fine" if "fine" in written.names else None)
        return Given(Asked(place, coarse or "coarse", fine, tuple(left_out)), written)
    said = written.columns
    _refuse(said, [name for name in said if name not in _MEANINGS])
    more = said.get("exclude", ())
    left_out = (*left_out, *([more] if isinstance(more, str) else more))
    return Given(Asked(place, _one(said, "coarse", coarse), _one(said, "fine", fine), left_out), written)


def rows_of(data: Any) -> Any:
    """Names of the rows of a pandas table, as an index; None for other data."""
    table = data.get("table") if isinstance(data, Mapping) else data
    return getattr(table, "index", None) if hasattr(table, "iloc") else None


def _refuse(names: Sequence[str] | Mapping[str, Any], unused: Sequence[str]) -> None:
    name = next((name for name in unused if name in names), None)
    if name is not None:
        fix = f"leave it out; of a table, discover reads {', '.join(_MEANINGS)}"
        raise DataError("is not used by discover, which divides the samples itself", where="data", path=name, fix=fix)


def _one(said: Mapping[str, Any], name: str, argument: str | None) -> str | None:
    """The column that the data or the argument names."""
    value = said.get(name, argument)
    value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    if value is not None and not isinstance(value, str):
        raise DataError("must name one column", where="data", path=name, value=value)
    if value is not None and argument not in (None, value):
        rule = f"is named twice, as {value!r} and as {argument!r}"
        raise DataError(rule, where="data", path=name, fix="name it once")
    return value


def _same_table(kept: Path, new: Path) -> bool:
    """Whether two Parquet files hold the same table."""
    from pyarrow import ArrowException

    if new.suffix != ".parquet":
        return False
    try:
        return bool(read_parquet(kept).equals(read_parquet(new)))
    except (ArrowException, OSError, ValueError):
        return False
