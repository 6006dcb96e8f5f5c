"""Size and cost of a report by the number of its cells, on folders with made-up numbers.

Writes study folders through the same functions as a run (plan, ledger, curves, relations, predictions), with numbers
from a known function and noise, makes the report of each, and prints its size and the CPU time that it took, with the
parts that took most of it.

    python benchmarks/report_size.py [--kinds search trials arms many_arms few_arms] [--sizes 1000 10000] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import math
import os
import pstats
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from many_cells import finished

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Arm, Cell, DataShape
from fgtune.config.reading.load import load_study
from fgtune.config.schema.base import data_key
from fgtune.files import write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.records import (
    CellResult,
    EpochMetrics,
    LabelsRecord,
    PredictionsRecord,
    RelationsRecord,
)
from fgtune.results.texts import plan_text

EPOCHS, SAMPLES, FINE = 30, 1797, 10
METRICS = ("test/clustering_accuracy", "test/ari", "val/silhouette", "val/neighbor_agreement")
SEARCH = """
study: search
question: Which setting is best?
design:
  kind: search
  sampler: {kind: random}
  trials: TRIALS
  metric: val/silhouette
  space:
    parameters:
      optimizer.lr: {kind: log_uniform, low: 0.001, high: 1.0}
      objective.lambda_nn: {kind: uniform, low: 0.0, high: 2.0}
      objective.lambda_conf: {kind: uniform, low: 0.0, high: 2.0}
      objective.lambda_reg: {kind: uniform, low: 0.0, high: 4.0}
      model.head.kind: {kind: choice, values: [linear, cosine]}
seeds: 5
metrics: {primary: test/clustering_accuracy, also: [test/ari, val/neighbor_agreement]}
trial: {data: {kind: digits}, classes: {num_fine: 10}, epochs: 30}
"""
ARMS = """
study: arms
question: How does one setting act?
design:
  kind: sensitivity
  factors: {optimizer.lr: [LEVELS]}
  baseline: {optimizer.lr: 0.1}
seeds: SEEDS
metrics: {primary: test/clustering_accuracy, also: [test/ari, val/silhouette, val/neighbor_agreement]}
trial: {data: {kind: digits}, classes: {num_fine: 10}, epochs: 30}
"""


def _shape(_config: object) -> DataShape:
    return DataShape(num_coarse=(2,), num_fine=FINE, fingerprint="synthetic")


KINDS = ("search", "trials", "arms", "many_arms", "few_arms")


def study_text(kind: str, cells: int) -> str:
    """A study of about so many cells.

    Args:
        kind: A search with 5 seeds or, as ``trials``, with one; 200 arms with as many seeds as that takes, ``few_arms``
            of 20, or ``many_arms`` with 5 seeds.
        cells: Their number.
    """
    if kind in {"search", "trials"}:
        seeds = 5 if kind == "search" else 1
        return SEARCH.replace("TRIALS", str(cells // seeds)).replace("seeds: 5", f"seeds: {seeds}")
    arms = {"arms": 200, "many_arms": cells // 5, "few_arms": 20}[kind]
    levels = ", ".join(f"{0.001 * (rank + 1):.3f}" for rank in range(arms))
    return ARMS.replace("LEVELS", levels).replace("SEEDS", str(max(1, cells // arms)))


def make_folder(kind: str, cells: int, root: Path) -> StudyFolder:
    """The finished folder of such a study."""
    source = root / "given.yaml"
    source.write_text(study_text(kind, cells), encoding="utf-8")
    loaded = load_study(source)
    plan = _whole(expand(loaded, _shape))
    folder = StudyFolder(root / loaded.study.study)
    folder.create_or_check(plan, loaded, {"study_hash": plan.study_hash, "command": ["fgtune", "run"]})
    write_atomically(folder.plan_file, plan_text(plan).encode())
    coarse = np.repeat([0, 1], [SAMPLES // 2, SAMPLES - SAMPLES // 2])
    key = data_key(plan.cells[0].config.to_plain()["data"])
    folder.write_labels(key, LabelsRecord.of(coarse[:, None].astype(np.int64), [2]))
    made = [(cell, *_made(cell, rank)) for rank, cell in enumerate(plan.cells)]
    folder.ledger.extend(result for _, result, _ in made)
    folder.add_curves([(result, history) for _, result, history in made])
    fine = np.arange(SAMPLES) * FINE // SAMPLES
    for cell, _, _ in made:
        _write_arrays(folder, cell, fine)
    return folder


def _whole(plan: Plan) -> Plan:
    """A search's plan with all its points."""
    if plan.search is None:
        return plan
    rng, space = np.random.default_rng(7), plan.search.space
    points = [space.draw(rng) for _ in range(plan.study.design.most_points or 0)]
    arms: list[Arm] = [plan.search.arm(rank, point, space.config(point)) for rank, point in enumerate(points)]
    more = [
        Cell(arm.name, seed, space.resolve(arm.config), arm.levels) for arm in arms for seed in plan.study.seed_list
    ]
    return replace(plan, arms=(*plan.arms, *arms), cells=(*plan.cells, *more))


def _made(cell: Cell, rank: int) -> tuple[CellResult, tuple[EpochMetrics, ...]]:
    rng = np.random.default_rng([cell.seed, rank])
    optimizer = cell.config.to_plain()["optimizer"]
    level = 0.9 - 0.05 * abs(math.log10(optimizer["lr"]) + 1)
    noise = rng.normal(0, 0.01, (EPOCHS, len(METRICS) + 1))
    history = []
    for epoch in range(1, EPOCHS + 1):
        grown = level * (1 - math.exp(-epoch / 6))
        values = {name: grown + float(noise[epoch - 1, at]) for at, name in enumerate(METRICS)}
        history.append(EpochMetrics(epoch, 5 * epoch, values | {"train/loss": 2.0 - grown}, 0.1))
    return finished(cell, history[-1].metrics, EPOCHS, rank), tuple(history)


def _write_arrays(folder: StudyFolder, cell: Cell, fine: np.ndarray) -> None:
    rng = np.random.default_rng([cell.seed, 1])
    wrong = rng.random(SAMPLES) < 0.1
    predicted = np.where(wrong, rng.integers(0, FINE, SAMPLES), fine)
    splits = np.tile(np.array([1, 1, 1, 2, 4], dtype=np.int8), SAMPLES // 5 + 1)[:SAMPLES]
    folder.write_predictions(cell.cell_id, PredictionsRecord(predicted.astype(np.int8), splits))
    counts = np.zeros((FINE, FINE), dtype=np.int64)
    np.add.at(counts, (predicted, fine), 1)
    parents = np.repeat([0, 1], FINE // 2)
    coarse = np.stack([counts[:, parents == 0].sum(axis=1), counts[:, parents == 1].sum(axis=1)], axis=1)
    folder.write_relations(cell.cell_id, RelationsRecord(parents[None], coarse[None], parents[None], counts))


def measured(folder: StudyFolder, profile: bool) -> tuple[float, float]:
    """Megabytes of the report, and the CPU seconds that it takes."""
    from fgtune.reporting.html import write_up

    profiler = cProfile.Profile() if profile else None
    began = time.process_time()
    if profiler is None:
        path, _ = write_up(folder)
    else:
        path, _ = profiler.runcall(write_up, folder)
    seconds = time.process_time() - began
    if profiler is not None:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    return path.stat().st_size / 1e6, seconds


def _cases(kinds: list[str], sizes: list[int]) -> Iterator[tuple[str, int]]:
    return ((kind, size) for size in sizes for kind in kinds)


def main() -> None:
    """Print a row for each kind and number of cells."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["search", "arms"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000])
    parser.add_argument("--profile", action="store_true", help="Print what takes the time.")
    parser.add_argument("--keep", type=Path, help="A folder for the studies, which are then kept and used again.")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{'kind':<10}{'cells':>8}{'MB':>8}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for kind, size in _cases(given.kinds, given.sizes):
            root = Path(given.keep or scratch) / f"{kind}-{size}"
            root.mkdir(parents=True, exist_ok=True)
            known = StudyFolder(root / ("search" if kind in {"search", "trials"} else "arms"))
            folder = known if known.ledger_file.exists() else make_folder(kind, size, root)
            megabytes, seconds = measured(folder, given.profile)
            print(f"{kind:<10}{size:>8}{megabytes:>8.1f}{seconds:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
