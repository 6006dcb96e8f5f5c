"""A user's table: which columns are inputs, what is missing, whether columns must be brought to one scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgtune.analysis.discovery.outcome import ColumnScale
from fgtune.app.discovery.columns import (
    Column,
    choose_coarse,
    fine_labels,
    label_column,
    refines,
    refines_by_chance,
)
from fgtune.app.discovery.scale import scale_of
from fgtune.app.discovery.source import Asked, Source, check_named
from fgtune.arrays import FloatArray
from fgtune.data.check import MIN_SAMPLES
from fgtune.data.labels import number_classes
from fgtune.data.readers.features import FINE_NAMES, why_left_out
from fgtune.data.readers.tables import cells, read_table
from fgtune.errors import DataError
from fgtune.files import write_atomically
from fgtune.text import count, first_of

if TYPE_CHECKING:
    import pandas as pd

PREPARED = "data.parquet"
"""The table that the studies read."""
COARSE = "coarse_label"
"""Its column of coarse labels, with underscores behind it where an input has this name."""
MOST_MISSING = 0.5
"""A column in which a larger share is missing is left out."""
_ID_NAMES = ("", "id", "index", "row", "sample", "sample_id", "name", "unnamed: 0")


def read_user_table(asked: Asked, out: Path, begin: Callable[[], None]) -> Source:
    """Read a ``.csv``, ``.tsv`` or ``.parquet`` and write the table that the studies read.

    Columns of numbers are inputs; text is not. Columns that look like labels are left out, so that no fine label
    becomes an input.

    Raises:
        DataError: The table cannot be read, a named column is missing, or no column is left.
    """
    table = read_labelled(asked)
    coarse, notes = table.coarse, list(table.notes)
    kept = _features(table, {*asked.named, *table.numbering, coarse.name}, notes, str(asked.data))
    values, medians = _filled(table.frame, kept, notes)
    scale, note = scale_of(values, medians)
    notes.append(note)
    label = COARSE
    while label in kept:
        label += "_"
    labelled = {label: [coarse.classes[code] if code >= 0 else "" for code in coarse.codes]}
    begin()
    prepared = _write(out / PREPARED, kept, scale(values), labelled)
    columns: dict[str, list[str]] = {"coarse": [label]}
    if doubtful := [name for name in kept if why_left_out(name, prepared[name], [coarse.codes]) is not None]:
        columns["keep"] = doubtful  # what was judged as given is not judged again once it is scaled
    return Source(
        kind="table",
        config={"kind": "arrays", "path": str((out / PREPARED).resolve()), "columns": columns},
        coarse=coarse.name,
        ids=table.ids,
        id_name=table.id_name,
        features=tuple(kept),
        numbers=values,
        fine=table.fine,
        shape=(len(kept),),
        notes=tuple(notes),
        columns=tuple(map(ColumnScale, kept, medians.tolist(), scale.center, scale.divisor)),
        scale=scale,
    )


@dataclass(frozen=True)
class LabelledTable:
    """A user's table, and what its columns are besides inputs.

    Attributes:
        frame: The table without what is left out, its columns by text.
        numbering: Columns that name or number the rows, those first that names of samples are taken from.
        labels: Columns that may hold labels, by name.
        coarse: The one with the coarse labels.
        fine: (N,) fine classes by name, where they were named.
        notes: What was found out about them, one sentence each.
    """

    frame: pd.DataFrame
    numbering: Sequence[str]
    labels: Mapping[str, Column]
    coarse: Column
    fine: Sequence[str] | None
    notes: Sequence[str]

    @property
    def ids(self) -> list[str] | None:
        """Name of each sample; None for its number."""
        return [str(value) for value in self.frame[self.numbering[0]]] if self.numbering else None

    @property
    def id_name(self) -> str:
        """What the names are."""
        return (self.numbering[0] or "id") if self.numbering else "row"


def read_labelled(asked: Asked) -> LabelledTable:
    """Read a ``.csv``, ``.tsv`` or ``.parquet``, and find its labels.

    Raises:
        DataError: It cannot be read or is too short, a named column is missing, or it is not clear which column holds
            the coarse labels.
    """
    where = str(asked.data)
    frame = read_table(asked.data, [], others=True, config_path="", without=asked.left_out)
    if len(frame) < MIN_SAMPLES:
        raise DataError(f"must have at least {MIN_SAMPLES} rows", where=where, value=len(frame))
    frame.columns = frame.columns.astype(str)
    check_named(asked, [*frame.columns, *asked.left_out], where)
    numbering = _id_columns(frame, asked.named)
    labels = _label_columns(frame, {*asked.named, *numbering} - {asked.coarse})
    fine = fine_labels(asked.fine, list(frame.get(asked.fine, ())), where)
    notes: list[str] = []
    if asked.coarse is None:
        coarse = choose_coarse(labels, where)
        notes.append(f"Coarse labels are those of column {coarse.name}, which was guessed.")
    else:
        coarse = labels.get(asked.coarse) or _unusual(frame, asked.coarse, where)
        labels[asked.coarse] = coarse
    return LabelledTable(frame, numbering, labels, coarse, fine, [*notes, *_naming(numbering)])


def _is_text(column: pd.Series) -> bool:
    return column.dtype.kind not in "buif"


def _id_columns(frame: pd.DataFrame, named: Sequence[str]) -> list[str]:
    """Columns that name or number the rows rather than measure them, those first that names of samples are taken from.

    Their values are all different, and they hold text, are called so, or rise by 1 from row to row.
    """
    names, numbers = [], []
    for name in frame.columns:
        column = frame[name]
        if name in named or not column.is_unique or column.isna().any():
            continue
        called = name.lower() in _ID_NAMES or name.lower().endswith(("_id", " id"))
        if _is_text(column) or (called and column.dtype.kind != "f"):
            names.append(str(name))
        elif column.dtype.kind in "iuf" and bool((np.diff(column.to_numpy(dtype=np.float64)) == 1).all()):
            numbers.append(str(name))
    return names + numbers


def _naming(numbering: Sequence[str]) -> list[str]:
    """What is said of columns that name or number the rows."""
    notes = []
    if numbering:
        column = f"column {numbering[0]}" if numbering[0] else "the column without a name"
        notes.append(f"Samples have the names in {column}.")
    if numbering[1:]:
        notes.append(f"Left out, because they name or number the rows: {first_of(numbering[1:], 6)}.")
    return notes


def _label_columns(frame: pd.DataFrame, others: set[str]) -> dict[str, Column]:
    """Columns that may hold labels: words, truth values, or a few whole numbers."""
    found = {}
    for name in frame.columns:
        column = frame[name]
        if name in others or not (_is_text(column) or _is_whole(column)):
            continue
        label = label_column(str(name), cells(column), _is_text(column))
        if label is not None:
            found[str(name)] = label
    return found


def _is_whole(column: pd.Series) -> bool:
    if column.dtype.kind == "f":
        known = column.dropna()
        return bool(len(known)) and bool((known % 1 == 0).all())
    return column.dtype.kind in "bui"


def _unusual(frame: pd.DataFrame, name: str, where: str) -> Column:
    """A column of coarse labels that the user names although it has few or many classes."""
    codes, classes = number_classes(cells(frame[name]))
    if len(classes) < 2:
        rule = "must hold at least two coarse classes"
        raise DataError(rule, where=where, path=name, value=len(classes), fix="name another column with --coarse")
    if len(classes) > len(frame) / 2:
        rule = f"has {len(classes)} different values in {len(frame)} rows, so they are no classes"
        raise DataError(rule, where=where, path=name, fix="name another column with --coarse")
    return Column(name, codes, classes, _is_text(frame[name]))


def _features(table: LabelledTable, others: set[str], notes: list[str], where: str) -> list[str]:
    """Columns of numbers that are inputs; says which others are left out, and why."""
    frame, coarse = table.frame, table.coarse
    left: dict[str, list[str]] = {}
    kept = []
    for name in frame.columns:
        if name in others:
            continue
        reason = _why_left_out(frame[name], table.labels.get(str(name)), coarse)
        if reason is None and why_left_out(str(name), frame[name], [coarse.codes]) is not None:
            reason = "they look like row numbers, identifiers or labels"
        if reason is None:
            kept.append(str(name))
        else:
            left.setdefault(reason, []).append(str(name))
    notes += [f"Left out, because {reason}: {first_of(names, 6)}." for reason, names in left.items()]
    if not kept:
        fix = "give the measurements as columns of numbers"
        raise DataError("no column of numbers is left to find classes with", where=where, fix=fix)
    return kept


def _why_left_out(column: pd.Series, label: Column | None, coarse: Column) -> str | None:
    if _is_text(column):
        return "they hold text"
    if column.isna().mean() > MOST_MISSING:
        return "more than half is missing"
    if column.nunique() < 2:
        return "they hold one value only"
    if str(column.name).lower() in FINE_NAMES:
        return "by their name they are fine labels"
    if _divides(column, label, coarse):
        return "they divide the coarse classes as labels would"
    return None


def _divides(column: pd.Series, label: Column | None, coarse: Column) -> bool:
    """Whether a column may hold fine labels, of which there may be many more classes than of coarse ones."""
    if label is not None:
        return refines(label, coarse)
    if not _is_whole(column):
        return False
    import pandas as pd

    codes, values = pd.factorize(column.where(column != -1))
    many = Column(str(column.name), codes.astype(np.int64), tuple(map(str, values)), text=False)
    return refines(many, coarse) and not refines_by_chance(many, coarse)


def _filled(frame: pd.DataFrame, kept: Sequence[str], notes: list[str]) -> tuple[FloatArray, FloatArray]:
    """(N, columns), in which the median of a column stands for what is missing or not finite, and the medians."""
    values: FloatArray = np.array(frame[list(kept)].to_numpy(dtype=np.float64, na_value=np.nan))
    values[~np.isfinite(values)] = np.nan
    holes = np.isnan(values)
    medians: FloatArray = np.nanmedian(values, axis=0)
    if holes.any():
        values = np.where(holes, medians, values)
        rows = int(holes.any(axis=1).sum())
        notes.append(
            f"{count(int(holes.sum()), 'value')} missing in {count(rows, 'row')}: the column's median stands there."
        )
    return values, medians


def _write(path: Path, names: Sequence[str], inputs: FloatArray, labels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(inputs.astype(np.float32), columns=list(names))
    for name, values in labels.items():
        frame[name] = list(values)
    write_atomically(path, frame.to_parquet(None, index=False))
    return frame
