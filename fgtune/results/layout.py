"""Where everything lies in a study folder, a contract that users and scripts rely on."""

from __future__ import annotations

from pathlib import Path

from fgtune.results.claiming import LOCK


class FolderLayout:
    """The files of the study folder at ``root``, which need not exist yet.

    Attributes:
        root: The folder, for example ``reports/NAME``.
        study_file: The study as given.
        resolved_file: The study with every default filled in.
        plan_file: One row per planned cell.
        ledger_file: One line per finished cell.
        curves_dir: Per-epoch metrics, one part per cell, until they are gathered in ``curves_file``.
        relations_dir: Learned relations, one ``.npz`` per cell.
        predictions_dir: The fine class of every sample, one ``.npz`` per cell.
        labels_dir: The coarse labels of every sample, one ``.npz`` per data set.
        samples_dir: A few samples of every data set, for the report.
        checkpoints_dir: Checkpoints of unfinished cells; also ``CELL.EPOCH.pt`` that forks of a population start from.
        encoders_dir: Pretrained backbones, one ``.pt`` for each split and setting, where the study pretrains.
        attention_dir: Attention maps of a few samples, one ``.npz`` per cell, where the study asks for them.
        portraits_dir: What learned classes look like, one ``.npz`` for each cell that keeps one.
        shown_file: Whose portrait the report shows; there if a user chose.
        maps_dir: Where the samples of a portrait lie in the plane, found when the first report shows it.
        failures_dir: Tracebacks of cells that failed, one text file each.
        optuna_file: Copy of a search's finished trials for optuna-dashboard.
        tuning_dir: A study folder for each search inside an arm of a comparison.
        stopping_file: Decisions of early stopping, one line each, where the study stops trials early.
        tracking_file: Which run of a tracking store holds each cell; there if the study is tracked.
        report_file: The report.
        verdicts_file: The answer for programs, written with the report.
        running_file: What runs now; gone when nothing does.
        storage_file: Where unfinished cells keep files outside the folder; gone when the study is complete.
        ray_log_file: What Ray itself said of faults, in its own words; there if it said anything.
        faults_file: What went wrong while cells ran and did not end them, a line each, where anything did.
        scratch_dir: Files of the scheduler during a run; not needed afterwards.
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
        self.predictions_dir = self.root / "predictions"
        self.labels_dir = self.root / "coarse_labels"
        self.samples_dir = self.root / "samples"
        self.checkpoints_dir = self.root / "checkpoints"
        self.encoders_dir = self.root / "pretrained"
        self.attention_dir = self.root / "attention"
        self.portraits_dir = self.root / "portraits"
        self.shown_file = self.root / "shown.json"
        self.maps_dir = self.root / "maps"
        self.failures_dir = self.root / "failures"
        self.optuna_file = self.root / "optuna.db"
        self.stopping_file = self.root / "stopping.jsonl"
        self.tuning_dir = self.root / "tuning"
        self.ray_log_file = self.root / "ray.log"
        self.running_file = self.root / "running.json"
        self.faults_file = self.root / "faults.log"
        self.storage_file = self.root / "storage.json"
        self.scratch_dir = self.root / ".ray"
        self.tracking_file = self.root / "tracking.jsonl"
        self.report_file = self.root / "report.html"
        self.verdicts_file = self.root / "verdicts.json"
        self.provenance_file = self.root / "provenance.json"
        self.lock_file = self.root / LOCK

    def checkpoint_file(self, cell_id: str) -> Path:
        """Where an unfinished cell keeps its checkpoint."""
        return self.checkpoints_dir / f"{cell_id}.pt"
