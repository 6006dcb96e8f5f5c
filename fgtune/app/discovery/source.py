"""What is asked about a user's data, and the data as studies read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.errors import DataError
from fgtune.text import first_of

if TYPE_CHECKING:
    from fgtune.analysis.discovery.outcome import ColumnScale
    from fgtune.arrays import FloatArray
    from fgtune.data.preparation import InputScale


@dataclass(frozen=True)
class Asked:
    """What the user asked about the data.

    Attributes:
        data: The file or folder.
        coarse: Column with the coarse labels; None to find it.
        fine: Column with fine classes, for nothing but a comparison at the end; None for none.
        left_out: Columns that are not to be used.
        text: Column of texts, which are then the inputs; None where the inputs are numbers.
    """

    data: Path
    coarse: str | None = None
    fine: str | None = None
    left_out: tuple[str, ...] = ()
    text: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Everything that he named."""
        return tuple(name for name in (self.coarse, self.fine, self.text, *self.left_out) if name is not None)


@dataclass(frozen=True)
class Source:
    """Data as the studies read them, and what is shown of them.

    Attributes:
        kind: ``table``, ``texts``, ``arrays``, ``cells`` or ``images``.
        config: The data config of the studies, as plain data.
        coarse: What holds the coarse labels: a column, an array, the folders.
        ids: Name of each sample, in the order of the data set; None for its number.
        id_name: What the names are.
        features: Names of the features, where they have names.
        numbers: (N, features) their values as given, for people to read, of texts the weights of words; None where
            inputs are pixels.
        fine: (N,) fine classes by name, where they were named; they never reach a study.
        shape: Shape of one sample.
        notes: What was done to the data, one sentence each.
        coarse_names: Names of the coarse classes where the data set holds only their numbers.
        columns: How columns of a table were prepared.
        scale: What was done to the user's numbers; None where the studies read his own file.
    """

    kind: str
    config: Mapping[str, Any]
    coarse: str
    ids: Sequence[str] | None
    id_name: str
    features: tuple[str, ...] | None
    numbers: FloatArray | None
    fine: Sequence[str] | None
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    coarse_names: tuple[str, ...] | None = None
    columns: tuple[ColumnScale, ...] = ()
    scale: InputScale | None = None


def csv_text(names: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table of text as the content of a ``.csv`` file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([names, *rows])
    return buffer.getvalue().encode()


def check_named(asked: Asked, there: Collection[str], where: str, what: str = "column", of: str = "the table") -> None:
    """Raise ``DataError`` unless the file has every column, or array, that was named.

    Args:
        asked: What was asked.
        there: The names that the file has.
        where: The file.
        what: What has a name.
        of: What has them.
    """
    missing = next((name for name in asked.named if name not in there), None)
    if missing is not None:
        fix = f"{of} has {first_of([str(name) for name in there], 20)}"
        raise DataError(f"no such {what}", where=where, path=missing, fix=fix)
