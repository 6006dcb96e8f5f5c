"""Where everything lies in a study folder, a contract that users and scripts rely on; and the files of its cells."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgtune.files import write_atomically
from fgtune.results.formats import CELL_COLUMNS
from fgtune.results.records import AttentionRecord, EpochMetrics, RelationsRecord

if TYPE_CHECKING:
    import pandas as pd


class FolderLayout:
    """The files of the study folder at ``root``, which need not exist yet.

    Attributes:
        root: ``reports/NAME``, say.
        study_file: The study as given.
        resolved_file: The study with every default filled in.
        plan_file: One row a planned cell.
        ledger_file: One line a finished cell.
        curves_dir: Per-epoch metrics, one part a cell, until they are gathered in ``curves_file``.
        relations_dir: Learned relations, one ``.npz`` a cell.
        checkpoints_dir: Checkpoints of cells under way; of a population, also ``CELL.EPOCH.pt`` that others go on from.
        attention_dir: Attention maps of a few samples, one ``.npz`` a cell, where the study asks for them.
        failures_dir: Tracebacks of cells that failed, one text file each.
        optuna_file: Copy of a search's finished trials for optuna-dashboard.
        tuning_dir: Of a comparison that searches inside its arms: a study folder for each of these searches.
        stopping_file: Verdicts of early stopping, one line each, where the study stops trials early.
        scratch_dir: Files of the scheduler during a run; worthless afterwards.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.study_file = self.root / "study.yaml"
        self.resolved_file = self.root / "study.resolved.yaml"
        self.plan_file = self.root / "plan.csv"
        self.ledger_file = self.root / "results.jsonl"
        self.curves_file = self.root / "curves.parquet"
        self.curves_dir = self.root / "curves"
        self.results_parquet = self.root / "results.parquet"
        self.results_csv = self.root / "results.csv"
        self.relations_dir = self.root / "relations"
        self.checkpoints_dir = self.root / "checkpoints"
        self.attention_dir = self.root / "attention"
        self.failures_dir = self.root / "failures"
        self.optuna_file = self.root / "optuna.db"
        self.stopping_file = self.root / "stopping.jsonl"
        self.tuning_dir = self.root / "tuning"
        self.scratch_dir = self.root / ".ray"
        self.report_file = self.root / "report.html"
        self.provenance_file = self.root / "provenance.json"
        self.lock_file = self.root / ".lock"

    def checkpoint_file(self, cell_id: str) -> Path:
        """Where a cell under way keeps its checkpoint."""
        return self.checkpoints_dir / f"{cell_id}.pt"


class CellFiles(FolderLayout):
    """What each cell leaves in the folder: relations, attention maps, curves, the traceback of a failure."""

    def write_failure(self, cell_id: str, details: str) -> Path:
        """Store what is known of a failure (a traceback, as a rule); returns the file."""
        path = self.failures_dir / f"{cell_id}.txt"
        write_atomically(path, details.encode())
        return path

    def write_relations(self, cell_id: str, record: RelationsRecord) -> Path:
        """Store the relations of a finished cell; returns the file."""
        arrays = {name: value for name, value in vars(record).items() if value is not None}
        return _write_arrays(self.relations_dir / f"{cell_id}.npz", arrays)

    def read_relations(self, cell_id: str) -> RelationsRecord | None:
        """The relations of a finished cell, or None where none were stored."""
        path = self.relations_dir / f"{cell_id}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return RelationsRecord(**{name: arrays[name] for name in arrays.files})

    def write_attention(self, cell_id: str, record: AttentionRecord) -> Path:
        """Store the attention maps of a finished cell; returns the file."""
        return _write_arrays(self.attention_dir / f"{cell_id}.npz", vars(record))

    def write_curve(self, cell_id: str, arm: str, seed: int, history: Sequence[EpochMetrics]) -> Path:
        """Store the per-epoch metrics of a cell, in place of any stored before; returns the file."""
        import pandas as pd  # here, so that validating a study does not wait for it

        rows = [
            {"cell_id": cell_id, "arm": arm, "seed": seed, "epoch": each.epoch, "step": each.step}
            | {"seconds": each.seconds}
            | dict(sorted(each.metrics.items()))
            for each in history
        ]
        path = self.curves_dir / f"{cell_id}.parquet"
        write_atomically(path, pd.DataFrame(rows).to_parquet(None, index=False))
        return path

    def read_metric(self, cell_id: str, metric: str) -> dict[int, float]:
        """A metric of one cell by epoch, from its own part of the curves; empty once those are gathered."""
        import pandas as pd

        path = self.curves_dir / f"{cell_id}.parquet"
        curve = pd.read_parquet(path) if path.exists() else pd.DataFrame()
        if metric not in curve.columns:
            return {}
        known = curve[curve[metric].notna()]
        return {int(epoch): float(value) for epoch, value in zip(known["epoch"], known[metric], strict=True)}

    def read_curves(self) -> pd.DataFrame:
        """All curves: ``cell_id, arm, seed, epoch, step, seconds`` and one column a metric (NaN where not measured).

        A cell's own part, which is the later one, takes the place of its rows in the gathered file.
        """
        import pandas as pd

        stored = (pd.read_parquet(path) for path in sorted(self.curves_dir.glob("*.parquet")))
        parts = [part for part in stored if len(part)]
        if self.curves_file.exists():
            gathered = pd.read_parquet(self.curves_file)
            newer = {part["cell_id"].iloc[0] for part in parts}
            kept = gathered[~gathered["cell_id"].isin(newer)]
            parts = [kept, *parts] if len(kept) else parts
        if not parts:
            return pd.DataFrame(columns=[*CELL_COLUMNS, "epoch", "step", "seconds"])
        curves = pd.concat(parts, ignore_index=True)
        return curves.sort_values(["seed", "arm", "cell_id", "epoch"], kind="stable", ignore_index=True)

    def gather_curves(self) -> Path:
        """Put all curves into ``curves.parquet`` and drop the parts; returns the file."""
        curves = self.read_curves()
        write_atomically(self.curves_file, curves.to_parquet(None, index=False))
        for path in self.curves_dir.glob("*.parquet"):
            path.unlink()
        return self.curves_file


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> Path:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())
    return path
