"""Folders of searches with made-up numbers from a known function, written through the real records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Arm, Cell, DataShape
from fgtune.files import write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState, EpochMetrics, SolverUse
from fgtune.results.texts import plan_text
from support.kept import fill, planned

SEARCH_STUDY = """
study: search_demo
question: Which weights and which learning rate does a search without fine labels choose, and what are they worth?
expectation: A larger learning rate helps most; the regularisation matters little.
design:
  kind: search
  sampler: {kind: tpe}
  trials: 40
  metric: val/silhouette
  space:
    parameters:
      optimizer.lr: {kind: log_uniform, low: 0.001, high: 1.0}
      objective.lambda_nn: {kind: uniform, low: 0.0, high: 2.0}
      relations.solver.kind: {kind: choice, values: [flow, scip]}
      relations.solver.time_limit_s: {kind: log_uniform, low: 1.0, high: 60.0, when: "relations.solver.kind == 'scip'"}
seeds: 3
scheduler: {kind: asha, grace_epochs: 3, reduction: 3}
metrics: {primary: test/clustering_accuracy, also: [test/ari, val/neighbor_agreement]}
trial:
  data: {kind: digits}
  classes: {num_fine: 10}
  epochs: 27
"""
TWO_CRITERIA = SEARCH_STUDY.replace("metric: val/silhouette", "metric: [val/silhouette, cost/solver_seconds]").replace(
    "scheduler: {kind: asha, grace_epochs: 3, reduction: 3}\n", ""
)


def _digits_shape(_config: object) -> DataShape:
    return DataShape(num_coarse=(2,), num_fine=10, fingerprint="synthetic")


def silhouette_of(levels: dict[str, object]) -> float:
    """The known function: 0.3 of the range from the learning rate, 0.1 from one weight, nothing from the rest."""
    lr, weight = float(levels["optimizer.lr"]), float(levels["objective.lambda_nn"])
    return 0.2 + 0.3 * (math.log10(lr) + 3) / 3 + 0.1 * weight / 2


def accuracy_of(levels: dict[str, object]) -> float:
    """Rises with the silhouette, but falls again beyond a weight of 1."""
    return 0.4 + silhouette_of(levels) - 0.2 * max(0.0, float(levels["objective.lambda_nn"]) - 1.0)


@dataclass
class SyntheticSearch:
    """What to write.

    Attributes:
        text: The study file.
        trials: Number of points; drawn at random from the space.
        failed: Points one of whose cells fails, by number.
        pruned: Points that are stopped at an epoch, by number; all seeds of each but those in ``spared``.
        spared: Seeds whose cells are never stopped.
        unfinished: Points without any line in the ledger.
        noise: Standard deviation of a cell around the known function.
        baseline: Whether the baseline has ended.
        curves: Whether to store curves, which takes most of the time.
    """

    text: str = SEARCH_STUDY
    trials: int = 40
    failed: set[int] = field(default_factory=set)
    pruned: dict[int, int] = field(default_factory=dict)
    spared: set[int] = field(default_factory=set)
    unfinished: set[int] = field(default_factory=set)
    noise: float = 0.005
    baseline: bool = True
    curves: bool = True

    def write(self, root: Path) -> StudyFolder:
        """Write the folder and return it."""
        root.mkdir(parents=True, exist_ok=True)
        source = root / "given.yaml"
        source.write_text(self.text, encoding="utf-8")
        loaded, plan = planned(source, _digits_shape)
        folder = StudyFolder(root / loaded.study.study)
        folder.create_or_check(plan, loaded, {"study_hash": plan.study_hash, "command": ["fgtune", "run"]})
        fill(folder, self, lambda: self._write_trials(folder, plan))
        return folder

    def _write_trials(self, folder: StudyFolder, plan: Plan) -> None:
        arms = [*plan.arms, *self._points(plan)]
        cells = [self._cell(plan, arm, seed) for arm in arms for seed in plan.study.seed_list]
        whole = replace(plan, arms=tuple(arms), cells=tuple(cells))
        write_atomically(folder.plan_file, plan_text(whole).encode())
        written = []
        for arm in arms:
            number = int(arm.name.removeprefix("trial-")) if not arm.is_baseline else -1
            if number not in self.unfinished and (self.baseline or number >= 0):
                written += [self._cell_of(self._cell(plan, arm, seed), number) for seed in plan.study.seed_list]
        folder.ledger.extend(result for result, _ in written)
        if self.curves:
            folder.add_curves(written)

    def _points(self, plan: Plan) -> list[Arm]:
        rng = np.random.default_rng(7)
        points = [plan.search.space.draw(rng) for _ in range(self.trials)]
        return [plan.search.arm(n, point, plan.search.space.config(point)) for n, point in enumerate(points)]

    def _cell(self, plan: Plan, arm: Arm, seed: int) -> Cell:
        return Cell(arm.name, seed, plan.search.space.resolve(arm.config), arm.levels)

    def _cell_of(self, cell: Cell, number: int) -> tuple[CellResult, tuple[EpochMetrics, ...]]:
        state, cause, epochs = CellState.COMPLETE, None, cell.config.epochs
        if number in self.failed and cell.seed == 0:
            state, cause, epochs = CellState.FAIL, "TrialError: loss is not finite", 4
        elif number in self.pruned and cell.seed not in self.spared:
            epochs = self.pruned[number]
            state, cause = CellState.PRUNED, f"stopped at epoch {epochs} by asha: below the best third at that rung"
        history = self._history(cell, epochs, number)
        solver = cell.config.relations.solver.kind
        seconds = 0.02 if solver == "flow" else 0.9
        result = CellResult(
            cell_id=cell.cell_id,
            arm=cell.arm,
            seed=cell.seed,
            config_hash=cell.config_hash,
            state=state,
            metrics=dict(history[-1].metrics) if state is not CellState.FAIL else {},
            seconds=0.2 * epochs,
            epochs=epochs,
            levels=dict(cell.levels),
            config=cell.config.to_plain(),
            solver=SolverUse(solver, 20, seconds * (1 + 0.01 * max(number, 0)), {"optimal": 20}, 0.0),
            cause=cause,
            finished_at=f"2026-01-02T03:{max(number, 0):02d}:{cell.seed:02d}+00:00",
        )
        return result, history

    def _history(self, cell: Cell, epochs: int, number: int) -> tuple[EpochMetrics, ...]:
        rng = np.random.default_rng([cell.seed, number + 1])
        levels = {path: cell.levels[path] for path in ("optimizer.lr", "objective.lambda_nn")}
        noise = rng.normal(0, self.noise, 2) + 0.01 * cell.seed
        ends = {
            "val/silhouette": silhouette_of(levels) + noise[0],
            "test/clustering_accuracy": accuracy_of(levels) + noise[1],
        }
        ends |= {
            "test/ari": ends["test/clustering_accuracy"] - 0.1,
            "val/neighbor_agreement": 1 - ends["val/silhouette"],
        }
        history = []
        for epoch in range(1, epochs + 1):
            grown = 1 - math.exp(-5 * epoch / cell.config.epochs) * (1 if epoch < cell.config.epochs else 0)
            metrics = {name: end * grown for name, end in ends.items()} | {"train/loss": 2.0 - grown}
            history.append(EpochMetrics(epoch=epoch, step=5 * epoch, metrics=metrics, seconds=0.2))
        return tuple(history)
