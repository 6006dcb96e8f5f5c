"""Study folders with made-up numbers, written through the real records; for tests of analysis and reporting alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell, DataShape
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState, EpochMetrics, RelationsRecord, SolverUse
from support.kept import fill, planned

KF_STUDY = """
study: kf_demo
question: How far may K_F be from the truth before classes and relations degrade?
expectation: Best at the truth, milder above than below.
source: "FALCON, figure 5: 55.1 / 60.4 / 57.5 / 57.6 accuracy at 80 / 100 / 120 / 150 %."
design:
  kind: sensitivity
  factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]}
  baseline: {classes.num_fine_ratio: 1.0}
seeds: 5
metrics: {primary: test/clustering_accuracy, also: [test/ari, test/ged]}
trial:
  data: {kind: digits}
  classes: {num_fine_ratio: 1.0}
  epochs: 60
"""

SOLVER_STUDY = """
study: solver_demo
question: Do the three relations solvers give the same classes, and what do they cost?
design:
  kind: comparison
  arms:
    - {name: flow, set: {relations.solver: {kind: flow}}}
    - {name: scip, set: {relations.solver: {kind: scip}}}
    - {name: cvxpy, set: {relations.solver: {kind: cvxpy}}}
seeds: 5
trial:
  data: {kind: digits}
  classes: {num_fine: 10}
  epochs: 40
"""


def digits_shape(_config: object) -> DataShape:
    """The shape that ``digits`` has, without loading it."""
    return DataShape(num_coarse=(2,), num_fine=10, fingerprint="synthetic")


def size_of(cell: Cell) -> int:
    """K_F of a cell; ten where it estimates that."""
    number = cell.config.classes.num_fine
    return number if isinstance(number, int) else 10


@dataclass
class Faults:
    """Cells to leave out or to end badly, as (arm, seed); collapsed ones complete with half the accuracy."""

    missing: set[tuple[str, int]] = field(default_factory=set)
    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    pruned: set[tuple[str, int]] = field(default_factory=set)
    undefined: set[tuple[str, int]] = field(default_factory=set)
    collapsed: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class SyntheticStudy:
    """What to write.

    Attributes:
        text: The study file.
        accuracy: Mean accuracy by arm; 0.9 where absent.
        noise: Standard deviation of a cell around its arm and seed.
        faults: Cells that do not complete.
        fine_labels: Whether oracle metrics and true relations are there.
        solvers: Seconds a solve by arm; 0.4 ms where absent.
    """

    text: str = KF_STUDY
    accuracy: dict[str, float] = field(default_factory=dict)
    noise: float = 0.015
    faults: Faults = field(default_factory=Faults)
    fine_labels: bool = True
    solvers: dict[str, float] = field(default_factory=dict)

    def write(self, root: Path) -> StudyFolder:
        """Write the folder and return it."""
        root.mkdir(parents=True, exist_ok=True)
        source = root / "given.yaml"
        source.write_text(self.text, encoding="utf-8")
        loaded, plan = planned(source, digits_shape)
        folder = StudyFolder(root / loaded.study.study)
        provenance = {
            "study": plan.study.study,
            "study_hash": plan.study_hash,
            "started_at": "2026-01-02T03:04:05+00:00",
            "command": ["fgtune", "run", "study.yaml"],
            "packages": {"numpy": "2.1.0", "torch": "2.6.0"},
        }
        folder.create_or_check(plan, loaded, provenance)
        fill(folder, self, lambda: self.write_cells(folder, plan, plan.cells))
        return folder

    def write_cells(self, folder: StudyFolder, plan: Plan, cells: Iterable[Cell]) -> None:
        """Write what these cells leave, but for those that are missing."""
        written = [self._ended(folder, plan, cell) for cell in cells if not self._is_missing(cell)]
        folder.ledger.extend(result for result, _ in written)
        folder.add_curves(written)

    def _is_missing(self, cell: Cell) -> bool:
        return (cell.arm, cell.seed) in self.faults.missing

    def _ended(self, folder: StudyFolder, plan: Plan, cell: Cell) -> tuple[CellResult, tuple[EpochMetrics, ...]]:
        place = (cell.arm, cell.seed)
        rng = np.random.default_rng([cell.seed, zlib.crc32(cell.arm.encode())])
        cause = self.faults.failed.get(place)
        state = CellState.COMPLETE if cause is None else CellState.FAIL
        if place in self.faults.pruned:
            state, cause = CellState.PRUNED, "stopped by the pruner at epoch 12"
        history = self._history(cell, rng, 12 if state is not CellState.COMPLETE else cell.config.epochs)
        metrics = dict(history[-1].metrics)
        if place in self.faults.undefined:
            metrics[plan.study.metrics.primary] = math.nan
        if state is CellState.COMPLETE:
            folder.write_relations(cell.cell_id, self._relations(cell, metrics, rng))
        return self._result(cell, state, metrics, len(history), cause), history

    def _result(
        self, cell: Cell, state: CellState, metrics: dict[str, float], epochs: int, cause: str | None
    ) -> CellResult:
        solver = cell.config.relations.solver.kind
        per_solve = self.solvers.get(cell.arm, 0.0004) * (1 + 0.1 * cell.seed)
        late = 2 if solver == "scip" and cell.seed == 0 else 0
        statuses = {"optimal": 60 - late} | ({"time_limit": late} if late else {})
        return CellResult(
            cell_id=cell.cell_id,
            arm=cell.arm,
            seed=cell.seed,
            config_hash=cell.config_hash,
            state=state,
            metrics=metrics if state is not CellState.FAIL else {},
            seconds=5.0 + 0.3 * cell.seed,
            epochs=epochs,
            levels=dict(cell.levels),
            config=cell.config.to_plain(),
            solver=SolverUse(solver, 60, 60 * per_solve, statuses, 0.004 if late else 0.0),
            attempts=2 if state is CellState.FAIL else 1,
            cause=cause,
            finished_at=f"2026-01-02T03:1{cell.seed % 10}:00+00:00",
            host="example",
        )

    def _history(self, cell: Cell, rng: np.random.Generator, epochs: int) -> tuple[EpochMetrics, ...]:
        seed_effect = np.random.default_rng(cell.seed).normal(0, 0.02)
        mean = self.accuracy.get(cell.arm, 0.9) * (0.5 if (cell.arm, cell.seed) in self.faults.collapsed else 1.0)
        target = float(np.clip(mean + seed_effect + rng.normal(0, self.noise), 0.05, 1.0))
        history = []
        for epoch in range(1, epochs + 1):
            grown = target * (1 - math.exp(-epoch / 9)) + 0.1 * math.exp(-epoch / 9)
            value = float(np.clip(grown + (rng.normal(0, 0.01) if epoch < epochs else 0.0), 0.0, 1.0))
            metrics = {"train/loss": 2.5 * math.exp(-epoch / 15) + 0.4, "test/silhouette": value - 0.3}
            if self.fine_labels:
                rewired = round(8 * (1 - value))
                surplus = abs(size_of(cell) - 10)
                metrics |= {
                    "test/clustering_accuracy": value,
                    "test/ari": value - 0.07,
                    "test/ged": 2.0 * (rewired + surplus),
                }
            history.append(EpochMetrics(epoch=epoch, step=5 * epoch, metrics=metrics, seconds=0.08))
        return tuple(history)

    def _relations(self, cell: Cell, metrics: dict[str, float], rng: np.random.Generator) -> RelationsRecord:
        num_fine = size_of(cell)
        truth = np.repeat([0, 1], 5)
        order = rng.permutation(num_fine)
        learned = truth[order % 10].copy()
        if metrics.get("test/clustering_accuracy", 1.0) < 0.88:
            learned[0] = 1 - learned[0]
        fine_counts = rng.integers(0, 3, size=(num_fine, 10))
        fine_counts[np.arange(num_fine), order % 10] += 30 // (1 + (order >= 10))
        coarse_counts = np.stack([fine_counts[:, :5].sum(axis=1), fine_counts[:, 5:].sum(axis=1)], axis=1)
        known = self.fine_labels
        return RelationsRecord(
            fine_to_coarse=learned[None].astype(np.int64),
            coarse_counts=coarse_counts[None].astype(np.int64),
            true_fine_to_coarse=truth[None].astype(np.int64) if known else None,
            fine_counts=fine_counts.astype(np.int64) if known else None,
        )
