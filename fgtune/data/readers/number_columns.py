"""Columns of tables as numbers, and columns of text that were meant as such: decimal commas, percents, a ``?``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fgtune.arrays import Float32Array
from fgtune.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SINGLY = 100
"""Columns that are asked for or replaced one by one: the wider the table, the longer each takes."""
_LOOKED_AT = 1000
"""Cells that show whether a column of text was meant as one of numbers."""
_WRITTEN = re.compile(
    r"[-+(]?[$€£¥]?\s?([0-9]+([.,][0-9]*)?|[.,][0-9]+|[0-9]{1,3}([.,'\s_][0-9]{3})+([.,][0-9]+)?)([eE][-+]?[0-9]+)?\s?[%$€£¥)]?"
)


def numbers(frame: pd.DataFrame, columns: Sequence[str], where: str) -> Float32Array:
    """Columns of real numbers as (N, columns) float32; empty cells become NaN, which ``check_dataset`` reports.

    Raises:
        DataError: If a column holds anything else.
    """
    taken = []
    wide = dict(frame.items()) if len(columns) > SINGLY else frame
    for name in columns:
        column = wide[name]
        if column.dtype.kind not in "buif":
            rule, fix = _no_numbers(column)
            raise DataError(rule, where=where, path=name, value=str(column.dtype), fix=fix)
        with np.errstate(over="ignore"):
            taken.append(column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32))
    return np.stack(taken, axis=1) if taken else np.empty((len(frame), 0), dtype=np.float32)


def written_numbers(column: pd.Series) -> list[bool]:
    """Whether each of the first cells of a column of text that are filled is a number as people write one."""
    some = column.dropna().iloc[:_LOOKED_AT]
    return [bool(isinstance(cell, str) and _WRITTEN.fullmatch(cell.strip())) for cell in some]


def _no_numbers(column: pd.Series) -> tuple[str, str]:
    """What is wrong with a column that should hold numbers, and what helps."""
    fix = (
        "Name this column under data.columns.exclude, or under data.columns.one_hot to make a feature of each of its "
        "values; or name all features under data.columns.features."
    )
    written = written_numbers(column)
    if 2 * sum(written) < len(written) or not written:
        return "must be a column of real numbers", fix
    cell = column.dropna().iloc[written.index(all(written))]
    fix = "Leave cells empty where a value is missing, and write numbers with a point and without other signs: 1234.5."
    return f"must be a column of real numbers, and one of its cells is {str(cell)[:40]!r}", fix
