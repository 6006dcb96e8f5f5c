"""Where everything lies in a study folder: a contract that users and scripts rely on."""

from __future__ import annotations

from pathlib import Path


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
