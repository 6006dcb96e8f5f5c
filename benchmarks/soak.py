"""Memory and open files of a study of many cells in one session: whether they are flat.

    python benchmarks/soak.py --cells 500

A study of small cells runs in this process, and a thread looks at it and at Ray's processes as cells end. The table has
megabytes that belong to a process alone (USS), and open file descriptors. Growth is that of a line through the looks of
the second half: the first has what is loaded once (torch, preparations, caches). Exits with 1 where in that half the
driver grows by more than 0.02 MB a cell (5 MB of 500), others by more than 30 MB and a tenth of their size, or one
of them by more than 10 descriptors.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

STUDY = """\
study: soak
question: Do memory and handles stay flat over many cells?
design: {{kind: sensitivity, factors: {{optimizer.lr: {levels}}}}}
seeds: {seeds}
metrics: {{primary: test/clustering_accuracy}}
trial:
  data: {{kind: hierarchy, num_samples: 300, num_coarse: 2, fine_per_coarse: 3, dim: 6}}
  model: {{backbone: {{kind: mlp, hidden: [16]}}}}
  classes: {{num_fine_ratio: 1.0}}
  epochs: 2
  batch_size: 64
"""
ARMS = 10
MOST_MB, MOST_SHARE, MOST_HANDLES = 30.0, 0.1, 10.0
DRIVER_MB_A_CELL = 0.02
ROLES = ("driver", "workers", "raylet", "gcs_server", "others of Ray")


@dataclass
class Looks:
    """What was seen, look by look.

    Attributes:
        cells: Finished cells.
        megabytes: By role.
        handles: By role.
    """

    cells: list[int] = field(default_factory=list)
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})
    handles: dict[str, list[int]] = field(default_factory=lambda: {role: [] for role in ROLES})

    def add(self, cells: int) -> None:
        """Look once."""
        megabytes, handles = dict.fromkeys(ROLES, 0.0), dict.fromkeys(ROLES, 0)
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            try:
                role = "driver" if process == own else role_of(process)
                megabytes[role] += process.memory_full_info().uss / 1e6
                handles[role] += process.num_fds()
            except psutil.Error:
                continue
        self.cells.append(cells)
        for role in ROLES:
            self.megabytes[role].append(megabytes[role])
            self.handles[role].append(handles[role])


def role_of(process: psutil.Process) -> str:
    """What a process of Ray is."""
    name = process.name()
    if name in ("raylet", "gcs_server"):
        return name
    return "workers" if name.startswith("ray::") and "Agent" not in name else "others of Ray"


def watch(ledger: Path, every: int, looks: Looks, is_over: threading.Event) -> None:
    """Look each time that so many cells have ended."""
    following = every
    while not is_over.wait(0.5):
        ended = ledger.read_bytes().count(b"\n") if ledger.is_file() else 0
        if ended >= following:
            looks.add(ended)
            following = ended + every


def growth(cells: list[int], values: list[float] | list[int]) -> float:
    """What a line through the second half of the looks rises by within it."""
    half = len(cells) // 2
    x, y = np.array(cells[half:], dtype=float), np.array(values[half:], dtype=float)
    if len(x) < 3:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0] * (x[-1] - x[0]))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Memory and handles over many cells in one session.")
    parser.add_argument("--cells", type=int, default=500, help="cells of the study (default: 500)")
    parser.add_argument("--every", type=int, default=25, help="cells between two looks (default: 25)")
    parser.add_argument("--tracking", action="store_true", help="track in MLflow, in a new database")
    arguments = parser.parse_args()
    if arguments.cells < ARMS * 2 or arguments.every < 1:
        parser.error(f"at least {ARMS * 2} cells are needed")
    return arguments


def main() -> int:
    """Run the study, print what was seen, and fail where something grows."""
    arguments = parse_arguments()
    from fgtune.engine.run import execute
    from fgtune.results.options import RunOptions

    levels = [round(0.02 * (number + 1), 2) for number in range(ARMS)]
    with tempfile.TemporaryDirectory(prefix="fgtune-soak-") as folder:
        study = Path(folder, "soak.yaml")
        study.write_text(STUDY.format(levels=levels, seeds=arguments.cells // ARMS), encoding="utf-8")
        uri = f"sqlite:///{folder}/mlflow.db" if arguments.tracking else "none"
        looks, is_over = Looks(), threading.Event()
        ledger = Path(folder, "out", "soak", "results.jsonl")
        watcher = threading.Thread(target=watch, args=(ledger, arguments.every, looks, is_over), daemon=True)
        watcher.start()
        started, cpu = time.monotonic(), sum(os.times()[:4])
        code = execute(RunOptions(study, out=Path(folder, "out"), tracking_uri=uri), Console(file=io.StringIO()))
        is_over.set()
        watcher.join()
        wall, used = time.monotonic() - started, sum(os.times()[:4]) - cpu
    return code or summarise(looks, wall, used)


def summarise(looks: Looks, wall: float, used: float) -> int:
    """The table, and whether anything grows."""
    print(f"{'cells':>6} " + " ".join(f"{role:>20}" for role in ROLES))
    for place, cells in enumerate(looks.cells):
        shown = (f"{looks.megabytes[role][place]:9.1f} MB {looks.handles[role][place]:5} fd" for role in ROLES)
        print(f"{cells:6} " + " ".join(f"{text:>20}" for text in shown))
    grown = []
    print("growth " + " ".join(f"{text:>20}" for text in _growths(looks, grown)))
    print(f"{looks.cells[-1] if looks.cells else 0} cells seen, {wall:.0f} s, {used:.0f} s of CPU with Ray's start")
    for role in grown:
        print(f"{role} grows")
    return int(bool(grown))


def _growths(looks: Looks, grown: list[str]) -> list[str]:
    """Growth by role as text; roles that grow too much are added to ``grown``."""
    texts = []
    for role in ROLES:
        megabytes = growth(looks.cells, looks.megabytes[role])
        handles = growth(looks.cells, looks.handles[role])
        level = looks.megabytes[role][-1] if looks.cells else 0.0
        most = max(MOST_MB, MOST_SHARE * level)
        if role == "driver" and looks.cells:
            most = DRIVER_MB_A_CELL * (looks.cells[-1] - looks.cells[len(looks.cells) // 2])
        if megabytes > most or handles > MOST_HANDLES:
            grown.append(role)
        texts.append(f"{megabytes:+9.1f} MB {handles:+5.1f} fd")
    return texts


if __name__ == "__main__":
    sys.exit(main())
