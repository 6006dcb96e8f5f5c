"""What cells leave in a study folder (arrays and curves), and in which format."""

from __future__ import annotations

import io
import itertools
import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from fgtune.errors import ConfigError, DamagedFileError
from fgtune.files import read_text, require_file, write_atomically
from fgtune.parquet import parquet_schema, read_parquet
from fgtune.results.archives import check_unpacked
from fgtune.results.evidence import StoredRecord
from fgtune.results.layout import FolderLayout
from fgtune.results.ledger import MOST_METRIC
from fgtune.results.rebuilding import plausible
from fgtune.results.records import (
    AttentionRecord,
    CellResult,
    EpochMetrics,
    LabelsRecord,
    MapRecord,
    PortraitRecord,
    PredictionsRecord,
    RelationsRecord,
)
from fgtune.results.texts import CURVE_COLUMNS
from fgtune.text import first_of

if TYPE_CHECKING:
    import pandas as pd

_Record = TypeVar("_Record")

MOST_SHOWN = 10_000
"""Bytes of ``shown.json`` that are read at most; what fgtune writes there is far shorter."""


class CellFiles(FolderLayout):
    """What cells leave in the folder (relations, predictions, curves, ...), and the labels that these are read with.

    Args:
        root: The folder.
        lenient: Go on without a damaged file where results do not hang on it, and note it in ``damage``; else it is an
            error.

    Attributes:
        damage: What is wrong with files that were left out or made again, and what follows, by file.
    """

    def __init__(self, root: Path, *, lenient: bool = False) -> None:
        super().__init__(root)
        self.lenient = lenient
        self.damage: dict[Path, str] = {}

    def leniently(self) -> Self:
        """The same folder, read without damaged files, which it notes for itself."""
        return type(self)(self.root, lenient=True)

    def set_aside(self, path: Path) -> None:
        """Keep what is in the place of a file that is written anew."""
        if os.path.lexists(path):
            free = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
            path.replace(next(each for each in free if not os.path.lexists(each)))

    def note_damage(self, path: Path, what: str) -> None:
        """Note once what is wrong with a file and what follows."""
        name = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        self.damage.setdefault(path, f"{name} {what}")

    def write_failure(self, cell_id: str, details: str) -> Path:
        """Store what is known about a failure (usually a traceback); returns the file."""
        path = self.failures_dir / f"{cell_id}.txt"
        write_atomically(path, details.encode())
        return path

    def write_relations(self, cell_id: str, record: RelationsRecord) -> Path:
        """Store the relations of a finished cell; returns the file."""
        return _write(self.relations_dir / f"{cell_id}.npz", record)

    def read_relations(self, cell_id: str) -> RelationsRecord | None:
        """The relations of a finished cell, or None where none were stored."""
        return self._read(self.relations_dir / f"{cell_id}.npz", RelationsRecord)

    def write_predictions(self, cell_id: str, record: PredictionsRecord) -> Path:
        """Store the predictions of a finished cell; returns the file."""
        return _write(self.predictions_dir / f"{cell_id}.npz", record)

    def read_predictions(self, cell_id: str) -> PredictionsRecord | None:
        """The predictions of a finished cell, or None where none were stored, as by earlier versions."""
        return self._read(self.predictions_dir / f"{cell_id}.npz", PredictionsRecord)

    def write_labels(self, dataset_key: str, record: LabelsRecord) -> Path:
        """Store the coarse labels of a data set; returns the file."""
        return _write(self.labels_dir / f"{dataset_key}.npz", record)

    def read_labels(self, dataset_key: str) -> LabelsRecord | None:
        """The coarse labels of a data set, or None where none were stored."""
        return self._read(self.labels_dir / f"{dataset_key}.npz", LabelsRecord)

    def write_attention(self, cell_id: str, record: AttentionRecord) -> Path:
        """Store the attention maps of a finished cell; returns the file."""
        return _write(self.attention_dir / f"{cell_id}.npz", record)

    def read_attention(self, cell_id: str) -> AttentionRecord | None:
        """The attention maps of a finished cell, or None where none were stored."""
        return self._read(self.attention_dir / f"{cell_id}.npz", AttentionRecord)

    def write_portrait(self, cell_id: str, record: PortraitRecord) -> Path:
        """Store what the learned classes of a finished cell look like; returns the file."""
        return _write(self.portraits_dir / f"{cell_id}.npz", record)

    def read_portrait(self, cell_id: str) -> PortraitRecord | None:
        """What the learned classes of a finished cell look like, or None where that was not stored."""
        return self._read(self.portraits_dir / f"{cell_id}.npz", PortraitRecord)

    def write_map(self, cell_id: str, record: MapRecord) -> Path:
        """Store where the samples of a portrait lie in the plane; returns the file."""
        return _write(self.maps_dir / f"{cell_id}.npz", record)

    def read_map(self, cell_id: str) -> MapRecord | None:
        """Where the samples of a portrait lie in the plane, or None where that was not found yet."""
        return self._read(self.maps_dir / f"{cell_id}.npz", MapRecord)

    def write_shown(self, arm: str, seed: int) -> Path:
        """Store whose portrait the report shows from now on; returns the file."""
        write_atomically(self.shown_file, json.dumps({"portrait": {"arm": arm, "seed": seed}}).encode() + b"\n")
        return self.shown_file

    def read_shown(self) -> tuple[str, int] | None:
        """Arm and seed of the portrait that a user chose to see; None where nobody did.

        Raises:
            DamagedFileError: The file says something else.
        """
        if not self.shown_file.exists():
            return None
        try:
            chosen = json.loads(read_text(self.shown_file, MOST_SHOWN))["portrait"]
            arm, seed = chosen["arm"], chosen["seed"]
            if not isinstance(arm, str) or type(seed) is not int:
                raise TypeError("no arm and seed")
        except (ConfigError, TypeError, ValueError, KeyError, RecursionError) as error:
            if self.lenient:
                self.note_damage(self.shown_file, "is damaged, and the report shows the best arm")
                return None
            fix = "choose again with fgtune report --portraits, or delete it"
            where = str(self.shown_file)
            raise DamagedFileError("does not say whose portrait to show", where=where, fix=fix) from error
        return arm, seed

    def _read(self, path: Path, kind: Callable[..., _Record]) -> _Record | None:
        """The record in a file of arrays, or None where there is no file.

        Raises:
            DamagedFileError: The file holds no such record.
        """
        if not path.exists():
            return None
        try:
            check_unpacked(path)
            with np.load(path, allow_pickle=False) as arrays:
                record = kind(**{name: arrays[name] for name in arrays.files})
            if self.lenient and not plausible(record):
                raise ValueError("its arrays do not fit together")
            return record
        except Exception as error:  # zip archives, NumPy headers and records raise nothing narrower in common
            first = (str(error).splitlines() or [""])[0]
            if self.lenient:
                self.note_damage(path, f"is damaged ({type(error).__name__}: {first}), and the report does without it")
                return None
            fix = (
                f"restore it from a copy; fgtune verify {shlex.quote(str(self.root))} names every file that is damaged"
            )
            raise DamagedFileError(f"is damaged ({type(error).__name__}: {first})", where=str(path), fix=fix) from error

    def write_curve(self, cell_id: str, arm: str, seed: int, history: Sequence[EpochMetrics]) -> Path:
        """Store the per-epoch metrics of a cell, replacing any stored before; returns the file."""
        import pandas as pd  # slow to import, and validating a study does not need it

        rows = _curve_rows(cell_id, arm, seed, history)
        path = self.curves_dir / f"{cell_id}.parquet"
        write_atomically(path, pd.DataFrame(rows).to_parquet(None, index=False))
        return path

    def add_curves(self, cells: Sequence[tuple[CellResult, Sequence[EpochMetrics]]]) -> None:
        """Store the per-epoch metrics of many cells at once, beside those that are gathered already."""
        import pandas as pd

        known = [read_parquet(self.curves_file).to_pandas()] if self.curves_file.exists() else []
        taken = {cell_id for curves in known for cell_id in curves["cell_id"]}
        new = [(result, history) for result, history in cells if result.cell_id not in taken]
        rows = [row for result, each in new for row in _curve_rows(result.cell_id, result.arm, result.seed, each)]
        if rows:
            curves = pd.concat([*known, pd.DataFrame(rows)], ignore_index=True)
            write_atomically(self.curves_file, _sorted_curves(curves).to_parquet(None, index=False))

    def read_metric(self, cell_id: str, metric: str) -> dict[int, float]:
        """A metric of one cell by epoch, from its part of the curves; empty once the curves are gathered."""
        import pandas as pd

        path = self.curves_dir / f"{cell_id}.parquet"
        curve = read_parquet(path).to_pandas() if path.exists() else pd.DataFrame()
        if metric not in curve.columns:
            return {}
        known = curve[curve[metric].notna()]
        return {int(epoch): float(value) for epoch, value in zip(known["epoch"], known[metric], strict=True)}

    def read_curves(self) -> pd.DataFrame:
        """All curves: ``cell_id, arm, seed, epoch, step, seconds`` and one column per metric (NaN where not measured).

        A cell's part, which is newer, replaces its rows in the gathered file.
        """
        import pandas as pd

        stored = (self._read_curve(path) for path in sorted(self.curves_dir.glob("*.parquet")))
        parts = [part for part in stored if part is not None and len(part)]
        gathered = self._read_curve(self.curves_file) if self.curves_file.exists() else None
        if gathered is not None and len(gathered):
            newer = {part["cell_id"].iloc[0] for part in parts}
            kept = gathered[~gathered["cell_id"].isin(newer)]
            parts = [kept, *parts] if len(kept) else parts
        if not parts:
            return pd.DataFrame(columns=CURVE_COLUMNS)
        curves = pd.concat(parts, ignore_index=True)
        return _sorted_curves(curves)

    def read_counted_curves(self) -> pd.DataFrame:
        """All curves with NaN where a metric cannot be counted with, as the ledger leaves it out."""
        curves = self.read_curves()
        for name in curves.columns.difference([*CURVE_COLUMNS]):
            is_too_large = curves[name].abs() > MOST_METRIC
            if is_too_large.any():
                curves[name] = curves[name].mask(is_too_large)
        return curves

    def _read_curve(self, path: Path) -> pd.DataFrame | None:
        """The curves in a file; None for a damaged one that is left out.

        Raises:
            DamagedFileError: It holds no curves.
        """
        try:
            require_file(path)  # a folder is a table in parts, of none, to Arrow
            curves: pd.DataFrame = read_parquet(path).to_pandas()
            lacking = {*CURVE_COLUMNS} - {*curves.columns}
            if self.lenient and len(curves) and lacking:
                raise ValueError(f"it lacks {first_of(sorted(lacking))}")
            numbers = curves.drop(columns=["cell_id", "arm"], errors="ignore").dtypes
            text = [str(name) for name, dtype in numbers.items() if dtype.kind not in "fiu"]
            if self.lenient and len(curves) and text:
                raise ValueError(f"it holds no numbers in {first_of(text)}")
            return curves
        except Exception as error:  # Arrow raises nothing narrower than what Python has
            what = f"is damaged ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
            if self.lenient:
                self.note_damage(path, f"{what}: curves are missing, every result is in the ledger")
                return None
            fix = "restore it from a copy, or move it away: curves are then missing, every result is in the ledger"
            raise DamagedFileError(what, where=str(path), fix=fix) from error

    def check_curves(self) -> None:
        """Note damaged files of curves, as far as their ends show, without reading them whole."""
        from pyarrow import ArrowException

        for path in (self.curves_file, *self.curves_dir.glob("*.parquet")):
            try:
                if path.exists():
                    require_file(path)
                    parquet_schema(path)
            except (ArrowException, OSError, ValueError):
                self._read_curve(path)

    def gather_curves(self) -> Path:
        """Gather all curves in ``curves.parquet`` and delete the parts; returns the file.

        A damaged file is set aside as ``NAME.damaged`` and noted in ``damage``: nothing that was there is lost.
        """
        lenient = self.leniently()
        curves = lenient.read_curves()
        for path, what in lenient.damage.items():
            self.damage.setdefault(path, what)
            self.set_aside(path)
        write_atomically(self.curves_file, curves.to_parquet(None, index=False))
        for path in self.curves_dir.glob("*.parquet"):
            path.unlink()
        return self.curves_file


def _curve_rows(cell_id: str, arm: str, seed: int, history: Sequence[EpochMetrics]) -> list[dict[str, Any]]:
    """One row an epoch."""
    return [
        {"cell_id": cell_id, "arm": arm, "seed": seed, "epoch": each.epoch, "step": each.step}
        | {"seconds": each.seconds}
        | dict(sorted(each.metrics.items()))
        for each in history
    ]


def _sorted_curves(curves: pd.DataFrame) -> pd.DataFrame:
    return curves.sort_values(["seed", "arm", "cell_id", "epoch"], kind="stable", ignore_index=True)


def _write(path: Path, record: StoredRecord | MapRecord) -> Path:
    """Write the arrays that a record has; returns the file."""
    buffer = io.BytesIO()
    arrays = {name: array for name, array in vars(record).items() if array is not None}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())
    return path
