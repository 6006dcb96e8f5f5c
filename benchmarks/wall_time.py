"""Where the wall time of a study goes, from the call to its report.

    python benchmarks/wall_time.py --seeds 5

Runs `studies/kf_sensitivity.yaml`, which has four arms, in a process of its own and reads the ledger: `start` is what
passes before the first cell begins, `cells` the trainers' seconds divided by the cores, `gaps` what the cores wait
between cells, `end` what comes after the last one (statistics, report, MLflow). The goal is 1.10 times `cells` and ten
seconds. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

STUDY = Path(__file__).parents[1] / "studies" / "kf_sensitivity.yaml"
FACTOR, EXTRA_S = 1.10, 10.0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="of each of the four arms (default: 5)")
    parser.add_argument("--study", type=Path, default=STUDY)
    return parser.parse_args()


def measure(study: Path, seeds: int, cores: int) -> dict[str, float]:
    """Seconds of one run."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "fgtune.run", str(study), "--set", f"seeds={seeds}", "--out", folder]
        began, started = time.time(), time.perf_counter()
        done = subprocess.run([*command, "--tracking-uri", store], capture_output=True, text=True, check=False)
        wall = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        ledger = next(Path(folder).glob("*/results.jsonl"))
        rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    cells = [row for row in rows if "finished_at" in row]
    ends = [datetime.fromisoformat(row["finished_at"]).timestamp() for row in cells]
    seconds = [float(row["seconds"]) for row in cells]
    first, last = min(end - each for end, each in zip(ends, seconds, strict=True)), max(ends)
    busy = sum(seconds) / cores
    return {
        "cells": float(len(cells)),
        "wall": wall,
        "start": first - began,
        "trained": busy,
        "gaps": last - first - busy,
        "end": wall - (last - began),
        "goal": FACTOR * busy + EXTRA_S,
    }


def main() -> None:
    """Print a row."""
    arguments, cores = parse_arguments(), os.cpu_count() or 1
    found = measure(arguments.study, arguments.seeds, cores)
    print(f"{found['cells']:.0f} cells on {cores} cores, seconds of the clock")
    print("".join(f"{name:>10}" for name in ("wall", "start", "cells", "gaps", "end", "goal")))
    columns = ("wall", "start", "trained", "gaps", "end", "goal")
    print("".join(f"{found[name]:>10.1f}" for name in columns))


if __name__ == "__main__":
    main()
