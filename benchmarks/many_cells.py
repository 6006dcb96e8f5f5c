"""What benchmarks of large studies share: the study, finished cells, the CPU time of a command, peaks of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fgtune.config.arms.records import Cell
from fgtune.results.records import CellResult, CellState, SolverUse

ROOT = Path(__file__).resolve().parents[1]
COMMAND = ("-c", "import sys; from fgtune.app.cli import main; sys.exit(main(sys.argv[1:]))")


def study_text(cells: int) -> str:
    """A study with so many cells, a multiple of 10."""
    return f"""\
study: large
question: What does a study of {cells:,} cells cost?
design:
  kind: sensitivity
  grid: random
  points: {cells // 10 - 1}
  factors:
    optimizer.lr: {{low: 0.001, high: 1.0, scale: log}}
    objective.lambda_reg: {{low: 0.1, high: 10.0, scale: log}}
    classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]
seeds: 10
trial: {{data: {{kind: digits}}, classes: {{num_fine_ratio: 1.0}}}}
"""


def cpu_seconds(arguments: tuple[str, ...], runs: int) -> float:
    """User and system time of the interpreter with these arguments, the least of some runs: others only add to it."""
    seconds = []
    for _ in range(runs):
        before = os.times()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        after = os.times()
        seconds.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(seconds)


def peak_mib() -> float:
    """The most memory that this process has held; ``ru_maxrss`` would count that of the parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def finished(cell: Cell, metrics: Mapping[str, float], epochs: int, rank: int) -> CellResult:
    """The ledger's line of a cell that ended as the one of this rank, a second after the one before."""
    return CellResult(
        cell_id=cell.cell_id,
        arm=cell.arm,
        seed=cell.seed,
        config_hash=cell.config_hash,
        state=CellState.COMPLETE,
        metrics=dict(metrics),
        seconds=3.0,
        epochs=epochs,
        levels=dict(cell.levels),
        config=cell.config.to_plain(),
        solver=SolverUse("flow", 20, 0.02, {"optimal": 20}, 0.0),
        finished_at=f"2026-01-02T{rank // 3600 % 24:02d}:{rank // 60 % 60:02d}:{rank % 60:02d}+00:00",
    )
